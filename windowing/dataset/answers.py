"""What a dataset gives: arrays, a batch, a window."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Arrays(NamedTuple):
    """What scikit-learn takes."""

    X: NDArray[np.float32]
    """(windows, steps, channels) float32; missing values are NaN"""
    y: NDArray[np.int64]
    """(windows,) int64: index into `Dataset.classes`"""
    groups: NDArray[np.str_]
    """(windows,): the device; or the recording, or an attribute of it, as was asked for"""


class StreamArrays(NamedTuple):
    """Each stream at its own rate."""

    X: dict[str, NDArray[np.float64]]
    """By stream, (windows, its own steps, its own channels) float64; missing values are NaN"""
    y: NDArray[np.int64]
    """(windows,) int64: index into `Dataset.classes`, -1 for none"""
    groups: NDArray[np.str_]
    """(windows,): as in `Arrays`"""


class Series(NamedTuple):
    """Samples of a stream as the sensor said them."""

    channels: tuple[str, ...]
    units: tuple[str, ...]
    times: NDArray[np.int64]
    """(samples,) int64: ns UTC"""
    values: NDArray[np.float64]
    """(samples, channels) float64, in the units; NaN where a channel was not there"""


class Batch(NamedTuple):
    """Some windows."""

    X: NDArray[np.float32]
    """(windows, steps, channels) float32; missing values are NaN"""
    y: NDArray[np.int64]
    """(windows,) int64: index into `Dataset.classes`, -1 for none"""
    rows: NDArray[np.int64]
    """(windows,) int64: their places in `Dataset.windows()`"""


class Window(NamedTuple):
    """One window."""

    X: NDArray[np.float32]
    """(steps, channels) float32; missing values are NaN"""
    y: int
    """Index into `Dataset.classes`, -1 for none"""
