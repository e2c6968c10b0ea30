"""Quantiles of any number of values in little memory: an even sample of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

_KEPT: Final = 1 << 16
"""So many values of a channel are kept at least, spread over all of it, where there are as many."""


class Sketch:
    """Every so many-th row of those that were added; all, where they are few."""

    def __init__(self, channels: int) -> None:
        self._every = 1
        self._seen = 0
        self._kept: list[NDArray[np.float64]] = [np.empty((0, channels))]
        self._held = 0

    def add(self, rows: NDArray[np.float64]) -> None:
        """Take in `(rows, channels)`."""
        first = -self._seen % self._every
        self._seen += len(rows)
        kept = rows[first :: self._every]
        self._kept.append(kept)
        self._held += len(kept)
        while self._held > 2 * _KEPT:  # every other one stays, and of what follows every other one is taken
            together = np.concatenate(self._kept)[::2]
            self._kept, self._held, self._every = [together], len(together), 2 * self._every

    def quantiles(self, shares: Sequence[float]) -> NDArray[np.float64]:
        """`(shares, channels)`; missing values are left out, and a channel that has no others has NaN."""
        rows = np.concatenate(self._kept)
        found = np.full((len(shares), rows.shape[1]), np.nan)
        some = ~np.isnan(rows).all(axis=0) if len(rows) else np.zeros(rows.shape[1], np.bool_)
        if some.any():
            found[:, some] = np.nanquantile(rows[:, some], shares, axis=0)
        return found
