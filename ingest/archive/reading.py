"""What a timeline asks of history: a stream of a device in a span of time, as samples or as tiles. Pure.

An answer is made of volumes: each is the output of one seal, and the last one may be what the next seal would be, made
of the log's tail in memory (`ingest.archive.tail`). So the past and the live end are read by one code, and where they
meet nothing is twice or missing.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import chain
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ingest.archive.channels import LeftOut, left_out, placed, values_under
from ingest.archive.tables import RECORDS, TILES, codes_of, levels_of, read_samples, read_table
from ingest.archive.tiles import BITS, TOP, Tiles, combined, tiles_of
from ingest.records import Channel, StreamDescription
from ingest.times import Times

Read = Callable[[str], bytes]
"""Gives a file's bytes by its name."""
_ABOUT: Final = ["device", "stream", "schema", "verdict", "start_ns", "end_ns", "samples", "at", "count"]


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


class Gone(NamedTuple):
    """Samples that were there once, from the first one's time to the last one's, and why they are not any more."""

    start_ns: int
    end_ns: int
    reason: str
    """`deleted` by retention, or `damaged`."""


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
    left_out: tuple[LeftOut, ...] = ()
    """What the span has that fits none of the channels: the stream was described otherwise there."""
    gone: tuple[Gone, ...] = ()
    """What the span had, and no file has any more."""


class _Kept(Protocol):
    @property
    def nbytes(self) -> int: ...


K = TypeVar("K", bound=_Kept)


class Tables:
    """What was made of the files that were read lately, up to so many bytes: files never change."""

    def __init__(self, bytes_max: int = 64 << 20) -> None:
        self._bytes_max = bytes_max
        self._kept: OrderedDict[str, Any] = OrderedDict()
        self._bytes = 0

    def get(self, name: str, make: Callable[[], K]) -> K:
        """What was made of the file of that name, made where it is not kept."""
        kept: K | None = self._kept.pop(name, None)
        if kept is None:
            kept = make()
            self._bytes += kept.nbytes
        self._kept[name] = kept
        while self._bytes > self._bytes_max and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.nbytes
        return kept


class _Runs:
    """A table's rows by device and stream: where neighbouring rows that are alike in all of `names` begin and end."""

    def __init__(self, table: pa.Table, names: Sequence[str]) -> None:
        codes = [codes_of(table.column(name)) for name in names]
        differs = np.zeros(max(0, len(table) - 1), np.bool_)
        for column in codes:
            differs |= column[1:] != column[:-1]
        edges = [0, *(np.flatnonzero(differs) + 1).tolist(), len(table)] if len(table) else [0]
        self._of: dict[tuple[str, str], list[tuple[int, int]]] = {}
        firsts = table.select(["device", "stream"]).take(pa.array(edges[:-1], pa.int64()))
        words = zip(*(column.to_pylist() for column in firsts.columns), strict=True)
        for (device, stream), begin, end in zip(words, edges, edges[1:], strict=False):
            self._of.setdefault((device, stream), []).append((begin, end))

    def of(self, question: Question) -> list[tuple[int, int]]:
        """The runs of the asked stream."""
        return self._of.get((question.device, question.stream), [])


class _Used(NamedTuple):
    """A schema, and the times of its first and last sample."""

    schema: bytes
    start_ns: int
    end_ns: int


class _Chunks:
    """The chunks of an output that count."""

    def __init__(self, table: pa.Table) -> None:
        rows = np.argsort(codes_of(table.column("stream")), kind="stable")
        rows = rows[np.argsort(codes_of(table.column("device"))[rows], kind="stable")]
        self.table = table.take(pa.array(rows)).combine_chunks()  # a stream's as the log has them
        self.nbytes: int = 2 * self.table.nbytes
        self._runs = _Runs(self.table, ("device", "stream"))
        self._start_ns, self._end_ns = (self.table.column(name).to_numpy() for name in ("start_ns", "end_ns"))
        self._schema = codes_of(self.table.column("schema"))
        self.span = (1 << 63, -(1 << 63))
        if len(table):
            self.span = int(self._start_ns.min()), int(self._end_ns.max())

    def rows(self, question: Question) -> NDArray[np.int64]:
        """Those of the asked stream that meet the span."""
        for begin, end in self._runs.of(question):
            own = slice(begin, end)
            meets = (self._start_ns[own] < question.end_ns) & (self._end_ns[own] >= question.start_ns)
            return begin + np.flatnonzero(meets)
        return np.zeros(0, np.int64)

    def schemas(self, question: Question) -> Iterator[_Used]:
        """Each schema of these rows, and the times of its first and last sample."""
        rows = self.rows(question)
        codes = self._schema[rows]
        for code in np.unique(codes):
            own = rows[codes == code]
            schema = self.table.column("schema")[int(own[0])].as_py()
            yield _Used(schema, int(self._start_ns[own].min()), int(self._end_ns[own].max()))


