"""Regression: what a model predicts is a channel's value, at a window's end or some steps behind it.

Signals hold no more than windows; what comes behind one is in the next ones, on the same grid. So the value at a
horizon is looked up in a window of the same recording that has that instant. Where there is none (the recording ended,
there was a gap, a trim took it out, or the handle does not select it) or its cell is empty, there is no target: such
windows are left out, and counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.settings import suggest
from ingest.units import parse_duration
from windowing.dataset.index import coded
from windowing.spec import WindowSpec

if TYPE_CHECKING:
    from windowing.dataset.reader import Dataset

Ints = NDArray[np.int64]
NO_WINDOW: Final = "no_window"
NO_VALUE: Final = "no_value"
_TOGETHER: Final = 4096
_OFF_NS_MAX: Final = 2
"""Instants are floors of exact rationals: two that are the same by number differ by no more."""


class RegressionBatch(NamedTuple):
    """Some windows, and what is to be predicted of them."""

    X: NDArray[np.float32]
    """(windows, steps, inputs) float32; missing values are NaN"""
    y: NDArray[np.float32]
    """(windows, targets) or (windows, horizons, targets) float32"""
    rows: Ints
    """(windows,) int64: their places in `Regression.dataset`"""


class RegressionArrays(NamedTuple):
    """What scikit-learn takes."""

    X: NDArray[np.float32]
    """(windows, steps, inputs) float32; missing values are NaN"""
    y: NDArray[np.float32]
    """(windows, targets) or (windows, horizons, targets) float32"""
    groups: NDArray[np.str_]
    """(windows,): as `Dataset.arrays` has them"""


@dataclass(frozen=True, eq=False)
class Regression:
    """Windows that have their targets; `Dataset.regression` makes it."""

    dataset: Dataset
    """The handle on them."""
    targets: tuple[str, ...]
    horizons: tuple[int, ...]
    """Steps behind a window's last one."""
    inputs: tuple[str, ...]
    """The channels of `X`: without the targets where a horizon is 0, for these would be their own answer."""
    y: NDArray[np.float32]
    """(windows, targets), with several horizons (windows, horizons, targets) float32, in the channels' units"""
    missing: Mapping[str, int]
    """How many windows were left out: `no_window` has their instant, or `no_value` is there."""

    def __len__(self) -> int:
        """The number of windows."""
        return len(self.dataset)

    def arrays(self, *, groups: str = "device") -> RegressionArrays:
        """`X, y, groups` in the order of `dataset.windows()`. Raises as `Dataset.arrays`."""
        found = self.dataset.arrays("keep", groups=groups)
        return RegressionArrays(self._of_inputs(found.X), self.y, found.groups)

    def batches(self, size: int, **order: Any) -> Iterator[RegressionBatch]:
        """The windows in batches; `order` is what `Dataset.batches` takes, but for `unlabelled`. Raises as that."""
        for batch in self.dataset.batches(size, unlabelled="keep", **order):
            yield RegressionBatch(self._of_inputs(batch.X), self.y[batch.rows], batch.rows)

    def _of_inputs(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        channels = self.dataset.channels
        if len(self.inputs) == len(channels):
            return X
        return np.ascontiguousarray(X[..., [channels.index(name) for name in self.inputs]])


def regression_of(dataset: Dataset, targets: Sequence[str], horizon: int | str | Sequence[int]) -> Regression:
    """See `Dataset.regression`. Raises `UsageError`."""
    window = dataset.contents.config.window
    for name in targets:
        if name not in window.channels:
            raise UsageError(f'regression: found "{name}"{suggest(name, window.channels)}')
    if not targets:
        raise UsageError(f"regression: name the channels to predict; there are {', '.join(window.channels)}")
    horizons = _steps(horizon, window)
    inputs = tuple(name for name in window.channels if min(horizons) > 0 or name not in targets)
    if not inputs:
        raise UsageError("regression: every channel is a target, so nothing is left to predict from; give a horizon")
    places, steps = _lookup(dataset, window, horizons)
    there = (places >= 0).all(axis=1)
    kept = np.flatnonzero(there)
    values = _cells(dataset, places[kept], steps[kept], [window.channels.index(name) for name in targets])
    known = ~np.isnan(values).any(axis=(1, 2))
    missing = {NO_WINDOW: int((~there).sum()), NO_VALUE: int((~known).sum())}
    y = values[known] if len(horizons) > 1 else values[known, 0]
    return Regression(dataset.select(kept[known]), tuple(targets), horizons, inputs, y, missing)


def _steps(horizon: int | str | Sequence[int], window: WindowSpec) -> tuple[int, ...]:
    """Steps of the grid. Raises `UsageError` where there are none, or a time that is no whole number of them."""
    if isinstance(horizon, float):
        raise UsageError(f'regression: horizon: found {horizon}, expected whole steps, or a time as in "2s"')
    if isinstance(horizon, str):
        num, den = window.period
        steps, rest = divmod(parse_duration(horizon) * den, num)
        if rest:
            raise UsageError(
                f'regression: horizon: "{horizon}" is no whole number of steps at {float(window.rate):g} Hz; '
                f"the nearest are {steps} and {steps + 1} steps"
            )
        horizon = steps
    found = (horizon,) if isinstance(horizon, int) else tuple(int(each) for each in horizon)
    if not found or min(found) < 0 or len(set(found)) < len(found):
        raise UsageError(f"regression: horizon: found {horizon!r}, expected steps of 0 or more, each once")
    return found


def _lookup(dataset: Dataset, window: WindowSpec, horizons: Sequence[int]) -> tuple[Ints, Ints]:
    """For each window and horizon the place of a window that has the instant, -1 where none does, and the step in it:
    `(windows, horizons) int64` each."""
    table = dataset.columns(("device", "recording", "anchor", "k", "t0_ns"))
    own = np.zeros(len(table), np.int64)
    for name in ("device", "recording", "anchor"):
        codes, names = coded(table[name])
        own = own * len(names) + codes
    k, t0_ns = table["k"].to_numpy(), table["t0_ns"].to_numpy()
    places = np.full((len(table), len(horizons)), -1)
    steps = np.zeros((len(table), len(horizons)), np.int64)
    order = np.lexsort((k, own))
    ends = np.append(np.flatnonzero(np.diff(own[order])) + 1, len(order))
    begin = 0
    num, den = window.period
    for end in ends.tolist():
        few = order[begin:end]
        begin = end
        for number, horizon in enumerate(horizons):
            instant = k[few] * window.hop + window.length - 1 + horizon
            # The newest window that has begun by then has the instant if any has; for a horizon of 0 it is its own.
            at = k[few].searchsorted(instant // window.hop, side="right") - 1 if horizon else np.arange(len(few))
            step = instant - k[few][at] * window.hop
            off = t0_ns[few][at] - t0_ns[few] - (k[few][at] - k[few]) * (window.hop * num / den)
            there = (step < window.length) & (
                np.abs(off) <= _OFF_NS_MAX
            )  # a recording that began anew has these numbers twice
            places[few, number] = np.where(there, few[at], -1)
            steps[few, number] = step
    return places, steps


def _cells(dataset: Dataset, places: Ints, steps: Ints, columns: Sequence[int]) -> NDArray[np.float32]:
    """`(windows, horizons, targets)`: each window is read once."""
    shape = places.shape
    flat, at = places.reshape(-1), steps.reshape(-1)
    values = np.empty((len(flat), len(columns)), np.float32)
    order = np.argsort(flat, kind="stable")
    for begin in range(0, len(order), _TOGETHER):
        few = order[begin : begin + _TOGETHER]
        own, which = np.unique(flat[few], return_inverse=True)
        values[few] = dataset.signals(own)[which, at[few]][:, columns]
    return values.reshape(*shape, len(columns))
