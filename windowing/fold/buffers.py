"""A growing, front-trimmed run of samples: times and values in two arrays that are moved rarely."""

from __future__ import annotations

from typing import Final

import numpy as np

from ingest.times import Times
from windowing.fold.resample import FAR_NS, Carried, Values, measured

_SMALL_CAPACITY = 4096
"""A smaller room is given back as soon as half of it is empty: it costs little, and there may be many streams."""
_KEPT_CAPACITY = 8192
"""A larger room is given back when it is next to empty: many streams had their backlogs at different times."""
_SPARE_CAPACITY: Final = 32_768
_spares: Final[dict[tuple[int, str], tuple[Times, Values]]] = {}
"""By channels and type, one room that was given back, for whoever needs a large one next: new memory is slow."""


class SampleBuffer:
    """Samples of one stream, strictly rising in time; `(n,) int64` ns UTC and `(n, channels)` float32 or float64."""

    __slots__ = ("_start", "_stop", "_times", "_values", "carried")

    def __init__(self, channels: int) -> None:
        self._times: Times = np.empty(0, dtype=np.int64)
        self._values: Values = np.empty((0, channels), dtype=np.float32)
        self._start = 0
        self._stop = 0
        self.carried: Carried | None = None
        """Values that were let go of, of channels that the first sample kept has none for."""

    def __len__(self) -> int:
        return self._stop - self._start

    @property
    def times(self) -> Times:
        """The kept times; a view that is good until the next `room`."""
        return self._times[self._start : self._stop]

    @property
    def values(self) -> Values:
        """The kept values; a view that is good until the next `room`."""
        return self._values[self._start : self._stop]

    def room(self, count: int, dtype: type[np.float32] | type[np.float64]) -> tuple[Times, Values]:
        """Space for `count` more samples of this type, to be filled by the caller at once.

        Once float64 values have come, the buffer holds float64: a float32 in it is exact.
        """
        wider = dtype is np.float64 and self._values.dtype != np.float64
        if wider or self._stop + count > len(self._times):
            if wider or 2 * len(self) + count > len(self._times):
                self._move(count, np.float64 if wider else self._values.dtype)
            else:
                self._slide()
        place = slice(self._stop, self._stop + count)
        self._stop += count
        return self._times[place], self._values[place]

    def _slide(self) -> None:
        """Move what is kept to the front; it is less than half, so the places do not overlap."""
        kept = len(self)
        self._times[:kept] = self.times
        self._values[:kept] = self.values
        self._start, self._stop = 0, kept

    def _move(self, count: int, dtype: type[np.float64] | np.dtype[np.float32] | np.dtype[np.float64]) -> None:
        kept, left = len(self), (self._times, self._values)
        # Room for as much again: what is kept is moved rarely, and not at all while the front is trimmed as fast.
        capacity = 2 * kept + count if kept + count > _SMALL_CAPACITY else kept + count
        times, values = _room(capacity, self._values.shape[1], dtype)
        times[:kept] = self.times
        values[:kept] = self.values
        self._times, self._values, self._start, self._stop = times, values, 0, kept
        if _KEPT_CAPACITY < len(left[0]) <= _SPARE_CAPACITY:
            _spares[left[1].shape[1], left[1].dtype.char] = left

    def clear(self) -> None:
        """Let go of all samples, which somebody else keeps: what is carried stays."""
        self._times, self._values = self._times[:0].copy(), self._values[:0].copy()
        self._start = self._stop = 0

    def trim(self, low_ns: int) -> None:
        """Let go of what no instant at or after `low_ns` needs: all before the last sample at or before it."""
        if self._stop > self._start:
            passed = max(0, int(self.times.searchsorted(low_ns, side="right")) - 1)
            if passed:
                self._carry(passed)
                self._start += passed
        kept, capacity = len(self), len(self._times)
        small, large = capacity <= _SMALL_CAPACITY, capacity > _KEPT_CAPACITY
        if (small and 2 * kept < capacity) or (large and 8 * kept < capacity):
            self._move(0, self._values.dtype)

    def _carry(self, passed: int) -> None:
        """Of channels that are empty in row `passed`, remember the newest value before it."""
        there = measured(self.values[passed])
        if there.all():
            self.carried = None
            return
        empty = ~there
        channels = self._values.shape[1]
        before = self.carried or Carried(np.full(channels, -FAR_NS), np.zeros(channels))
        times, values = before.times.copy(), before.values.copy()
        for column in np.flatnonzero(empty):
            rows = np.flatnonzero(measured(self.values[:passed, column]))
            if len(rows):
                times[column], values[column] = self.times[rows[-1]], self.values[rows[-1], column]
        times[~empty] = -FAR_NS
        self.carried = Carried(times, values)


def _room(
    capacity: int, channels: int, dtype: type[np.float64] | np.dtype[np.float32] | np.dtype[np.float64]
) -> tuple[Times, Values]:
    """Uninitialised times and values of so many samples, or more."""
    if capacity > _KEPT_CAPACITY:
        spare = _spares.pop((channels, np.dtype(dtype).char), None)
        if spare is not None and len(spare[0]) >= capacity:
            return spare
    return np.empty(capacity, dtype=np.int64), np.empty((capacity, channels), dtype=dtype)
