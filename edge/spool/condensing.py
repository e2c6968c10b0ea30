"""Making a full spool smaller: what of a segment is kept, and how the rest is announced. Pure.

A segment is condensed: its chunks go, and one gap for each stream of a recording takes their place; or they lose every
second sample, and say so themselves.
Recordings' starts and ends, descriptions and gaps stay, so that the story stays whole. Kept records keep their offsets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from msgspec.structs import replace

from edge.spool.entries import HELD, IDENTITIES, READING, key_of, plain, reading
from ingest.chunker import chunk_end_ns
from ingest.errors import WireError
from ingest.log.protocol import Entry
from ingest.log.segments.segment import HEADER, Frame, encode, frames
from ingest.records import Chunk, Gap, Progress
from ingest.times import sample_times
from ingest.wire import decode
from ingest.wire import encode as to_wire

DropPolicy: TypeAlias = Literal["oldest", "newest", "thin"]
SPOOL_FULL = "spool_full"


class Condensed(NamedTuple):
    """A segment made smaller."""

    data: bytes
    dropped_samples: int
    dropped_chunks: int


class _Kept(NamedTuple):
    offset: int
    append_ns: int
    entry: Entry


def choose(sizes: Sequence[int], policy: DropPolicy) -> int:
    """Which of the closed segments, oldest first, is made smaller: the index. `sizes` is not empty.

    Thinning takes the greatest, so that all of the past grows thin alike; the first where several are.
    """
    if policy == "thin":
        return max(range(len(sizes)), key=lambda index: (sizes[index], -index))
    return next((index for index, size in enumerate(sizes) if size == max(sizes) or size > max(sizes) // 8), 0)


def condense(data: bytes, base: int, below: int, start: int, policy: DropPolicy, reason: str = SPOOL_FULL) -> Condensed:
    """A segment `[base, below)` without its chunks (with every second sample, if `policy` is `thin`).

    What lies before offset `start` may be in the log by now and stays.
    """
    kept: list[_Kept] = []
    gaps: dict[tuple[str, str, str, bytes], tuple[_Kept, Gap]] = {}
    samples = chunks = 0
    for frame in frames(data, base, below):
        value, key = value_of(data, frame), plain(frame.key)
        own = _Kept(frame.offset, frame.append_ns, Entry(key, value))
        kind = key_of(key).kind
        record = _decoded(value) if kind in (READING, HELD) and frame.offset >= start else None
        if kind == IDENTITIES and frame.offset >= start:
            continue
        if isinstance(record, Progress):
            continue
        if not isinstance(record, Chunk):
            kept.append(own)
            continue
        thinned = thin(record, reason) if policy == "thin" else None
        if thinned is not None:
            samples += record.count - thinned.count
            kept.append(own._replace(entry=Entry(key, to_wire(thinned))))
        elif policy == "thin":
            kept.append(own)
        else:
            samples, chunks = samples + record.count, chunks + 1
            _announce(gaps, own, record, reason)
    kept += [place._replace(entry=Entry(place.entry.key, to_wire(gap))) for place, gap in gaps.values()]
    return Condensed(_lay(sorted(kept, key=lambda item: item.offset), below), samples, chunks)


def _announce(
    gaps: dict[tuple[str, str, str, bytes], tuple[_Kept, Gap]], place: _Kept, chunk: Chunk, reason: str
) -> None:
    """A gap takes the offset of its stream's last chunk."""
    whose = (chunk.device, chunk.recording, chunk.stream, chunk.boot)
    known = gaps.get(whose)
    start_ns = known[1].start_ns if known else chunk.t0_ns
    before = known[1].samples if known else 0
    end_ns = max(chunk_end_ns(chunk), start_ns + 1)
    gaps[whose] = place, Gap(*whose, start_ns, end_ns, before + chunk.count + chunk.missing, reason)


def _lay(kept: Sequence[_Kept], below: int) -> bytes:
    return b"".join(encode([item.entry], item.offset, item.append_ns, below) for item in kept)


class Refusals:
    """Chunks that were not even written, as gaps: one for each stream of a recording."""

    def __init__(self) -> None:
        self._gaps: dict[tuple[str, str, str, bytes], Gap] = {}
        self._held: dict[tuple[str, str, str, bytes], bytes] = {}

    def refuse(self, chunk: Chunk, reason: str, kernel_boot: bytes = b"") -> None:
        """A chunk is given up. `kernel_boot` as in `edge.spool.entries.reading`."""
        whose = (chunk.device, chunk.recording, chunk.stream, chunk.boot)
        known = self._gaps.get(whose)
        start_ns, samples = (known.start_ns, known.samples) if known else (chunk.t0_ns, 0)
        end_ns = max(chunk_end_ns(chunk), start_ns + 1)
        self._gaps[whose] = Gap(*whose, start_ns, end_ns, samples + chunk.count + chunk.missing, reason)
        self._held[whose] = kernel_boot

    def take(self) -> list[Entry]:
        """Entries that announce what was refused since the last call."""
        entries = [reading(gap.device, gap, self._held[whose]) for whose, gap in self._gaps.items()]
        self._gaps, self._held = {}, {}
        return entries


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
