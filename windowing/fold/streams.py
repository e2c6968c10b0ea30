"""One stream of one recording: what has come, how far it is complete, and the samples still needed.

Chunks that continue each other exactly (the usual case) are only collected; they become arrays when the recording is
settled. What counts as late is decided when a chunk comes, so that the batches it comes in make no difference.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ingest.intake import UNSYNCED, OpenRecording
from ingest.intervals import IntervalSet
from ingest.lifetimes import DAY_NS, WAIT_NS
from ingest.logtime import NEVER
from ingest.pace import GAP_FLOOR_NS, STEPS, rated_gap_ns, unrated_gap_ns
from ingest.records import Chunk
from ingest.times import Times, advance, run_times, sample_times
from windowing.fold.buffers import SampleBuffer
from windowing.fold.convert import Converter
from windowing.fold.resample import FAR_NS, Samples, gap_of, measured
from windowing.spec import StreamPlan, StreamRule

COLLECT_SAMPLES: Final = 24_576
"""A stream collects at most so many samples; with two thirds of them it may be settled."""
FEW_SAMPLES: Final = 4096
"""So many are kept as they came between two looks at a recording: there may be many streams."""
MAX_BEHIND: Final = 1 << 23
"""Where neither is live, as with imports one after the other, a stream is waited for over so many samples of others."""
_MAX_SPAN_NS: Final = 1 << 62
MAX_PERIOD_NS: Final = 1 << 40
"""Half an hour: a run of slower samples is not worth a quick way."""


class Refused(NamedTuple):
    """Samples of a chunk that are not windowed: `times (n,) int64` and their packed bytes."""

    reason: str
    times: Times
    values: bytes


class Run(NamedTuple):
    """Samples at `t0_ns + (phase + i * num) // den`."""

    t0_ns: int
    phase: int
    num: int
    den: int
    samples: int


Piece: TypeAlias = Run | Times


class Stream:
    """The state of one stream in one recording."""

    __slots__ = (
        *(
            "plan",
            "rule",
            "held",
            "bridges",
            "known",
            "peers",
            "buffer",
            "first_ns",
            "last_ns",
            "complete_to",
            "behind",
            "outrun",
        ),
        *("boot", "schema", "seen", "converter", "_sample_bytes", "_num", "_den", "_next_ns", "_next_phase"),
        *("outrun", "_run_t0", "_run_phase", "_run_count", "_room", "_values", "_pieces", "_collected", "_unsettled"),
        "_flushed",
    )

    def __init__(
        self, plan: StreamPlan, known: OpenRecording, unsettled: list[OpenRecording], bridges: bool = True
    ) -> None:
        self.plan = plan
        self.rule: StreamRule | None = plan.rule if plan.rule.max_gap_ns is not None else None
        """How instants between samples get their values; None as long as nobody knows what is a gap."""
        self.held: frozenset[int] = frozenset()
        """The channels to which any description of the recording so far gave named states: nothing is interpolated."""
        self.bridges = bridges
        """Empty cells are bridged as missing rows are."""
        self.known = known
        """What the intake knows of the recording."""
        self._unsettled = unsettled
        """Where the recording is put when a stream of it begins to collect."""
        self.buffer = SampleBuffer(len(plan.channels))
        self.first_ns = NEVER
        """The first sample; NEVER while there is none."""
        self.last_ns = NEVER
        self.complete_to = NEVER
        """Every sample before this has come, or never will."""
        self.peers: tuple[Stream, ...] = ()
        """The recording's other streams."""
        self.behind = 0
        """How many samples of the others have come since this one's newest."""
        self.outrun = False
        """The others no longer wait for it; for who wants to tell that."""
        self.boot = b""
        self.schema = b""
        self.seen = IntervalSet()
        """The sequence numbers seen of `boot`, shared with the other recordings of that boot."""
        self.converter: Converter | None = None
        self._sample_bytes = 0
        self._values: list[bytes] = []
        self._pieces: list[Piece] = []
        self._collected = 0
        self._flushed: tuple[list[Piece], list[bytes]] | None = None
        """What the buffer was made of; None where it has other samples, or many."""
        self._num = self._den = self._run_t0 = self._run_phase = self._run_count = self._room = 0
        self._next_ns = NEVER
        self._next_phase = 0

    def extend(self, chunk: Chunk, limit_ns: int, age_ns: int) -> bool:
        """Take a chunk that continues the one before it; False, and nothing done, where it does not.

        Times after `limit_ns` are not to be trusted; `age_ns` is the age of the log (see `ingest.intake`).

        One that continues it exactly joins its run; one of another period that begins behind it begins the next run.

        What passes here contradicts nothing that `ingest.wire.check_chunk` looks at: the chunk need not have passed it.
        """
        count = chunk.count
        values = chunk.values
        if (
            chunk.seq != self.seen.next
            or chunk.boot != self.boot
            or chunk.schema != self.schema
            or chunk.missing
            or not 0 < count <= self._room
            or len(values) != count * self._sample_bytes
        ):
            return False
        clock = chunk.clock
        if clock is not None and (clock.source == UNSYNCED or clock.uncertainty_ns > self.plan.max_uncertainty_ns):
            return False
        if (
            chunk.t0_ns != self._next_ns
            or chunk.period_num != self._num
            or chunk.phase != self._next_phase
            or chunk.period_den != self._den
        ):
            return self._bend(chunk, limit_ns, age_ns)
        if self._den == 1:
            next_ns, rest = self._next_ns + count * self._num, 0
        else:
            whole, rest = divmod(self._next_phase + count * self._num, self._den)
            next_ns = self._next_ns + whole
        if next_ns > limit_ns:
            return False
        self.seen.next += 1
        self._next_ns = next_ns
        self._next_phase = rest
        self._run_count += count
        self._room -= count
        if not self._values:
            self._unsettled.append(self.known)
        self._values.append(values)
        self.known.touched_ns = age_ns
        if self.peers:
            self.lead(count, limit_ns)
        return True

    def _bend(self, chunk: Chunk, limit_ns: int, age_ns: int) -> bool:
        """Begin the next run with a chunk of whole nanoseconds that lies behind the run under way, as agents send them
        whose grid follows a clock."""
        num, count = chunk.period_num, chunk.count
        if chunk.period_den != 1 or chunk.phase or not 0 < num < MAX_PERIOD_NS or not self._run_count:
            return False
        last = chunk.t0_ns + (count - 1) * num
        if not self._next_ns - self._num // 2 <= chunk.t0_ns <= last <= limit_ns:
            return False
        self._end_run()
        self.seen.next += 1
        self.known.touched_ns = age_ns
        self._begin_run(chunk)
        self.lead(count, limit_ns)
        return True

    def adopt(self, boot: bytes, seen: IntervalSet, schema: bytes, converter: Converter) -> None:
        """The boot and schema of the chunk at hand; the samples collected under another schema must be flushed."""
        self._end_run()
        self._flushed = None
        self.boot, self.seen, self.schema, self.converter = boot, seen, schema, converter
        self._sample_bytes = converter.sample_bytes
        self.hold(self.held | converter.held)
        if self.rule is None and self.first_ns == NEVER and converter.period_ns:
            self.rule = self._ruled(rated_gap_ns(converter.period_ns))

    def hold(self, held: frozenset[int]) -> None:
        """These channels have named states."""
        self.held = held
        if self.rule is not None:
            self.rule = self._ruled(gap_of(self.rule))

    def _ruled(self, max_gap_ns: int) -> StreamRule:
        """The plan's rule with this `max_gap`; where all channels have states, theirs."""
        rule = StreamRule(self.plan.rule.interpolation, max_gap_ns)
        return rule.of_states if len(self.held) == len(self.plan.channels) else rule

    def accept(self, chunk: Chunk, times: Times | None, limit: int) -> list[Refused]:
        """Take any new chunk of the adopted schema; the samples that come too late or lie too far ahead come back.

        `times` are its sample times where it carries them one by one.
        """
        self._end_run()
        if times is None and chunk.period_num >= chunk.period_den:
            last = chunk.t0_ns + (chunk.phase + (chunk.count - 1) * chunk.period_num) // chunk.period_den
            if chunk.t0_ns >= self.complete_to and last <= limit:
                self._begin_run(chunk)
                return []
        if times is None:
            times = sample_times(chunk)
        if times[0] >= self.complete_to and times[-1] <= limit and bool((times[1:] > times[:-1]).all()):
            self._collect(times, chunk.values)
            return []
        return self._sift(times, chunk.values, limit)

    def _begin_run(self, chunk: Chunk) -> None:
        num, den, count = chunk.period_num, chunk.period_den, chunk.count
        self._run_t0, self._run_phase, self._num, self._den = chunk.t0_ns, chunk.phase, num, den
        self._run_count = count
        self._room = min(COLLECT_SAMPLES - self._collected, (_MAX_SPAN_NS - den) // num) - count
        self._next_ns, self._next_phase = advance(chunk.t0_ns, chunk.phase, num, den, count)
        self._keep(chunk.values)

    def _keep(self, values: bytes) -> None:
        if not self._values:
            self._unsettled.append(self.known)
        self._values.append(values)

    def _end_run(self) -> None:
        """Put the run aside: what follows need not continue it."""
        count = self._run_count
        if count:
            run = Run(self._run_t0, self._run_phase, self._num, self._den, count)
            self._pieces.append(run)
            self._advance(run.t0_ns, run.t0_ns + (run.phase + (count - 1) * run.num) // run.den, count)
            self._run_count = 0
        self._next_ns = NEVER

    def _collect(self, times: Times, values: bytes) -> None:
        self._pieces.append(times)
        self._keep(values)
        self._advance(int(times[0]), int(times[-1]), len(times))

    def _advance(self, first_ns: int, last_ns: int, count: int) -> None:
        if self.first_ns == NEVER:
            self.first_ns = first_ns
        self.last_ns = last_ns
        self.complete_to = max(self.complete_to, last_ns + 1)
        self._collected += count

    def _sift(self, times: Times, values: bytes, limit: int) -> list[Refused]:
        """Keep what rises above all before it; refuse the rest, each with its reason."""
        ahead = times > limit
        usual = np.where(ahead, NEVER, times)
        highest = np.maximum.accumulate(np.concatenate(([max(NEVER, self.complete_to - 1)], usual[:-1])))
        late = ~ahead & (usual <= highest)
        backwards = late & (usual >= self.complete_to)
        rows = np.frombuffer(values, dtype=np.uint8).reshape(len(times), -1)
        kept = ~(ahead | late)
        if kept.any():
            self._collect(times[kept], rows[kept].tobytes())
        reasons = (("quarantine", ahead), ("late", late & ~backwards), ("backwards", backwards))
        return [Refused(reason, times[mask], rows[mask].tobytes()) for reason, mask in reasons if mask.any()]

    def lead(self, samples: int, limit_ns: int) -> None:
        """So many samples more have come, or progress: the other streams are not waited for longer than `WAIT_NS`.

        What is live, within a day of its append time, is ahead at once; what is not (an import of one stream after the
        other), when it is ahead by many samples as well. It depends on the stream's records alone.
        """
        self.behind = 0
        reach = self._next_ns if self._run_count else self.complete_to
        floor, live = reach - WAIT_NS, reach >= limit_ns - 2 * DAY_NS
        for peer in self.peers:
            peer.behind += samples
            if floor > peer.complete_to and floor > peer._next_ns and (live or peer.behind > MAX_BEHIND):
                peer.progress(floor)
                peer.outrun = True

    def progress(self, complete_to: int) -> None:
        """Every sample before `complete_to` has come, or never will."""
        self.pause()
        self.complete_to = max(self.complete_to, complete_to)

    def pause(self) -> None:
        """What follows need not continue the newest chunk."""
        self._end_run()

    @property
    def full(self) -> bool:
        """Enough is collected to settle the recording."""
        return self._collected + self._run_count >= COLLECT_SAMPLES * 2 // 3

    @property
    def is_collecting(self) -> bool:
        """Are there samples that are not in the buffer yet?"""
        return bool(self._values)

    @property
    def begin_ns(self) -> int:
        """The first sample, collected or in the buffer; NEVER where there is none."""
        return self._run_t0 if self.first_ns == NEVER and self._run_count else self.first_ns

    @property
    def newest_ns(self) -> int:
        """The newest sample, collected or in the buffer."""
        ahead = self._run_count - 1
        return self.last_ns if ahead < 0 else self._run_t0 + (self._run_phase + ahead * self._num) // self._den

    def flush(self) -> bool:
        """Move what is collected to the buffer; was there anything?"""
        self._flushed = None
        if not self._values:
            return False
        self._pause_run()
        samples = self._collected
        alone = not len(self.buffer) and samples <= FEW_SAMPLES
        self._flushed = (self._pieces, self._values) if alone else None
        assert self.converter is not None
        times, values = self.buffer.room(samples, self.converter.kind)
        if len(self._pieces) == 1:
            times[:] = _times_of(self._pieces[0])
        else:
            np.concatenate([_times_of(piece) for piece in self._pieces], out=times)
        self.converter.read(self._values, values)
        self._values, self._pieces, self._collected = [], [], 0
        self._make_room()
        return True

    def take_back(self) -> None:
        """Keep what is left in the buffer as it came, where that is little: it takes a fourth of the room."""
        flushed, self._flushed = self._flushed, None
        kept = len(self.buffer)
        if flushed is None or not kept:
            return
        pieces, values = flushed
        self._pieces, self._collected = _last(pieces, kept), kept
        self._values = [b"".join(values)[-kept * self._sample_bytes :]]
        self.buffer.clear()
        self._make_room()

    def _pause_run(self) -> None:
        """Put the run aside; what follows may continue it, as a run of its own."""
        if self._run_count:
            next_ns, next_phase = self._next_ns, self._next_phase
            self._end_run()
            self._run_t0, self._run_phase = self._next_ns, self._next_phase = next_ns, next_phase
            self._make_room()

    def _make_room(self) -> None:
        if self._num:
            self._room = min(COLLECT_SAMPLES - self._collected, (_MAX_SPAN_NS - self._den) // self._num)

    def collected(self) -> tuple[list[Piece], list[bytes]]:
        """The samples that are not in the buffer yet: runs, or times, and their packed bytes."""
        self._pause_run()
        return self._pieces, self._values

    def recollect(self, pieces: list[Piece], values: bytes, schema: bytes, converter: Converter) -> None:
        """Samples that `collected` gave once."""
        self.schema, self.converter, self._sample_bytes = schema, converter, converter.sample_bytes
        self._pieces, self._values, self._collected = pieces, [values], len(values) // converter.sample_bytes

    def known_to(self, tolerance_ns: int) -> int:
        """The latest instant whose value no later record can change."""
        certain = self.complete_to - 1 - tolerance_ns
        if self.last_ns == NEVER:
            return certain
        if self.rule is None:
            return NEVER
        if self.rule.interpolation == "hold":
            return max(self.last_ns, certain)
        known = max(self.last_ns, certain) if self._open_hole else self.last_ns
        return known if self.rule.interpolation == "none" or not self.bridges else min(known, self._bridged_to())

    def _bridged_to(self) -> int:
        """The latest instant at which no channel is empty that may yet be bridged from a sample to come."""
        buffer, oldest_ns = self.buffer, self.complete_to - self._max_gap_ns
        newest = measured(buffer.values[-1:])
        if newest.all():
            return FAR_NS
        near = int(buffer.times.searchsorted(oldest_ns))
        bridged_to = FAR_NS
        for column in np.flatnonzero(~newest[0]):
            there = np.flatnonzero(measured(buffer.values[near:, column]))
            if len(there):
                bridged_to = min(bridged_to, int(buffer.times[near + there[-1]]))
            elif buffer.carried is not None and buffer.carried.times[column] >= oldest_ns:
                bridged_to = min(bridged_to, int(buffer.carried.times[column]))
        return bridged_to

    @property
    def _max_gap_ns(self) -> int:
        return 0 if self.rule is None else gap_of(self.rule)

    @property
    def _open_hole(self) -> bool:
        """Certainly no sample follows the last one within `max_gap`."""
        return self.last_ns != NEVER and self.complete_to - self.last_ns > self._max_gap_ns

    def measure(self, *, over: bool = False) -> None:
        """Say what is a gap where no table and no nominal rate does: by the lower median of the stream's first steps.

        Its first `STEPS` are waited for, for a day, or to the end of the recording (`over`): which they are depends on
        the samples alone.
        """
        if self.rule is not None or self.first_ns == NEVER:
            return
        times = self.buffer.times
        if len(times) <= STEPS and not over:
            if self.complete_to - self.first_ns < DAY_NS:
                return
            times = times[times < self.first_ns + DAY_NS]
        steps = np.sort(np.diff(times[: STEPS + 1]))
        gap_ns = unrated_gap_ns(int(steps[(len(steps) - 1) // 2])) if len(steps) else GAP_FLOOR_NS
        self.rule = self._ruled(gap_ns)

    def samples(self, tolerance_ns: int) -> Samples:
        """The samples in the buffer, for `windowing.fold.resample`."""
        hole_to_ns = self.complete_to - tolerance_ns if self._open_hole else NEVER
        rule = self.rule or self._ruled(0)
        carried = self.buffer.carried if self.bridges else None
        held = self.held if rule.interpolation in ("linear", "nearest") else frozenset()
        return Samples(self.buffer.times, self.buffer.values, hole_to_ns, rule, tolerance_ns, carried, held)


def _last(pieces: list[Piece], samples: int) -> list[Piece]:
    """The pieces of the last so many samples."""
    kept: list[Piece] = []
    for piece in reversed(pieces):
        count = piece.samples if isinstance(piece, Run) else len(piece)
        if count > samples:
            passed = count - samples
            if isinstance(piece, Run):
                t0_ns, phase = advance(piece.t0_ns, piece.phase, piece.num, piece.den, passed)
                piece = Run(t0_ns, phase, piece.num, piece.den, samples)
            else:
                piece = piece[passed:].copy()
        kept.append(piece)
        samples -= min(count, samples)
        if not samples:
            break
    return kept[::-1]


def _times_of(piece: Piece) -> NDArray[np.int64]:
    return run_times(*piece) if isinstance(piece, Run) else piece
