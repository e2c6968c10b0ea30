"""Rolling values over a stream's samples: the same bits wherever batches end.

A span `(t - span, t]` that holds up to 64 samples is worked out from these samples alone, newest first. A longer one
sums panes: stretches of an eighth of the span, aligned to the epoch, each added up in sample order; the value at `t` is
that of the seven panes before `t`'s and of `t`'s own up to `t`, oldest first. No order of additions depends on where
a batch ends, and none is numpy's to choose (no BLAS, no pairwise sums).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.pace import STEPS, measured_periods, rated_gap_ns, unrated_gap_ns, unrated_gaps_ns
from ingest.times import Times
from labeling.rules.ast import RollKind
from labeling.rules.panes import PANES, Column, Flags, Floats, Panes, pane_values, pane_values_at

TAIL: Final = 64
"""So many samples before a batch are kept, and a span that holds up to so many is exact."""
NEVER: Final = -(1 << 62)
"""The time of what fills a tail that is not full yet: in no span."""
IDENTITY: Final[dict[RollKind, float]] = {"max": -np.inf, "min": np.inf, "mean": 0.0, "std": 0.0}


def every(flags: NDArray[np.bool_]) -> bool:
    """Are all true? Looking for a zero byte is three times as quick as `all` at these sizes."""
    return b"\0" not in flags.tobytes()


class Axis:
    """The times of a batch of one stream's samples, with the 64 before it; what all rolling values share."""

    __slots__ = (
        *("_lows", "_max_gaps", "_periods", "_steps"),
        *("count", "max_step_ns", "period_ns", "step_ns", "times", "times_all"),
    )

    def __init__(self, tail: Times, times: Times, period_ns: int) -> None:
        self.times = times
        """`(n,)`, rising strictly."""
        self.times_all: Times = np.concatenate((tail, times))
        """`(64 + n,)`."""
        self.count = len(times)
        self.period_ns = period_ns
        """The stream's nominal period; 0 where it has none."""
        steps = self.times_all[1:] - self.times_all[:-1]
        first = int(steps[0])
        self.step_ns = first if every(steps == first) else 0
        """The distance of all samples where it is the same, else 0."""
        inner = steps[TAIL:]
        self.max_step_ns = first if self.step_ns else int(inner.max()) if len(inner) else 0
        """The largest distance between samples of the batch."""
        self._lows: dict[int, tuple[int | Times, int]] = {}
        self._steps: Times | None = None
        self._periods: int | Times | None = None
        self._max_gaps: int | Times | None = None

    def tail(self) -> Times:
        """The last 64 times, for the next batch."""
        return self.times_all[-TAIL:].copy()

    @property
    def steps(self) -> Times:
        """How long before each sample the one before it lies; 0 for the first of all. `(n,)`."""
        if self._steps is None:
            steps = self.times - self.times_all[TAIL - 1 : -1]
            if self.times_all[TAIL - 1] == NEVER:
                steps[0] = 0
            self._steps = steps
        return self._steps

    @property
    def periods(self) -> int | Times:
        """The stream's period as it is known right before each sample and after the last, `(n + 1,)`; one number where
        it is the same: the nominal one, where there is one, else measured (`ingest.pace`).
        """
        if self._periods is None:
            self._periods = self.period_ns or self.step_ns or measured_periods(self.times_all[TAIL - 1 - STEPS :])
        return self._periods

    @property
    def max_gaps(self) -> int | Times:
        """The longest silence that is no gap where a rule says nothing else, ns; as `periods`."""
        if self._max_gaps is None:
            if self.period_ns:
                self._max_gaps = rated_gap_ns(self.period_ns)
            else:
                periods = self.periods
                self._max_gaps = unrated_gap_ns(periods) if isinstance(periods, int) else unrated_gaps_ns(periods)
        return self._max_gaps

    def window(self, span_ns: int) -> tuple[int | Times, int]:
        """How many samples `(t - span, t]` holds for each sample (one number where all are the same), and the most."""
        found = self._lows.get(span_ns)
        if found is None:
            found = self._lows[span_ns] = self._window(span_ns)
        return found

    def _window(self, span_ns: int) -> tuple[int | Times, int]:
        if self.step_ns:
            width = min(-(-span_ns // self.step_ns), TAIL + 1)
            return width, width
        low = self.times_all.searchsorted(self.times - span_ns, side="right")
        counts = np.arange(TAIL + 1, TAIL + 1 + self.count) - low
        most = int(counts.max())
        return (most if counts.min() == most else counts), most


class AxisPart:
    """The stretch `[start, stop)` of an axis."""

    __slots__ = ("max_gaps", "max_step_ns", "period_ns", "periods", "times")

    def __init__(self, axis: Axis, start: int, stop: int) -> None:
        self.times = axis.times[start:stop]
        self.period_ns = axis.period_ns
        self.max_step_ns = int((self.times[1:] - self.times[:-1]).max()) if stop - start > 1 else 0
        periods, max_gaps = axis.periods, axis.max_gaps
        self.periods: int | Times = periods if isinstance(periods, int) else periods[start : stop + 1]
        self.max_gaps: int | Times = max_gaps if isinstance(max_gaps, int) else max_gaps[start : stop + 1]


class Pace(NamedTuple):
    """How often a stream's samples come, at one instant."""

    period_ns: int
    """0: not known."""
    max_gap_ns: int
    """The longest silence that is no gap where a rule says nothing else."""

    @classmethod
    def after(cls, tail: Times, period_ns: int) -> Pace:
        """That of a stream of this nominal period (0: none) behind its last 64 times."""
        measured = period_ns or int(measured_periods(tail[-1 - STEPS :])[-1])
        return cls(measured, rated_gap_ns(period_ns) if period_ns else unrated_gap_ns(measured))


class RollSpec(NamedTuple):
    """What is rolled, and when there is too little of it."""

    kind: RollKind
    span_ns: int
    coverage: float
    needed_ns: int
    """So much of the span must be covered by known samples."""
    max_gap_ns: int | None
    """None: the stream's default."""
    ahead_ns: int = 0
    """So much of the span lies behind the instant."""

    @classmethod
    def of(
        cls, kind: RollKind, span_ns: int, coverage: Fraction, max_gap_ns: int | None, ahead_ns: int = 0
    ) -> RollSpec:
        """`coverage` is the share of the span that must be covered."""
        needed = coverage * span_ns
        return cls(kind, span_ns, float(coverage), -(-needed.numerator // needed.denominator), max_gap_ns, ahead_ns)


class RollState:
    """What a rolling value carries from batch to batch."""

    __slots__ = ("flags", "panes", "values", "weights", "whole")

    def __init__(self, kind: RollKind) -> None:
        self.values: Floats = np.full(TAIL, IDENTITY[kind])
        """Of the last 64 samples; the identity where unknown."""
        self.flags: Flags = np.zeros(TAIL, dtype=np.bool_)
        """Which of them were known."""
        self.weights: Times = np.zeros(TAIL, dtype=np.int64)
        """The time that each of them covers."""
        self.panes: Panes | None = None
        """The panes that reach behind the 64 samples; None where the samples tell all."""
        self.whole = False
        """All 64 were known, and each covers the nominal period."""


def roll(spec: RollSpec, values: Floats, axis: Axis, state: RollState) -> Floats:
    """The rolling value at each sample, `(n,)`, NaN where it is unknown: too little of the span is covered.

    A known sample covers the stream's nominal period or, where there is none, the time since the sample before it, if
    that is no longer than `max_gap`.
    """
    known = np.isfinite(values)
    whole = every(known)
    counts, most = axis.window(spec.span_ns)
    if whole and state.whole and isinstance(counts, int) and most <= TAIL and state.panes is None:
        return _uniform(spec, values, counts, axis, state)
    column = _column(spec, values, None if whole else known, axis, state)
    dense = most > TAIL
    panes = _panes(spec, column, axis, state, dense) if dense or state.panes is not None else None
    if panes is not None and isinstance(counts, int):
        out = panes
    else:
        out = _covered(spec, _exact(spec, column, counts, min(most, TAIL)), column, axis, counts)
        if panes is not None:
            out = np.where(counts > TAIL, panes, out)
    last = column.since(len(column.times) - TAIL)
    state.values, state.flags, state.weights = last.values.copy(), last.flags.copy(), last.weights.copy()
    state.whole = axis.period_ns > 0 and every(state.flags)
    return out


def roll_around(spec: RollSpec, values: Floats, axis: Axis) -> Floats:
    """The value at each sample of a span that reaches `ahead_ns` behind it, `(n,)`, NaN where it is unknown.

    The axis holds all samples that the values asked for rest on; the others' values are of no use. Up to 64 samples
    are exact, newest first, more are panes: what `roll` gives at the instant `ahead_ns` later.
    """
    known = np.isfinite(values)
    weights = np.where(known, _weights(spec, axis), 0)
    column = Column(axis.times, np.where(known, values, IDENTITY[spec.kind]) + 0.0, known, weights)
    instants = axis.times + spec.ahead_ns
    stops = axis.times.searchsorted(instants, side="right")
    counts = stops - axis.times.searchsorted(instants - spec.span_ns, side="right")
    out = _gathered(spec.kind, column, stops, np.minimum(counts, TAIL))
    sums = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(weights)))
    out[sums[stops] - sums[stops - counts] < spec.needed_ns] = np.nan
    if np.count_nonzero(counts > TAIL):
        panes = pane_values_at(spec.kind, spec.span_ns // PANES, spec.coverage, column, instants, stops - 1)
        out = np.where(counts > TAIL, panes, out)
    return out


def _gathered(kind: RollKind, column: Column, stops: Times, counts: Times) -> Floats:
    """Over the `counts` samples before each of the places `stops`, newest first."""
    ufunc = {"max": np.maximum, "min": np.minimum}.get(kind, np.add)
    total, known = np.full(len(stops), IDENTITY[kind]), np.zeros(len(stops))
    lags = [(np.maximum(stops - 1 - lag, 0), counts > lag) for lag in range(int(counts.max(initial=0)))]
    for places, inside in lags:
        total = ufunc(total, np.where(inside, column.values[places], IDENTITY[kind]))
        known += inside & column.flags[places]
    if kind in ("max", "min"):
        return total
    mean = total / known
    if kind == "mean":
        return np.asarray(mean)
    squares = np.zeros(len(stops))
    for places, inside in lags:
        squares += np.where(inside & column.flags[places], (column.values[places] - mean) ** 2, 0.0)
    return np.asarray(np.sqrt(squares / known))


def _weights(spec: RollSpec, axis: Axis) -> Times:
    """The time that each sample covers where it is known, `(n,)`."""
    if axis.period_ns:
        return np.full(axis.count, axis.period_ns)
    longest = axis.max_gaps if spec.max_gap_ns is None else spec.max_gap_ns
    covered: Times = np.where(axis.steps <= (longest if isinstance(longest, int) else longest[:-1]), axis.steps, 0)
    return covered


def _uniform(spec: RollSpec, values: Floats, width: int, axis: Axis, state: RollState) -> Floats:
    """The usual case, quickly: nothing unknown, evenly spaced samples, a short span."""
    values = _behind(state.values, values)
    state.values = values[-TAIL:].copy()
    if width * axis.period_ns < spec.needed_ns:
        return np.full(axis.count, np.nan)
    if spec.kind == "max" or spec.kind == "min":
        return _extreme(np.maximum if spec.kind == "max" else np.minimum, values, width)
    mean = _lagged(values, width, width) / width
    return mean if spec.kind == "mean" else _deviation(values, None, mean, width, width, width)


def _column(spec: RollSpec, values: Floats, known: Flags | None, axis: Axis, state: RollState) -> Column:
    """Tail and batch in one, unknown values replaced by the identity; `known` None: all are."""
    weights = _weights(spec, axis)
    if known is None:
        known = np.ones(axis.count, dtype=np.bool_)
    else:
        values, weights = np.where(known, values, IDENTITY[spec.kind]), np.where(known, weights, 0)
    return Column(
        axis.times_all,
        _behind(state.values, values),
        np.concatenate((state.flags, known)),
        np.concatenate((state.weights, weights)),
    )


def _behind(tail: Floats, values: Floats) -> Floats:
    """Both in one, -0.0 made 0.0: which of the two a maximum gives would depend on its order."""
    joined = np.concatenate((tail, values))
    joined += 0.0
    return joined


def _covered(spec: RollSpec, out: Floats, column: Column, axis: Axis, counts: int | Times) -> Floats:
    """The values, NaN where too little of the span is covered."""
    sums = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(column.weights)))
    last = np.arange(TAIL + 1, TAIL + 1 + axis.count)
    out[sums[last] - sums[last - np.minimum(counts, TAIL)] < spec.needed_ns] = np.nan
    return out


def _exact(spec: RollSpec, column: Column, counts: int | Times, most: int) -> Floats:
    """From the samples themselves, of which each span holds `counts`, `most` at most; where more, undefined."""
    if spec.kind == "max" or spec.kind == "min":
        ufunc = np.maximum if spec.kind == "max" else np.minimum
        if isinstance(counts, int):
            return _extreme(ufunc, column.values, most)
        return _extremes(ufunc, column.values, np.minimum(counts, TAIL))
    known = _lagged(column.flags.astype(np.float64), counts, most)
    mean = _lagged(column.values, counts, most) / known
    return mean if spec.kind == "mean" else _deviation(column.values, column.flags, mean, known, counts, most)


def _deviation(
    values: Floats, flags: Flags | None, mean: Floats, known: Floats | int, counts: int | Times, most: int
) -> Floats:
    """The standard deviation of each span's known values around their mean, newest first."""
    count = len(mean)
    total = np.zeros(count)
    for lag in range(most):
        part = slice(TAIL - lag, TAIL - lag + count)
        square = (values[part] - mean) ** 2
        if flags is not None:
            square[~flags[part]] = 0.0
        if not isinstance(counts, int):
            square[counts <= lag] = 0.0
        total += square
    return np.asarray(np.sqrt(total / known))


def _lagged(values: Floats, counts: int | Times, most: int) -> Floats:
    """The sum of each sample and those before it in its span, newest first."""
    count = len(values) - TAIL
    total = np.zeros(count)
    for lag in range(most):
        part = values[TAIL - lag : TAIL - lag + count]
        total += part if isinstance(counts, int) else np.where(counts > lag, part, 0.0)
    return total


def _extreme(ufunc: np.ufunc, values: Floats, width: int) -> Floats:
    """The extreme of each sample and the `width - 1` before it, by doubling."""
    current, size = values[TAIL + 1 - width :], 1
    while 2 * size <= width:
        current = ufunc(current[size:], current[:-size])
        size *= 2
    rest = width - size
    return np.asarray(ufunc(current[rest:], current[:-rest]) if rest else current.copy() if size == 1 else current)


def _extremes(ufunc: np.ufunc, values: Floats, counts: Times) -> Floats:
    """The same for spans that hold different numbers of samples: two overlapping powers of two cover each."""
    levels = [values]
    while 1 << len(levels) <= int(counts.max()):
        size = 1 << (len(levels) - 1)
        level = levels[-1].copy()
        level[size:] = ufunc(levels[-1][size:], levels[-1][:-size])
        levels.append(level)
    which = np.frexp(counts)[1] - 1
    last = np.arange(TAIL, len(values))
    table = np.stack(levels)
    return np.asarray(ufunc(table[which, last], table[which, last - counts + (1 << which.astype(np.int64))]))


def _panes(spec: RollSpec, column: Column, axis: Axis, state: RollState, dense: bool) -> Floats | None:
    """The values by panes, `(n,)`; None where the samples tell all, from now on too."""
    width_ns = spec.span_ns // PANES
    if state.panes is None:
        # All that the panes of these samples hold lies within the tail: they are made anew from it.
        carried, part = Panes.empty(spec.kind), column.since(int(column.times.searchsorted(NEVER, side="right")))
    else:
        carried, part = state.panes, column.since(TAIL)
    out, panes = pane_values(spec.kind, width_ns, spec.coverage, part, carried)
    last = column.times[-1] - column.times[-1 - TAIL] < spec.span_ns
    state.panes = panes if last else None
    return out[-axis.count :] if dense else None
