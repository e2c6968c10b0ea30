"""Features of a channel's values, in time: statistics that do not depend on their order, and those that do.

Each takes a `Block` and gives a number a row. Where tsfresh has one of the same name, it is its definition.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Rows: TypeAlias = NDArray[np.float64]
"""`(rows, steps)`: a channel of a window each."""
Column: TypeAlias = NDArray[np.float64]
"""`(rows,)`"""


class Block:
    """Rows of values that are there, and what several features ask of them: worked out once."""

    def __init__(self, x: Rows) -> None:
        self.x = x
        self.steps = x.shape[1]

    @cached_property
    def mean(self) -> Column:
        """Of each row."""
        return np.asarray(self.x.mean(axis=1))

    @cached_property
    def centred(self) -> Rows:
        """The rows without their mean."""
        return self.x - self.mean[:, None]

    @cached_property
    def variance(self) -> Column:
        """Of each row, over all its values."""
        return np.asarray((self.centred**2).mean(axis=1))

    @cached_property
    def deviation(self) -> Column:
        """The standard deviation of each row."""
        return np.asarray(np.sqrt(self.variance))

    @cached_property
    def square(self) -> Rows:
        """Of each value."""
        return self.x**2

    @cached_property
    def ordered(self) -> Rows:
        """The rows, smallest values first."""
        return np.sort(self.x, axis=1)

    @cached_property
    def changes(self) -> Rows:
        """From each value to the next."""
        return np.diff(self.x, axis=1)

    @cached_property
    def line(self) -> Line:
        """The straight line through each row."""
        steps = np.arange(self.steps, dtype=np.float64)
        off = steps - steps.mean()
        spread, own, both = (off**2).sum(), self.variance * self.steps, self.centred @ off
        slope = both / spread
        correlation = np.clip(both / np.sqrt(spread * own), -1.0, 1.0)  # NaN where all are equal
        free = self.steps - 2
        error = np.sqrt((1.0 - correlation**2) * own / spread / free) if free else np.zeros(len(self.x))
        return Line(slope, self.mean - slope * steps.mean(), correlation, error)

    def quantile(self, share: float) -> Column:
        """Linear between the two nearest values."""
        place = share * (self.steps - 1)
        low = min(int(place), self.steps - 2)
        return np.asarray(self.ordered[:, low] + (place - low) * (self.ordered[:, low + 1] - self.ordered[:, low]))


class Line(NamedTuple):
    """A straight line by least squares over the steps 0, 1, 2 …"""

    slope: Column
    intercept: Column
    correlation: Column
    error: Column


Feature: TypeAlias = Callable[[Block], Column]


def _skewness(block: Block) -> Column:
    """The adjusted Fisher-Pearson coefficient (Joanes and Gill 1998)."""
    n, square = block.steps, block.variance
    if n < 3:
        return np.full(len(block.x), np.nan)
    cube = (block.centred**3).mean(axis=1)
    return np.asarray(cube / square**1.5 * np.sqrt(n * (n - 1)) / (n - 2))


def _kurtosis(block: Block) -> Column:
    """The adjusted excess kurtosis (Joanes and Gill 1998)."""
    n, square = block.steps, block.variance
    if n < 4:
        return np.full(len(block.x), np.nan)
    excess = (n + 1) * (block.centred**4).mean(axis=1) / square**2 - 3 * (n - 1)
    return np.asarray(excess * (n - 1) / ((n - 2) * (n - 3)))


def _binned_entropy(block: Block) -> Column:
    """Of a histogram of ten equal bins, in nats; a value at an edge is in the upper bin, as in NumPy's histogram."""
    edges = np.linspace(block.ordered[:, 0], block.ordered[:, -1], 11, axis=1)
    below = np.stack([(block.x < edges[:, number, None]).mean(axis=1) for number in range(1, 10)], axis=1)
    shares = np.diff(below, axis=1, prepend=0.0, append=1.0)
    return entropy(shares)


