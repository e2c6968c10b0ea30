"""Missing values: where they are, and how they are filled, where somebody decides to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.settings import suggest
from preparing.sketch import Sketch
from preparing.training import Training, training_batches

How: TypeAlias = Literal["linear", "hold", "median"]
HOWS: Final[tuple[How, ...]] = get_args(How)


def mask_of(X: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which values are there, `(windows, steps, channels) bool`: what a model that can tell missing values takes."""
    return np.asarray(~np.isnan(X))


@dataclass(frozen=True, slots=True)
class Imputer:
    """Fills missing values, by channel; `imputer` makes one.

    `linear`: on the line between the neighbours that are there, beyond the outer ones level; `hold`: the last value
    before, at a window's start the first one; `median`: the channel's median in the windows for training. A window's
    channel that has no value at all stays missing, but for `median`. Only a window's own values are used.
    """

    channels: tuple[str, ...]
    how: tuple[How | None, ...]
    """Of each channel; None: left missing."""
    median: tuple[float, ...]
    """Of each channel; NaN where it is not needed."""

    def __call__(self, X: NDArray[np.floating]) -> NDArray[np.float32]:
        """Windows `(windows, steps, channels)`, filled; `mask_of` what came says what was. Raises `UsageError`."""
        if X.ndim != 3 or X.shape[2] != len(self.channels):
            raise UsageError(f"imputing: X is {X.shape}; (windows, steps, {len(self.channels)}) is needed")
        made = X.astype(np.float32)
        for number, how in enumerate(self.how):
            column = made[..., number]
            if how is None or not np.isnan(column).any():
                continue
            if how == "median":
                column[np.isnan(column)] = self.median[number]
            else:
                rows = np.flatnonzero(np.isnan(column).any(axis=1) & ~np.isnan(column).all(axis=1))
                column[rows] = (_on_lines if how == "linear" else _held)(column[rows])
        return made

    def parameters(self) -> dict[str, Any]:
        """As JSON can hold it: the choice, to go with a version or a model."""
        every = zip(self.channels, self.how, self.median, strict=True)
        return {
            name: {"how": how} | ({"median": median} if how == "median" else {}) for name, how, median in every if how
        }


def imputer(channels: Sequence[str], how: How | dict[str, How], train: Training = ()) -> Imputer:
    """Fill all channels alike, or each as a dictionary says; `median` needs the windows for training, and no others: a
    handle, as in `split["train"]`, or batches of them.

    Raises:
        UsageError: a channel or a way is none, the windows are of another part, or a channel has no median there.
    """
    by_channel = dict.fromkeys(channels, how) if isinstance(how, str) else how
    for name, each in by_channel.items():
        if name not in channels:
            raise UsageError(f'imputing: found "{name}"{suggest(name, channels)}')
        if each not in HOWS:
            raise UsageError(f'imputing: {name}: found "{each}"{suggest(str(each), HOWS)}')
    median = np.full(len(channels), np.nan)
    if "median" in by_channel.values():
        sketch = Sketch(len(channels))
        for batch in training_batches(train, "imputing"):
            sketch.add(batch.reshape(-1, len(channels)).astype(np.float64))
        (median,) = sketch.quantiles((0.5,))
        for name, value in zip(channels, median.tolist(), strict=True):
            if by_channel.get(name) == "median" and np.isnan(value):
                raise UsageError(f"imputing: {name} has no value in the windows for training, so no median")
    chosen = tuple(by_channel.get(name) for name in channels)
    medians = tuple(float(value) if each == "median" else np.nan for value, each in zip(median, chosen, strict=True))
    return Imputer(tuple(channels), chosen, medians)


def _held(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row's last value before, at its start the first one."""
    there = ~np.isnan(rows)
    last = np.maximum.accumulate(np.where(there, np.arange(rows.shape[1]), 0), axis=1)
    held = np.take_along_axis(rows, last, axis=1)
    first = np.take_along_axis(rows, there.argmax(axis=1)[:, None], axis=1)
    return np.where(np.isnan(held), first, held)


def _on_lines(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    made = rows.copy()
    at = np.arange(rows.shape[1])
    for row in made:
        missing = np.isnan(row)
        row[missing] = np.interp(at[missing], at[~missing], row[~missing].astype(np.float64))
    return made
