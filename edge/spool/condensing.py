"""Making a full spool smaller: what of its segments is kept, and how the rest is announced. Pure.

Segments are condensed: their chunks go, and one gap for each stream of a recording takes their place; or they lose
every second sample, and say so themselves. Gaps of one stream and reason become one. Progress, status and the marks of
rules go. What is left keeps its offset. Where nothing else is left to go, whole recordings do, oldest first, and what
nobody can read, and people's marks. All of that is counted.

What the log has is summed up where a full disk asks for it: the next start reads of it how far each device reached, and
which arrivals may come again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from msgspec.structs import replace

from edge.decoders.repetitions import PAIR_BYTES
from edge.spool.entries import (
    HELD,
    HELD_MARK,
    MARK,
    MAX_IDENTITIES,
    READING,
    STATUS,
    STREAM,
    identities,
    is_note,
    key_of,
    plain,
    reach,
    read_tail,
    seen,
)
from ingest.chunker import chunk_end_ns
from ingest.errors import WireError
from ingest.log.protocol import Entry
from ingest.log.segments.segment import HEADER, Frame, encode, frames
from ingest.records import Chunk, Gap, MarkAdd, MarkEdit, MarkRetract, Progress, RecordingEnd, RecordingStart
from ingest.times import sample_times
from ingest.wire import decode
from ingest.wire import encode as to_wire

DropPolicy: TypeAlias = Literal["oldest", "newest", "thin"]
SPOOL_FULL = "spool_full"
SEEN_BYTES = 32_768 * PAIR_BYTES
"""So much of what a source's samples are known by is summed up."""
_Whose: TypeAlias = tuple[bytes, str, str, str, bytes, str]
"""Whose gap it is: the entry's key, device, recording, stream, boot, and the reason."""


class Part(NamedTuple):
    """A segment: its bytes, and the offsets `[base, below)` that it holds."""

    data: bytes
    base: int
    below: int


class Condensed(NamedTuple):
    """Segments made smaller."""

    data: bytes
    dropped_samples: int
    dropped_chunks: int
    dropped_records: Counter[str]
    """Of other kinds, by what they were."""


class _Kept(NamedTuple):
    offset: int
    append_ns: int
    entry: Entry
    record: object = None

    @property
    def size(self) -> int:
        return HEADER.size + len(self.entry.key) + len(self.entry.value)


def choose(sizes: Sequence[int], policy: DropPolicy, small: int) -> slice:
    """Which of some adjacent closed segments, oldest first, are made smaller together. `sizes` is not empty.

    Thinning takes the greatest, so that all of the past grows thin alike; the first where several are. Else, from the
    end at which data go, those up to the first with which they are more than `small` bytes: what was made smaller
    before is taken along, so that there are never many.
    """
    if policy == "thin":
        index = max(range(len(sizes)), key=lambda index: (sizes[index], -index))
        return slice(index, index + 1)
    count = total = 0
    for size in sizes if policy == "oldest" else reversed(sizes):
        count, total = count + 1, total + size
        if total > small:
            break
    return slice(0, count) if policy == "oldest" else slice(len(sizes) - count, len(sizes))


def condense(
    parts: Sequence[Part],
    start: int,
    policy: DropPolicy,
    room: int,
    reason: str = SPOOL_FULL,
    *,
    spares: bool = True,
) -> Condensed:
    """Adjacent segments as one, without their chunks (with every second sample, if `policy` is `thin`).

    What lies before offset `start` may be in the log by now and stays. Where the rest takes more than `room` bytes,
    marks of rules go; and if that `spares` nothing any more, whatever can.
    """
    smaller = _Smaller(policy, reason)
    first: list[_Kept] = []
    for data, base, below in parts:
        for frame in frames(data, base, below):
            own = _Kept(frame.offset, frame.append_ns, Entry(plain(frame.key), value_of(data, frame)))
            if frame.offset < start:
                first.append(own)
            else:
                smaller.add(own)
    kept = smaller.kept()
    if policy != "thin":
        kept = _within(kept, room, smaller.dropped, spares=spares)
    return Condensed(_lay(first + kept, parts[-1].below), smaller.samples, smaller.chunks, smaller.dropped)