def entropy(shares: Rows) -> Column:
    """Of each row of shares, in nats."""
    return np.asarray(-np.where(shares > 0, shares * np.log(np.where(shares > 0, shares, 1.0)), 0.0).sum(axis=1))


def _beyond(times: float) -> Feature:
    """The share of values further from the mean than `times` standard deviations."""
    return lambda block: (np.abs(block.centred) > times * block.deviation[:, None]).mean(axis=1)


def _quantile(share: float) -> Feature:
    return lambda block: block.quantile(share)


def _longest(above: bool) -> Feature:
    """The longest run of values above, or below, the mean, in steps."""

    def longest(block: Block) -> Column:
        over = block.centred > 0 if above else block.centred < 0
        place = np.arange(1, block.steps + 1)
        last_other = np.maximum.accumulate(np.where(over, 0, place), axis=1)
        return np.asarray((place - last_other).max(axis=1), dtype=np.float64)

    return longest


def _peaks(support: int) -> Feature:
    """How many values are larger than each of the `support` values on either side."""

    def peaks(block: Block) -> Column:
        x, steps = block.x, block.steps
        if steps <= 2 * support:
            return np.zeros(len(x))
        middle = x[:, support : steps - support]
        is_peak = np.ones(middle.shape, dtype=bool)
        for away in range(1, support + 1):
            is_peak &= middle > x[:, support - away : steps - support - away]
            is_peak &= middle > x[:, support + away : steps - support + away]
        return np.asarray(is_peak.sum(axis=1), dtype=np.float64)

    return peaks


def _autocorrelation(lag: int) -> Feature:
    def autocorrelation(block: Block) -> Column:
        if block.steps <= lag:
            return np.full(len(block.x), np.nan)
        together = np.einsum("rs,rs->r", block.centred[:, :-lag], block.centred[:, lag:])
        return np.asarray(together / ((block.steps - lag) * block.variance))

    return autocorrelation


def _c3(lag: int) -> Feature:
    """Schreiber and Schmitz (1997): how non-linear it is."""

    def c3(block: Block) -> Column:
        if block.steps <= 2 * lag:
            return np.zeros(len(block.x))
        x = block.x
        return np.asarray((x[:, 2 * lag :] * x[:, lag:-lag] * x[:, : -2 * lag]).mean(axis=1))

    return c3


def _asymmetry(lag: int) -> Feature:
    """Fulcher and Jones (2014): how another thing it is when time runs back."""

    def asymmetry(block: Block) -> Column:
        if block.steps <= 2 * lag:
            return np.zeros(len(block.x))
        first, third = block.square[:, : -2 * lag], block.square[:, 2 * lag :]
        middle = block.x[:, lag:-lag]
        return np.asarray((third * middle - block.x[:, lag:-lag] * first).mean(axis=1))

    return asymmetry


def _complexity(block: Block) -> Column:
    """CID (Batista et al. 2014): the length of the line that it draws."""
    return np.asarray(np.sqrt((block.changes**2).sum(axis=1)))


def _complexity_normalised(block: Block) -> Column:
    spread = block.deviation
    return np.where(spread > 0, _complexity(block) / np.where(spread > 0, spread, 1.0), 0.0)


def _crossings(above: NDArray[np.bool_]) -> Column:
    return np.asarray(np.diff(above, axis=1).sum(axis=1), dtype=np.float64)


def _curvature(block: Block) -> Column:
    x = block.x
    if block.steps < 3:
        return np.full(len(x), np.nan)
    return np.asarray((x[:, -1] - x[:, -2] - x[:, 1] + x[:, 0]) / (2 * (block.steps - 2)))


def _location(of: Callable[..., NDArray[np.int64]], last: bool) -> Feature:
    """Where an extreme is, as a share of the window's length: the first of equals, or behind the last of them."""

    def location(block: Block) -> Column:
        if last:
            return np.asarray(1.0 - of(block.x[:, ::-1], axis=1) / block.steps)
        return np.asarray(of(block.x, axis=1) / block.steps)

    return location


