"""The line below the arrivals: what a stream's true period is, and when its samples were taken.

A sample arrives at `taken + latency`, and the latency is never negative. So the instants at which samples were taken
lie on the line that touches the arrivals from below, up to the least latency, which nobody can observe. The line is the
edge of the arrivals' lower convex hull below their mean abscissa: it minimises the sum of the latencies (S. Moon,
P. Skelly, D. Towsley: Estimation and removal of clock skew from network delay measurements, INFOCOM 1999). A late read
never moves it, however late it is. Pure, constant in memory and, amortised, in time per arrival.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

WINDOW_NS: Final = 60e9
"""A generation of arrivals is at least so long before it takes over from the one before it …"""
WINDOW_POINTS: Final = 400
"""… and has so many, or is `WINDOW_MAX_NS` long."""
WINDOW_MAX_NS: Final = 600e9
JITTER_NS: Final = 10e6
"""The jitter that is expected before any is seen."""
_JITTER_MIN_NS: Final = 2e3
_JITTER_WEIGHT: Final = 0.002
_CONFIDENCE: Final = 4.0
"""How many times the mean spacing of the latencies near the line the line may be off."""

_FAR: Final = 4.0
"""A first guess that lies so many times as far off as chance explains was wrong: it says nothing more."""


class _Hull:
    """The lower convex hull of points with rising abscissa."""

    __slots__ = ("count", "first", "indices", "sum", "times")

    def __init__(self) -> None:
        self.indices: list[int] = []
        self.times: list[float] = []
        self.count = 0
        self.sum = 0
        self.first = (0, 0.0)

    def add(self, index: int, at: float) -> None:
        indices, times = self.indices, self.times
        if not self.count:
            self.first = (index, at)
        self.count += 1
        self.sum += index
        while len(indices) > 1:
            before, last = indices[-2], indices[-1]
            if (times[-1] - times[-2]) * (index - last) < (at - times[-1]) * (last - before):
                break
            indices.pop()
            times.pop()
        indices.append(index)
        times.append(at)

    def span_ns(self) -> float:
        return self.times[-1] - self.first[1] if self.count else 0.0

    def slope(self) -> float | None:
        """Of the edge below the mean abscissa; None where there is no edge."""
        if len(self.indices) < 2:
            return None
        edge = min(max(bisect_right(self.indices, self.sum / self.count), 1), len(self.indices) - 1)
        run = self.indices[edge] - self.indices[edge - 1]
        return (self.times[edge] - self.times[edge - 1]) / run

    def support(self, slope: float) -> float:
        """The greatest intercept of a line of this slope that no point lies below."""
        return min(at - slope * index for index, at in zip(self.indices, self.times, strict=True))


class Envelope:
    """The running estimate of one stream: arrivals in, the line below them out.

    Instants are float ns from an origin of the caller's (exact to 1 ns for a hundred days), `index` counts samples.
    """

    def __init__(self, period_ns: float, jitter_ns: float = JITTER_NS) -> None:
        self.period = period_ns
        """The period that is believed now, ns."""
        self.jitter = jitter_ns
        """About how much the latency varies, ns."""
        self._prior = period_ns
        self._intercept = 0.0
        self._seen = 0
        self._old = _Hull()
        self._young = _Hull()

    def restart(self, prior_ns: float, *points: tuple[int, float]) -> None:
        """What was true before `points` is so no more; `prior_ns` is the first guess of the period from now on."""
        self._prior = self.period = prior_ns
        self._old, self._young = _Hull(), _Hull()
        for index, at in points:
            self.add(index, at)
        self.refresh()

    def add(self, index: int, at_ns: float) -> None:
        """The sample `index` arrived."""
        if self._old.count:
            latency = max(0.0, at_ns - self.at(index))
            self._seen += 1
            weight = max(_JITTER_WEIGHT, 1 / (self._seen + 10))
            self.jitter = max(_JITTER_MIN_NS, self.jitter + weight * (min(2 * latency, 3 * self.jitter) - self.jitter))
            self._intercept = min(self._intercept, at_ns - self.period * index)
        else:
            self._intercept = at_ns - self.period * index
        self._old.add(index, at_ns)
        self._young.add(index, at_ns)
        young = self._young.span_ns()
        if young > WINDOW_NS and (self._young.count >= WINDOW_POINTS or young > WINDOW_MAX_NS):
            self._old, self._young = self._young, _Hull()
            self._prior = self.period

    def at(self, index: int) -> float:
        """When the sample `index` was, or will be, taken, ns."""
        return self._intercept + self.period * index

    def refresh(self) -> None:
        """Believe what the arrivals say by now; the first guess, while they leave room for it."""
        slope = self._old.slope()
        if slope is None:
            return
        room = self.room_ns
        if abs(self._prior - slope) < _FAR * room:
            slope = min(max(self._prior, slope - room), slope + room)
        self.period = max(1.0, slope)
        self._intercept = self._old.support(self.period)

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
        run = self._old.indices[-1] - self._old.first[0] if self._old.count else 0
        return 2 * self.error_ns / run if run else float("inf")
