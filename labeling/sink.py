"""The labels sink: every mark event of the log into Parquet, the marks' durable home.

Events are kept as they came, in log order: nothing is folded here, so that every policy can be applied later and
provenance is complete. `labeling.marks` folds them when a dataset is opened.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ingest.deadletters import dead_letter
from ingest.engine.manifest import sha256_of
from ingest.engine.operator import Draft, Output, Publication, State
from ingest.errors import CorruptError, StateVersionError, WireError
from ingest.log.protocol import MARKS, LogBatch
from ingest.records import (
    Mark,
    MarkAdd,
    MarkEdit,
    MarkRetract,
    RecordingUndo,
    StreamDescription,
)
from ingest.wire import decode

if TYPE_CHECKING:
    import polars as pl

CODE: Final = 1
"""The version of the saved state and of the files' columns."""
_ROW_BYTES: Final = 120
"""About what a row takes in a file before compression; only decides when to seal."""
_KINDS: Final[Mapping[type[Mark], str]] = {MarkAdd: "add", MarkEdit: "edit", MarkRetract: "retract"}
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
}
"""The columns of a marks file. A null is a field that the event does not have; `evidence` is JSON. Files of earlier
versions lack the last columns: what is missing is null."""


class _State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sink carries nothing from seal to seal but the running maximum of append times."""

    code: int
    append_ns: int = 0


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
    """`ingest.engine.operator.Running`: collects rows until they are taken."""

    missing_schema: bytes | None = None

    def __init__(self, state: _State) -> None:
        self._append_ns = state.append_ns
        self._rows: list[dict[str, Any]] = []
        self._publications: list[Publication] = []
        self._counts: Counter[str] = Counter()

    def feed(self, batch: LogBatch) -> int:
        """See `Running`; takes every record."""
        columns = zip(batch.offsets, batch.append_ns, batch.values, strict=True)
        for index, (offset, append_ns, value) in enumerate(columns):
            self._append_ns = max(self._append_ns, append_ns)
            try:
                record = decode(value)
            except WireError as error:
                self._give_up(batch, index, str(error))
                continue
            if isinstance(record, Mark):
                self._rows.append(_row(record, batch.partition, offset, self._append_ns))
                self._counts[f"marks.{_KINDS[type(record)]}"] += 1
            elif isinstance(record, RecordingUndo):
                self._rows.append(_undo_row(record, batch.partition, offset, self._append_ns))
                self._counts[f"marks.{_UNDO}"] += 1
            else:
                self._give_up(batch, index, f"a {type(record).__name__} is no mark")
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
        return _ROW_BYTES * len(self._rows) + sum(len(it.entry.value) for it in self._publications)

    def take(self, tag: str = "") -> Output:
        """See `Running`; one file for all rows, none where there are no rows."""
        drafts = [_draft(self._rows, tag)] if self._rows else []
        output = Output(drafts, self._publications, self._counts)
        self._rows, self._publications, self._counts = [], [], Counter()
        return output

    def snapshot(self) -> State:
        """See `Running`."""
        return (msgspec.json.encode(_State(CODE, self._append_ns)),)


def _row(record: Mark, partition: int, offset: int, append_ns: int) -> dict[str, Any]:
    """An event as a row: its own fields under their names, and where it lay."""
    row = {name: getattr(record, name) for name in record.__struct_fields__}
    evidence = row.pop("evidence", None)
    return row | {
        "kind": _KINDS[type(record)],
        "evidence": msgspec.json.encode(evidence).decode() if evidence else None,
        "partition": partition,
        "offset": offset,
        "append_ns": append_ns,
    }


def _columns() -> dict[str, Any]:
    import polars as pl  # the pure part of this module must load without it

    return {name: getattr(pl, kind) for name, kind in _SCHEMA.items()}


def _draft(rows: list[dict[str, Any]], tag: str) -> Draft:
    import polars as pl

    file = io.BytesIO()
    pl.DataFrame(rows, schema=_columns()).write_parquet(file, compression="zstd")
    return Draft.of("marks", "m", ".parquet", [file.getvalue()], len(rows), tag)


def _undo_row(record: RecordingUndo, partition: int, offset: int, append_ns: int) -> dict[str, Any]:
    return dict.fromkeys(_SCHEMA) | {
        "kind": _UNDO,
        "device": record.device,
        "id": record.recording,
        "author": record.author,
        "client_ns": record.time_ns,
        "reason": record.reason,
        "undo": record.back,
        "partition": partition,
        "offset": offset,
        "append_ns": append_ns,
    }


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
    match row["kind"]:
        case "add":
            evidence = msgspec.json.decode(row["evidence"]) if row["evidence"] else {}
            return MarkAdd(*who, *span, *said_by, confidence, *stamps, evidence, row["revision"] or "")
        case "edit":
            return MarkEdit(*who, *said_by, *span, confidence, *stamps, reason, row["undoes_ns"] or 0)
        case "retract":
            return MarkRetract(*who, *said_by, *stamps, reason, row["undo"] or False)
        case kind:
            raise CorruptError(f'marks: found kind "{kind}", expected add, edit or retract; upgrade sensorloom')
