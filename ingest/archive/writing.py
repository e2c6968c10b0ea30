"""An output of the archive as files. Pure, but for the library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from ingest.archive.collected import Collected, Samples, as_array
from ingest.archive.columns import Columns, array_of, records_table
from ingest.archive.rows import dtype_of
from ingest.archive.tables import (
    GROUP_ROWS,
    OWN,
    RECORDS,
    TILES_SCHEMA,
    WORDS,
    column_names,
    draft_of,
    row_groups,
    samples_folder,
    tiles_draft,
)
from ingest.archive.tiles import TOP, Owners, Tiles, coarser, finest_level, tiles_of_all
from ingest.engine.operator import Draft
from ingest.records import StreamDescription
from ingest.times import Times

if TYPE_CHECKING:
    from numpy.typing import NDArray


def drafts_of(collected: Collected, tag: str) -> list[Draft]:
    """The files of an output, with `tag` in their names."""
    columns, tiles = Columns(collected), _TileRows()
    streams = [_Stream(samples, columns) for samples in collected.samples]
    levels: dict[str, int] = {}  # one for all schemas of a stream: a level that one of them lacks would have a hole
    for each in streams:
        name = each.samples.stream
        levels[name] = max(each.level, levels.get(name, 0))
    drafts = [_samples_draft(each, levels[each.samples.stream], columns, tiles, tag) for each in streams]
    if tiles.parts:
        drafts.append(tiles_draft(tiles.table(), tag))
    records = records_table(columns)
    drafts.append(draft_of(RECORDS, "r", records.schema, [records], tag))
    return drafts


def _samples_draft(stream: _Stream, level: int, columns: Columns, tiles: _TileRows, tag: str) -> Draft:
    """The file of one stream's samples; says where each chunk's lie."""
    samples = stream.samples
    folder = samples_folder(samples.stream, samples.schema)
    rows = stream.tables(tiles, level)
    draft = draft_of(folder, "s", schema_of(samples.description), rows, tag)
    columns.name(stream.places, draft.name)
    return draft


def schema_of(description: StreamDescription) -> pa.Schema:
    """The columns of a stream's samples. None is ever null: without room for that they are written in half the time."""
    kind = pa.from_numpy_dtype(dtype_of(description.dtype))
    kinds = [pa.int64(), pa.int64(), WORDS, *[kind] * len(description.channels)]
    names = [*OWN, *column_names([channel.name for channel in description.channels])]
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in zip(names, kinds, strict=True)])


class _Group(NamedTuple):
    """The rows of a row group: those of one or several devices."""

    devices: Sequence[str]
    stops: Sequence[int]
    """Where each one's rows end."""
    offset: NDArray[np.int64]
    times: Times
    number: NDArray[np.int32]
    """Of the device."""
    values: Sequence[NDArray[Any]]
    """Of each channel."""
    counting: NDArray[np.bool_] | None
    """Which samples count; None: all."""

    def by_device(self) -> Iterator[tuple[str, Times, list[NDArray[Any]]]]:
        """Each device, and times and values of its samples that count."""
        for device, start, stop in zip(self.devices, [0, *self.stops], self.stops, strict=False):
            own = [column[start:stop] for column in (self.times, *self.values)]
            if self.counting is not None:
                own = [column[self.counting[start:stop]] for column in own]
            yield device, own[0], own[1:]


