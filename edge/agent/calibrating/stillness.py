"""Stretches in which a sensor is still: what a calibration measures. Pure.

Samples go into blocks of a quarter of the time that a stretch must last. A block is still where no channel's standard
deviation is above a limit, and goes on with the stretch where its mean has moved by no more than three times that. What
is measured is the stretch without its first and its last block, in which it was still being put down or taken up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.protocol import Values

PARTS: Final = 4
"""Blocks of a stretch that is long enough, beside the two that are left out."""
RESTLESS: Final = 5 * PARTS
"""So many blocks in a row that were none of them still are told: nobody would know what it waits for."""
_DRIFT: Final = 3.0
Row = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Still:
    """A stretch: `mean` and `noise` (standard deviation), `(channels,)`, of `samples` over `seconds`."""

    mean: Row
    noise: Row
    samples: int
    seconds: float


@dataclass(slots=True)
class _Block:
    number: int
    rows: list[Row] = field(default_factory=list)

    def whole(self) -> Values:
        return np.array(self.rows)


class Stillness:
    """Finds stretches of at least `hold_s` in which nothing varies by more than `limit`, in the channels' units."""

    def __init__(self, hold_s: float, limit: float) -> None:
        self._block_s = hold_s / PARTS
        self._limit = limit
        self._hold_s = hold_s
        self._block: _Block | None = None
        self._stretch: list[Values] = []
        self._told = False
        """The stretch was long enough already, and `take` has said so."""
        self._restless: list[float] = []
        """Of the blocks since the last one that was still: how much the channel varied that did so most."""

    @property
    def held_s(self) -> float:
        """For how long it has been still by now."""
        return len(self._stretch) * self._block_s

    def restless(self) -> float | None:
        """The least that it varied by, where it has not been still for five times as long as it must; told once in such
        a time."""
        if len(self._restless) < RESTLESS:
            return None
        least, self._restless = min(self._restless), []
        return least

    def take(self, times_s: NDArray[np.float64], values: Values) -> list[Still]:
        """What has become long enough with these samples, `(samples, channels)` at rising times. A stretch that goes on
        is told once; a missing value is no sample."""
        found: list[Still] = []
        for time_s, row in zip(times_s.tolist(), values, strict=True):
            if np.isnan(row).any():
                continue
            number = int(time_s // self._block_s)
            if self._block is not None and number != self._block.number:
                found += self._close(number)
            if self._block is None or number != self._block.number:
                self._block = _Block(number)
            self._block.rows.append(row)
        return found

    def _close(self, next_number: int) -> list[Still]:
        assert self._block is not None
        block, number = self._block.whole(), self._block.number
        varies = float(block.std(axis=0).max())
        is_still = varies <= self._limit
        self._restless = [] if is_still else [*self._restless, varies]
        goes_on = bool(self._stretch) and bool(
            (abs(block.mean(axis=0) - self._stretch[0].mean(axis=0)) <= _DRIFT * self._limit).all()
        )
        if not is_still or not goes_on:
            self._stretch, self._told = [], False
        if is_still:
            self._stretch.append(block)
        if next_number > number + 1:  # nothing came for a while: nobody knows what was then
            self._stretch, self._told = [], False
        if self._told or len(self._stretch) < PARTS + 2:
            return []
        self._told = True
        kept = np.vstack(self._stretch[1:-1])
        return [Still(kept.mean(axis=0), kept.std(axis=0), len(kept), self._hold_s)]
