"""The order of batches: a function of (seed, epoch), the same for any number of workers, and resumable. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """Which windows come in which batch.

    Raises `UsageError` where a number is out of range.
    """

    size: int
    shuffle: bool = False
    seed: int = 0
    epoch: int = 0
    drop_last: bool = False
    resume: int = 0
    """So many batches were taken before."""
    worker: tuple[int, int] = (0, 1)
    """Which of how many: each gets every so many-th batch, so that taken in turn they are all, in their order."""

    def __post_init__(self) -> None:
        number, workers = self.worker
        if self.size < 1:
            raise UsageError(f"batches: size: found {self.size}, expected at least 1")
        if min(self.resume, self.seed, self.epoch) < 0:
            raise UsageError("batches: seed, epoch and resume are 0 or more")
        if not 0 <= number < workers:
            raise UsageError(f"batches: worker: found {self.worker}, expected (number, workers), as in (0, 4)")

    def order(self, count: int) -> NDArray[np.int64]:
        """Of `count` windows the place of each that comes, `(count,) int64`."""
        if not self.shuffle:
            return np.arange(count)
        # A bit generator's raw numbers are the same in every version of numpy (NEP 19), `permutation` is not.
        drawn = np.random.PCG64([self.seed, self.epoch]).random_raw(count)
        return np.argsort(drawn, kind="stable")

    def number_of(self, count: int) -> int:
        """How many batches `count` windows make, those before `resume` included."""
        return count // self.size if self.drop_last else -(-count // self.size)

    def batches(self, count: int) -> Iterator[NDArray[np.int64]]:
        """Of `count` windows the places of those in each batch."""
        order = self.order(count)
        number, workers = self.worker
        for batch in range(self.resume + number, self.number_of(count), workers):
            yield order[batch * self.size : (batch + 1) * self.size]
