"""Minimum and maximum of a channel by spans of time, in powers of 8: what a timeline draws of a day or a year. Pure.

A tile of level `k` covers the `8 ** k` nanoseconds from `bucket * 8 ** k` ns UTC on, so that its bucket is a time
shifted by bits, and eight tiles of a level are one of the next. Tiles of one span add up: whoever has half of it seals
what it has, and readers combine. Where there are no samples there is no tile: a gap stays a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.times import Times

BITS: Final = 3
"""A level is eight times as coarse as the one below it."""
TOP: Final = 15
"""The coarsest level: 9.8 hours. A year has 900 of them."""
SAMPLES: Final = 64
"""A stream's finest tiles hold about so many samples, or up to eight times as many: finer ones would cost as much as
the samples themselves, which a reader takes where it wants to see more."""


class Tiles(NamedTuple):
    """Tiles of one level of one channel; all `(tiles,)`, sorted by bucket."""

    bucket: NDArray[np.int64]
    samples: NDArray[np.int64]
    """How many samples have a value."""
    low: NDArray[Any]
    high: NDArray[Any]
    first_ns: NDArray[np.int64]
    first: NDArray[Any]
    last_ns: NDArray[np.int64]
    last: NDArray[Any]


def finest_level(period_ns: float) -> int:
    """The finest level kept of a stream of this period, in ns: the first whose span holds `SAMPLES` samples."""
    span_ns, level = SAMPLES * period_ns, 0
    while level < TOP and 1 << BITS * level < span_ns:
        level += 1
    return level


def tiles_of(times: Times, values: NDArray[Any], level: int) -> Tiles:
    """The tiles of samples, `(samples,)` each and in any order; what is NaN is no value."""
    if values.dtype.kind == "f":
        there = ~np.isnan(values)
        if not there.all():
            times, values = times[there], values[there]
    if len(times) > 1 and (times[1:] < times[:-1]).any():
        order = np.argsort(times, kind="stable")
        times, values = times[order], values[order]
    bucket = times >> BITS * level
    starts, stops = _runs(bucket)
    return Tiles(
        bucket[starts],
        stops - starts,
        np.minimum.reduceat(values, starts) if len(starts) else values,
        np.maximum.reduceat(values, starts) if len(starts) else values,
        times[starts],
        values[starts],
        times[stops - 1],
        values[stops - 1],
    )


def combined(parts: Sequence[Tiles], coarser: int = 0) -> Tiles:
    """One tile a bucket out of several parts of a level, or of the level that is `coarser` by so many."""
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    bucket = columns[0] >> BITS * coarser
    # Within a bucket by time: its first part has its first sample. What ends last has the last one.
    order = np.lexsort((columns[6], columns[4], bucket))
    _, count, low, high, first_ns, first, last_ns, last = (column[order] for column in columns)
    bucket = bucket[order]
    starts, stops = _runs(bucket)
    if not len(starts):
        return Tiles(bucket, count, low, high, first_ns, first, last_ns, last)
    ends = _last_of(last_ns, starts, stops)
    return Tiles(
        bucket[starts],
        np.add.reduceat(count, starts),
        np.minimum.reduceat(low, starts),
        np.maximum.reduceat(high, starts),
        first_ns[starts],
        first[starts],
        last_ns[ends],
        last[ends],
    )


def _runs(bucket: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where runs of one bucket begin and end."""
    if not len(bucket):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    edges = np.flatnonzero(bucket[1:] != bucket[:-1]) + 1
    return np.concatenate(([0], edges)), np.concatenate((edges, [len(bucket)]))


def _last_of(times: Times, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.int64]:
    """The index of the latest time in each run, the last of equal ones."""
    latest = np.repeat(np.maximum.reduceat(times, starts), stops - starts)
    indices = np.where(times == latest, np.arange(len(times)), -1)
    return np.maximum.reduceat(indices, starts)