class _Smaller:
    """Takes entries in their order; what is kept of them."""

    def __init__(self, policy: DropPolicy, reason: str) -> None:
        self.samples = self.chunks = 0
        self.dropped: Counter[str] = Counter()
        self._thins = policy == "thin"
        self._reason = reason
        self._kept: list[_Kept] = []
        self._gaps: dict[_Whose, tuple[_Kept, Gap]] = {}
        self._described: set[bytes] = set()

    def kept(self) -> list[_Kept]:
        """In the order of their offsets."""
        gaps = [
            place._replace(entry=Entry(place.entry.key, to_wire(gap)), record=gap) for place, gap in self._gaps.values()
        ]
        return sorted(self._kept + gaps, key=lambda item: item.offset)

    def add(self, own: _Kept) -> None:
        """The next entry."""
        kind = key_of(own.entry.key).kind
        if kind == STATUS:
            self.dropped["status"] += 1
        elif kind == STREAM:
            if own.entry.key not in self._described:
                self._described.add(own.entry.key)
                self._kept.append(own)
        elif kind in (READING, HELD):
            self._add_record(own, _decoded(own.entry.value))
        elif self._thins or not is_note(own.entry):
            self._kept.append(own._replace(record=_decoded(own.entry.value)) if kind in (MARK, HELD_MARK) else own)

    def _add_record(self, own: _Kept, record: object) -> None:
        if isinstance(record, Progress):
            return
        if isinstance(record, Gap):
            self._announce(own, record)
        elif not isinstance(record, Chunk):
            self._kept.append(own._replace(record=record))
        elif not self._thins:
            self.samples, self.chunks = self.samples + record.count, self.chunks + 1
            self._announce(own, _gap_of(record, self._reason))
        else:
            thinned = thin(record, self._reason) or record
            self.samples += record.count - thinned.count
            self._kept.append(own._replace(entry=Entry(own.entry.key, to_wire(thinned))))

    def _announce(self, place: _Kept, gap: Gap) -> None:
        """A gap grows, and takes the offset of its last part. Where chunks stay, it grows only by what it touches."""
        whose = (place.entry.key, gap.device, gap.recording, gap.stream, gap.boot, gap.reason)
        known = self._gaps.get(whose)
        if known is not None and self._thins and gap.start_ns > known[1].end_ns:
            self._kept.append(known[0]._replace(entry=Entry(known[0].entry.key, to_wire(known[1]))))
            known = None
        self._gaps[whose] = place, gap if known is None else joined(known[1], gap)


def joined(first: Gap, second: Gap) -> Gap:
    """Two gaps of one stream and reason as one: a number that is not known makes the sum unknown."""
    samples = -1 if first.samples < 0 or second.samples < 0 else first.samples + second.samples
    start_ns, end_ns = min(first.start_ns, second.start_ns), max(first.end_ns, second.end_ns)
    return replace(second, start_ns=start_ns, end_ns=end_ns, samples=samples)


def _gap_of(chunk: Chunk, reason: str) -> Gap:
    """The gap in a chunk's place."""
    end_ns = max(chunk_end_ns(chunk), chunk.t0_ns + 1)
    samples = chunk.count + chunk.missing if chunk.missing >= 0 else -1
    return Gap(chunk.device, chunk.recording, chunk.stream, chunk.boot, chunk.t0_ns, end_ns, samples, reason)


_Victim: TypeAlias = tuple[str, list[_Kept]]
"""What may go, by the word by which it is counted."""


def _within(kept: list[_Kept], room: int, dropped: Counter[str], *, spares: bool) -> list[_Kept]:
    """What is left within `room` bytes, the oldest of each kind gone first: marks of rules, which a service beside the
    log makes too; then recordings that lie here as a whole, what nobody can read, and people's marks."""
    single = _single(kept)
    victims = [victim for victim in single if victim[0] == "rule marks"]
    if not spares:
        victims += _recordings(kept)
        victims += [victim for word in ("unreadable", "marks") for victim in single if victim[0] == word]
    size, gone = sum(item.size for item in kept), set[int]()
    for word, items in victims:
        if size <= room:
            break
        gone.update(item.offset for item in items)
        size -= sum(item.size for item in items)
        dropped[word] += 1
    return [item for item in kept if item.offset not in gone]


def _recordings(kept: Sequence[_Kept]) -> list[_Victim]:
    """The recordings that begin and end here, with all that is left of them."""
    found: dict[tuple[str, str], list[_Kept]] = {}
    ended: list[_Victim] = []
    for item in kept:
        if isinstance(item.record, RecordingStart):
            found[item.record.device, item.record.recording] = [item]
        elif isinstance(item.record, Gap | RecordingEnd):
            whole = found.get((item.record.device, item.record.recording))
            if whole is not None:
                whole.append(item)
                if isinstance(item.record, RecordingEnd):
                    ended.append(("recordings", whole))
    return ended


