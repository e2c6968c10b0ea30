"""Cleaning: which windows have values that no sensor should say, and which rule says so.

Nothing is taken out here, and nothing mended: a rule counts, for each window and channel, the steps that break it. What
a rule compares with (the channel's usual spread, its extremes) comes from the windows that were looked at, and is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.settings import suggest
from preparing.sketch import Sketch

Steps = NDArray[np.int32]
"""`(windows, channels)`: how many steps break a rule."""
RULES: Final = {
    "duplicate": "its bytes are those of an earlier window",
    "flat": "a channel has one value all the time",
    "stuck": "a channel stands still for a large part of the window, and moves in the rest",
    "out_of_range": "a value lies outside of the range that was given for its channel",
    "outlier": "a value lies far from where nearly all of its channel's lie",
    "clipped": "a channel stays at its largest or smallest value of all",
    "spike": "a value leaps away from both of its neighbours, far more than usual",
    "clock_unsure": "its samples' times are less sure than allowed",
}
"""By name, what each finds. `duplicate` and `clock_unsure` are said of whole windows."""
OF_VALUES: Final = ("flat", "stuck", "out_of_range", "outlier", "clipped", "spike")


@dataclass(frozen=True, slots=True)
class Bounds:
    """From when on a rule speaks.

    Raises `UsageError` where a number cannot be meant.
    """

    stuck_share: float = 0.5
    """So much of a window in one run of equal values is stuck."""
    clipped_steps: int = 3
    """So many steps in a row at an extreme are clipped."""
    outlier_spreads: float = 3.0
    """So many times the distance of the 1 % and 99 % quantiles beyond either is an outlier."""
    spike_steps: float = 5.0
    """So many times the 99 % quantile of a channel's steps, to both neighbours, is a spike."""
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """By channel, the least and the largest value that can be."""

    def __post_init__(self) -> None:
        if not 0 < self.stuck_share <= 1 or self.clipped_steps < 2:
            raise UsageError("flags: stuck_share lies in 0 to 1, clipped_steps from 2 on")
        if min(self.outlier_spreads, self.spike_steps) <= 0:
            raise UsageError("flags: outlier_spreads and spike_steps lie above 0")
        for channel, (low, high) in self.ranges.items():
            if not low <= high:
                raise UsageError(f"flags: ranges: {channel}: {low} to {high} is no range")


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual in each channel; arrays `(channels,)`, NaN where it has no value."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    """The extremes."""
    first: NDArray[np.float64]
    last: NDArray[np.float64]
    """The 1 % and the 99 % quantile."""
    step: NDArray[np.float64]
    """The 99 % quantile of the distance of two neighbours."""


def usual_of(batches: Iterable[NDArray[np.floating]], channels: int) -> Usual:
    """What is usual in windows `(windows, steps, channels)`, a batch after the other; NaN is left out."""
    values, steps = Sketch(channels), Sketch(channels)
    low, high = np.full(channels, np.inf), np.full(channels, -np.inf)
    for batch in batches:
        rows = batch.reshape(-1, channels).astype(np.float64)
        values.add(rows)
        low, high = (
            np.fmin(low, np.fmin.reduce(rows, initial=np.inf)),
            np.fmax(high, np.fmax.reduce(rows, initial=-np.inf)),
        )
        steps.add(np.abs(np.diff(batch.astype(np.float64), axis=1)).reshape(-1, channels))
    empty = ~(low <= high)
    low[empty] = high[empty] = np.nan
    first, last = values.quantiles((0.01, 0.99))
    (step,) = steps.quantiles((0.99,))
    return Usual(low, high, first, last, step)


def flagged_steps(
    X: NDArray[np.floating], channels: Sequence[str], usual: Usual, bounds: Bounds, states: Iterable[str] = ()
) -> dict[str, Steps]:
    """By rule of `OF_VALUES`, how many steps of each window's channels break it. Channels of named `states` have codes,
    which stand still and leap as they like: only `out_of_range` looks at them. Missing values break nothing.

    Raises:
        UsageError: X does not fit the channels, or a range's channel is none of them.
    """
    if X.ndim != 3 or X.shape[2] != len(channels):
        raise UsageError(f"flags: X is {X.shape}; (windows, steps, {len(channels)}) is needed")
    for name in bounds.ranges:
        if name not in channels:
            raise UsageError(f'flags: ranges: found "{name}"{suggest(name, channels)}')
    x = X.astype(np.float64)
    runs = _longest_runs(x)
    there = (~np.isnan(x)).sum(axis=1)
    flat = (np.fmin.reduce(x, axis=1) == np.fmax.reduce(x, axis=1)) & (there > 1)
    stuck = ~flat & (runs >= max(2, bounds.stuck_share * X.shape[1]))
    found = {
        "flat": np.where(flat, there, 0),
        "stuck": np.where(stuck, runs, 0),
        "out_of_range": _outside(x, *_limits(channels, bounds.ranges)),
        "outlier": _outliers(x, usual, bounds.outlier_spreads),
        "clipped": np.where(flat, 0, _clipped(x, usual, bounds.clipped_steps)),
        "spike": _spikes(x, usual, bounds.spike_steps),
    }
    coded = [number for number, name in enumerate(channels) if name in set(states)]
    for rule, steps in found.items():
        if rule != "out_of_range":
            steps[:, coded] = 0
    return {rule: steps.astype(np.int32) for rule, steps in found.items()}


def _longest_runs(x: NDArray[np.float64]) -> NDArray[np.int64]:
    """Each channel's longest run of equal values, `(windows, channels)`."""
    longest = np.zeros((x.shape[0], x.shape[2]), np.int64)
    run = np.zeros_like(longest)
    for step in range(x.shape[1]):
        same = x[:, step] == x[:, step - 1] if step else np.zeros(run.shape, np.bool_)
        run = np.where(same, run + 1, np.where(np.isnan(x[:, step]), 0, 1))
        np.maximum(longest, run, out=longest)
    return longest


