"""Rows of mark events into a file of Parquet: those that came one by one, and plain marks that came together."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby, islice, repeat
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.columns import Column, Texts
from ingest.engine.operator import Draft
from ingest.records import Mark, MarkAdd, MarkEdit, MarkRetract

MANY: Final = 256
"""So many rows are worth loading Arrow's writer for, which takes 44 MB of memory."""
_TOGETHER: Final = 4096
"""So many events become columns at once."""
KINDS: Final[Mapping[type, str]] = {MarkAdd: "add", MarkEdit: "edit", MarkRetract: "retract"}
UNDO: Final = "recording_undo"
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
versions lack the last columns, and those of many rows what tells nothing of any of these: what is missing is null."""
_ALWAYS: Final = ("kind", "device", "id", "start_ns", "end_ns")
"""The columns that every file has."""
_PLACES: Final = ("partition", "offset", "append_ns")
"""The columns that say where an event lay."""
_FIELDS: Final = tuple(name for name in _SCHEMA if name not in ("kind", *_PLACES))
_FEW: Final = frozenset(name for name, kind in _SCHEMA.items() if kind == "String") - {"id", "evidence"}
"""The texts of which many rows have few different ones."""
_OR_NOTHING: Final = frozenset(("revision", "reason", "undoes_ns", "undo", "trim", "accept"))
"""The columns in which readers take null for what is empty, 0 or false."""


class Undo(msgspec.Struct, frozen=True):
    """A `RecordingUndo` under the names of the columns."""

    device: str
    id: str
    author: str
    client_ns: int
    reason: str
    undo: bool


@dataclass(slots=True)
class Events:
    """Events, and where each lay."""

    records: list[Mark | Undo] = field(default_factory=list)
    partition: list[int] = field(default_factory=list)
    offset: list[int] = field(default_factory=list)
    append_ns: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.records)

    def columns(self) -> dict[str, Sequence[Any]]:
        """`_SCHEMA`'s: the events' fields under their own names, None where an event does not have one."""
        found: dict[str, list[Any]] = {name: [] for name in _SCHEMA}
        for kind, some in groupby(self.records, type):
            while run := list(islice(some, _TOGETHER)):
                fields = zip(*map(msgspec.structs.astuple, run), strict=True)
                there = dict(zip(run[0].__struct_fields__, fields, strict=True))
                found["kind"] += repeat(KINDS.get(kind, UNDO), len(run))
                for name in _FIELDS:
                    found[name] += there.get(name) or repeat(None, len(run))
        found["evidence"] = [_json(evidence) for evidence in found["evidence"]]
        return {**found, **{name: getattr(self, name) for name in _PLACES}}

    def parts(self) -> Mapping[str, Column | Sequence[Any]]:
        """Columns, as each came."""
        return self.columns()


@dataclass(frozen=True, slots=True)
class Alike:
    """Neighbours in one partition that are all `MarkAdd` without evidence, as columns."""

    fields: Mapping[str, Column]
    partition: int
    offset: Sequence[int]
    append_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offset)

    def columns(self) -> dict[str, Sequence[Any]]:
        """See `Events`."""
        found: dict[str, Sequence[Any]] = {name: [None] * len(self) for name in _SCHEMA}
        return found | {name: _listed(it) for name, it in self.parts().items()}

    def parts(self) -> dict[str, Column | Sequence[Any]]:
        """See `Events`; without those that no plain mark has."""
        return {
            "kind": [KINDS[MarkAdd]] * len(self),
            **self.fields,
            "partition": np.full(len(self), self.partition, np.int32),
            "offset": _integers(self.offset),
            "append_ns": self.append_ns,
        }


def _integers(numbers: Sequence[int]) -> NDArray[np.int64]:
    """Most often they are a range, which need not be looked at one by one."""
    if isinstance(numbers, range):
        return np.arange(numbers.start, numbers.stop, numbers.step, dtype=np.int64)
    return np.fromiter(numbers, np.int64, len(numbers))


def _listed(column: Column | Sequence[Any]) -> Sequence[Any]:
    match column:
        case Texts():
            return column.list()
        case np.ndarray():
            found: list[Any] = column.tolist()
            return found
        case _:
            return column


def distinct(column: Column) -> set[str]:
    """The different texts of a column of texts."""
    assert isinstance(column, Texts)
    return set(column.list()) if (only := column.only) is None else {only}


def _json(evidence: Mapping[str, float] | None) -> str | None:
    return msgspec.json.encode(evidence).decode() if evidence else None


def polars_schema() -> dict[str, Any]:
    """The types of a marks file's columns."""
    import polars as pl  # the pure part of this package must load without it

    return {name: getattr(pl, kind) for name, kind in _SCHEMA.items()}


