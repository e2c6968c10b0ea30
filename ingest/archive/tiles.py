"""Minimum and maximum of a channel by spans of time, in powers of 8: what a timeline draws of a day or a year. Pure.

A tile of level `k` covers the `8 ** k` nanoseconds from `bucket * 8 ** k` ns UTC on, so that its bucket is a time
shifted by bits, and eight tiles of a level are one of the next. Tiles of one span add up: whoever has half of it seals
what it has, and readers combine. Where there are no samples there is no tile: a gap stays a gap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

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


Owners: TypeAlias = NDArray[np.int32]
"""Whose each of several tiles is, as a number."""
_Runs: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Where runs of one bucket begin and end."""


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
    (tiles,) = tiles_of_all(times, [values], level)
    return tiles


def tiles_of_all(times: Times, columns: Sequence[NDArray[Any]], level: int) -> Iterator[Tiles]:
    """The tiles of each channel of a stream, whose samples have the same times: where tiles begin is found once."""
    if len(times) > 1 and (times[1:] < times[:-1]).any():
        order = np.argsort(times, kind="stable")
        times, columns = times[order], [column[order] for column in columns]
    bucket = times >> BITS * level
    runs = _runs(bucket)
    for values in columns:
        if values.dtype.kind == "f" and np.isnan(values).any():
            there = ~np.isnan(values)
            yield _tiles_of(times[there], values[there], bucket[there], _runs(bucket[there]))
        else:
            yield _tiles_of(times, values, bucket, runs)


def _tiles_of(times: Times, values: NDArray[Any], bucket: NDArray[np.int64], runs: _Runs) -> Tiles:
    """The tiles of samples in the order of time."""
    starts, stops = runs
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


def coarser(owner: Owners, tiles: Tiles) -> tuple[Owners, Tiles]:
    """The tiles of the next level out of all of one level: those of each owner, of which no two are of one bucket, lie
    together. Whose they are, `(tiles,)`, and the tiles."""
    bucket = tiles.bucket >> BITS
    starts, stops = _runs(bucket, owner)
    if not len(starts):
        return owner, tiles
    return owner[starts], Tiles(
        bucket[starts],
        np.add.reduceat(tiles.samples, starts),
        np.minimum.reduceat(tiles.low, starts),
        np.maximum.reduceat(tiles.high, starts),
        tiles.first_ns[starts],
        tiles.first[starts],
        tiles.last_ns[stops - 1],
        tiles.last[stops - 1],
    )


def combined(parts: Sequence[Tiles], coarser: int = 0) -> Tiles:
    """One tile a bucket out of several parts of a level, or of the level that is `coarser` by so many."""
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    bucket = columns[0] >> BITS * coarser
    _, count, low, high, first_ns, first, last_ns, last = columns
    if not all(_rises(column) for column in (bucket, first_ns, last_ns)):
        # Within a bucket by time: its first part has its first sample. What ends last has the last one.
        order = np.lexsort((last_ns, first_ns, bucket))
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


def _rises(column: NDArray[np.int64]) -> bool:
    return bool((column[1:] >= column[:-1]).all())


def _runs(bucket: NDArray[np.int64], owner: Owners | None = None) -> _Runs:
    """Where runs of one bucket, of one owner, begin and end."""
    if not len(bucket):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    differs = bucket[1:] != bucket[:-1]
    if owner is not None:
        differs |= owner[1:] != owner[:-1]
    edges = np.flatnonzero(differs) + 1
    return np.concatenate(([0], edges)), np.concatenate((edges, [len(bucket)]))


def _last_of(times: Times, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.int64]:
    """The index of the latest time in each run, the last of equal ones."""
    latest = np.repeat(np.maximum.reduceat(times, starts), stops - starts)
    indices = np.where(times == latest, np.arange(len(times)), -1)
    return np.maximum.reduceat(indices, starts)
