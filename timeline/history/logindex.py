"""The history that a log itself keeps, where there is no archive: which chunk lies where, and tiles of all of them.

Samples stay in the log and are read again when somebody looks closely, but for the newest ones (`newest.py`). In memory
are some 100 bytes a chunk, and the tiles of a stream's finest level: about as many bytes a channel as one sample in
eight has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.archive.channels import LeftOut, left_out, placed
from ingest.archive.reading import Answer, Gone, Question, scaled
from ingest.archive.rows import dtype_of
from ingest.archive.tiles import BITS, Tiles, combined, finest_level, tiles_of
from ingest.errors import CorruptLogError, LogUnavailableError, TruncatedLogError
from ingest.log.protocol import READINGS, Log
from ingest.records import Channel, Chunk, StreamDescription
from ingest.times import Times, sample_times
from ingest.wire import decode
from timeline.history.newest import Newest, Piece

_PARTS_MAX: Final = 64
_FETCH_S: Final = 1.0
_EMPTY_MAX: Final = 30
READ_MAX: Final = 4_000_000
"""So many samples of a stream are read for one answer at most."""


class Place(NamedTuple):
    """Where a chunk lies in the log, and in time."""

    start_ns: int
    end_ns: int
    samples: int
    partition: int
    offset: int
    schema: bytes


def physical(chunk: Chunk, description: StreamDescription) -> NDArray[np.float64]:
    """A chunk's values, `(samples, channels)`, in the channels' units."""
    channels = description.channels
    raw = np.frombuffer(chunk.values, dtype_of(description.dtype)).reshape(chunk.count, len(channels))
    scale, offset = (np.array([getattr(it, name) for it in channels]) for name in ("scale", "offset"))
    found: NDArray[np.float64] = raw * scale + offset
    return found


class _Stream:
    def __init__(self) -> None:
        self.places: list[Place] = []
        self.newest: StreamDescription | None = None
        self.level = 0
        self._pending: list[tuple[Times, NDArray[np.float64], StreamDescription]] = []
        self._tiles: dict[Channel, list[Tiles]] = {}
        """Of each channel as it was described, in its unit."""
        self._columns: NDArray[np.int64] = np.zeros((0, 2), np.int64)

    def take(self, times: Times, values: NDArray[np.float64], description: StreamDescription, place: Place) -> None:
        if not self.places:
            self.level = finest_level((place.end_ns - place.start_ns) / max(1, place.samples - 1) or 1e9)
        self.places.append(place)
        self.newest = description
        self._pending.append((times, values, description))
        if len(self._pending) >= _PARTS_MAX:
            self._condense()

    def tiles(self, channel: Channel) -> Tiles:
        """Of the finest level, in the channel's unit."""
        self._condense()
        found = [tiles_of(np.zeros(0, np.int64), np.zeros(0), self.level)]
        for known, parts in self._tiles.items():
            at = placed(known, (channel,))
            if at is not None:
                parts[:] = [combined(parts)] if len(parts) > 1 else parts
                found.append(parts[0] if known.unit == channel.unit else scaled(parts[0], at.scale, at.offset))
        return combined(found) if len(found) > 2 else found[-1]

    def meeting(self, start_ns: int, end_ns: int) -> list[Place]:
        known = len(self._columns)
        if known < len(self.places):
            new = np.array([place[:2] for place in self.places[known:]], np.int64)
            self._columns = np.concatenate((self._columns, new))
        met = (self._columns[:, 0] < end_ns) & (self._columns[:, 1] >= start_ns)
        return [self.places[number] for number in np.flatnonzero(met).tolist()]

    def _condense(self) -> None:
        pending, self._pending = self._pending, []
        runs: list[list[tuple[Times, NDArray[np.float64], StreamDescription]]] = []
        for row in pending:
            if not runs or runs[-1][0][2] is not row[2]:
                runs.append([])
            runs[-1].append(row)
        for run in runs:
            times, values = (np.concatenate([row[part] for row in run]) for part in (0, 1))
            for number, channel in enumerate(run[0][2].channels):
                parts = self._tiles.setdefault(Channel(channel.name, channel.unit), [])
                parts.append(tiles_of(times, values[:, number], self.level))
                if len(parts) >= _PARTS_MAX:
                    parts[:] = [combined(parts)]


