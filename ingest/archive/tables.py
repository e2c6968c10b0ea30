"""The archive's files: which columns they have, how they are encoded, and how they are read. Pure, but for the library.

Arrow's writer is used and not Polars', since it lets each column choose its encoding: times and offsets that rise
evenly cost next to nothing as `DELTA_BINARY_PACKED`, and a sensor's counts about what their entropy is.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.archive.rows import Row, chunk_of
from ingest.engine.operator import Draft
from ingest.wire import encode

if TYPE_CHECKING:
    from numpy.typing import NDArray


RECORDS, SAMPLES, TILES = "records", "samples", "tiles"
"""The folders of an archived topic."""
OWN: Final = ("offset", "t_ns", "device")
"""Columns of a samples file before those of the channels."""
GROUP_ROWS: Final = 16_384
"""A row group has one device's samples, where it has so many."""
_LEVEL: Final = 1
"""Zstandard at its quickest: level 3 saves 1 % for twice the time."""
WORDS: Final = pa.dictionary(pa.int32(), pa.string())
RECORDS_SCHEMA: Final = pa.schema(
    {
        "offset": pa.int64(),
        "append_ns": pa.int64(),
        "key": pa.binary(),
        "value": pa.binary(),
        "kind": WORDS,
        "verdict": WORDS,
        "device": WORDS,
        "recording": WORDS,
        "stream": WORDS,
        "boot": pa.binary(),
        "seq": pa.int64(),
        "schema": pa.binary(),
        "t0_ns": pa.int64(),
        "period_num": pa.int64(),
        "period_den": pa.int64(),
        "phase": pa.int64(),
        "tick_ns": pa.int64(),
        "delta_bytes": pa.int8(),
        "count": pa.int64(),
        "missing": pa.int64(),
        "missing_reason": WORDS,
        "clock": WORDS,
        "clock_offset_ns": pa.int64(),
        "clock_ppm": pa.float64(),
        "uncertainty_ns": pa.int64(),
        "signature": pa.binary(),
        "start_ns": pa.int64(),
        "end_ns": pa.int64(),
        "samples": WORDS,
        "at": pa.int64(),
    }
)
"""The columns of a records file: the fields of `ingest.archive.rows.Row`."""
TILES_SCHEMA: Final = pa.schema(
    {
        "device": WORDS,
        "stream": WORDS,
        "schema": pa.binary(),
        "channel": pa.int16(),
        "level": pa.int8(),
        "bucket": pa.int64(),
        "samples": pa.int64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "first_ns": pa.int64(),
        "first": pa.float64(),
        "last_ns": pa.int64(),
        "last": pa.float64(),
    }
)
"""The columns of a tiles file; `channel` counts from 0, values are raw as in the samples."""
_STEPS: Final = frozenset(
    {"offset", "append_ns", "t_ns", "seq", "t0_ns", "start_ns", "end_ns", "at", "bucket", "first_ns", "last_ns"}
)
"""Columns that rise by steps."""


def column_names(channels: Sequence[str]) -> list[str]:
    """The channels' names as columns of a samples file: one that is taken, or comes twice, gets its number."""
    names: list[str] = []
    for number, name in enumerate(channels):
        names.append(name if name and name not in (*OWN, *names) else f"{name}:{number}")
    return names


def draft_of(folder: str, stem: str, table: pa.Table, tag: str, edges: Sequence[tuple[int, int]] = ()) -> Draft:
    """A table as a file; `edges` say which of its rows are a device's."""
    file = io.BytesIO()
    stepping = [name for name in table.column_names if name in _STEPS]
    counts = [f.name for f in table.schema if pa.types.is_integer(f.type) and f.name not in _STEPS]
    packed = [*stepping, *(name for name in counts if folder.startswith(SAMPLES))]
    writer = pq.ParquetWriter(
        file,
        table.schema,
        compression="zstd",
        compression_level=_LEVEL,
        use_dictionary=[name for name in table.column_names if name not in packed],
        column_encoding=dict.fromkeys(packed, "DELTA_BINARY_PACKED"),
        write_statistics=[name for name in table.column_names if name in (*OWN, "start_ns", "end_ns", "bucket")],
        store_schema=True,
    )
    with writer:
        for begin, end in _groups(edges, len(table)):
            writer.write_table(table.slice(begin, end - begin), row_group_size=max(1, end - begin))
    return Draft.of(folder, stem, ".parquet", [file.getvalue()], len(table), tag)


def _groups(edges: Sequence[tuple[int, int]], rows: int) -> Iterator[tuple[int, int]]:
    """Row groups: a device each, where it has `GROUP_ROWS`; several small ones share one."""
    at = 0
    for _, end in edges:
        if end - at >= GROUP_ROWS:
            yield at, end
            at = end
    if at < rows or not rows:
        yield at, rows


def read_table(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """A file's table."""
    return pq.read_table(pa.BufferReader(data), columns=columns, use_threads=False)


def rows_in(table: pa.Table) -> list[Row]:
    """The rows of a records file."""
    columns = [table.column(name).to_pylist() for name in Row.__struct_fields__]
    return [Row(*values) for values in zip(*columns, strict=True)]


def samples_in(table: pa.Table) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Times, `(rows,) int64` ns UTC, and raw values, `(rows, channels)` in the sensor's own type, of a samples file."""
    columns = [table.column(name).to_numpy() for name in table.column_names]
    return columns[1], np.stack(columns[len(OWN) :], axis=1)


def record_values(rows: Sequence[Row], read: Callable[[str], bytes]) -> list[bytes]:
    """The bytes of records as they lay in the log; `read` gives a file's."""
    values = [row.value for row in rows]
    wanted: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        if row.samples and not row.value:
            wanted.setdefault(row.samples, []).append(index)
    for name, indices in wanted.items():
        times, raw = samples_in(read_table(read(name)))
        for index in indices:
            row = rows[index]
            span = slice(row.at, row.at + row.count)
            values[index] = encode(chunk_of(row, times[span], raw[span].tobytes()))
    return values
