"""What is recorded of what a sensor says: calibrated, and with its axes turned to the device's. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edge.protocol import SourceConfig, Values
from ingest.records import Correction

Matrix = NDArray[np.float64]


class Corrector:
    """A source's `calibration` and `axes`."""

    def __init__(self, config: SourceConfig) -> None:
        names = list(config.channels)
        correction = config.correction or Correction()
        is_calibrated = bool(correction.matrix or correction.bias)
        self.scales: Mapping[str, float] = {} if is_calibrated else config.scales
        """Physical value per recorded one, by channel: what is calibrated is recorded in its unit."""
        self.offsets: Mapping[str, float] = {} if is_calibrated else config.offsets
        """The physical value where the recorded one is 0, by channel."""
        self.is_needed = config.correction is not None
        """Whether `apply` changes anything."""
        self._bias = np.array(correction.bias or [0.0] * len(names))
        if is_calibrated:
            self._scale = np.array([config.scales.get(name, 1.0) for name in names])
            self._bias = self._bias - [config.offsets.get(name, 0.0) for name in names]
        else:
            self._scale = np.ones(len(names))
        self._matrix = turned(correction.axes, names) @ np.array(correction.matrix or np.eye(len(names)))

    def apply(self, values: Values) -> Values:
        """What is recorded of `(samples, channels)` values as decoded, of the same shape.

        A channel is missing where one that it is made of is missing.
        """
        if not self.is_needed:
            return values
        physical = values * self._scale - self._bias
        corrected: Values = np.empty_like(physical)
        for channel, row in enumerate(self._matrix):  # 0 times a missing value is no 0
            used = np.flatnonzero(row)
            corrected[:, channel] = physical[:, used] @ row[used]
        return corrected


def turned(axes: tuple[str, ...], names: list[str]) -> Matrix:
    """The matrix of `Correction.axes`, `(channels, channels)`."""
    matrix = np.zeros((len(names), len(names)))
    for channel, axis in enumerate(axes or names):
        matrix[channel, names.index(axis.removeprefix("-"))] = -1.0 if axis.startswith("-") else 1.0
    return matrix


def physical(config: SourceConfig, values: Values) -> Values:
    """Samples as decoded, `(samples, channels)`, as what they are recorded for, in the channels' units."""
    corrector = Corrector(config)
    scale = np.array([corrector.scales.get(name, 1.0) for name in config.channels])
    offset = np.array([corrector.offsets.get(name, 0.0) for name in config.channels])
    found: Values = corrector.apply(values) * scale + offset
    return found
