"""An output of the archive as files: columns out of what was collected. Pure, but for the library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from ingest.archive.collected import Collected, Samples
from ingest.archive.rows import dtype_of
from ingest.archive.tables import (
    OWN,
    RECORDS,
    RECORDS_SCHEMA,
    SAMPLES,
    TILES,
    TILES_SCHEMA,
    WORDS,
    column_names,
    draft_of,
)
from ingest.archive.tiles import TOP, Tiles, combined, finest_level, tiles_of
from ingest.engine.operator import Draft
from ingest.records import Chunk
from ingest.times import newest_time, times_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


def drafts_of(collected: Collected, tag: str) -> list[Draft]:
    """The files of an output, with `tag` in their names."""
    places = Places(len(collected.offsets))
    drafts, tiles = [], _TileRows()
    for (stream, schema), samples in collected.samples.items():
        if samples.chunks:
            drafts.append(_samples_draft(stream, schema, samples, collected, places, tiles, tag))
    if tiles.parts:
        drafts.append(draft_of(TILES, "t", tiles.table(), tag))
    drafts.append(draft_of(RECORDS, "r", _records_table(collected, places), tag))
    return drafts


class Places:
    """Where the samples of each record lie, and in which time; nothing for those that have none."""

    def __init__(self, records: int) -> None:
        self.start_ns, self.end_ns, self.at = np.zeros((3, records), np.int64)
        self.number = np.zeros(records, np.int32)
        """Of the file in `names`."""
        self.names = [""]


def _records_table(collected: Collected, places: Places) -> pa.Table:
    chunks = collected.chunks
    clocks = [chunk.clock for chunk in chunks]
    columns: list[Any] = [
        collected.offsets,
        collected.append_ns,
        collected.keys,
        collected.values,
        _coded(collected.kinds),
        _coded(collected.verdicts),
        _coded([chunk.device for chunk in chunks]),
        _coded([chunk.recording for chunk in chunks]),
        _coded([chunk.stream for chunk in chunks]),
        [chunk.boot for chunk in chunks],
        [chunk.seq for chunk in chunks],
        [chunk.schema for chunk in chunks],
        [chunk.t0_ns for chunk in chunks],
        [chunk.period_num for chunk in chunks],
        [chunk.period_den for chunk in chunks],
        [chunk.phase for chunk in chunks],
        [chunk.tick_ns for chunk in chunks],
        [0 if chunk.period_den > 0 or not chunk.count else len(chunk.deltas) // chunk.count for chunk in chunks],
        [chunk.count for chunk in chunks],
        [chunk.missing for chunk in chunks],
        _coded([chunk.missing_reason for chunk in chunks]),
        _coded([None if clock is None else clock.source for clock in clocks]),
        [0 if clock is None else clock.offset_ns for clock in clocks],
        [0.0 if clock is None else clock.ppm for clock in clocks],
        [0 if clock is None else clock.uncertainty_ns for clock in clocks],
        [chunk.signature for chunk in chunks],
        places.start_ns,
        places.end_ns,
        pa.DictionaryArray.from_arrays(places.number, pa.array(places.names)),
        places.at,
    ]
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, field.type)
        for field, column in zip(RECORDS_SCHEMA, columns, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=RECORDS_SCHEMA)


def _coded(words: Sequence[str | None]) -> pa.Array:
    """Words as numbers of a dictionary; None is null."""
    known: dict[str | None, int] = {None: -1}
    numbers = np.fromiter((known.setdefault(word, len(known) - 1) for word in words), np.int32, len(words))
    return pa.DictionaryArray.from_arrays(pa.array(numbers, mask=numbers < 0), pa.array(list(known)[1:], pa.string()))


def _samples_draft(
    stream: str,
    schema: bytes,
    samples: Samples,
    collected: Collected,
    places: Places,
    tiles: _TileRows,
    tag: str,
) -> Draft:
    """The file of one stream's samples, by device and then as the log has them; says where each chunk's lie."""
    devices = sorted({chunk.device for chunk in samples.chunks})
    numbers = {device: number for number, device in enumerate(devices)}
    number = np.fromiter((numbers[chunk.device] for chunk in samples.chunks), np.int32, len(samples.chunks))
    order = np.argsort(number, kind="stable")
    chunks: list[Chunk] = [samples.chunks[i] for i in order.tolist()]
    number, indices = number[order], np.array(samples.indices)[order]
    counts = np.fromiter((chunk.count for chunk in chunks), np.int64, len(chunks))
    ends = np.cumsum(counts)
    starts = ends - counts
    times = times_of(chunks)
    channels = samples.description.channels
    data = np.frombuffer(b"".join([chunk.values for chunk in chunks]), dtype_of(samples.description.dtype))
    values = list(np.ascontiguousarray(data.reshape(-1, len(channels)).T))
    counting = np.fromiter((collected.verdicts[i] == "counts" for i in indices.tolist()), np.bool_, len(chunks))
    last = np.flatnonzero(np.diff(number, append=len(devices)))
    edges = list(zip([0, *ends[last].tolist()], ends[last].tolist(), strict=False))
    tiles.add_all(devices, stream, schema, edges, times, values, np.repeat(counting, counts), _period_ns(samples))
    columns = [
        pa.array(np.repeat(np.array([collected.offsets[i] for i in indices.tolist()], np.int64), counts)),
        pa.array(times),
        pa.DictionaryArray.from_arrays(np.repeat(number, counts), pa.array(devices, pa.string())),
        *map(pa.array, values),
    ]
    table = pa.Table.from_arrays(columns, names=[*OWN, *column_names([channel.name for channel in channels])])
    draft = draft_of(f"{SAMPLES}/{quote(stream, safe='')}-{schema.hex()[:8]}", "s", table, tag, edges)
    places.start_ns[indices] = np.minimum.reduceat(times, starts)
    places.end_ns[indices] = np.maximum.reduceat(times, starts)
    places.at[indices] = starts
    places.number[indices] = len(places.names)
    places.names.append(draft.name)
    return draft


def _period_ns(samples: Samples) -> float:
    """About the period of a stream: the described one, else a middle one of its chunks'."""
    description = samples.description
    if description.rate_num > 0 and description.rate_den > 0:
        return 1e9 * description.rate_den / description.rate_num
    spans = [(newest_time(chunk) - chunk.t0_ns) / max(1, chunk.count - 1) for chunk in samples.chunks]
    return abs(float(np.median(spans)))


