"""An archive's readings with what came late in its place: as if every sample had come in time. Pure.

A chunk is late where its stream was further already, or its recording had ended. It goes before the first record that
passes it: its stream's next chunk, progress, or the recording's end. Where two chunks overlap, they are cut into parts
that follow one another. A part has the first of a chunk's samples under its identity, others under one made of it, so
that whoever removes duplicates takes each sample once. What was taken at the same instant twice stays late.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.archive.collected import CHUNK, COUNTS
from ingest.lifetimes import DAY_NS, WAIT_NS
from ingest.logtime import NEVER
from ingest.records import Chunk
from ingest.times import Times, sample_times

EVER: Final = 1 << 62
PLACES_BITS: Final = 20
"""A record's offset is shifted by so many bits: what goes before it lies between it and the one before."""
_BEHIND_NS: Final = WAIT_NS // 2
"""So far behind another stream, one is put where it would not yet have been given up."""
_Stream: TypeAlias = tuple[str, str, str]
_Waiting: TypeAlias = list[tuple[int, int, int]]
"""A heap of late chunks: from when on they wait for a place, their offset, and their last instant."""


class Told(NamedTuple):
    """What a row of the archive says of a record's time."""

    offset: int
    append_ns: int
    kind: str
    verdict: str
    device: str
    recording: str
    stream: str
    start_ns: int
    end_ns: int
    complete_to_ns: int = NEVER
    """Of progress."""

    @property
    def of(self) -> _Stream:
        """Its stream."""
        return self.device, self.recording, self.stream


class Piece(NamedTuple):
    """The samples of a late chunk in `[from_ns, to_ns)`."""

    offset: int
    from_ns: int
    to_ns: int


class Order(NamedTuple):
    """Where late chunks belong."""

    before: dict[int, list[Piece]]
    """By the offset of a record, what goes before it."""
    rest: dict[int, int]
    """By a late chunk's own offset: from when on its samples are not late, and stay there."""


def order_of(tell: Callable[[], Iterable[Told]]) -> Order:
    """Where a partition's late chunks belong; `tell` gives all its records, twice the same."""
    waiting: dict[tuple[str, str], dict[str, _Waiting]] = {}
    order = Order({}, {})
    for told in _late(tell()):
        order.rest[told.offset] = told.start_ns
        heap = waiting.setdefault((told.device, told.recording), {}).setdefault(told.stream, [])
        heappush(heap, (told.start_ns, told.offset, told.end_ns))
    for told in tell():
        for stream, heap in waiting.get((told.device, told.recording), {}).items():
            _place(told, stream, heap, order)
    return order


def _late(records: Iterable[Told]) -> Iterable[Told]:
    reach: dict[_Stream, int] = {}
    furthest: dict[tuple[str, str], int] = {}
    for told in records:
        recording = (told.device, told.recording)
        if told.kind == CHUNK and told.verdict in (COUNTS, "ended"):
            behind = told.start_ns < max(reach.get(told.of, NEVER), furthest.get(recording, NEVER) - _BEHIND_NS)
            if behind or told.verdict == "ended":
                yield told
        reached = _reached(told)
        reach[told.of] = max(reach.get(told.of, NEVER), reached)
        furthest[recording] = max(furthest.get(recording, NEVER), reached)


def _reached(told: Told) -> int:
    """How far a record says that its stream is complete; NEVER where it says nothing, or is not believed."""
    if told.kind == CHUNK:
        return told.end_ns + 1 if told.verdict == COUNTS else NEVER
    return told.complete_to_ns if told.complete_to_ns <= told.append_ns + DAY_NS else NEVER


def _place(told: Told, stream: str, heap: _Waiting, order: Order) -> None:
    """Put before a record what it passes of a stream's late chunks, which come behind it."""
    if told.kind == "recording_end":
        passed_ns = EVER
    else:
        passed_ns = _reached(told) if stream == told.stream else _reached(told) - _BEHIND_NS
    while heap and heap[0][0] < passed_ns:
        from_ns, offset, end_ns = heappop(heap)
        if offset <= told.offset:
            continue  # it has come: what is left of it is not late
        order.before.setdefault(told.offset, []).append(Piece(offset, from_ns, passed_ns))
        order.rest[offset] = passed_ns
        if passed_ns <= end_ns:
            heappush(heap, (passed_ns, offset, end_ns))


Part: TypeAlias = tuple[Chunk, int, int]
"""A chunk, and from when to when its samples are wanted."""


def in_order(parts: Sequence[Part]) -> list[Chunk]:
    """The chunks of one stream as chunks that follow one another; of equal instants the last part's sample comes
    first, and the others in chunks behind all."""
    times = [sample_times(chunk) for chunk, _, _ in parts]
    wanted = [np.flatnonzero((t >= part[1]) & (t < part[2])) for t, part in zip(times, parts, strict=True)]
    source = np.repeat(np.arange(len(parts)), [len(rows) for rows in wanted])
    row = np.concatenate(wanted)
    t_ns = np.concatenate([t[rows] for t, rows in zip(times, wanted, strict=True)])
    order = np.lexsort((-source, t_ns))
    source, row, t_ns = source[order], row[order], t_ns[order]
    twice = np.concatenate(([False], t_ns[1:] == t_ns[:-1])) if len(t_ns) else np.zeros(0, np.bool_)
    found = []
    for keep in (np.flatnonzero(~twice), np.flatnonzero(twice)):
        edges = np.flatnonzero(np.diff(source[keep])) + 1
        for run in np.split(keep, edges) if len(keep) else ():
            number = int(source[run[0]])
            found.append(_part(parts[number][0], times[number], row[run]))
    return found


def _part(chunk: Chunk, times: Times, rows: NDArray[np.int64]) -> Chunk:
    """The samples in these rows of a chunk; the chunk itself where these are all, in their order."""
    if len(rows) == chunk.count and (np.diff(rows) == 1).all():
        return chunk
    t_ns = times[rows]
    values = np.frombuffer(chunk.values, np.uint8).reshape(chunk.count, -1)[rows].tobytes()
    first = int(rows[0]) == int(np.argmin(times))
    name = hashlib.sha256(b"%b %d %d" % (chunk.boot, chunk.seq, int(t_ns[0]))).digest()[:16]
    return msgspec.structs.replace(
        chunk,
        boot=chunk.boot if first else name,
        seq=chunk.seq if first else 0,
        t0_ns=int(t_ns[0]),
        period_num=0,
        period_den=0,
        phase=0,
        tick_ns=1,
        deltas=(t_ns - t_ns[0]).astype("<i8").tobytes(),
        count=len(rows),
        values=values,
        missing=chunk.missing if first else 0,
        missing_reason=chunk.missing_reason if first else "",
        signature=b"",
    )
