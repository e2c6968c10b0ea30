"""The labels sink: every mark event of the log into Parquet, the marks' durable home.

Events are kept as they came, in log order: nothing is folded here, so that every policy can be applied later and
provenance is complete. `labeling.marks` folds them when a dataset is opened.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from ingest.columns import Column, columns_of
from ingest.deadletters import dead_letter
from ingest.engine.manifest import sha256_of
from ingest.engine.operator import Output, Publication, State
from ingest.errors import CorruptError, StateVersionError, WireError
from ingest.forgetting import forgotten_by
from ingest.log.protocol import MARKS, LogBatch
from ingest.records import (
    Mark,
    MarkAdd,
    MarkEdit,
    MarkRetract,
    RecordingUndo,
    StreamDescription,
)
from ingest.wire import parse
from labeling.markfiles import KINDS, MANY, UNDO, Alike, Events, Undo, distinct, draft_of, polars_schema
from labeling.marks import RULE

if TYPE_CHECKING:
    import polars as pl

CODE: Final = 1
"""The version of the saved state and of the files' columns."""
_ROW_BYTES: Final = 120
"""About what a row takes in a file before compression; only decides when to seal."""
_MARKS: Final = (MarkAdd, MarkEdit, MarkRetract)


class _State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sink carries nothing from seal to seal but the running maximum of append times, and who is forgotten: a
    release that does not know that refuses to go on, rather than to keep what comes of them."""

    code: int
    append_ns: int = 0
    forgotten: list[str] = []
    """Devices of which nothing more is kept."""


class LabelsOperator:
    """`ingest.engine.operator.Operator` over the topic `marks`; its folder is `<dataset>/labels`."""

    name = "labels"
    topic = MARKS
    code = CODE
    spec = sha256_of(b"labels: every mark event as it came")[:16]

    def learn(self, schema: bytes, description: StreamDescription) -> None:
        """See `Operator`; marks need no stream description."""

    def start(self, saved: State | None) -> LabelsRunning:
        """See `Operator`."""
        if saved is None:
            return LabelsRunning(_State(CODE))
        try:
            state = msgspec.json.decode(b"".join(saved), type=_State)
        except (msgspec.MsgspecError, ValueError) as error:
            raise CorruptError(f"labels state: {error}; rebuild into another folder from the log") from None
        if state.code != CODE:
            raise StateVersionError(
                f"labels state: code version {state.code}, this is {CODE}; rebuild into another folder from the log"
            )
        return LabelsRunning(state)


class LabelsRunning:
    """`ingest.engine.operator.Running`: collects rows until they are taken; people wait to see their marks."""

    missing_schema: bytes | None = None

    def __init__(self, state: _State) -> None:
        self._append_ns = state.append_ns
        self._forgotten = set(state.forgotten)
        self._rows: list[Events | Alike] = []
        self._publications: list[Publication] = []
        self._counts: Counter[str] = Counter()
        self.urgent = False
        """A person's event is among the rows."""

    def feed(self, batch: LogBatch) -> int:
        """See `Running`; takes every record."""
        append_ns = np.maximum(np.fromiter(batch.append_ns, np.int64, len(batch)), self._append_ns)
        append_ns = np.maximum.accumulate(append_ns)
        self._append_ns = int(append_ns[-1]) if len(append_ns) else self._append_ns
        if (columns := self._alike(batch)) is not None:
            self._rows.append(Alike(columns, batch.partition, batch.offsets, append_ns))
            return len(batch)
        events = self._rows[-1] if self._rows else None
        if not isinstance(events, Events):
            self._rows.append(events := Events())
        self._one_by_one(batch, append_ns.tolist(), events)
        return len(batch)

    def _alike(self, batch: LogBatch) -> dict[str, Column] | None:
        """The columns of a batch of nothing but plain marks, of devices that are not forgotten."""
        columns = columns_of(batch.values, MarkAdd) if len(batch) >= MANY else None
        if columns is None or not self._forgotten.isdisjoint(distinct(columns["device"])):
            return None
        self._counts[f"marks.{KINDS[MarkAdd]}"] += len(batch)
        self.urgent = self.urgent or distinct(columns["tool"]) != {RULE}
        return columns

    def _one_by_one(self, batch: LogBatch, append_ns: Sequence[int], events: Events) -> None:
        rows: list[int] = []
        records: list[Mark | Undo] = []
        for index, value in enumerate(batch.values):
            try:
                record = parse(value)
            except WireError as error:
                self._give_up(batch, index, str(error))
                continue
            if isinstance(record, _MARKS):
                if record.device in self._forgotten:
                    self._counts["forgotten.marks"] += 1
                    continue
                records.append(record)
            elif isinstance(record, RecordingUndo):
                said = record.device, record.recording, record.author, record.time_ns, record.reason, record.back
                records.append(Undo(*said))
                if (whom := forgotten_by(record)) is not None and not whom[1]:
                    self._forgotten.add(record.device)
            else:
                self._give_up(batch, index, f"a {type(record).__name__} is no mark")
                continue
            rows.append(index)
        for kind, count in Counter(map(type, records)).items():
            self._counts[f"marks.{KINDS.get(kind, UNDO)}"] += count
        self.urgent = self.urgent or any(isinstance(record, Undo) or record.tool != RULE for record in records)
        events.records += records
        events.partition += [batch.partition] * len(rows)
        events.offset += [batch.offsets[row] for row in rows]
        events.append_ns += [append_ns[row] for row in rows]

    def _give_up(self, batch: LogBatch, index: int, reason: str) -> None:
        self._publications.append(dead_letter(batch, index, reason))
        self._counts["undecodable"] += 1

    def skip(self, wanted: int, begin: int) -> None:
        """See `Running`; the entry itself names the lost range."""
        self._counts["lost.offsets"] += begin - wanted

    @property
    def pending_bytes(self) -> int:
        """See `Running`."""
        return _ROW_BYTES * sum(map(len, self._rows)) + sum(len(it.entry.value) for it in self._publications)

    def take(self, tag: str = "") -> Output:
        """See `Running`; one file for all rows, none where there are no rows."""
        drafts = [draft_of(rows, tag)] if (rows := [each for each in self._rows if len(each)]) else []
        output = Output(drafts, self._publications, self._counts)
        self._rows, self._publications, self._counts, self.urgent = [], [], Counter(), False
        return output

    def snapshot(self) -> State:
        """See `Running`."""
        state = {"code": CODE, "append_ns": self._append_ns}
        return (msgspec.json.encode(state | ({"forgotten": sorted(self._forgotten)} if self._forgotten else {})),)