def _limits(
    channels: Sequence[str], ranges: Mapping[str, tuple[float, float]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    pairs = [ranges.get(name, (-np.inf, np.inf)) for name in channels]
    return np.array([low for low, _ in pairs], np.float64), np.array([high for _, high in pairs], np.float64)


def _outside(x: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.asarray(((x < low) | (x > high)).sum(axis=1))


def _outliers(x: NDArray[np.float64], usual: Usual, spreads: float) -> NDArray[np.int64]:
    reach = spreads * (usual.last - usual.first)
    reach = np.where(reach > 0, reach, np.inf)  # a channel that nearly always says one value has no spread to go by
    return _outside(x, usual.first - reach, usual.last + reach)


def _clipped(x: NDArray[np.float64], usual: Usual, steps: int) -> NDArray[np.int64]:
    if x.shape[1] < steps:
        return np.zeros((x.shape[0], x.shape[2]), np.int64)
    moves = usual.low < usual.high
    found = np.zeros((x.shape[0], x.shape[2]), np.int64)
    for extreme in (usual.low, usual.high):
        at = (x == extreme) & moves
        held = sliding_window_view(at, steps, axis=1).all(axis=-1)
        covered = np.zeros(at.shape, np.bool_)
        for shift in range(steps):
            covered[:, shift : shift + held.shape[1]] |= held
        found += covered.sum(axis=1)
    return found


def _spikes(x: NDArray[np.float64], usual: Usual, steps: float) -> NDArray[np.int64]:
    before, after = np.diff(x, axis=1)[:, :-1], np.diff(x, axis=1)[:, 1:]
    least = np.where(usual.step > 0, steps * usual.step, np.inf)
    leaps = (np.sign(before) == -np.sign(after)) & (np.minimum(np.abs(before), np.abs(after)) > least)
    return np.asarray(leaps.sum(axis=1))