class Part(NamedTuple):
    """Tiles of a channel and level out of one output, raw as in the samples; `channel` counts from 0."""

    schema: bytes
    channel: int
    level: int
    tiles: Tiles


class _TileGroups:
    """Which levels the tiles in each row group of a file may be of."""

    def __init__(self, tiles: bytes) -> None:
        self.levels = levels_of(tiles)
        self.nbytes = sum(map(sys.getsizeof, self.levels))


class _TileTable:
    """The tiles of a row group."""

    def __init__(self, table: pa.Table) -> None:
        self._runs = _Runs(table, ("device", "stream", "schema", "channel", "level"))
        self._table = table
        self.nbytes: int = table.nbytes
        self._columns = [table.column(name).to_numpy() for name in _TILE_COLUMNS]
        self._channel, self._level = (table.column(name).to_numpy() for name in ("channel", "level"))

    def parts(self, question: Question, level: int) -> Iterator[Part]:
        """Those of the asked stream and level."""
        for begin, end in self._runs.of(question):
            if self._level[begin] == level:
                schema = self._table.column("schema")[begin].as_py()
                tiles = Tiles(*(column[begin:end] for column in self._columns))
                yield Part(schema, int(self._channel[begin]), level, tiles)


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

    def has(self, question: Question) -> bool:
        """Do any chunks of the asked stream that count meet the span?"""
        if self.span is not None and (self.span[0] >= question.end_ns or self.span[1] < question.start_ns):
            return False
        chunks = self._chunks()
        self.span = chunks.span
        return len(chunks.rows(question)) > 0

    def newest_schema(self, question: Question) -> bytes:
        """The schema of the last of these chunks."""
        chunks = self._chunks()
        schema: bytes = chunks.table.column("schema")[int(chunks.rows(question)[-1])].as_py()
        return schema

    def schemas(self, question: Question) -> Iterator[_Used]:
        """The schemas of these chunks, each with the times of its first and last sample."""
        return self._chunks().schemas(question)

    def _chunks(self) -> _Chunks:
        return self._kept.get(self.records, self._read_chunks)

    def _read_chunks(self) -> _Chunks:
        table = read_table(self._read(self.records), _ABOUT, coded=["schema"])
        return _Chunks(table.filter(pc.equal(table.column("verdict"), "counts")))

    def samples(self, question: Question) -> Iterator[tuple[bytes, Times, NDArray[Any]]]:
        """Schema, times and raw values `(samples, channels)` of the asked span, a schema and file at a time."""
        known = self._chunks()
        chunks = known.table.take(pa.array(known.rows(question)))
        for name in pc.unique(chunks.column("samples")).to_pylist():
            of_file = chunks.filter(pc.field("samples") == name)
            starts, counts = of_file.column("at").to_numpy(), of_file.column("count").to_numpy()
            rows = np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
            times, columns = read_samples(self._read(name), rows)
            inside = (times >= question.start_ns) & (times < question.end_ns)
            yield of_file.column("schema")[0].as_py(), times[inside], np.stack(columns, axis=1)[inside]

    def tiles(self, question: Question) -> list[Part] | None:
        """The tiles of the asked stream at the question's level; None where all that it has are coarser."""
        found = list(self._parts(question, question.level))
        return found if found or next(self._parts(question, TOP), None) is None else None

    def _parts(self, question: Question, level: int) -> Iterator[Part]:
        if (name := self._tiles) is None:
            return
        data = cache(lambda: self._read(name))
        for number, levels in enumerate(self._kept.get(name, lambda: _TileGroups(data())).levels):
            if level in levels:
                made = partial(_tile_table, data, number)
                yield from self._kept.get(f"{name}#{number}", made).parts(question, level)