class _Stream:
    """The samples of one stream and schema, by device and then as the log has them; says in `columns` where each
    chunk's lie."""

    def __init__(self, samples: Samples, columns: Columns) -> None:
        self.samples = samples
        self._columns = columns
        places = as_array(samples.places)
        self._devices, number = columns.devices(places)
        order = np.argsort(number, kind="stable")
        self.places, self._number = places[order], number[order]
        self._counts = columns.count[self.places]
        self._ends = np.cumsum(self._counts)
        self._stamped = None if (columns.den[self.places] > 0).all() else columns.times(self.places)
        columns.locate(self.places, self._ends - self._counts, self._stamped)

    @property
    def level(self) -> int:
        """The finest level of its tiles: by its period, the described one, else a middle one of its chunks'."""
        description, columns, places = self.samples.description, self._columns, self.places
        if description.rate_num > 0 and description.rate_den > 0:
            return finest_level(1e9 * description.rate_den / description.rate_num)
        spans = (columns.end_ns - columns.t0_ns)[places] / np.maximum(1, self._counts - 1)
        return finest_level(abs(float(np.median(spans))))

    def tables(self, tiles: _TileRows, level: int) -> Iterator[pa.Table]:
        """The rows by row groups, and their tiles, of this level at least, in passing."""
        schema, words = schema_of(self.samples.description), pa.array(self._devices, pa.string())
        for group in self._groups():
            for device, times, values in group.by_device():
                tiles.add(device, self.samples, level, times, values)
            of = pa.DictionaryArray.from_arrays(group.number, words, safe=False)  # all of them are its numbers
            own = [pa.array(group.offset), pa.array(group.times), of]
            yield pa.Table.from_arrays([*own, *map(pa.array, group.values)], schema=schema)

    def _groups(self) -> Iterator[_Group]:
        """What is at work at once is small enough for the processor's own memory."""
        columns, ends = self._columns, self._ends
        stops = np.flatnonzero(np.diff(self._number, append=len(self._devices))) + 1  # of each device's chunks
        for begin, end in row_groups(np.diff(ends[stops - 1], prepend=0).tolist(), GROUP_ROWS):
            chunks = slice(stops[begin - 1] if begin else 0, stops[end - 1])
            places, counts = self.places[chunks], self._counts[chunks]
            rows = slice(ends[chunks.start] - counts[0], ends[chunks.stop - 1])
            yield _Group(
                self._devices[begin:end],
                (ends[stops[begin:end] - 1] - rows.start).tolist(),
                np.repeat(columns.offset[places], counts),
                columns.times(places) if self._stamped is None else self._stamped[rows],
                np.repeat(self._number[chunks], counts),
                columns.values(places, self.samples.description),
                columns.counting(places),
            )


class _TileRows:
    """Collects the tiles of an output: each channel's at its finest level, out of which the others are made for all
    channels at once."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, str, bytes, int]] = []
        """Device, stream, schema and channel, the owners of tiles."""
        self._finest: dict[int, list[tuple[int, Tiles]]] = {}
        """By level, the tiles of which part are."""

    def add(self, device: str, samples: Samples, level: int, times: Times, columns: Sequence[NDArray[Any]]) -> None:
        """The finest tiles of a device's samples."""
        for channel, tiles in enumerate(tiles_of_all(times, columns, level)):
            self._finest.setdefault(level, []).append((len(self.parts), tiles))
            self.parts.append((device, samples.stream, samples.schema, channel))

    def table(self) -> pa.Table:
        """All of them, sorted by level; raw values as float64, which holds each sample type exactly."""
        levels = list(self._levels())
        lengths = [len(owner) for _, owner, _ in levels]
        which = pa.array(np.concatenate([owner for _, owner, _ in levels]))
        device, stream, schema, channel = zip(*self.parts, strict=True)
        of_parts = {"device": device, "stream": stream, "schema": schema, "channel": channel}
        found = {"level": np.repeat([level for level, _, _ in levels], lengths).astype(np.int8)}
        for name, parts in zip(Tiles._fields, zip(*(tiles for _, _, tiles in levels), strict=True), strict=True):
            found[name] = np.concatenate(parts)
        columns = [
            array_of(of_parts[field.name], field.type).take(which)
            if field.name in of_parts
            else pa.array(found[field.name], field.type)
            for field in TILES_SCHEMA
        ]
        return pa.Table.from_arrays(columns, schema=TILES_SCHEMA)

    def _levels(self) -> Iterator[tuple[int, Owners, Tiles]]:
        """Each level, whose its tiles are, and the tiles."""
        owner, tiles = np.zeros(0, np.int32), Tiles(*(np.zeros(0, kind) for kind in _TILE_KINDS))
        for level in range(min(self._finest), TOP + 1):
            owner, tiles = coarser(owner, tiles)
            if level in self._finest:
                numbers, finest = zip(*self._finest[level], strict=True)
                lengths = [len(each.bucket) for each in finest]
                owner = np.concatenate([owner, np.repeat(np.array(numbers, np.int32), lengths)])
                columns = zip(_TILE_KINDS, tiles, *finest, strict=True)
                tiles = Tiles(*(np.concatenate(column, dtype=kind) for kind, *column in columns))
            yield level, owner, tiles


_TILE_KINDS: Final = [field.type.to_pandas_dtype() for field in TILES_SCHEMA if field.name in Tiles._fields]
