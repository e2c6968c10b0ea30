"""What few arrivals say of the line below them: the mean of all lines that can be, each as often as it is likely. Pure.

Of latencies no more is known than that they are never negative, and of one kind. Two kinds are set against each other:
spread evenly up to some most, or falling off exponentially from the least on. Where place and scale are unknown (their
densities flat, and 1/scale), a slope is as likely as F ** (1 - n) for n arrivals: F is the width of the strip that
holds them all (even), or their mean height above the line below them (falling). The mean over that is E. Pitman's (The
estimation of the location and scale parameters, Biometrika 1939): no estimate that moves and scales with the arrivals
errs less. It errs half as far as the likeliest slope, which jumps from edge to edge of a hull as arrivals come.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma, log
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

LEAST: Final = 8
"""With fewer arrivals nearly any slope can be: their mean says less than the likeliest."""
_UNLIKELY: Final = 10.0
"""Slopes that are exp(this) times less likely than the likeliest are left out."""
_GRID: Final = 129
_PLACES: Final = np.arange(_GRID, dtype=np.float64)
_DOUBLED: Final = np.exp2(np.arange(40, dtype=np.float64))
Floats: TypeAlias = NDArray[np.float64]


class Corners(NamedTuple):
    """Corners of a convex hull, by rising index."""

    indices: list[int]
    times: list[float]


class Expected(NamedTuple):
    """What a hull lets expect of the slope of the line below it, ns per index."""

    slope: float
    deviation: float
    """Its standard deviation."""
    evidence: float
    """How likely such a hull is at all, as a logarithm: of several hulls of the same arrivals, the greatest is true."""


def expected_slope(lower: Corners, upper: Corners, count: int, mean: tuple[float, float], slope: float) -> Expected:
    """The slope that is to be expected.

    `lower` and `upper` are the hulls of `count` arrivals with that mean (index, ns); `slope` is that of the edge of the
    lower hull below the mean: the likeliest, were latencies exponential.
    """
    likely = _Likelihood(_residuals(lower, mean, slope), _residuals(upper, mean, slope), count)
    flatter, steeper = likely.reach()
    grid = _PLACES * ((steeper + flatter) / (_GRID - 1)) - flatter
    grid[-1] = steeper
    logs = likely.of(grid)
    most = float(logs.max())
    weights = np.exp(logs - most)
    total = float(weights.sum())
    weights /= total
    mean_steeper = float(weights @ grid)
    evidence = most + log(total * float(grid[1] - grid[0]))
    return Expected(slope + mean_steeper, float(weights @ (grid - mean_steeper) ** 2) ** 0.5, evidence)


def _residuals(corners: Corners, mean: tuple[float, float], slope: float) -> tuple[Floats, Floats]:
    """Index and height above the line through the mean, of each corner."""
    indices = np.array(corners.indices, np.float64) - mean[0]
    return indices, np.array(corners.times, np.float64) - mean[1] - slope * indices


@dataclass(frozen=True, slots=True)
class _Likelihood:
    """Of lines that are so much steeper than the one from which the corners' heights are measured."""

    low: tuple[Floats, Floats]
    high: tuple[Floats, Floats]
    count: int

    def of(self, steeper: Floats) -> Floats:
        """Its logarithm, `(lines,)`."""
        power = self.count - 1
        least = (self.low[1][:, None] - np.multiply.outer(self.low[0], steeper)).min(axis=0)
        most = (self.high[1][:, None] - np.multiply.outer(self.high[0], steeper)).max(axis=0)
        even = -power * np.log(np.maximum(most - least, 1.0)) - log(self.count * power)
        falling = lgamma(power) - power * np.log(self.count * np.maximum(-least, 1.0)) - log(self.count)
        found: Floats = np.logaddexp(even, falling)
        return found

    def reach(self) -> tuple[float, float]:
        """How much flatter, and how much steeper, a line can be."""
        width = max(1.0, float(self.high[1].max() - self.low[1].min()))
        first = width / (1e3 * self.count * max(1.0, float(np.abs(self.low[0]).max())))
        steps = first * _DOUBLED
        logs = self.of(np.concatenate((-steps, steps))).reshape(2, -1)
        unlikely = logs < np.maximum.accumulate(logs, axis=1) - _UNLIKELY
        unlikely[:, -1] = True
        flatter, steeper = steps[unlikely.argmax(axis=1)].tolist()
        return flatter, steeper
