"""What virtual sensors share: recordings whose truth is known, when things happen, and what gets lost. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.records import StreamDescription
from ingest.times import Times

Counts = NDArray[np.int16] | NDArray[np.int32]
"""`(samples, channels)`: as the sensor writes them; a channel's physical value is its count times its scale."""


@dataclass(frozen=True, slots=True)
class Episode:
    """Something that happened over `[start_ns, end_ns)`; both lie on sample instants."""

    kind: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Samples that the sensor never delivered: those whose times lie in `[start_ns, end_ns)`."""

    start_ns: int
    end_ns: int
    samples: int


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """What the sensor wrote, and the truth about it."""

    times: Times
    """`(samples,) int64`, ns UTC, rising strictly: the grid of the sensor's rate without the gaps."""
    counts: Counts
    description: StreamDescription
    events: tuple[Episode, ...]
    """True events in order, disjoint; `kind` is the label."""
    near_misses: tuple[Episode, ...]
    """What only looks like an event."""
    gaps: tuple[Gap, ...]


def schedule(
    rng: np.random.Generator,
    samples: int,
    rate: float,
    seconds: Mapping[str, tuple[float, float]],
    calm_s: tuple[float, float] = (3.0, 8.0),
) -> Iterator[tuple[str, int, int]]:
    """(kind, first sample, last sample + 1) in order, calm in between, every kind once before any comes again.

    `seconds` says how long each kind lasts, from and to.
    """
    names = list(seconds)
    at = 0
    while True:
        for i in rng.permutation(len(names)):
            name = names[i]
            start = at + int(rng.uniform(*calm_s) * rate)
            at = start + max(2, int(rng.uniform(*seconds[name]) * rate))
            if at >= samples:
                return
            yield name, start, at


def missing(
    rng: np.random.Generator, grid: Times, rate: float, every_s: float = 30.0, shortest_s: float = 0.05
) -> list[tuple[Gap, slice]]:
    """Runs of missing samples, of `shortest_s` to 40 times that, never the first or the last sample.

    `grid` is `(samples + 1,) int64`: also the instant after the last sample.
    """
    samples = len(grid) - 1
    gaps: list[tuple[Gap, slice]] = []
    at = 1
    while True:
        start = at + int(rng.exponential(every_s) * rate)
        at = start + max(1, int(shortest_s * 40.0 ** rng.uniform() * rate))
        if at >= samples - 1:
            return gaps
        gaps.append((Gap(int(grid[start]), int(grid[at]), at - start), slice(start, at)))
        at += 1


def kept(samples: int, gaps: Sequence[tuple[Gap, slice]]) -> NDArray[np.bool_]:
    """`(samples,)`: which samples lie in no gap."""
    present = np.ones(samples, dtype=np.bool_)
    for _, where in gaps:
        present[where] = False
    return present


def run_above(level: NDArray[np.float64], limit: float, start: int, stop: int) -> tuple[int, int] | None:
    """The first sample in `[start, stop)` above `limit`, and the one at which that is over, or the end of all."""
    above = level > limit
    hits = np.flatnonzero(above[start:stop])
    if not len(hits):
        return None
    first = start + int(hits[0])
    below = np.flatnonzero(~above[first:])
    return first, first + int(below[0]) if len(below) else len(level)
