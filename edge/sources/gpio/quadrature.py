"""Edges of an encoder's two lines to its position, each edge a count ("x4"). Pure.

A leads B by a quarter of a period where it turns forwards, B leads A where it turns back: an edge of A is a step
forwards where A is then unlike B, one of B where B is then like A. A line that says the same level twice has skipped an
edge in between, as does the kernel where its buffer ran over: how far it turned meanwhile nobody knows. That is told as
missed, and the position goes on from where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edge.decoders.scans.decoder import rows_of
from edge.sources.gpio.edges import RISING, Events, held
from ingest.times import NS

Steps = NDArray[np.int64]


class Quadrature:
    """The position at each edge, or once in `every_ns`; with a second channel also the direction: 1, -1, or 0 before
    the first step."""

    def __init__(self, offsets: Sequence[int], every_ns: int, channels: int) -> None:
        self.wait_s = every_ns / NS if every_ns else float("inf")
        self._column = {offset: column for column, offset in enumerate(offsets)}
        self._every_ns = every_ns
        self._channels = channels
        self._position = self._direction = 0
        self._missed = 0
        """Not told yet."""
        self.begin(0)

    @property
    def wants_levels(self) -> bool:
        """See `Edges`."""
        return bool(np.isnan(self._levels).any())

    def begin(self, at_ns: int) -> None:
        """See `Edges`: the position is what it was."""
        self._seqno = 0
        self._levels = np.full(2, np.nan)
        self._end_ns = at_ns + self._every_ns

    def stand(self, levels: Sequence[float], at_ns: int) -> bytes:
        """See `Edges`."""
        self._levels = np.array(levels, dtype=np.float64)
        return b"" if self._every_ns else self._same(np.array([at_ns]), np.zeros(1, dtype=np.uint32))

    def take(self, events: Events, ahead_ns: int) -> bytes:
        """See `Edges`."""
        numbers, times = events["seqno"], events["time_ns"].astype(np.int64) + ahead_ns
        missed = np.diff(numbers, prepend=np.uint32(self._seqno)) - np.uint32(1)
        self._seqno = int(numbers[-1])
        steps, unknown = self._steps(events, missed != 0)
        missed = missed + unknown
        if not self._every_ns:
            positions, directions = self._position + np.cumsum(steps), _filled(steps, self._direction)
            self._turn(steps)
            return self._rows(times, positions, directions, missed)
        found = []
        for begin, end in self._pieces(times):
            found.append(self.quiet(int(times[begin])))
            self._turn(steps[begin:end])
            self._missed += int(missed[begin:end].sum())
        return b"".join(found)

    def quiet(self, at_ns: int) -> bytes:
        """See `Edges`: the intervals that are over."""
        if not self._every_ns or at_ns < self._end_ns:
            return b""
        over = (at_ns - self._end_ns) // self._every_ns + 1
        times = self._end_ns + self._every_ns * np.arange(over, dtype=np.int64)
        missed = np.zeros(over, dtype=np.uint32)
        missed[0], self._missed = self._missed, 0
        self._end_ns += over * self._every_ns
        return self._same(times, missed)

    def _same(self, times: Steps, missed: NDArray[np.uint32]) -> bytes:
        """The position as it is."""
        count = len(times)
        return self._rows(times, np.full(count, self._position), np.full(count, self._direction), missed)

    def _steps(self, events: Events, is_break: NDArray[np.bool_]) -> tuple[Steps, NDArray[np.uint32]]:
        """Each event's step, and whether it is none although an edge was there."""
        count = len(events)
        columns = np.array([self._column[offset] for offset in events["offset"].tolist()])
        said = np.full((count, 2), np.nan)
        said[np.arange(count), columns] = events["id"] == RISING
        now = held(said, self._levels, is_break)
        before = np.vstack([self._levels, now[:-1]])
        self._levels = now[-1]
        own, other = now[np.arange(count), columns], now[np.arange(count), 1 - columns]
        is_known = ~np.isnan(other) & ~is_break & (before[np.arange(count), columns] != own)
        is_forwards = (own != other) == (columns == 0)
        steps = np.where(is_known, np.where(is_forwards, 1, -1), 0)
        return steps, (~is_known).astype(np.uint32)

    def _turn(self, steps: Steps) -> None:
        self._position += int(steps.sum())
        self._direction = int(_filled(steps, self._direction)[-1])

    def _pieces(self, times: Steps) -> list[tuple[int, int]]:
        """The events of each interval, as bounds."""
        numbers = np.maximum((times - self._end_ns) // self._every_ns, -1)
        cuts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(times)]
        return list(pairwise(cuts))

    def _rows(self, times: Steps, positions: Steps, directions: Steps, missed: NDArray[np.uint32]) -> bytes:
        values = np.stack([positions, directions], axis=1)[:, : self._channels]
        return rows_of(times, values.astype(np.float64), missed)


def _filled(steps: Steps, before: int) -> Steps:
    """The newest step at each event: 1 or -1; `before`, where there was none yet."""
    newest = np.maximum.accumulate(np.where(steps != 0, np.arange(1, len(steps) + 1), 0))
    return np.concatenate([[before], steps])[newest]