def _tile_table(data: Callable[[], bytes], group: int) -> _TileTable:
    return _TileTable(read_table(data(), groups=[group], coded=["schema"]).combine_chunks())


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
    eight a point. Tiles of a nanosecond are samples.
    """
    level, aligned = question.level, question.aligned
    found = [volume for volume in volumes if volume.has(question)]
    if not found:
        return None
    beside = [volume for volume in volumes if volume.has(aligned)]
    wanted = descriptions[found[-1].newest_schema(question)].channels
    names, units = tuple(channel.name for channel in wanted), tuple(channel.unit for channel in wanted)
    used = (it for volume in found for it in volume.schemas(question))
    lost = (left_out(wanted, descriptions[it.schema].channels, it.start_ns, it.end_ns) for it in used)
    rest = tuple(chain.from_iterable(lost))
    nothing = np.zeros(0, np.int64), np.zeros((0, len(names)))
    parts = [volume.tiles(question) for volume in beside] if level else [None]
    if any(parts) and None not in parts:
        asked = chain.from_iterable(filter(None, parts))
        return Answer(names, units, level, *nothing, _kept_tiles(asked, aligned, descriptions, wanted), rest)
    times, values = _samples(beside, descriptions, aligned, wanted)
    begin, end = np.searchsorted(times, [question.start_ns, question.end_ns])
    if end - begin <= 8 * question.points:
        return Answer(names, units, None, times[begin:end], values[begin:end], (), rest)
    made = tuple(tiles_of(times, values[:, number], level) for number in range(len(names)))
    return Answer(names, units, level, *nothing, made, rest)


def under(answer: Answer, channels: Sequence[Channel]) -> Answer:
    """An answer as of these channels, in their order and units: a stream may be described otherwise by now."""
    own = [Channel(*said) for said in zip(answer.channels, answer.units, strict=True)]
    names, units = tuple(it.name for it in channels), tuple(it.unit for it in channels)
    if (names, units) == (answer.channels, answer.units):
        return answer
    tiles = [_no_tiles() for _ in channels]
    for channel, found in zip(own, answer.tiles, strict=False):
        if (at := placed(channel, channels)) is not None:
            tiles[at.number] = scaled(found, at.scale, at.offset)
    span = _span(answer)
    rest = answer.left_out + (left_out(channels, own, *span) if span else ())
    values = values_under(channels, own, answer.values)
    made = tuple(tiles) if answer.tiles else ()
    return Answer(names, units, answer.level, answer.times, values, made, rest, answer.gone)


def _span(answer: Answer) -> tuple[int, int] | None:
    """The times of the first and the last sample; None: there is none."""
    if answer.level is None:
        return (int(answer.times[0]), int(answer.times[-1])) if len(answer.times) else None
    ends = [(int(it.first_ns[0]), int(it.last_ns[-1])) for it in answer.tiles if len(it.bucket)]
    return (min(first for first, _ in ends), max(last for _, last in ends)) if ends else None


def _samples(
    volumes: Sequence[Volume],
    descriptions: Mapping[bytes, StreamDescription],
    question: Question,
    wanted: Sequence[Channel],
) -> tuple[Times, NDArray[np.float64]]:
    """Times and physical values of the channels, in the order of time."""
    all_times: list[Times] = []
    all_values: list[NDArray[np.float64]] = []
    for volume in volumes:
        for schema, times, raw in volume.samples(question):
            all_times.append(times)
            all_values.append(values_under(wanted, descriptions[schema].channels, raw))
    times, values = np.concatenate(all_times), np.concatenate(all_values)
    order = np.argsort(times, kind="stable")
    return times[order], values[order]


def _kept_tiles(
    parts: Iterable[Part], aligned: Question, descriptions: Mapping[bytes, StreamDescription], wanted: Sequence[Channel]
) -> tuple[Tiles, ...]:
    """The tiles of each channel in the asked span, in physical values."""
    found: list[list[Tiles]] = [[_no_tiles()] for _ in wanted]
    for part in parts:
        at = placed(descriptions[part.schema].channels[part.channel], wanted)
        if at is not None:
            spanned = _of_span(part.tiles, aligned, part.level)
            found[at.number].append(scaled(spanned, at.scale, at.offset))
    return tuple(combined(each) for each in found)


def _of_span(tiles: Tiles, aligned: Question, level: int) -> Tiles:
    first, last = aligned.start_ns >> BITS * level, (aligned.end_ns - 1) >> BITS * level
    begin, end = np.searchsorted(tiles.bucket, [first, last + 1])
    return Tiles(*(column[begin:end] for column in tiles))


_TILE_COLUMNS: Final = ("bucket", "samples", "low", "high", "first_ns", "first", "last_ns", "last")


def scaled(tiles: Tiles, scale: float, offset: float) -> Tiles:
    """Tiles in another unit. A scale below 0 turns the lowest value into the highest."""
    moved = tiles._replace(**{name: getattr(tiles, name) * scale + offset for name in ("low", "high", "first", "last")})
    return moved if scale >= 0 else moved._replace(low=moved.high, high=moved.low)


def _no_tiles() -> Tiles:
    whole, real = np.zeros(0, np.int64), np.zeros(0)
    return Tiles(whole, whole, real, real, whole, real, whole, real)
