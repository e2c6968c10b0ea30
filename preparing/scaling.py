"""Scaling: each channel onto a range that models like, by numbers that come from the windows for training alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from preparing.sketch import Sketch
from preparing.training import Training, channels_of, training_batches

Method: TypeAlias = Literal["z-score", "min-max", "robust"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)


@dataclass(frozen=True, slots=True)
class Scaler:
    """`(x - offset) / scale`, per channel.

    `z-score`: mean and standard deviation; `min-max`: onto 0..1; `robust`: median and interquartile range. A channel
    that stands still keeps its scale of 1. Missing values stay missing.
    """

    method: Method
    channels: tuple[str, ...]
    offset: tuple[float, ...]
    scale: tuple[float, ...]

    def __call__(self, X: NDArray[np.floating]) -> NDArray[np.float32]:
        """Windows `(windows, steps, channels)`, scaled."""
        _check(X, self.channels)
        made = X.astype(np.float64)
        made -= np.array(self.offset)
        made /= np.array(self.scale)
        return made.astype(np.float32)

    def inverse(self, X: NDArray[np.floating]) -> NDArray[np.float32]:
        """Scaled windows, in their units again."""
        _check(X, self.channels)
        made = X.astype(np.float64)
        made *= np.array(self.scale)
        made += np.array(self.offset)
        return made.astype(np.float32)

    def parameters(self) -> dict[str, Any]:
        """As JSON can hold it: what a model needs beside it wherever it runs."""
        by_channel = {
            channel: {"offset": offset, "scale": scale}
            for channel, offset, scale in zip(self.channels, self.offset, self.scale, strict=True)
        }
        return {"method": self.method, "channels": by_channel}

    @classmethod
    def of(cls, parameters: dict[str, Any]) -> Scaler:
        """The scaler of `parameters`. Raises `UsageError` where they are none."""
        try:
            method, channels = parameters["method"], parameters["channels"]
            pairs = [(float(each["offset"]), float(each["scale"])) for each in channels.values()]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"scaling: these are no parameters of a scaler: {error!r}") from error
        _known(method)
        if any(not (np.isfinite(offset) and np.isfinite(scale) and scale > 0) for offset, scale in pairs):
            raise UsageError("scaling: an offset is no number, or a scale is not above 0")
        return cls(method, tuple(channels), tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs))


def fit_scaler(train: Training, channels: Sequence[str] | None = None, method: Method = "z-score") -> Scaler:
    """A scaler of the windows for training: a handle, as in `split["train"]`, or batches of them, `(windows, steps,
    channels)` each, with their channels' names. Those of a test are no business of it: their handle raises.

    Memory does not grow with them: the quantiles of `robust` are those of 65,536 values a channel, spread over all.

    Raises:
        UsageError: the method is none, the windows are of another part, do not fit, or a channel has no value at all.
    """
    _known(method)
    channels = channels_of(train, channels, "scaling")
    fitting = _Fitting(len(channels))
    for batch in training_batches(train, "scaling"):
        _check(batch, channels)
        fitting.add(batch.reshape(-1, len(channels)).astype(np.float64))
    empty = np.flatnonzero(fitting.count == 0)
    if len(empty):
        raise UsageError(f"scaling: channel {channels[int(empty[0])]} has no value in the windows for training")
    offset, scale = fitting.numbers(method)
    scale = np.where(scale > 0, scale, 1.0)
    return Scaler(method, tuple(channels), tuple(offset.tolist()), tuple(scale.tolist()))


class _Fitting:
    """Count, mean and sum of squares (Chan et al. 1979), the extremes, and an even sample of each channel."""

    def __init__(self, channels: int) -> None:
        self.count = np.zeros(channels)
        self._mean = np.zeros(channels)
        self._squares = np.zeros(channels)
        self._low = np.full(channels, np.inf)
        self._high = np.full(channels, -np.inf)
        self._sketch = Sketch(channels)

    def add(self, rows: NDArray[np.float64]) -> None:
        """Take in `(samples, channels)`."""
        there = ~np.isnan(rows)
        count = there.sum(axis=0)
        known = count > 0
        filled = np.where(there, rows, 0.0)
        mean = filled.sum(axis=0) / np.maximum(count, 1)
        squares = (np.where(there, rows - mean, 0.0) ** 2).sum(axis=0)
        total = np.maximum(self.count + count, 1)
        off = mean - self._mean
        self._squares += np.where(known, squares + off**2 * self.count * count / total, 0.0)
        self._mean += np.where(known, off * count / total, 0.0)
        self.count += count
        self._low = np.minimum(self._low, np.where(there, rows, np.inf).min(axis=0, initial=np.inf))
        self._high = np.maximum(self._high, np.where(there, rows, -np.inf).max(axis=0, initial=-np.inf))
        self._sketch.add(rows)

    def numbers(self, method: Method) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Offset and scale of each channel."""
        if method == "z-score":
            return self._mean, np.sqrt(self._squares / self.count)
        if method == "min-max":
            return self._low, self._high - self._low
        low, middle, high = self._sketch.quantiles((0.25, 0.5, 0.75))
        return middle, high - low


def _known(method: str) -> None:
    if method not in METHODS:
        raise UsageError(f"scaling: {method!r} is no method; known: {', '.join(METHODS)}")


def _check(X: NDArray[np.floating], channels: Sequence[str]) -> None:
    if X.ndim != 3 or X.shape[2] != len(channels):
        raise UsageError(f"scaling: X is {X.shape}; (windows, steps, {len(channels)}) is needed")
