"""What a timeline asks of history: a stream of a device in a span of time, as samples or as tiles. Pure.

An answer is made of volumes: each is the output of one seal, and the last one may be what the next seal would be, made
of the log's tail in memory (`ingest.archive.tail`). So the past and the live end are read by one code, and where they
meet nothing is twice or missing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ingest.archive.tables import OWN, RECORDS, RECORDS_SCHEMA, TILES, read_table
from ingest.archive.tiles import BITS, TOP, Tiles, combined, tiles_of
from ingest.records import StreamDescription
from ingest.times import Times

Read = Callable[[str], bytes]
"""Gives a file's bytes by its name."""
_ABOUT: Final = ("device", "stream", "schema", "verdict", "start_ns", "end_ns", "samples", "at", "count")


class Question(NamedTuple):
    """`[start_ns, end_ns)` of a stream, as about so many points, two values each, as fit on a screen."""

    device: str
    stream: str
    start_ns: int
    end_ns: int
    points: int

    @property
    def level(self) -> int:
        """The coarsest level that has as many tiles as there are points, or more."""
        span_ns, level = max(1, (self.end_ns - self.start_ns) // max(1, self.points)), 0
        while level < TOP and 1 << BITS * (level + 1) <= span_ns:
            level += 1
        return level

    @property
    def aligned(self) -> Question:
        """The span of all tiles of the level that meet the asked one."""
        first, last = self.start_ns >> BITS * self.level, (self.end_ns - 1) >> BITS * self.level
        return self._replace(start_ns=first << BITS * self.level, end_ns=(last + 1) << BITS * self.level)


class Answer(NamedTuple):
    """Physical values of a stream's channels."""

    channels: tuple[str, ...]
    units: tuple[str, ...]
    level: int | None
    """Of the tiles; None: these are samples."""
    times: Times
    """Of samples, `(samples,)` ns UTC."""
    values: NDArray[np.float64]
    """Of samples, `(samples, channels)`; NaN where a channel was not there."""
    tiles: tuple[Tiles, ...]
    """Of each channel; those that meet the asked span."""


class Tables:
    """The tables of files that were read lately, up to so many bytes: files never change."""

    def __init__(self, bytes_max: int = 64 << 20) -> None:
        self._bytes_max = bytes_max
        self._kept: OrderedDict[str, pa.Table] = OrderedDict()
        self._bytes = 0

    def get(self, name: str, make: Callable[[], pa.Table]) -> pa.Table:
        """The table of that name, made where it is not kept."""
        table = self._kept.pop(name, None)
        if table is None:
            table = make()
            self._bytes += table.nbytes
        self._kept[name] = table
        while self._bytes > self._bytes_max and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.nbytes
        return table


class Volume:
    """The files of one output, `names`. From when to when its chunks go is known once it was asked: who asks for a day
    of a year reads no more than that day's files again."""

    def __init__(self, names: Sequence[str], read: Read, tables: Tables) -> None:
        self._read = read
        self._kept = tables
        (self.records,) = (name for name in names if name.startswith(f"{RECORDS}/"))
        self._tiles = next((name for name in names if name.startswith(f"{TILES}/")), None)
        self.span: tuple[int, int] | None = None
        """From the first to the last time of its chunks that count, ns UTC, where it was asked."""

    def chunks(self, question: Question) -> pa.Table:
        """The chunks that count and meet the asked span: the columns `_ABOUT`."""
        if self.span is not None and (self.span[0] >= question.end_ns or self.span[1] < question.start_ns):
            return _NO_CHUNKS
        about = self._kept.get(self.records, self._about)
        if self.span is None:
            spans = about.column("start_ns"), about.column("end_ns")
            self.span = (pc.min(spans[0]).as_py(), pc.max(spans[1]).as_py()) if len(about) else (1 << 63, -(1 << 63))
        asked = _is(about, "device", question.device) & _is(about, "stream", question.stream)
        asked &= about.column("start_ns").to_numpy() < question.end_ns
        asked &= about.column("end_ns").to_numpy() >= question.start_ns
        return about.filter(pa.array(asked)) if asked.any() else _NO_CHUNKS

    def _about(self) -> pa.Table:
        table = read_table(self._read(self.records), [*_ABOUT, "kind"])
        return table.filter(pa.array(_is(table, "verdict", "counts"))).select(_ABOUT).combine_chunks()

    def samples(self, question: Question) -> Iterator[tuple[bytes, Times, NDArray[Any]]]:
        """Schema, times and raw values `(samples, channels)` of the asked span, a schema and file at a time."""
        chunks = self.chunks(question)
        for name in pc.unique(chunks.column("samples")).to_pylist():
            of_file = chunks.filter(pc.field("samples") == name)
            table = read_table(self._read(name))
            starts, counts = of_file.column("at").to_numpy(), of_file.column("count").to_numpy()
            rows = np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
            times = table.column(1).to_numpy()[rows]
            inside = (times >= question.start_ns) & (times < question.end_ns)
            columns = [table.column(number).to_numpy()[rows][inside] for number in range(len(OWN), table.num_columns)]
            yield of_file.column("schema")[0].as_py(), times[inside], np.stack(columns, axis=1)

    def tiles(self, question: Question) -> pa.Table | None:
        """All tiles of the asked stream, of every level; the columns of a tiles file. None: the output has none."""
        if (name := self._tiles) is None:
            return None
        table = self._kept.get(name, lambda: read_table(self._read(name)).combine_chunks())
        asked = _is(table, "device", question.device) & _is(table, "stream", question.stream)
        return table.filter(pa.array(asked))


def _is(table: pa.Table, name: str, word: str) -> NDArray[np.bool_]:
    """Which rows have the word. By numpy: an expression costs Arrow a plan, of which a day would need hundreds."""
    column = table.column(name).combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries().combine_chunks()
    if not len(column):
        return np.zeros(0, np.bool_)
    matches: NDArray[np.bool_] = column.indices.to_numpy(zero_copy_only=False) == column.dictionary.index(word).as_py()
    return matches


_NO_CHUNKS: Final = RECORDS_SCHEMA.empty_table().select(_ABOUT)


def volumes_of(names: Iterable[str], read: Read, tables: Tables) -> Iterator[Volume]:
    """The volumes of a chain's files, in their order: a seal's records come last."""
    own: list[str] = []
    for name in names:
        own.append(name)
        if name.startswith(f"{RECORDS}/"):
            yield Volume(own, read, tables)
            own = []


def answer(
    volumes: Sequence[Volume], descriptions: Mapping[bytes, StreamDescription], question: Question
) -> Answer | None:
    """The answer; None where none of the volumes has the stream in this span.

    Tiles, where the span is so long that its tiles are; else samples, or tiles made of them where these are more than
    eight a point.
    """
    level, aligned = question.level, question.aligned
    asked = [(volume, chunks) for volume in volumes if len(chunks := volume.chunks(question))]
    if not asked:
        return None
    found, (_, newest_chunks) = [volume for volume, _ in asked], asked[-1]
    beside = [volume for volume in volumes if volume in found or len(volume.chunks(aligned))]
    newest = descriptions[pc.unique(newest_chunks.column("schema")).to_pylist()[-1]]
    names = tuple(channel.name for channel in newest.channels)
    units = tuple(channel.unit for channel in newest.channels)
    nothing = np.zeros(0, np.int64), np.zeros((0, len(names)))
    tables = [table for volume in beside if (table := volume.tiles(question)) is not None and len(table)]
    if tables and level >= max(pc.min(table.column("level")).as_py() for table in tables):
        spanned = _of_span([pa.concat_tables(tables)], aligned, level)
        return Answer(names, units, level, *nothing, _kept_tiles(spanned, descriptions, names))
    times, values = _samples(found, descriptions, question, names)
    if len(times) <= 8 * question.points:
        return Answer(names, units, None, times, values, ())
    times, values = _samples(beside, descriptions, aligned, names)
    made = tuple(tiles_of(times, values[:, number], level) for number in range(len(names)))
    return Answer(names, units, level, *nothing, made)


def _samples(
    volumes: Sequence[Volume],
    descriptions: Mapping[bytes, StreamDescription],
    question: Question,
    names: Sequence[str],
) -> tuple[Times, NDArray[np.float64]]:
    """Times and physical values of the channels, in the order of time."""
    all_times: list[Times] = []
    all_values: list[NDArray[np.float64]] = []
    for volume in volumes:
        for schema, times, raw in volume.samples(question):
            channels = descriptions[schema].channels
            values = np.full((len(times), len(names)), np.nan)
            for number, channel in enumerate(channels):
                if channel.name in names:
                    values[:, names.index(channel.name)] = raw[:, number] * channel.scale + channel.offset
            all_times.append(times)
            all_values.append(values)
    times, values = np.concatenate(all_times), np.concatenate(all_values)
    order = np.argsort(times, kind="stable")
    return times[order], values[order]


def _of_span(tables: Sequence[pa.Table], aligned: Question, level: int) -> Iterator[pa.Table]:
    first, last = aligned.start_ns >> BITS * level, (aligned.end_ns - 1) >> BITS * level
    for table in tables:
        bucket = table.column("bucket").to_numpy()
        spanned = (bucket >= first) & (bucket <= last) & (table.column("level").to_numpy() == level)
        yield table.filter(pa.array(spanned))


def _kept_tiles(
    tables: Iterable[pa.Table], descriptions: Mapping[bytes, StreamDescription], names: Sequence[str]
) -> tuple[Tiles, ...]:
    """The tiles of each channel, in physical values."""
    parts: list[list[Tiles]] = [[_no_tiles()] for _ in names]
    for table in tables:
        for schema in pc.unique(table.column("schema")).to_pylist():
            for number, channel in enumerate(descriptions[schema].channels):
                if channel.name not in names:
                    continue
                of_channel = table.column("channel").to_numpy() == number
                own = table.filter(pc.and_(pa.array(of_channel), pc.equal(table.column("schema"), schema)))
                columns = [own.column(name).to_numpy() for name in _TILE_COLUMNS]
                parts[names.index(channel.name)].append(_physical(Tiles(*columns), channel.scale, channel.offset))
    return tuple(combined(each) for each in parts)


_TILE_COLUMNS: Final = ("bucket", "samples", "low", "high", "first_ns", "first", "last_ns", "last")


def _physical(tiles: Tiles, scale: float, offset: float) -> Tiles:
    """A scale below 0 turns the lowest value into the highest."""
    moved = tiles._replace(**{name: getattr(tiles, name) * scale + offset for name in ("low", "high", "first", "last")})
    return moved if scale >= 0 else moved._replace(low=moved.high, high=moved.low)


def _no_tiles() -> Tiles:
    whole, real = np.zeros(0, np.int64), np.zeros(0)
    return Tiles(whole, whole, real, real, whole, real, whole, real)
