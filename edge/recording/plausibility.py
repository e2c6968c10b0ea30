"""Values that cannot be: outside of a channel's limits, or further from the one before than it can move. Pure.

Lost bytes join two good lines to a bad one: `0.01,0.02,9` and `99` are `0.01,0.02,999`. A line has no checksum; only
what is known of the sensor tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.protocol import SourceConfig, Values
from edge.recording.correcting import Corrector
from ingest.states import unnamed

IMPLAUSIBLE: Final = "implausible"
UNKNOWN_STATE: Final = "unknown_state"
Mask = NDArray[np.bool_]
Row = NDArray[np.float64]
"""`(channels,)`, in the channels' units."""


class Plausibility:
    """`min`, `max` and `max_step` of a source's channels. `sift` says which samples can be."""

    def __init__(self, config: SourceConfig) -> None:
        def each(limits: Mapping[str, float], default: float) -> Row:
            return np.array([limits.get(name, default) for name in config.channels])

        stored = Corrector(config)
        self._scales, self._offsets = each(stored.scales, 1.0), each(stored.offsets, 0.0)
        self._low, self._high = each(config.low, -np.inf), each(config.high, np.inf)
        self._step = each(config.step, np.inf)
        self._is_stepped = bool(config.step)
        self.is_needed = bool(config.low or config.high or config.step)
        """Whether anything is limited."""
        self._last: Row = np.full(len(self._scales), np.nan)
        """The newest values that were accepted."""
        self._refused: Row | None = None
        """The sample before, where it was refused for its step alone."""

    def sift(self, values: Values) -> Mask:
        """Which of `(samples, channels)` recorded values are plausible, `(samples,)`. A missing value is."""
        values = values * self._scales + self._offsets
        with np.errstate(invalid="ignore"):
            outside = (values < self._low) | (values > self._high)
        good = np.logical_not(outside.any(axis=1))
        if self._is_stepped:
            self._sift_steps(values, good)
        return good

    def _sift_steps(self, values: Values, good: Mask) -> None:
        """Refuse what is a step away from the sample before. Two that agree are believed: the sensor did move."""
        for row in np.flatnonzero(good):
            value = values[row]
            if self._near(value, self._last) or (self._refused is not None and self._near(value, self._refused)):
                self._last, self._refused = np.where(np.isnan(value), self._last, value), None
            else:
                good[row], self._refused = False, value

    def _near(self, value: Row, other: Row) -> bool:
        with np.errstate(invalid="ignore"):  # a missing value is near to every other
            return not bool((np.abs(value - other) > self._step).any())


class Enumeration:
    """The named states of a source's channels. `strange` says which samples have a value that is none of them."""

    def __init__(self, config: SourceConfig) -> None:
        names = list(config.channels)
        self._states = [(names.index(channel), states) for channel, states in config.states.items()]
        self.is_needed = bool(self._states)
        """Whether any channel has states."""

    def strange(self, values: Values) -> Mask:
        """Which of `(samples, channels)` raw values name no state, `(samples,)`. A missing value is not strange."""
        found = np.zeros(len(values), np.bool_)
        for column, states in self._states:
            found |= unnamed(values[:, column], states)
        return found
