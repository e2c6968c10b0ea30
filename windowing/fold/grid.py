"""Grid instants: `origin + floor(j * period)` for integer `j`, with the period an exact rational of nanoseconds.

On the UTC axis `j` is huge (10^17 and more at high rates), so the whole part is taken with Python integers and only
short distances are computed in int64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.times import Times


@dataclass(frozen=True, slots=True)
class Grid:
    """Instants `origin_ns + floor(j * num / den)`; `num / den` is the period in ns, reduced, `den <= 2**32`."""

    origin_ns: int
    num: int
    den: int

    def instant(self, j: int) -> int:
        """The instant with index `j`, ns UTC."""
        return self.origin_ns + j * self.num // self.den

    def at_or_after(self, t_ns: int) -> int:
        """The smallest `j` whose instant is at or after `t_ns`."""
        return -((self.origin_ns - t_ns) * self.den // self.num)

    def at_or_before(self, t_ns: int) -> int:
        """The largest `j` whose instant is at or before `t_ns`."""
        return -((self.origin_ns - t_ns - 1) * self.den // self.num) - 1

    def instants(self, j: int, count: int, step: int = 1) -> Times:
        """The instants `j, j + step, …`: `(count,) int64`, ns UTC. `count * step` must stay below 2**30."""
        if self.den == 1:
            first, stride = self.instant(j), step * self.num
            return np.arange(first, first + count * stride, stride, dtype=np.int64)
        return self.instants_at(j, np.arange(0, count * step, step, dtype=np.int64))

    def instants_at(self, j: int, distances: NDArray[np.int64]) -> Times:
        """The instants `j + distances`: int64 of the same shape, ns UTC; distances from 0 to 2**30 and 2**62 ns."""
        whole, rest = divmod(j * self.num, self.den)
        if self.den == 1:
            times = distances * self.num
        else:
            # (rest + i * num) // den, without the product i * num that could overflow
            steps, part = divmod(self.num, self.den)
            times = distances * part
            times += rest
            times //= self.den
            times += distances * steps
        times += self.origin_ns + whole
        return times