def draft_of(rows: Sequence[Events | Alike], tag: str) -> Draft:
    """The file of these rows."""
    count = sum(map(len, rows))
    data = (_packed(rows) if count >= MANY else None) or _plain(rows)
    return Draft.of("marks", "m", ".parquet", [data], count, tag)


def _plain(rows: Sequence[Events | Alike]) -> bytes:
    import polars as pl

    parts = [each.columns() for each in rows]
    columns = {name: list(chain.from_iterable(part[name] for part in parts)) for name in _SCHEMA}
    file = io.BytesIO()
    pl.DataFrame(columns, schema=polars_schema()).write_parquet(file, compression="zstd")
    return file.getvalue()


def _packed(rows: Sequence[Events | Alike]) -> bytes | None:
    """The same in half of the bytes, integers as deltas; None where memory has no room for Arrow's writer."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        return None
    parts = [each.parts() for each in rows]
    names = [name for name in _SCHEMA if name in _ALWAYS or any(_tells(name, part.get(name)) for part in parts)]
    table = pa.table(
        {
            name: pa.chunked_array(
                [_array(name, part.get(name), len(each)) for part, each in zip(parts, rows, strict=True)]
            )
            for name in names
        }
    )
    if len(parts) > 1:
        table = table.unify_dictionaries().combine_chunks()
    file = pa.BufferOutputStream()
    parquet.write_table(
        table,
        file,
        compression={name: "none" if _is_one(table[name]) else "zstd" for name in names},
        use_dictionary=[name for name in names if name in _FEW or name == "evidence"],
        column_encoding={name: "DELTA_BINARY_PACKED" for name in names if _SCHEMA[name].startswith("Int")},
        write_statistics=False,
        store_schema=False,
    )
    data: bytes = file.getvalue().to_pybytes()
    return data


def _is_one(column: Any) -> bool:
    """Whether it is one text over and over: nothing is left to compress."""
    chunk = column.chunk(0)
    return hasattr(chunk, "dictionary") and len(chunk.dictionary) == 1 and column.num_chunks == 1


def _tells(name: str, column: Column | Sequence[Any] | None) -> bool:
    """Whether readers would miss a column."""
    match column:
        case None:
            return False
        case Texts():
            return bool(column.data) or name not in _OR_NOTHING
        case np.ndarray():
            return bool(column.any()) or name not in _OR_NOTHING
        case _:
            return any(column) if name in _OR_NOTHING else column.count(None) < len(column)


def _arrow(name: str) -> Any:
    """The Arrow type of a column; in the file a dictionary's texts are texts."""
    import pyarrow as pa

    if name in _FEW:
        return pa.dictionary(pa.int32(), pa.string())
    kinds = {"String": pa.string(), "Int64": pa.int64(), "Int32": pa.int32(), "Float64": pa.float64()}
    return kinds.get(_SCHEMA[name], pa.bool_())


def _array(name: str, column: Column | Sequence[Any] | None, count: int) -> Any:
    import pyarrow as pa

    match column:
        case None:
            return pa.nulls(count, _arrow(name))
        case Texts() if name not in _FEW:
            return _texts(column)
        case Texts():
            return _texts(column).dictionary_encode() if (only := column.only) is None else _repeated(only, count)
        case np.ndarray():
            return pa.array(column)
    if name not in _FEW:
        return pa.array(column, _arrow(name))
    if column.count(column[0]) < len(column):
        return pa.array(column, pa.string()).dictionary_encode()
    return pa.nulls(count, _arrow(name)) if column[0] is None else _repeated(column[0], count)


def _texts(texts: Texts) -> Any:
    import pyarrow as pa

    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(texts.offsets), pa.py_buffer(texts.data))


def _repeated(text: str, count: int) -> Any:
    """One text so many times: most columns are so, and it takes a tenth."""
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([text], pa.string()))