class _TileRows:
    """Collects the tiles of an output."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, str, bytes, int, int, Tiles]] = []

    def add_all(
        self,
        devices: Sequence[str],
        stream: str,
        schema: bytes,
        edges: Sequence[tuple[int, int]],
        times: NDArray[np.int64],
        values: Sequence[NDArray[Any]],
        counting: NDArray[np.bool_],
        period_ns: float,
    ) -> None:
        """The tiles of every device's samples, `edges` in these columns, of those that count."""
        level, whole = finest_level(period_ns), bool(counting.all())
        for device, (begin, end) in zip(devices, edges, strict=True):
            span = slice(begin, end)
            for channel, column in enumerate(values):
                t, v = times[span], column[span]
                if not whole:
                    t, v = t[counting[span]], v[counting[span]]
                tiles = tiles_of(t, v, level)
                for at in range(level, TOP + 1):
                    tiles = combined([tiles], 1) if at > level else tiles
                    self.parts.append((device, stream, schema, channel, at, tiles))

    def table(self) -> pa.Table:
        """All of them; raw values as float64, which holds each sample type exactly."""
        lengths = [len(tiles.bucket) for *_, tiles in self.parts]
        which = pa.array(np.repeat(np.arange(len(lengths), dtype=np.int32), lengths))
        columns: list[Any] = []
        for field, column in zip(list(TILES_SCHEMA)[:5], list(zip(*self.parts, strict=True))[:5], strict=True):
            array = _coded(column) if field.type == WORDS else pa.array(column, field.type)
            columns.append(array.take(which))
        for number, field in enumerate(list(TILES_SCHEMA)[5:]):
            whole = np.concatenate([tiles[number] for *_, tiles in self.parts])
            columns.append(pa.array(whole.astype(field.type.to_pandas_dtype(), copy=False)))
        return pa.Table.from_arrays(columns, schema=TILES_SCHEMA)
