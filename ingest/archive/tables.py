"""The archive's files: which columns they have, how they are encoded, and how they are read. Pure, but for the library.

Arrow's writer is used and not Polars', since it lets each column choose its encoding: times and offsets that rise
evenly cost next to nothing as `DELTA_BINARY_PACKED`, and a sensor's counts about what their entropy is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.archive.rows import Row, chunk_of
from ingest.archive.tiles import TOP
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
GROUP_ROWS_MAX: Final = 65_536
"""No row group has more: who looks at ten seconds of a day decodes ten minutes at 100 Hz, not all that was sealed."""
TILE_ROWS: Final = 2_048
"""A row group has one level's tiles, where it has so many: who looks at a day or a year reads the coarse ones alone."""
_LEVEL: Final = 1
"""Zstandard at its quickest: level 3 saves 1 % for twice the time."""
_WRITE_ROWS: Final = 8192
"""So many rows of a column are encoded in one go."""
WORDS: Final = pa.dictionary(pa.int32(), pa.string())


def _schema(kinds: Mapping[str, pa.DataType], nullable: Sequence[str] = ()) -> pa.Schema:
    """A file's columns. Without room for null a column is written sooner; files from before have that room."""
    return pa.schema([pa.field(name, kind, nullable=name in nullable) for name, kind in kinds.items()])


RECORDS_SCHEMA: Final = _schema(
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
    },
    nullable=["clock"],
)
"""The columns of a records file: the fields of `ingest.archive.rows.Row`."""
TILES_SCHEMA: Final = _schema(
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
_MEASURED: Final = frozenset({"offset", "t_ns", "start_ns", "end_ns", "bucket", "level"})
"""Columns of which a file says the lowest and highest value in each row group. Of a device they would cost more than
all else of that column; to read it costs next to nothing."""
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


def samples_folder(stream: str, schema: bytes) -> str:
    """The folder of a stream's samples that were described so."""
    return f"{SAMPLES}/{quote(stream, safe='')}-{schema.hex()[:8]}"


def draft_of(folder: str, stem: str, schema: pa.Schema, tables: Iterable[pa.Table], tag: str) -> Draft:
    """Tables of one schema as a file, a row group each."""
    file, rows = pa.BufferOutputStream(), 0
    stepping = [name for name in schema.names if name in _STEPS]
    counts = [field.name for field in schema if pa.types.is_integer(field.type) and field.name not in _STEPS]
    bare = counts if folder.startswith(SAMPLES) else []  # to compress what is packed saves 1 %
    floats = [] if folder == RECORDS else [field.name for field in schema if pa.types.is_floating(field.type)]
    packed, others = [*stepping, *bare], [name for name in schema.names if name not in bare]
    writer = pq.ParquetWriter(
        file,
        schema,
        compression=dict.fromkeys(others, "zstd") | dict.fromkeys(bare, "none"),
        compression_level=dict.fromkeys(others, _LEVEL),
        use_dictionary=[name for name in schema.names if name not in (*packed, *floats)],
        column_encoding=dict.fromkeys(packed, "DELTA_BINARY_PACKED") | dict.fromkeys(floats, "BYTE_STREAM_SPLIT"),
        write_statistics=[name for name in schema.names if name in _MEASURED],
        write_batch_size=_WRITE_ROWS,
        store_schema=True,
    )
    with writer:
        for table in tables:
            writer.write_table(table, row_group_size=min(max(1, len(table)), GROUP_ROWS_MAX))
            rows += len(table)
    return Draft.of(folder, stem, ".parquet", [memoryview(file.getvalue())], rows, tag)


def tiles_draft(table: pa.Table, tag: str) -> Draft:
    """The file of an output's tiles, which are sorted by level."""
    ends = (np.flatnonzero(np.diff(table.column("level").to_numpy())) + 1).tolist()
    return draft_of(TILES, "t", table.schema, sliced(table, [*ends, len(table)], TILE_ROWS), tag)


def sliced(table: pa.Table, ends: Sequence[int], least: int) -> Iterator[pa.Table]:
    """A table by row groups; `ends` say where its rows of each device or level end, `least` as in `row_groups`."""
    for begin, end in row_groups(np.diff(ends, prepend=0).tolist(), least):
        first = ends[begin - 1] if begin else 0
        yield table.slice(first, ends[end - 1] - first)


def row_groups(sizes: Sequence[int], least: int) -> Iterator[tuple[int, int]]:
    """Which neighbours, that have so many rows, share a row group: it is closed where it has `least`."""
    begin, rows = 0, 0
    for end, size in enumerate(sizes, 1):
        rows += size
        if rows >= least or end == len(sizes):
            yield begin, end
            begin, rows = end, 0


def read_table(
    data: bytes,
    columns: Sequence[str] | None = None,
    *,
    groups: Sequence[int] | None = None,
    coded: Sequence[str] = (),
) -> pa.Table:
    """A file's table, or some of its row groups; with words of a dictionary in columns that are `coded`."""
    with pq.ParquetFile(pa.BufferReader(data), read_dictionary=list(coded)) as file:
        if groups is None:
            return file.read(columns, use_threads=False)
        return file.read_row_groups(groups, columns, use_threads=False)


def read_samples(data: bytes, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[NDArray[Any]]]:
    """Times, `(rows,)` ns UTC, and the raw values of each channel, of rows of a samples file, whose places rise.

    Of the file only what holds them is decoded.
    """
    with pq.ParquetFile(pa.BufferReader(data)) as file:
        metadata = file.metadata
        ends = np.cumsum([metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)])
        groups = np.unique(np.searchsorted(ends, rows, "right"))
        sizes = np.diff(ends, prepend=0)[groups]
        names = [name for name in file.schema_arrow.names if name not in ("offset", "device")]
        table = file.read_row_groups(groups.tolist(), names, use_threads=False)
    skipped = ends[groups] - np.cumsum(sizes)
    places = rows - np.repeat(skipped, np.diff(np.searchsorted(rows, ends[groups]), prepend=0))
    times, *columns = (column.to_numpy()[places] for column in table.columns)
    return times, columns


def levels_of(tiles: bytes) -> list[range]:
    """Which levels the tiles in each row group of a file may be of; a file that does not say so has any."""
    metadata = pq.read_metadata(pa.BufferReader(tiles))
    place = metadata.schema.names.index("level")
    said = (metadata.row_group(number).column(place).statistics for number in range(metadata.num_row_groups))
    return [range(it.min, it.max + 1) if it is not None and it.has_min_max else range(TOP + 1) for it in said]


def codes_of(column: pa.ChunkedArray) -> NDArray[Any]:
    """A column as numbers that are equal where its values are; sorting by them keeps what is alike together."""
    if pa.types.is_integer(column.type):
        numbers: NDArray[Any] = column.to_numpy()
        return numbers
    whole = column.unify_dictionaries() if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    array = whole.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], column.type)
    codes: NDArray[Any] = array.indices.to_numpy() if len(array) else np.zeros(0, np.int32)
    return codes


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