def read_undone(tables: Iterable[pl.DataFrame]) -> dict[tuple[str, str], str]:
    """The recordings, by device and id, that were brought by mistake, each with the reason."""
    import polars as pl

    table = pl.concat([pl.DataFrame(schema=polars_schema()), *tables], how="diagonal").sort("partition", "offset")
    found: dict[tuple[str, str], str] = {}
    rows = table.filter(pl.col("kind") == UNDO).select("device", "id", "reason", "undo")
    for device, recording, reason, back in rows.iter_rows():
        if back:
            found.pop((device, recording), None)
        else:
            found[device, recording] = reason or ""
    return found


def read_events(tables: Iterable[pl.DataFrame]) -> tuple[list[Mark], list[int]]:
    """The mark events in marks files, in log order, and when the log took each, ns UTC. Raises `CorruptError`."""
    import polars as pl

    table = pl.concat([pl.DataFrame(schema=polars_schema()), *tables], how="diagonal").sort("partition", "offset")
    table = table.filter(pl.col("kind") != UNDO)
    return [_event(row) for row in table.iter_rows(named=True)], table["append_ns"].to_list()


def _event(row: dict[str, Any]) -> Mark:
    who = row["device"], row["id"]
    said_by = row["author"], row["tool"]
    span = row["start_ns"], row["end_ns"], row["label"]
    stamps = row["client_ns"], row["server_ns"]
    reason, confidence = row["reason"] or "", row["confidence"]
    evidence = _evidence(row["evidence"] or "{}")
    match row["kind"]:
        case "add":
            trim = row["trim"] or False
            return MarkAdd(*who, *span, *said_by, confidence, *stamps, evidence, row["revision"] or "", trim, reason)
        case "edit":
            undoes_ns, accept = row["undoes_ns"] or 0, row["accept"] or False
            return MarkEdit(*who, *said_by, *span, confidence, *stamps, reason, undoes_ns, accept, evidence)
        case "retract":
            return MarkRetract(*who, *said_by, *stamps, reason, row["undo"] or False, evidence)
        case kind:
            raise CorruptError(f'marks: found kind "{kind}", expected add, edit or retract; upgrade sensorloom')


def _evidence(text: str) -> dict[str, float]:
    """JSON has no word for what is not finite: it is null there."""
    values = msgspec.json.decode(text, type=dict[str, float | None])
    return {name: math.nan if value is None else value for name, value in values.items()}
