"""The quick ways of a chunk that goes on with the one before it: it counts, and no more is looked at. Pure.

`Steady` spares the intake, `Alike` also the decoding: of a stream that is even, a chunk's bytes are those of the one
before it but for its number, its start and its samples.
"""

from __future__ import annotations

import struct
from typing import Final, TypeAlias

from ingest.archive.collected import Collected, Samples
from ingest.intake import UNSYNCED, OpenRecording
from ingest.intervals import IntervalSet
from ingest.records import Chunk, Clock
from ingest.times import newest_time
from ingest.wire import MAX_SPAN_NS, WIDE, encode, pieces

Layout: TypeAlias = tuple[int, str, int, int, int, int]
"""How long the parts of a chunk's bytes are: see `Alike`."""
_INT32_BITS: Final = 31


class Steady:
    """A stream of a recording that has not ended, as its newest chunk that counts has left it."""

    __slots__ = ("_boot", "_form", "_schema", "known", "samples", "seen")

    def __init__(self, chunk: Chunk, known: OpenRecording, seen: IntervalSet, samples: Samples) -> None:
        self._boot = chunk.boot
        self._schema = chunk.schema
        self._form: tuple[int, int, int, int, Clock | None] | None = None
        self.known = known
        self.seen = seen
        """The sequence numbers seen of its boot."""
        self.samples = samples
        """Where its samples wait."""

    def takes(self, chunk: Chunk, limit_ns: int, age_ns: int) -> bool:
        """Take note of a chunk, which `ingest.wire.check_chunk` has passed, as `ingest.intake` would that lets it
        count; False, and nothing done, where more has to be looked at.

        Times after `limit_ns` are not to be trusted; `age_ns` is the age of the log.
        """
        if (
            chunk.seq != self.seen.next
            or chunk.boot != self._boot
            or chunk.schema != self._schema
            or chunk.missing
            or self.known.closed
            or len(chunk.values) != chunk.count * self.samples.sample_bytes
        ):
            return False
        clock = chunk.clock
        if clock is not None and clock.source == UNSYNCED:
            return False
        if _reaches(chunk) > limit_ns and newest_time(chunk) > limit_ns:
            return False
        self.seen.next += 1
        self.known.touched_ns = age_ns
        return True

    def is_even(self, chunk: Chunk) -> bool:
        """Whether a chunk that was taken is, but for number, start and samples, as the one that was asked for before
        it: then so may be the next one."""
        before = self._form
        self._form = (chunk.count, chunk.period_num, chunk.period_den, chunk.phase, chunk.clock)
        return before == self._form and chunk.period_den > 0 and chunk.t0_ns >= WIDE > chunk.seq


class Alike:
    """Knows by its bytes, which need not be decoded, a chunk that a stream's `Steady` would take and that is as the one
    before it but for `seq`, `t0_ns` and `values`; adds it to what was collected."""

    __slots__ = (
        "_collected",
        "_fields",
        "_same",
        "first",
        "form",
        "head",
        "layout",
        "reach_ns",
        "samples",
        "seq",
        "size",
        "steady",
        "stream",
    )

    def __init__(self, chunk: Chunk, steady: Steady, collected: Collected) -> None:
        """After a chunk that `steady` took, that was added last, and whose bytes follow from it."""
        self.stream = chunk.stream
        self.steady = steady
        self._collected = collected
        self.reach_ns = _reaches(chunk) - chunk.t0_ns
        self.seq = chunk.seq + 1
        """The number of the next one."""
        digits, self.head, between, behind, tail = pieces(chunk)
        """What its chunks begin with."""
        self._same = (between, behind, tail)
        raw = len(chunk.values)
        fields = struct.Struct(f">{len(self.head)}x{digits}{len(between)}sQ{len(behind)}s{raw}x{len(tail)}s")
        self._fields = fields.unpack_from
        self.size = fields.size
        """How many bytes each has."""
        self.layout: Layout = (len(self.head), digits, len(between), len(behind), raw, len(tail))
        """Those of one layout have the same at the same places."""
        self.first = encode(chunk)
        """The bytes of that chunk."""
        stop = self.size - len(tail)
        self.samples = slice(stop - raw, stop)
        """Where in them the samples are."""
        self.form = collected.unfold(self.first, self.samples)

    @property
    def due(self) -> int:
        """The number of the only chunk that it would take now; -1: none."""
        steady = self.steady
        return self.seq if self.seq == steady.seen.next and not steady.known.closed else -1

    def takes(self, value: bytes, limit_ns: int, age_ns: int) -> bool:
        """As `Steady.takes`, of a record whose bytes begin with `head`."""
        if len(value) != self.size:
            return False
        seq, between, t0_ns, behind, tail = self._fields(value)
        steady = self.steady
        if (
            seq != self.seq
            or seq != steady.seen.next
            or (between, behind, tail) != self._same
            or not WIDE <= t0_ns < MAX_SPAN_NS
            or t0_ns + self.reach_ns > limit_ns
            or steady.known.closed
        ):
            return False
        collected = self._collected
        place = len(collected.form)
        steady.samples.places.append(place)
        collected.form.append(self.form)
        collected.seq.append(seq)
        collected.t0_ns.append(t0_ns)
        collected.raw[place] = value
        self.took(1, age_ns)
        return True

    def took(self, chunks: int, age_ns: int) -> None:
        """So many more were added, the last one at this age of the log."""
        steady = self.steady
        self.seq = steady.seen.next = self.seq + chunks
        steady.known.touched_ns = age_ns


def _reaches(chunk: Chunk) -> int:
    """A time that no sample lies behind: by a period the last one's, by stamps one that is quickly found."""
    if chunk.period_den > 0:
        return newest_time(chunk)
    if len(chunk.deltas) == 4 * chunk.count:
        return chunk.t0_ns + (chunk.tick_ns << _INT32_BITS)
    return newest_time(chunk)
