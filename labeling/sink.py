"""The labels sink: every mark event of the log into Parquet, the marks' durable home.

Events are kept as they came, in log order: nothing is folded here, so that every policy can be applied later and
provenance is complete. `labeling.marks` folds them when a dataset is opened.
"""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby, islice, repeat
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ingest.deadletters import dead_letter
from ingest.engine.manifest import sha256_of
from ingest.engine.operator import Draft, Output, Publication, State
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
from labeling.marks import RULE

if TYPE_CHECKING:
    import polars as pl

CODE: Final = 1
"""The version of the saved state and of the files' columns."""
_ROW_BYTES: Final = 120
"""About what a row takes in a file before compression; only decides when to seal."""
_MANY: Final = 256
"""So many rows are worth loading Arrow's writer for, which takes 44 MB of memory."""
_TOGETHER: Final = 4096
"""So many events become columns at once."""
_KINDS: Final[Mapping[type, str]] = {MarkAdd: "add", MarkEdit: "edit", MarkRetract: "retract"}
_MARKS: Final = (MarkAdd, MarkEdit, MarkRetract)
_UNDO: Final = "recording_undo"
"""The kind of a row that is no mark: a recording was brought by mistake; its id is the row's, `undo`: it comes back."""
_SCHEMA: Final = {
    "kind": "String",
    "device": "String",
    "id": "String",
    "start_ns": "Int64",
    "end_ns": "Int64",
    "label": "String",
    "author": "String",
    "tool": "String",
    "confidence": "Float64",
    "client_ns": "Int64",
    "server_ns": "Int64",
    "evidence": "String",
    "partition": "Int32",
    "offset": "Int64",
    "append_ns": "Int64",
    "revision": "String",
    "reason": "String",
    "undoes_ns": "Int64",
    "undo": "Boolean",
    "trim": "Boolean",
    "accept": "Boolean",
}
"""The columns of a marks file. A null is a field that the event does not have; `evidence` is JSON. Files of earlier
versions lack the last columns: what is missing is null."""


_PLACES: Final = ("partition", "offset", "append_ns")
"""The columns that say where an event lay."""
_FIELDS: Final = tuple(name for name in _SCHEMA if name not in ("kind", *_PLACES))


class _State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sink carries nothing from seal to seal but the running maximum of append times, and who is forgotten: a
    release that does not know that refuses to go on, rather than to keep what comes of them."""

    code: int
    append_ns: int = 0
    forgotten: list[str] = []
    """Devices of which nothing more is kept."""


class _Undo(msgspec.Struct, frozen=True):
    """A `RecordingUndo` under the names of the columns."""

    device: str
    id: str
    author: str
    client_ns: int
    reason: str
    undo: bool


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
        self._events = _Events()
        self._publications: list[Publication] = []
        self._counts: Counter[str] = Counter()
        self.urgent = False
        """A person's event is among the rows."""

    def feed(self, batch: LogBatch) -> int:
        """See `Running`; takes every record."""
        rows: list[int] = []
        records: list[Mark | _Undo] = []
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
                records.append(_Undo(*said))
                if (whom := forgotten_by(record)) is not None and not whom[1]:
                    self._forgotten.add(record.device)
            else:
                self._give_up(batch, index, f"a {type(record).__name__} is no mark")
                continue
            rows.append(index)
        for kind, count in Counter(map(type, records)).items():
            self._counts[f"marks.{_KINDS.get(kind, _UNDO)}"] += count
        self.urgent = self.urgent or any(isinstance(record, _Undo) or record.tool != RULE for record in records)
        append_ns = list(accumulate(batch.append_ns, max, initial=self._append_ns))[1:]
        self._append_ns = append_ns[-1] if append_ns else self._append_ns
        self._events.records += records
        self._events.partition += [batch.partition] * len(rows)
        self._events.offset += [batch.offsets[row] for row in rows]
        self._events.append_ns += [append_ns[row] for row in rows]
        return len(batch)

    def _give_up(self, batch: LogBatch, index: int, reason: str) -> None:
        self._publications.append(dead_letter(batch, index, reason))
        self._counts["undecodable"] += 1

    def skip(self, wanted: int, begin: int) -> None:
        """See `Running`; the entry itself names the lost range."""
        self._counts["lost.offsets"] += begin - wanted

    @property
    def pending_bytes(self) -> int:
        """See `Running`."""
        return _ROW_BYTES * len(self._events.records) + sum(len(it.entry.value) for it in self._publications)

    def take(self, tag: str = "") -> Output:
        """See `Running`; one file for all rows, none where there are no rows."""
        drafts = [_draft(self._events, tag)] if self._events.records else []
        output = Output(drafts, self._publications, self._counts)
        self._events, self._publications, self._counts, self.urgent = _Events(), [], Counter(), False
        return output

    def snapshot(self) -> State:
        """See `Running`."""
        state = {"code": CODE, "append_ns": self._append_ns}
        return (msgspec.json.encode(state | ({"forgotten": sorted(self._forgotten)} if self._forgotten else {})),)


