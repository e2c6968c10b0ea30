"""The archive's files: rows, samples and tiles as Parquet, and back. Pure, but for the library.

Arrow's writer is used and not Polars', since it lets each column choose its encoding: times and offsets that rise
evenly cost next to nothing as `DELTA_BINARY_PACKED`, and a sensor's counts about what their entropy is.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.archive.rows import Row, chunk_of, dtype_of
from ingest.archive.tiles import TOP, Tiles, combined, finest_level, tiles_of
from ingest.engine.operator import Draft
from ingest.times import newest_time, times_of
from ingest.wire import encode

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.archive.operator import Collected, Samples

RECORDS, SAMPLES, TILES = "records", "samples", "tiles"
"""The folders of an archived topic."""
OWN: Final = ("offset", "t_ns", "device")
"""Columns of a samples file before those of the channels."""
GROUP_ROWS: Final = 16_384
"""A row group has one device's samples, where it has so many."""
_LEVEL: Final = 1
"""Zstandard at its quickest: level 3 saves 1 % for twice the time."""
_WORDS: Final = pa.dictionary(pa.int32(), pa.string())
_RECORDS_SCHEMA: Final = pa.schema(
    {
        "offset": pa.int64(),
        "append_ns": pa.int64(),
        "key": pa.binary(),
        "value": pa.binary(),
        "kind": _WORDS,
        "verdict": _WORDS,
        "device": _WORDS,
        "recording": _WORDS,
        "stream": _WORDS,
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
        "missing_reason": _WORDS,
        "clock": _WORDS,
        "clock_offset_ns": pa.int64(),
        "clock_ppm": pa.float64(),
        "uncertainty_ns": pa.int64(),
        "signature": pa.binary(),
        "start_ns": pa.int64(),
        "end_ns": pa.int64(),
        "samples": _WORDS,
        "at": pa.int64(),
    }
)
"""The columns of a records file: the fields of `ingest.archive.rows.Row`."""
_TILES_SCHEMA: Final = pa.schema(
    {
        "device": _WORDS,
        "stream": _WORDS,
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


def drafts_of(collected: Collected, tag: str) -> list[Draft]:
    """The files of an output."""
    rows = collected.rows
    spans = np.zeros((len(rows), 3), np.int64)
    names = [""] * len(rows)
    drafts, tiles = [], _TileRows()
    for (stream, schema), samples in collected.samples.items():
        draft = _samples_draft(stream, schema, samples, rows, spans, tiles, tag)
        drafts.append(draft)
        for index in samples.rows:
            names[index] = draft.name
    if tiles.parts:
        drafts.append(_draft(TILES, "t", tiles.table(), tag))
    drafts.append(_draft(RECORDS, "r", _records_table(rows, spans, names), tag))
    return drafts


def _records_table(rows: Sequence[Row], spans: NDArray[np.int64], names: Sequence[str]) -> pa.Table:
    columns: list[Any] = [[getattr(row, name) for row in rows] for name in Row.__struct_fields__[:-4]]
    columns += [spans[:, 0], spans[:, 1], names, spans[:, 2]]
    fields = zip(_RECORDS_SCHEMA, columns, strict=True)
    return pa.Table.from_arrays([_array(column, field.type) for field, column in fields], schema=_RECORDS_SCHEMA)


def _array(column: Any, kind: pa.DataType) -> pa.Array:
    return pa.array(column, pa.string()).dictionary_encode() if kind == _WORDS else pa.array(column, kind)


def _samples_draft(
    stream: str,
    schema: bytes,
    samples: Samples,
    rows: Sequence[Row],
    spans: NDArray[np.int64],
    tiles: _TileRows,
    tag: str,
) -> Draft:
    """The file of one stream's samples, by device and then as the log has them; says where each chunk's begin."""
    order = sorted(range(len(samples.rows)), key=lambda i: rows[samples.rows[i]].device)
    chunks = [rows[samples.rows[i]] for i in order]
    counts = np.array([chunk.count for chunk in chunks], np.int64)
    ends = np.cumsum(counts)
    times = times_of([samples.chunks[i] for i in order])
    channels = samples.description.channels
    data = np.frombuffer(b"".join([samples.chunks[i].values for i in order]), dtype_of(samples.description.dtype))
    data = data.reshape(-1, len(channels))
    values = [np.ascontiguousarray(data[:, c]) for c in range(len(channels))]
    indices = np.array([samples.rows[i] for i in order])
    spans[indices, 0] = np.minimum.reduceat(times, ends - counts)
    spans[indices, 1] = np.maximum.reduceat(times, ends - counts)
    spans[indices, 2] = ends - counts
    edges = _device_edges(chunks, ends)
    period_ns = _period_ns(samples)
    good = np.repeat(np.array([chunk.verdict == "counts" for chunk in chunks]), counts)
    for device, begin, end in edges:
        tiles.add(device, stream, schema, times[begin:end], [v[begin:end] for v in values], good[begin:end], period_ns)
    devices = pa.DictionaryArray.from_arrays(
        np.repeat(np.arange(len(edges), dtype=np.int32), [end - begin for _, begin, end in edges]),
        pa.array([device for device, _, _ in edges], pa.string()),
    )
    offsets = np.repeat(np.array([chunk.offset for chunk in chunks], np.int64), counts)
    table = pa.Table.from_arrays(
        [pa.array(offsets), pa.array(times), devices, *map(pa.array, values)],
        names=[*OWN, *column_names([channel.name for channel in channels])],
    )
    folder = f"{SAMPLES}/{quote(stream, safe='')}-{schema.hex()[:8]}"
    return _draft(folder, "s", table, tag, [(begin, end) for _, begin, end in edges])


def column_names(channels: Sequence[str]) -> list[str]:
    """The channels' names as columns of a samples file: one that is taken, or comes twice, gets its number."""
    names: list[str] = []
    for number, name in enumerate(channels):
        names.append(name if name and name not in (*OWN, *names) else f"{name}:{number}")
    return names


def _period_ns(samples: Samples) -> float:
    """About the period of a stream: the described one, else a middle one of its chunks'."""
    description = samples.description
    if description.rate_num > 0 and description.rate_den > 0:
        return 1e9 * description.rate_den / description.rate_num
    spans = [(newest_time(chunk) - chunk.t0_ns) / max(1, chunk.count - 1) for chunk in samples.chunks]
    return abs(float(np.median(spans)))


def _device_edges(chunks: Sequence[Row], ends: NDArray[np.int64]) -> list[tuple[str, int, int]]:
    """The samples `[begin, end)` of each device, in their order."""
    edges: list[tuple[str, int, int]] = []
    for chunk, end in zip(chunks, ends.tolist(), strict=True):
        if edges and edges[-1][0] == chunk.device:
            edges[-1] = (chunk.device, edges[-1][1], end)
        else:
            edges.append((chunk.device, end - chunk.count, end))
    return edges


class _TileRows:
    """Collects the tiles of an output."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, str, bytes, int, int, Tiles]] = []

    def add(
        self,
        device: str,
        stream: str,
        schema: bytes,
        times: NDArray[np.int64],
        values: Sequence[NDArray[Any]],
        good: NDArray[np.bool_],
        period_ns: float,
    ) -> None:
        if not good.all():
            times, values = times[good], [column[good] for column in values]
        level = finest_level(period_ns)
        for channel, column in enumerate(values):
            tiles = tiles_of(times, column, level)
            for at in range(level, TOP + 1):
                tiles = combined([tiles], 1) if at > level else tiles
                self.parts.append((device, stream, schema, channel, at, tiles))

    def table(self) -> pa.Table:
        lengths = [len(tiles.bucket) for *_, tiles in self.parts]
        named = [np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)]
        columns: list[Any] = []
        for field, column in zip(list(_TILES_SCHEMA)[:5], list(zip(*self.parts, strict=True))[:5], strict=True):
            columns.append(_array(column, field.type).take(pa.array(named[0])))
        for number, field in enumerate(list(_TILES_SCHEMA)[5:]):
            whole = np.concatenate([tiles[number] for *_, tiles in self.parts])
            columns.append(pa.array(whole.astype(field.type.to_pandas_dtype(), copy=False)))
        return pa.Table.from_arrays(columns, schema=_TILES_SCHEMA)


def _draft(folder: str, stem: str, table: pa.Table, tag: str, edges: Sequence[tuple[int, int]] = ()) -> Draft:
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


def read_tiles(table: pa.Table) -> Mapping[str, NDArray[Any]]:
    """The columns of a tiles file."""
    return {name: table.column(name).to_numpy() for name in table.column_names}