class LogIndex:
    """`await index.ask(question)`: as `ingest.archive.history.History`, of what it was fed."""

    def __init__(self, log: Log, descriptions: Mapping[bytes, StreamDescription], newest: Newest | None = None) -> None:
        self._log = log
        self._descriptions = descriptions
        self._streams: dict[tuple[str, str], _Stream] = {}
        self._newest = Newest() if newest is None else newest

    def feed(self, chunk: Chunk, times: Times, values: NDArray[np.float64], partition: int, offset: int) -> None:
        """Take a chunk that counts."""
        stream = self._streams.setdefault((chunk.device, chunk.stream), _Stream())
        place = Place(int(times.min()), int(times.max()), chunk.count, partition, offset, chunk.schema)
        description = self._descriptions[chunk.schema]
        stream.take(times, values, description, place)
        self._newest.keep(partition, offset, Piece(description.channels, times, values))

    def chunks(self, device: str, stream: str) -> Sequence[Place]:
        """Where the chunks of a stream lie, in the log's order."""
        found = self._streams.get((device, stream))
        return () if found is None else found.places

    async def ask(self, question: Question) -> Answer | None:
        """The answer; None where there is nothing of the stream in this span.

        Raises:
            LogUnavailableError: the log gives no answer.
        """
        stream = self._streams.get((question.device, question.stream))
        places = [] if stream is None else stream.meeting(question.start_ns, question.end_ns)
        if stream is None or stream.newest is None or not places:
            return None
        wanted = stream.newest.channels
        names, units = tuple(channel.name for channel in wanted), tuple(channel.unit for channel in wanted)
        rest = self._left_out(places, wanted)
        nothing = np.zeros(0, np.int64), np.zeros((0, len(names)))
        level = question.level
        many = sum(place.samples for place in places) > 8 * question.points
        if many and level >= stream.level:
            tiles = tuple(_cut(stream.tiles(channel), stream.level, question) for channel in wanted)
            return Answer(names, units, level, *nothing, tiles, rest)
        if many:
            places = stream.meeting(question.aligned.start_ns, question.aligned.end_ns)
        if sum(place.samples for place in places) > READ_MAX:
            raise LogUnavailableError(f"{question.device} {question.stream}: too many samples at once; look closer")
        times, values, gone = await self._read(question.device, question.stream, places, wanted)
        span = question.aligned if many else question
        inside = (times >= span.start_ns) & (times < span.end_ns)
        times, values = times[inside], values[inside]
        if not many or len(times) <= 8 * question.points:
            inside = (times >= question.start_ns) & (times < question.end_ns)
            return Answer(names, units, None, times[inside], values[inside], (), rest, gone)
        made = tuple(tiles_of(times, values[:, number], level) for number in range(len(names)))
        return Answer(names, units, level, *nothing, made, rest, gone)

    def _left_out(self, places: Sequence[Place], wanted: Sequence[Channel]) -> tuple[LeftOut, ...]:
        found: list[LeftOut] = []
        for schema in dict.fromkeys(place.schema for place in places):
            channels = self._descriptions[schema].channels
            if all(placed(channel, wanted) for channel in channels):
                continue  # as nearly always: of a day's chunks no span is looked for
            own = [place for place in places if place.schema == schema]
            span = min(place.start_ns for place in own), max(place.end_ns for place in own)
            found += left_out(wanted, channels, *span)
        return tuple(found)

    async def _read(
        self, device: str, stream: str, places: Sequence[Place], wanted: Sequence[Channel]
    ) -> tuple[Times, NDArray[np.float64], tuple[Gone, ...]]:
        """Times and values of the chunks, in the order of time; and what the log has no more of them."""
        pieces: list[Piece] = []
        kept: list[Piece] = []
        lost: list[Gone] = []
        lie: dict[int, dict[int, Place]] = {}
        for place in places:
            piece = self._newest.find(place.partition, place.offset)
            if piece is None:
                lie.setdefault(place.partition, {})[place.offset] = place
            else:
                kept.append(piece)
        for partition, asked in lie.items():
            found, begin = await self._chunks(partition, asked.keys())
            for chunk in found.values():
                if (chunk.device, chunk.stream) != (device, stream):
                    continue  # the log was made anew under its name; the follower begins anew, too
                description = self._descriptions[chunk.schema]
                pieces.append(Piece(description.channels, sample_times(chunk), physical(chunk, description)))
            reasons = {offset: "deleted" if offset < begin else "damaged" for offset in asked.keys() - found.keys()}
            lost += [Gone(*asked[offset][:2], reason) for offset, reason in reasons.items()]
        pieces += kept  # which came later
        times = np.concatenate([np.zeros(0, np.int64), *(piece.times for piece in pieces)])
        values = np.concatenate([np.zeros((0, len(wanted))), *(piece.under(wanted) for piece in pieces)])
        order = np.argsort(times, kind="stable")
        return times[order], values[order], joined(lost)

    async def _chunks(self, partition: int, offsets: Collection[int]) -> tuple[dict[int, Chunk], int]:
        """The chunks at these offsets; what is damaged, or gone by retention, is passed over. And where the log begins,
        as far as that was asked."""
        last, at, empty, begin = max(offsets), min(offsets), 0, 0
        found: dict[int, Chunk] = {}
        reader = self._log.reader(READINGS, {partition: at}, durable=False)
        try:
            while at <= last:
                try:
                    batches = await reader.fetch(_FETCH_S)
                except (CorruptLogError, TruncatedLogError) as error:
                    begin = (await self._log.bounds(READINGS))[partition].begin
                    at = error.next_offset if isinstance(error, CorruptLogError) else max(at + 1, begin)
                    await reader.close()
                    reader = self._log.reader(READINGS, {partition: at}, durable=False)
                    continue
                empty = 0 if batches else empty + 1
                if empty >= _EMPTY_MAX:
                    raise LogUnavailableError(f"{self._log.url}: {READINGS}: {empty} reads brought nothing")
                for batch in batches:
                    at = batch.next_offset
                    rows = zip(batch.offsets, batch.values, strict=True)
                    records = ((offset, decode(bytes(value))) for offset, value in rows if offset in offsets)
                    found |= {offset: record for offset, record in records if isinstance(record, Chunk)}
        finally:
            await reader.close()
        return found, begin


def joined(lost: Iterable[Gone]) -> tuple[Gone, ...]:
    """What is gone, by time; what follows one another for the same reason, with no more than a chunk's own length
    between, as one. Pure."""
    found: list[Gone] = []
    for it in sorted(lost):
        last = found[-1] if found else None
        if last is not None and last.reason == it.reason and it.start_ns - last.end_ns <= it.end_ns - it.start_ns:
            found[-1] = Gone(last.start_ns, max(last.end_ns, it.end_ns), it.reason)
        else:
            found.append(it)
    return tuple(found)


def _cut(tiles: Tiles, level: int, question: Question) -> Tiles:
    """The tiles that meet the question's span, at its level."""
    span = question.aligned
    first, last = (int(np.searchsorted(tiles.bucket, at >> BITS * level)) for at in (span.start_ns, span.end_ns))
    part = Tiles(*(column[first:last] for column in tiles))
    return combined([part], question.level - level)