def _single(kept: Sequence[_Kept]) -> list[_Victim]:
    """What may go one by one."""
    found: list[_Victim] = []
    for item in kept:
        if isinstance(item.record, MarkAdd | MarkEdit | MarkRetract):
            found.append(("rule marks" if item.record.tool == "rule" else "marks", [item]))
        elif item.record is None and key_of(item.entry.key).kind in (READING, HELD, HELD_MARK, MARK):
            found.append(("unreadable", [item]))
    return found


def sum_up(parts: Sequence[Part], acknowledged: int) -> bytes:
    """Adjacent segments as one, with notes in the place of what the log has: the offsets below `acknowledged`."""
    places: list[_Kept] = []
    rest: list[_Kept] = []
    for data, base, below in parts:
        for frame in frames(data, base, below):
            own = _Kept(frame.offset, frame.append_ns, Entry(plain(frame.key), value_of(data, frame)))
            (places if frame.offset < acknowledged else rest).append(own)
    tail = read_tail((item.entry.key, item.entry.value) for item in places)
    notes = [reach(device, known) for device, known in tail.devices.items()]
    notes += [identities(found[-MAX_IDENTITIES:], source) for source, found in tail.identities.items() if found]
    notes += [seen(source, b"".join(found)[-SEEN_BYTES:]) for source, found in tail.seen.items()]
    newest = places[len(places) - len(notes) :]
    noted = [place._replace(entry=note) for place, note in zip(newest, notes, strict=True)]
    return _lay(noted + rest, parts[-1].below)


def _lay(kept: Sequence[_Kept], below: int) -> bytes:
    return b"".join(encode([item.entry], item.offset, item.append_ns, below) for item in kept)


class Refusals:
    """What was not even written, as gaps: one for each stream of a recording and each reason."""

    def __init__(self) -> None:
        self._gaps: dict[tuple[str, str, str, bytes, str], tuple[Gap, bytes]] = {}

    def refuse(self, chunk: Chunk, reason: str, kernel_boot: bytes = b"") -> None:
        """A chunk is given up. `kernel_boot` as in `edge.spool.entries.reading`."""
        self.join(_gap_of(chunk, reason), kernel_boot)

    def join(self, gap: Gap, kernel_boot: bytes = b"") -> None:
        """A gap that was announced and not written: it grows with the next one of its kind."""
        whose = (gap.device, gap.recording, gap.stream, gap.boot, gap.reason)
        known = self._gaps.get(whose)
        self._gaps[whose] = gap if known is None else joined(known[0], gap), kernel_boot

    def take(self) -> list[tuple[Gap, bytes]]:
        """What announces what was refused since the last call; each with its `kernel_boot`."""
        gaps, self._gaps = list(self._gaps.values()), {}
        return gaps


def announced(entry: Entry, reason: str) -> list[Entry]:
    """The gap in the place of an entry of the log that holds samples; nothing for others."""
    record = _decoded(entry.value)
    return [entry._replace(value=to_wire(_gap_of(record, reason)))] if isinstance(record, Chunk) else []


def thin(chunk: Chunk, reason: str) -> Chunk | None:
    """A chunk with every second sample, under the same identity; the others are added to what it knows to be missing.

    None where it has no second sample.
    """
    if chunk.count < 2:
        return None
    count = (chunk.count + 1) // 2
    missing = chunk.missing + chunk.count - count
    chunk = replace(chunk, missing=missing, missing_reason=reason)
    values = np.frombuffer(chunk.values, dtype=np.uint8).reshape(chunk.count, -1)[::2].tobytes()
    if chunk.period_den > 0:
        return replace(chunk, period_num=chunk.period_num * 2, count=count, values=values)
    times = sample_times(chunk)[::2]
    ticks = (times - chunk.t0_ns) // chunk.tick_ns
    deltas = ticks.astype("<i4" if len(chunk.deltas) == 4 * chunk.count else "<i8").tobytes()
    return replace(chunk, deltas=deltas, count=count, values=values)


def value_of(data: bytes, frame: Frame) -> bytes:
    """A frame's value."""
    return data[frame.position + HEADER.size + len(frame.key) : frame.end]


def entries_of(data: bytes, base: int, below: int) -> Iterable[tuple[bytes, bytes]]:
    """Keys and values of a segment's whole frames."""
    for frame in frames(data, base, below):
        yield plain(frame.key), value_of(data, frame)


def _decoded(value: bytes) -> object:
    try:
        return decode(value)
    except WireError:
        return None
