"""Times of samples that come without any, at a rate: what their arrivals say. Pure."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from math import inf
from typing import Final

import numpy as np

from edge.protocol import Times
from edge.recording.bursts import Burst, Bursts
from edge.recording.lateness import comes_in_a_heap, lateness, later_for_good
from edge.recording.posterior import LEAST
from edge.recording.regression import Envelope
from edge.recording.stamps import Ahead, ClockEstimate, Placed, RateFound, Stamp

BACKLOG_MAX_NS: Final = 600e9
"""Nothing that waited longer is taken for a continuation."""
SILENT_NS: Final = 2_000_000_000
"""A read of a usual size that is later than this ends a silence."""
LASTING_READS: Final = 3
LASTING_NS: Final = 50e6
"""So many reads over so long that are all late are not jitter."""
VANISHED: Final = 0.75
"""A read is as late as a missing sample makes it from this share of a period on."""
REFRESH_POINTS: Final = 32
"""While fewer arrivals are known, each of them may change the period."""
BEND_NS: Final = 5_000_000
"""Further from the line than this, the grid bends within a chunk."""
NEAR_NS: Final = 100_000
"""As near to the line as this, the grid stays as it is."""
HORIZON_NS: Final = 10e9
"""The grid is to be near for so long to come, and takes so long for what is small."""
BEND_HORIZON_NS: Final = 2e9
"""It takes so long for what is not."""
_KEPT: Final = 1.2
"""A burst may begin so much later than the latest one did."""
SLOWEST, FASTEST = 0.52, 1.5
"""A step of the grid, in true periods."""


class ArrivalTimes:
    """Arrival is what is known, and `rate` is a hint: samples lie on a grid whose period and place are learned.

    The grid follows the line below the arrivals (`edge.recording.regression`). It bends at the edges of chunks only,
    and as seldom as it can, so that chunks of a steady sensor continue one another to the nanosecond. It is left for a
    later place where arrivals stay late: samples are missing there. What comes late in a heap (a backlog) stays on it.
    """

    def __init__(self, rate: Fraction) -> None:
        self._nominal = float(10**9 / rate)
        self._line = Envelope(self._nominal)
        self._floor = -(1 << 62)
        self._origin: int | None = None
        self._index = 0
        """Of the next sample; lost ones are counted."""
        self._last = 0
        """The newest sample's time."""
        self._step = max(1, round(self._nominal))
        self._bursts = Bursts()
        self._point = self._before = (0, 0.0)
        """The newest arrivals that the line has seen."""
        self._hinted = inf
        """The least instant of the sample 0 by an arrival and the nominal rate."""
        self._kept_ns = 0.0
        """How long samples waited at most that came in a burst."""
        self._is_cut = False
        """The newest one belongs to the burst of the newest read."""
        self._usual = 1.0
        """Samples of a usual read."""
        self._quiet_ns = 0.0
        """A usual time between reads."""
        self._newest: deque[tuple[int, float, float]] = deque(maxlen=96)
        """The newest reads: index, instant, how late."""
        self._heap: tuple[int, float] | None = None
        """The read before, where it was one of a backlog."""
        self._left: tuple[int, float] | None = None
        """Where the grid was left, while few reads have come since."""
        self._interrupted = False
        self._is_over = False
        """What was interrupted goes on: the next read waited nowhere, however many samples it has."""
        self._least_late = inf
        """Of the reads of this chunk."""
        self._left_late = 0.0
        """How late reads of this chunk were when the grid was left: what lies before that may be as far off."""

    def place(self, count: int, device_ns: Times | None, stamp: Stamp, ahead: Sequence[Ahead] | None = None) -> Placed:
        """See `Timebase`."""
        least = max(self._line.period, self._nominal / 2) if self._line.count >= LASTING_READS else self._nominal
        burst = self._bursts.read(count, stamp.time_ns, least, self._line.jitter, ahead)
        if self._origin is None:
            return self._begin(count, stamp, burst)
        self._index += count
        newest, at = self._index - 1, float(stamp.time_ns - self._origin)
        late = at - self._line.at(newest)
        self._least_late = min(self._least_late, late)
        self._is_cut &= burst.goes_on
        self._hinted = min(self._hinted, at - self._nominal * newest)
        if self._is_over and not stamp.waited_ns:
            self._interrupted, self._is_over, self._heap = False, False, None
            return self._leave_grid(count, newest, at, late)._replace(hole=None)
        if burst.behind and not stamp.waited_ns and self._ends_in_time(count, newest, burst):
            self._heap = (newest, at)
            self._kept_ns = max(self._kept_ns, late)
            return self._on_grid(count, at)
        if late > self._patience and self._is_expected(newest, at, stamp, ahead):
            if at - self._nominal * newest - self._hinted <= self._patience:
                self._learn(count, newest, at, late)
            return self._unexplained(late, self._on_grid(count, at))
        if self._is_backlog(count, at, late, stamp, ahead):
            self._heap = (newest, at)
            return self._unexplained(max(stamp.waited_ns, late), self._on_grid(count, at))
        self._heap = None
        if self._interrupted:
            self._interrupted = False
            return self._leave_grid(count, newest, at, late)._replace(hole=None)  # told by who interrupted
        self._newest.append((newest, at, late))
        if len(self._newest) >= REFRESH_POINTS // 2:
            self._left = None
        vanished = self._vanished(at, late)
        if vanished:
            return self._pass_over(vanished, count, at)
        late_ones = self._lasting(late, ahead)
        if late_ones:
            return self._leave_grid(count, newest, at, min(late_ones))
        may_begin = not burst.goes_on and late < _KEPT * self._kept_ns  # another burst, of which no more is known yet
        if late <= self._patience or (self._is_rate(count, late) and not may_begin):
            self._learn(count, newest, at, late)
            return self._on_grid(count, at)
        return self._unexplained(late, self._on_grid(count, at))

    @staticmethod
    def _unexplained(late: float, placed: Placed) -> Placed:
        """Placed while nobody can tell yet why the read is late: its samples may be, too."""
        return placed._replace(error_ns=max(placed.error_ns, int(late)))

    def _begin(self, count: int, stamp: Stamp, burst: Burst) -> Placed:
        self._origin, self._index = stamp.time_ns, count
        samples, end_ns = count + burst.behind, burst.end_ns
        self._usual = float(samples)
        self._point = self._before = (samples - 1, float(end_ns - stamp.time_ns))
        self._line.add(*self._point)
        self._is_cut = True
        self._kept_ns = max(0.0, burst.behind * self._nominal - self._point[1])
        step = self._step
        first = max(self._floor, end_ns - (samples - 1) * step)
        if first + (count - 1) * step > stamp.time_ns:  # the floor leaves less room than the nominal rate takes
            step = max(1, (stamp.time_ns - first) // max(1, count - 1))
        return self._emit(first, step, count, error_ns=stamp.waited_ns)

    def _ends_in_time(self, count: int, newest: int, burst: Burst) -> bool:
        """The last read of a burst is not late, so nothing of it is."""
        assert self._origin is not None
        late = burst.end_ns - self._origin - self._line.at(newest + burst.behind)
        return late <= self._patience or self._is_rate(count + burst.behind, late)

    def _is_expected(self, newest: int, at: float, stamp: Stamp, ahead: Sequence[Ahead] | None) -> bool:
        """While little is known: the nominal rate has this read in time, or one behind it."""
        assert self._origin is not None
        if self._line.count >= REFRESH_POINTS or stamp.waited_ns:
            return False
        reads = itertools.chain([(0, self._origin + at)], ahead or ())
        index = newest
        for more, time_ns in itertools.islice(reads, REFRESH_POINTS):
            index += more
            if time_ns - self._origin - self._nominal * index - self._hinted <= self._patience:
                return True
        return False

    @property
    def _patience(self) -> float:
        """So late may a read be that is only jittered."""
        return max(5 * self._line.jitter, 50e6, 2 * self._line.period)

    def _is_rate(self, count: int, late: float) -> bool:
        """Nothing is known yet: what looks late may be the true rate."""
        return self._line.count < 3 and late < max(5e9, 1.5 * count * self._line.period)

    def _is_backlog(self, count: int, at: float, late: float, stamp: Stamp, ahead: Sequence[Ahead] | None) -> bool:
        """The read is late, its samples are not: they waited somewhere, and what waited with them follows."""
        if stamp.waited_ns:
            return True
        assert self._origin is not None
        if late <= self._patience or late > BACKLOG_MAX_NS or self._is_rate(count, late):
            return False
        if self._heap is not None and at - self._heap[1] < count * self._line.period / 2:
            return True
        if count > 2 * self._usual + 2 or (ahead is None and count > 1 and self._heap is None):
            return True
        reads = self._line, self._origin
        return comes_in_a_heap(*reads, at, ahead or ()) or any(
            behind < late / 2 for _, behind in lateness(*reads, self._index - 1, ahead or ())
        )

    def _vanished(self, at: float, late: float) -> int:
        """How many samples went missing unnoticed, where the newest reads, that come at their pace, are all late by
        about so many periods; only where jitter is small beside a period."""
        period, number = self._line.period, LASTING_READS
        if late < VANISHED * period or 4 * self._line.jitter > period or len(self._newest) < number:
            return 0
        reads = [self._newest[-index] for index in range(number, 0, -1)]
        paced = reads[-1][1] - reads[0][1] >= VANISHED * period * (reads[-1][0] - reads[0][0])
        least = min(behind for _, _, behind in reads)
        return round(least / period) if paced and VANISHED * period < least <= self._patience else 0

    def _pass_over(self, vanished: int, count: int, at: float) -> Placed:
        """The grid goes on behind samples that went missing a few reads ago."""
        since = self._last - (self._newest[-1][0] - self._newest[-LASTING_READS][0]) * self._step
        self._index += vanished
        self._last += vanished * self._step
        self._newest.clear()
        placed = self._on_grid(count, at)
        return placed._replace(hole=(since, int(placed.times[0])))

    def _lasting(self, late: float, ahead: Sequence[Ahead] | None) -> list[float]:
        """How late the newest reads are, if they are so for good: samples are missing before the first. Else empty."""
        if late <= self._patience or self._is_rate(0, late):
            return []
        found = [(at, behind) for _, at, behind in self._newest]
        assert self._origin is not None
        found += itertools.islice(lateness(self._line, self._origin, self._index - 1, ahead or ()), LASTING_READS)
        late_ones = list(itertools.takewhile(lambda read: read[1] > self._patience, reversed(found)))
        lasting = len(late_ones) >= LASTING_READS and late_ones[0][0] - late_ones[-1][0] >= LASTING_NS
        if lasting or late > SILENT_NS + _KEPT * self._kept_ns:
            return [late, *(behind for _, behind in late_ones)]
        return []

    def _learn(self, count: int, newest: int, at: float, late: float) -> None:
        """The line sees an arrival that was in time."""
        line = self._line
        if self._is_cut:
            if newest == self._point[0]:  # looked ahead at, and known
                return
            line.take_back()
            self._point = self._before
            self._kept_ns = max(self._kept_ns, -late)
            late = at - line.at(newest)
        self._is_cut = True
        if -late > max(1e6, 4 * line.error_ns) and line.count >= LEAST:  # no sample comes before it is taken
            if not line.rethink(newest, at):
                line.restart(self._prior, self._point, (newest, at))
        else:
            line.add(newest, at)
            if line.count < REFRESH_POINTS or -late > NEAR_NS:
                line.refresh()
        self._usual += 0.1 * (count - self._usual)
        self._quiet_ns += 0.1 * (at - self._point[1] - self._quiet_ns)
        self._before, self._point = self._point, (newest, at)

    @property
    def _prior(self) -> float:
        return self._line.period if self._line.count >= REFRESH_POINTS else self._nominal

    def _leave_grid(self, count: int, newest: int, at: float, late: float) -> Placed:
        """Samples are missing before these, which came when they were taken.

        Where the line is known well enough, as many as fit are counted as missing, and the line is kept: a sensor goes
        on while nobody hears it. One that did not is found out by the next reads.
        """
        assert self._origin is not None
        line = self._line
        self._left_late = max(self._left_late, self._all_late)
        missing = int(max(0.0, late) // line.period)
        if self._left is not None:  # again, soon after the last time: it is the rate that is another one
            line.restart(self._prior, self._left, (newest, at))
        elif missing and line.count >= LEAST and line.room_ns * missing < line.period:
            self._index += missing
            newest += missing
            line.resume(newest, at)
        else:
            line.restart(self._prior, (newest, at))
        self._before = self._point = self._left = (newest, at)
        self._hinted = at - self._nominal * newest
        self._newest.clear()
        period = max(1, round(line.period))
        earliest = max(self._floor, self._last + period)
        ends = self._origin + int(min(at, line.at(newest)))
        first = max(earliest, ends - (count - 1) * period)
        hole = (earliest, first) if first - earliest > period else None
        return self._emit(first, period, count, hole=hole)

    def _on_grid(self, count: int, at: float) -> Placed:
        """The grid goes on; it bends at once only where it is far from the line."""
        assert self._origin is not None
        aim = self._origin + int(min(self._line.at(self._index - 1), at))
        step, first = self._step, max(self._last + self._step, self._floor)
        off = aim - (first + (count - 1) * step)
        error_ns = 0
        if abs(off) > BEND_NS:
            error_ns = self._uncertainty(off)
            period = self._line.period
            surely = period + min(self._line.room_ns, period / 4)  # it may be longer than it is thought to be
            bounds = surely * SLOWEST, period * FASTEST
            step = max(1, round(min(max((aim - self._last) / count, bounds[0]), bounds[1])))
            first = max(self._last + step, self._floor)
        return self._emit(first, step, count, error_ns=error_ns)

    def _emit(
        self, first: int, step: int, count: int, *, error_ns: int = 0, hole: tuple[int, int] | None = None
    ) -> Placed:
        times = np.arange(first, first + count * step, step, dtype=np.int64)
        self._last = first + (count - 1) * step
        self._floor = max(self._floor, self._last + 1)
        return Placed(times, slice(None), error_ns=error_ns, hole=hole)

    def skip(self, count: int) -> None:
        """See `Timebase`: a line that was lost has taken its place on the grid."""
        if self._origin is not None and count > 0:
            self._index += count
            self._last += count * self._step

    def interrupt(self, *, is_over: bool = False) -> None:
        """See `Timebase`: the grid ends here. `is_over`: what comes next was not kept anywhere meanwhile."""
        self._interrupted = self._origin is not None
        self._is_over = self._interrupted and is_over

    def close_chunk(self) -> None:
        """See `Timebase`."""
        if self._origin is None:
            return
        later = later_for_good(self._line, self._newest)
        if later:  # slower than it was, or samples are missing unnoticed
            self._line.restart(self._prior, *later)
            self._newest.clear()
        self._line.refresh()
        self._plan()
        self._least_late, self._left_late = inf, 0.0

    def _plan(self) -> None:
        """The step of the chunks to come: as it is, if that stays near the line; else one that leads there."""
        assert self._origin is not None
        line, period = self._line, self._line.period
        off = self._origin + line.at(self._index - 1) - self._last
        drift = (period - self._step) / period * HORIZON_NS
        if max(abs(off), abs(off + drift)) <= max(NEAR_NS, min(line.error_ns / 2, 2 * NEAR_NS)):
            return
        soon_ns = HORIZON_NS if abs(off) < 2 * NEAR_NS else BEND_HORIZON_NS
        wanted = period * (1 + off / soon_ns)
        self._step = max(1, round(min(max(wanted, period * SLOWEST), period * FASTEST)))

    def promise(self, now_ns: int, *, is_away: bool = False) -> int:
        """See `Timebase`: what is on its way was taken before now, but not before the newest sample."""
        if self._origin is None or is_away:
            self._floor = max(self._floor, now_ns)
        else:
            usual = self._origin + self._point[1] + 4 * self._quiet_ns + self._patience
            behind = now_ns - int(max(SILENT_NS, 4 * self._quiet_ns))
            self._floor = max(self._floor, self._last + int(self._line.period / 2))
            if now_ns > usual:
                self._floor = max(self._floor, behind)
        return self._floor

    @property
    def state(self) -> ClockEstimate:
        """See `Timebase`."""
        if self._origin is None:
            return ClockEstimate()
        line = self._line
        off = self._last - self._origin - line.at(self._index - 1)
        return ClockEstimate(round(off), (self._nominal / line.period - 1) * 1e6, self._uncertainty(off))

    def _uncertainty(self, off: float) -> int:
        usual = self._line.error_ns + self._line.jitter / 2
        return max(1, round(abs(off) + max(usual, self._all_late, self._left_late)))

    @property
    def _all_late(self) -> float:
        """How late reads are of which none is in time: nobody can tell, then, that their samples are not."""
        least = self._least_late if self._least_late < inf else 0.0
        return max([least, *(at - self._line.at(index) for index, at in later_for_good(self._line, self._newest))])

    @property
    def rate(self) -> RateFound | None:
        """The rate that is found; None before there is any."""
        line = self._line
        if line.count < 3:
            return None
        found = 1e9 / line.period
        return RateFound(1e9 / self._nominal, found, found * line.room_ns / line.period, self._index)