def _energy_share(part: int, parts: int) -> Feature:
    """The share of the sum of squares that lies in a part of the window (NumPy's `array_split`)."""

    def share(block: Block) -> Column:
        return np.asarray(np.array_split(block.square, parts, axis=1)[part].sum(axis=1) / block.square.sum(axis=1))

    return share


UNORDERED: Final[dict[str, Feature]] = {
    "sum_values": lambda block: block.x.sum(axis=1),
    "mean": lambda block: block.mean,
    "median": _quantile(0.5),
    "minimum": lambda block: np.asarray(block.ordered[:, 0]),
    "maximum": lambda block: np.asarray(block.ordered[:, -1]),
    "absolute_maximum": lambda block: np.asarray(np.maximum(-block.ordered[:, 0], block.ordered[:, -1])),
    "range": lambda block: block.ordered[:, -1] - block.ordered[:, 0],
    "standard_deviation": lambda block: block.deviation,
    "variance": lambda block: block.variance,
    "variation_coefficient": lambda block: np.where(block.mean != 0, block.deviation / block.mean, np.nan),
    "root_mean_square": lambda block: np.asarray(np.sqrt(block.square.mean(axis=1))),
    "abs_energy": lambda block: block.square.sum(axis=1),
    "mean_absolute_deviation": lambda block: np.abs(block.centred).mean(axis=1),
    "interquartile_range": lambda block: block.quantile(0.75) - block.quantile(0.25),
    "crest_factor": lambda block: np.abs(block.x).max(axis=1) / np.sqrt(block.square.mean(axis=1)),
    "skewness": _skewness,
    "kurtosis": _kurtosis,
    **{f"quantile_{share:g}": _quantile(share) for share in (0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9)},
    **{f"ratio_beyond_{times:g}_sigma": _beyond(times) for times in (1.0, 2.0, 3.0)},
    "count_above_mean": lambda block: (block.centred > 0).sum(axis=1).astype(np.float64),
    "count_below_mean": lambda block: (block.centred < 0).sum(axis=1).astype(np.float64),
    "binned_entropy": _binned_entropy,
}

ORDERED: Final[dict[str, Feature]] = {
    "absolute_sum_of_changes": lambda block: np.abs(block.changes).sum(axis=1),
    "mean_abs_change": lambda block: np.abs(block.changes).mean(axis=1),
    "mean_change": lambda block: (block.x[:, -1] - block.x[:, 0]) / (block.steps - 1),
    "mean_second_derivative_central": _curvature,
    "cid_ce": _complexity,
    "cid_ce_normalized": _complexity_normalised,
    "zero_crossings": lambda block: _crossings(block.x > 0),
    "mean_crossings": lambda block: _crossings(block.centred > 0),
    "longest_strike_above_mean": _longest(True),
    "longest_strike_below_mean": _longest(False),
    **{f"number_peaks_{support}": _peaks(support) for support in (1, 3, 5)},
    "first_location_of_maximum": _location(np.argmax, False),
    "last_location_of_maximum": _location(np.argmax, True),
    "first_location_of_minimum": _location(np.argmin, False),
    "last_location_of_minimum": _location(np.argmin, True),
    **{f"autocorrelation_{lag}": _autocorrelation(lag) for lag in range(1, 6)},
    **{f"c3_{lag}": _c3(lag) for lag in (1, 2, 3)},
    **{f"time_reversal_asymmetry_{lag}": _asymmetry(lag) for lag in (1, 2, 3)},
    "linear_trend_slope": lambda block: block.line.slope,
    "linear_trend_intercept": lambda block: block.line.intercept,
    "linear_trend_rvalue": lambda block: block.line.correlation,
    "linear_trend_stderr": lambda block: block.line.error,
    **{f"energy_ratio_{part + 1}_of_4": _energy_share(part, 4) for part in range(4)},
}
