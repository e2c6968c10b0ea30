"""The line below the arrivals: what a stream's true period is, and when its samples were taken.

A sample arrives at `taken + latency`, and the latency is never negative. So the instants at which samples were taken
lie on the line that touches the arrivals from below, up to the least latency, which nobody can observe. The line is the
edge of the arrivals' lower convex hull below their mean abscissa: it minimises the sum of the latencies (S. Moon,
P. Skelly, D. Towsley: Estimation and removal of clock skew from network delay measurements, INFOCOM 1999). A late read
never moves it, however late it is. Pure, constant in memory and, amortised, in time per arrival.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from math import inf, log
from typing import Final

from edge.recording.posterior import LEAST, Corners, Expected, expected_slope

WINDOW_NS: Final = 60e9
"""A generation of arrivals is at least so long before it takes over from the one before it …"""
WINDOW_POINTS: Final = 400
"""… and has so many, or is `WINDOW_MAX_NS` long."""
WINDOW_MAX_NS: Final = 600e9
JITTER_NS: Final = 10e6
"""The jitter that is expected before any is seen."""
_SURE: Final = 4.0
"""So many standard deviations off, a period is another one."""
FEW: Final = 500
"""With more arrivals than this the likeliest line is as good as the mean of all that can be."""
_JITTER_MIN_NS: Final = 2e3
_JITTER_WEIGHT: Final = 0.002
_CONFIDENCE: Final = 4.0
"""How many times the mean spacing of the latencies near the line the line may be off."""

_BREAK_POINTS: Final = 24
"""So many arrivals behind missing samples tell how many they are."""
_CERTAIN: Final = 12.0
"""Another number that is exp(this) times less likely is out of the question."""
_RETHOUGHT: Final = 8
"""At most so many samples more, or fewer, at once."""
_SPREAD_POINTS, _SPREAD_MARGIN = 24, 1.2
"""So many arrivals tell how much the latency varies, to within this."""
CHANCE: Final = 1e-6
"""So seldom is the line given up although it is true."""
STRETCHES: Final = (3, 4, 6, 12, 24, 48, 96)
"""Numbers of newest arrivals of which it is asked whether all are late by chance."""
_SHARES: Final[Mapping[int, float]] = {
    number: max(1 - CHANCE ** (1 / number), -log(CHANCE) / 2 / number) for number in STRETCHES
}
"""Of the jitter: so far above the line all of so many are hardly ever, whether latencies are spread evenly or fall off
exponentially."""
_NEAR_NS: Final = 3e5
_FAR: Final = 4.0
"""A first guess that lies so many times as far off as chance explains was wrong: it says nothing more."""


_NONE: Final = Corners([], [])


class _Hull:
    """The convex hull of points with rising abscissa: its lower and its upper corners."""

    __slots__ = ("_taken", "count", "first", "lower", "sum", "sum_ns", "upper")

    def __init__(self) -> None:
        self.lower = Corners([], [])
        self.upper = Corners([], [])
        self.count = 0
        self.sum = 0
        self.sum_ns = 0.0
        self.first = (0, 0.0)
        self._taken: tuple[Corners, Corners] | None = None
        """Corners that the newest point took out of the hull."""

    def add(self, index: int, at: float) -> None:
        if not self.count:
            self.first = (index, at)
        self.count += 1
        self.sum += index
        self.sum_ns += at
        self._taken = _extend(self.lower, index, at, 1), _extend(self.upper, index, at, -1)

    def take_back(self) -> None:
        """As if the newest point had not come; at most one can be taken back."""
        if self._taken is None:
            return
        self.count -= 1
        self.sum -= self.lower.indices[-1]
        self.sum_ns -= self.lower.times[-1]
        for corners, taken in zip((self.lower, self.upper), self._taken, strict=True):
            corners.indices[-1:], corners.times[-1:] = taken
        self._taken = None

    def span_ns(self) -> float:
        return self.lower.times[-1] - self.first[1] if self.count else 0.0

    def slope(self) -> float | None:
        """Of the edge below the mean abscissa; None where there is no edge."""
        indices, times = self.lower
        if len(indices) < 2:
            return None
        edge = min(max(bisect_right(indices, self.sum / self.count), 1), len(indices) - 1)
        return (times[edge] - times[edge - 1]) / (indices[edge] - indices[edge - 1])

    def expected(self) -> Expected | None:
        """The mean of all slopes that can be, with what it rests on; None where too few points are known."""
        slope = self.slope()
        if slope is None or self.count < LEAST:
            return None
        mean = self.sum / self.count, self.sum_ns / self.count
        return expected_slope(self.lower, self.upper, self.count, mean, slope)

    def moved(self, indices: int) -> _Hull:
        """The same points so many indices on."""
        moved = _Hull()
        moved.lower = Corners([index + indices for index in self.lower.indices], self.lower.times[:])
        moved.upper = Corners([index + indices for index in self.upper.indices], self.upper.times[:])
        moved.count, moved.sum, moved.sum_ns = self.count, self.sum + indices * self.count, self.sum_ns
        moved.first = self.first[0] + indices, self.first[1]
        return moved

    def mean_height(self, slope: float, intercept: float) -> float:
        """Of the points above a line."""
        return (self.sum_ns - slope * self.sum) / self.count - intercept

    def support(self, slope: float) -> float:
        """The greatest intercept of a line of this slope that no point lies below."""
        return min(at - slope * index for index, at in zip(*self.lower, strict=True))


def _extend(corners: Corners, index: int, at: float, sign: int) -> Corners:
    """A point behind all others: it takes those that lie in its way out of the hull (A. Andrew 1979). Those."""
    indices, times = corners
    kept = len(indices)
    if kept > 1:
        last, last_ns = indices[-1], times[-1]
        while kept > 1:
            before, before_ns = indices[kept - 2], times[kept - 2]
            if sign * ((at - last_ns) * (last - before) - (last_ns - before_ns) * (index - last)) > 0:
                break
            last, last_ns = before, before_ns
            kept -= 1
    taken = _NONE
    if kept < len(indices):
        taken = Corners(indices[kept:], times[kept:])
        del indices[kept:], times[kept:]
    indices.append(index)
    times.append(at)
    return taken


class _Break:
    """A place where samples are missing, and nobody knows how many: the points before it, and the few behind it."""

    def __init__(self, old: _Hull, young: _Hull, period_ns: float, room_ns: float) -> None:
        self.old, self.young, self.period_ns, self.room_ns = old, young, period_ns, room_ns
        """Before it."""
        self.behind: list[tuple[int, float]] = []
        self.more = 0
        """So many more samples are missing than was thought first."""
        self.is_certain = False
        """Any other number is out of the question."""

    def joined(self, before: _Hull) -> _Hull:
        """All points."""
        return self._joined(before, self.more)

    def rethink(self) -> bool:
        """Find how many more samples are missing: as makes the line through all points likeliest. Whether that is
        another number than it was."""
        before, best, margin = self.more, self._evidence(self.more), inf
        for sign in (1, -1):
            for _ in range(_RETHOUGHT):
                evidence = self._evidence(self.more + sign)
                if evidence <= best:
                    margin = min(margin, best - evidence)
                    break
                best, margin, self.more = evidence, evidence - best, self.more + sign
        self.is_certain = margin > _CERTAIN
        return self.more != before

    def _joined(self, before: _Hull, more: int) -> _Hull:
        joined = before.moved(-more)
        for index, at in self.behind:
            joined.add(index, at)
        return joined

    def _evidence(self, more: int) -> float:
        expected = self._joined(self.old, more).expected()
        return -inf if expected is None else expected.evidence


class Envelope:
    """The running estimate of one stream: arrivals in, the line below them out.

    Instants are float ns from an origin of the caller's (exact to 1 ns for a hundred days), `index` counts samples.
    """

    def __init__(self, period_ns: float, jitter_ns: float = JITTER_NS) -> None:
        self.period = period_ns
        """The period that is believed now, ns."""
        self.jitter = jitter_ns
        """About how much the latency varies, ns; a single one that is far off counts little."""
        self._usual_ns = jitter_ns
        """How much the latency varied, when it came to the line as it was then."""
        self._deviation_ns = inf
        """The standard deviation of the period, where it is known."""
        self._spread_ns = 0.0
        """How much it varies by the line as it is now."""
        self._prior = period_ns
        self._intercept = 0.0
        self._seen = 0
        self._old = _Hull()
        self._young = _Hull()
        self._break: _Break | None = None
        """The newest one, while few points are behind it."""

    def restart(self, prior_ns: float, *points: tuple[int, float]) -> None:
        """What was true before `points` is so no more; `prior_ns` is the first guess of the period from now on."""
        self._prior = self.period = prior_ns
        self._deviation_ns = inf
        self._old, self._young = _Hull(), _Hull()
        self._break = None
        for index, at in points:
            self.add(index, at)
        self.refresh()

    def resume(self, index: int, at_ns: float) -> None:
        """The sample `index` arrived; before it others are missing, about so many as its index says.

        The sensor went on meanwhile, so it is a whole number: the likeliest, as the arrivals to come find it.
        """
        self._break = _Break(self._old, self._young, self.period, self.room_ns)
        self._old, self._young = self._old.moved(0), self._young.moved(0)
        self.add(index, at_ns)

    def add(self, index: int, at_ns: float) -> None:
        """The sample `index` arrived."""
        if self._old.count:
            latency = max(0.0, at_ns - self.at(index))
            self._seen += 1
            weight = max(_JITTER_WEIGHT, 1 / (self._seen + 10))
            usual = self._usual_ns
            self._usual_ns = max(_JITTER_MIN_NS, usual + weight * (min(2 * latency, 3 * usual) - usual))
            self._weigh_jitter()
            self._intercept = min(self._intercept, at_ns - self.period * index)
        else:
            self._intercept = at_ns - self.period * index
        self._old.add(index, at_ns)
        self._young.add(index, at_ns)
        if self._break is not None:
            self._break.behind.append((index, at_ns))
            if len(self._break.behind) >= _BREAK_POINTS:
                self.refresh()
                self._break = None
        young = self._young.span_ns()
        if young > WINDOW_NS and (self._young.count >= WINDOW_POINTS or young > WINDOW_MAX_NS):
            self._old, self._young = self._young, _Hull()
            self._prior, self._break = self.period, None

    def take_back(self) -> None:
        """The newest arrival says nothing: as if it had not come. Not where a generation began with it."""
        self._old.take_back()
        self._young.take_back()
        if self._break is not None and self._break.behind:
            self._break.behind.pop()
        self.refresh()

    def rethink(self, index: int, at_ns: float) -> bool:
        """The sample `index` arrived before it was taken, if as many samples are missing as is thought: see anew how
        many. False where none are missing lately: nothing was done."""
        last = self._break
        if last is None:
            return False
        self.add(index, at_ns)
        last.is_certain = False
        self.refresh()
        return True

    def by_chance(self, number: int) -> float:
        """So far above the line all of `number` (of `STRETCHES`) arrivals are by chance hardly ever; the nearer, the
        more they are."""
        known = _SPREAD_MARGIN * self._spread_ns if self._spread_ns > 0 and self.count >= _SPREAD_POINTS else inf
        return min(self.jitter, known) * _SHARES[number] + max(_NEAR_NS, 2 * self.error_ns)

    def at(self, index: int) -> float:
        """When the sample `index` was, or will be, taken, ns."""
        return self._intercept + self.period * index

    def refresh(self) -> None:
        """Believe what the arrivals say by now; the first guess, while they leave room for it."""
        last = self._break
        if last is not None and not last.is_certain and last.rethink():
            self._old, self._young = last.joined(last.old), last.joined(last.young)
        slope, self._deviation_ns = self._old.slope(), inf
        if slope is None:
            return
        if self._old.count <= FEW and (found := self._old.expected()) is not None:
            slope, self._deviation_ns, _ = found
        room = self.room_ns
        if abs(self._prior - slope) < _FAR * room:
            slope = min(max(self._prior, slope - room), slope + room)
        self.period = max(1.0, slope)
        support = self._old.support(self.period)
        if last is not None and abs(self.period - last.period_ns) > 2 * last.room_ns:
            self.restart(last.period_ns, *last.behind)  # no whole number fits: the sensor did not go on
            return
        is_few = LEAST <= self._old.count <= FEW
        self._spread_ns = 2 * self._old.mean_height(self.period, support) if is_few else 0.0
        self._weigh_jitter()
        self._intercept = support - self.jitter / (self._old.count + 2)  # the least of so few is not the least of all

    def _weigh_jitter(self) -> None:
        self.jitter = max(self._usual_ns, min(self._spread_ns, 3 * self._usual_ns))

    @property
    def count(self) -> int:
        """The arrivals that the estimate rests on."""
        return self._old.count

    @property
    def error_ns(self) -> float:
        """About how far the line may be off, apart from the least latency."""
        return _CONFIDENCE * self.jitter / max(1, self._old.count)

    @property
    def room_ns(self) -> float:
        """About how far the period may be off."""
        run = self._old.lower.indices[-1] - self._old.first[0] if self._old.count else 0
        return min(2 * self.error_ns / run, _SURE * self._deviation_ns) if run else inf