@dataclass(slots=True)
class _Events:
    """Events, and where each lay."""

    records: list[Mark | _Undo] = field(default_factory=list)
    partition: list[int] = field(default_factory=list)
    offset: list[int] = field(default_factory=list)
    append_ns: list[int] = field(default_factory=list)

    def columns(self) -> dict[str, list[Any]]:
        """`_SCHEMA`'s: the events' fields under their own names, None where an event does not have one."""
        found: dict[str, list[Any]] = {name: [] for name in _SCHEMA}
        for kind, some in groupby(self.records, type):
            while run := list(islice(some, _TOGETHER)):
                fields = zip(*map(msgspec.structs.astuple, run), strict=True)
                there = dict(zip(run[0].__struct_fields__, fields, strict=True))
                found["kind"] += repeat(_KINDS.get(kind, _UNDO), len(run))
                for name in _FIELDS:
                    found[name] += there.get(name) or repeat(None, len(run))
        found["evidence"] = [_json(evidence) for evidence in found["evidence"]]
        return found | {name: getattr(self, name) for name in _PLACES}


def _json(evidence: Mapping[str, float] | None) -> str | None:
    return msgspec.json.encode(evidence).decode() if evidence else None


def _columns() -> dict[str, Any]:
    import polars as pl  # the pure part of this module must load without it

    return {name: getattr(pl, kind) for name, kind in _SCHEMA.items()}


def _draft(events: _Events, tag: str) -> Draft:
    columns, rows = events.columns(), len(events.records)
    data = (_packed(columns) if rows >= _MANY else None) or _plain(columns)
    return Draft.of("marks", "m", ".parquet", [data], rows, tag)


def _plain(columns: Mapping[str, Sequence[Any]]) -> bytes:
    import polars as pl

    file = io.BytesIO()
    pl.DataFrame(columns, schema=_columns()).write_parquet(file, compression="zstd")
    return file.getvalue()


def _packed(columns: Mapping[str, Sequence[Any]]) -> bytes | None:
    """The same in half of the bytes, integers as deltas; None where memory has no room for Arrow's writer."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        return None
    kinds = {"String": pa.string(), "Int64": pa.int64(), "Int32": pa.int32(), "Float64": pa.float64()}

    def packed(column: Sequence[Any], kind: str) -> Any:
        if kind == "String" and column.count(column[0]) == len(column):
            return pa.repeat(pa.scalar(column[0], pa.string()), len(column))  # most are so, and it takes a tenth
        return pa.array(column, kinds.get(kind, pa.bool_()))

    table = pa.table({name: packed(columns[name], kind) for name, kind in _SCHEMA.items()})
    texts = [name for name, kind in _SCHEMA.items() if kind == "String" and name != "id"]
    integers = [name for name, kind in _SCHEMA.items() if kind.startswith("Int")]
    file = io.BytesIO()
    parquet.write_table(
        table,
        file,
        compression="zstd",
        use_dictionary=texts,
        column_encoding=dict.fromkeys(integers, "DELTA_BINARY_PACKED"),
        write_statistics=False,
        store_schema=False,
    )
    return file.getvalue()


def read_undone(tables: Iterable[pl.DataFrame]) -> dict[tuple[str, str], str]:
    """The recordings, by device and id, that were brought by mistake, each with the reason."""
    import polars as pl

    table = pl.concat([pl.DataFrame(schema=_columns()), *tables], how="diagonal").sort("partition", "offset")
    found: dict[tuple[str, str], str] = {}
    rows = table.filter(pl.col("kind") == _UNDO).select("device", "id", "reason", "undo")
    for device, recording, reason, back in rows.iter_rows():
        if back:
            found.pop((device, recording), None)
        else:
            found[device, recording] = reason
    return found


def read_events(tables: Iterable[pl.DataFrame]) -> tuple[list[Mark], list[int]]:
    """The mark events in marks files, in log order, and when the log took each, ns UTC. Raises `CorruptError`."""
    import polars as pl

    table = pl.concat([pl.DataFrame(schema=_columns()), *tables], how="diagonal").sort("partition", "offset")
    table = table.filter(pl.col("kind") != _UNDO)
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
