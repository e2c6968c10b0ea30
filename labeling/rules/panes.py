"""Sums over panes: stretches of an eighth of a span, aligned to the epoch, each added up in sample order."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ingest.times import Times
from labeling.rules.ast import RollKind

Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
K = TypeVar("K", np.int64, np.float64)
PANES: Final = 8
"""A span has so many panes."""
_ZERO: Final = np.zeros(1, dtype=np.int64)
_BEFORE: Final = np.arange(PANES - 1, 0, -1)[:, None]
_SPREAD: Final = 4
_SPREAD_FREE: Final = 16_384
_FOLDS: Final[dict[RollKind, tuple[np.ufunc, float]]] = {
    "max": (np.maximum, -np.inf),
    "min": (np.minimum, np.inf),
    "mean": (np.add, 0.0),
    "std": (np.add, 0.0),
}


class Column(NamedTuple):
    """Samples, each `(n,)`: unknown values are the operation's identity, and weigh nothing."""

    times: Times
    values: Floats
    flags: Flags
    weights: Times
    """The time that each covers, ns."""

    def since(self, at: int) -> Column:
        """The samples from place `at` on."""
        return Column(self.times[at:], self.values[at:], self.flags[at:], self.weights[at:])


class Panes(NamedTuple):
    """The panes so far, oldest first; the last one may go on."""

    indexes: Times
    """`(m,)`: pane `k` is `[k * width, (k + 1) * width)`."""
    counts: Times
    """`(m,)`: known samples."""
    weights: Times
    """`(m,)`: the time they cover, ns."""
    stats: Floats
    """`(m, 1)`: the extreme, or the sum. `(m, 3)` for "std": the first known value `x0`, the sums of `x - x0` and of
    `(x - x0)²`."""

    @classmethod
    def empty(cls, kind: RollKind) -> Panes:
        """No panes."""
        none = np.empty(0, dtype=np.int64)
        return cls(none, none, none, np.empty((0, 3 if kind == "std" else 1)))

    def since(self, index: int) -> Panes:
        """Those from pane `index` on."""
        at = int(self.indexes.searchsorted(index))
        return Panes(self.indexes[at:], self.counts[at:], self.weights[at:], self.stats[at:])

    def without_last(self) -> Panes:
        """All but the newest."""
        return Panes(self.indexes[:-1], self.counts[:-1], self.weights[:-1], self.stats[:-1])

    def extended(self, more: Panes) -> Panes:
        """These, then `more`."""
        return Panes(
            np.concatenate((self.indexes, more.indexes)),
            np.concatenate((self.counts, more.counts)),
            np.concatenate((self.weights, more.weights)),
            np.concatenate((self.stats, more.stats)),
        )


class _Groups:
    """A batch's samples by pane."""

    def __init__(self, times: Times, width_ns: int, carried: Panes) -> None:
        indexes = times // width_ns
        bounds = np.concatenate((_ZERO, np.flatnonzero(indexes[1:] != indexes[:-1]) + 1, (len(times),)))
        self.starts: Times = bounds[:-1]
        self.lengths: Times = bounds[1:] - self.starts
        self.ends: Times = bounds[1:] - 1
        self.indexes: Times = indexes.take(self.starts)
        self.of: Times = np.arange(len(self.starts)).repeat(self.lengths)
        """The group of each sample."""
        self.rank: Times = np.arange(1, len(times) + 1) - self.starts.take(self.of)
        """Which of its group's samples it is, from 1."""
        self.goes_on = len(carried.indexes) > 0 and bool(carried.indexes[-1] == self.indexes[0])
        """The first group continues the last carried pane."""
        self._stride = int(self.lengths.max()) + 1
        spread = len(self.starts) * self._stride <= _SPREAD * len(times) + _SPREAD_FREE
        self._flat: Times | None = self.of * self._stride + self.rank if spread else None

    def accumulate(self, ufunc: np.ufunc, values: NDArray[K], carry: float, identity: float) -> NDArray[K]:
        """Running `ufunc` from each pane's start, sample after sample; the first group goes on from `carry`."""
        if self._flat is None:
            return self._accumulate_each(ufunc, values, carry, identity)
        rows = np.empty((len(self.starts), self._stride), dtype=values.dtype)
        rows.fill(identity)
        rows.put(self._flat, values)
        rows[0, 0] = carry
        running: NDArray[K] = ufunc.accumulate(rows, axis=1).take(self._flat)
        return running

    def _accumulate_each(self, ufunc: np.ufunc, values: NDArray[K], carry: float, identity: float) -> NDArray[K]:
        """The same where panes hold very different numbers of samples: a table of them would be mostly empty."""
        out = np.empty_like(values)
        for group, (start, length) in enumerate(zip(self.starts.tolist(), self.lengths.tolist(), strict=True)):
            first = np.full(1, identity if group else carry, dtype=values.dtype)
            out[start : start + length] = ufunc.accumulate(np.concatenate((first, values[start : start + length])))[1:]
        return out


def pane_values(kind: RollKind, width_ns: int, coverage: float, column: Column, carried: Panes) -> tuple[Floats, Panes]:
    """The value at each sample from its own pane up to it and the seven before; the panes from there on.

    NaN where less than `coverage` of the time since the start of the oldest of them is covered.
    """
    groups = _Groups(column.times, width_ns, carried)
    counts, weights = _covering(groups, column, carried)
    running = _running(kind, groups, column, carried)
    panes = (carried.without_last() if groups.goes_on else carried).extended(
        Panes(groups.indexes, counts.take(groups.ends), weights.take(groups.ends), running.take(groups.ends, axis=1).T)
    )
    last = _Last(counts, weights, running, groups.of)
    length_ns = column.times - ((groups.indexes - (PANES - 1)) * width_ns).take(groups.of)
    out = _valued(kind, panes, _places(groups.indexes, panes), last, np.multiply(length_ns, coverage))
    return out, panes.since(int(panes.indexes[-1]) - PANES + 1)


def pane_values_at(
    kind: RollKind, width_ns: int, coverage: float, column: Column, instants: Times, newest: Times
) -> Floats:
    """The same at any instants, `(m,)`, of which `newest` is each one's last sample at or before it; `column` holds all
    samples since the start of the oldest pane."""
    groups = _Groups(column.times, width_ns, Panes.empty(kind))
    counts, weights = _covering(groups, column, Panes.empty(kind))
    running = _running(kind, groups, column, Panes.empty(kind))
    panes = Panes(groups.indexes, counts[groups.ends], weights[groups.ends], running[:, groups.ends].T)
    indexes = instants // width_ns
    own = groups.indexes[groups.of[newest]] == indexes
    last = _Last(
        np.where(own, counts[newest], 0),
        np.where(own, weights[newest], 0),
        np.where(own, running[:, newest], _FOLDS[kind][1]),
        np.arange(len(instants)),
    )
    length_ns = instants - (indexes - (PANES - 1)) * width_ns
    return _valued(kind, panes, _places(indexes, panes), last, np.multiply(length_ns, coverage))


class _Last(NamedTuple):
    """What the pane of each value holds up to it, `(n,)`, and which of the columns of `places` is its."""

    counts: Times
    weights: Times
    running: Floats
    """`(1, n)` or `(3, n)`."""
    of: Times


def _valued(kind: RollKind, panes: Panes, places: Times, last: _Last, needed_ns: Floats) -> Floats:
    """Seven panes each, oldest first, and the last one; NaN where they cover too little."""
    counts = _padded(panes.counts, 0).take(places)
    known = counts.sum(axis=0).take(last.of)
    covered = _padded(panes.weights, 0).take(places).sum(axis=0).take(last.of)
    if kind == "std":
        before, own = _moments_before(panes, places, counts), _moments(last.counts, last.running)
        before = _Moments(before.means.take(last.of), before.squares.take(last.of))
        total = known + last.counts
        share = last.counts / np.maximum(total, 1)
        out = _between(own.means - before.means, known, share)
        out += before.squares + own.squares
        np.maximum(out, 0.0, out=out)
        out /= total
        np.sqrt(out, out=out)
    else:
        out = _folded(kind, panes, places, last.of, last.running[0])
        if kind == "mean":
            out /= known + last.counts
    enough = last.weights + covered >= needed_ns
    if not enough.all():
        out[~enough] = np.nan
    return out


def _covering(groups: _Groups, column: Column, carried: Panes) -> tuple[Times, Times]:
    """How many known samples each sample's pane has up to it, and how much time they cover."""
    count, weight = (int(part[-1]) if groups.goes_on else 0 for part in (carried.counts, carried.weights))
    each = int(column.weights[0])
    if column.flags.all() and (column.weights == each).all():
        counts, weights = groups.rank, groups.rank * each
        if groups.goes_on:
            counts = counts.copy()
            counts[: groups.lengths[0]] += count
            weights[: groups.lengths[0]] += weight
        return counts, weights
    flags = column.flags.astype(np.int64)
    return groups.accumulate(np.add, flags, count, 0), groups.accumulate(np.add, column.weights, weight, 0)


def _running(kind: RollKind, groups: _Groups, column: Column, carried: Panes) -> Floats:
    """The statistics of each sample's pane up to it, `(1, n)` or `(3, n)`."""
    carry = carried.stats[-1] if groups.goes_on else None
    if kind != "std":
        ufunc, identity = _FOLDS[kind]
        start = identity if carry is None else float(carry[0])
        return groups.accumulate(ufunc, column.values, start, identity)[None]
    whole, count = bool(column.flags.all()), len(column.values)
    if whole:
        origins = column.values.take(groups.starts)
    else:
        firsts = np.minimum.reduceat(np.where(column.flags, np.arange(count), count), groups.starts)
        origins = np.where(firsts < count, column.values[np.minimum(firsts, count - 1)], 0.0)
    if carry is not None and carried.counts[-1]:
        origins[0] = carry[0]
    out = np.empty((3, count))
    out[0] = origins.take(groups.of)
    shifted = column.values - out[0]
    if not whole:
        shifted[~column.flags] = 0.0
    out[1] = groups.accumulate(np.add, shifted, 0.0 if carry is None else float(carry[1]), 0.0)
    shifted *= shifted
    out[2] = groups.accumulate(np.add, shifted, 0.0 if carry is None else float(carry[2]), 0.0)
    return out


def _places(indexes: Times, panes: Panes) -> Times:
    """For each pane, where the seven before it are, oldest first, `(7, indexes)`; -1: there is none."""
    wanted = indexes - _BEFORE
    first, stop = int(panes.indexes[0]), int(panes.indexes[-1]) + 1
    if stop - first == len(panes.indexes) and int(indexes[-1]) <= stop:  # none is missing between them
        consecutive: Times = np.maximum(wanted - first, -1)
        return consecutive
    places = np.minimum(panes.indexes.searchsorted(wanted), len(panes.indexes) - 1)
    return np.where(panes.indexes[places] == wanted, places, -1)


def _padded(part: NDArray[K], filling: float) -> NDArray[K]:
    """With what a pane that is not there has at the end: place -1."""
    return np.concatenate((part, np.full(1, filling, dtype=part.dtype)))


def _folded(kind: RollKind, panes: Panes, places: Times, of: Times, running: Floats) -> Floats:
    """Seven panes, oldest first, and the sample's own: their extreme or sum."""
    ufunc, identity = _FOLDS[kind]
    stats = _padded(panes.stats[:, 0], identity)
    folded: Floats = np.full(places.shape[1], identity)
    for place in places:
        folded = ufunc(folded, stats[place])
    out: Floats = ufunc(folded[of], running)
    return out


class _Moments(NamedTuple):
    """Of sets of values, each `(n,)`."""

    means: Floats
    squares: Floats
    """Sums of squared distances from the mean."""


def _moments(counts: Times, stats: Floats) -> _Moments:
    """From shifted sums, `(3, n)`."""
    origin, sums, squares = stats
    means = sums / np.maximum(counts, 1)
    return _Moments(origin + means, squares - sums * means)


def _moments_before(panes: Panes, places: Times, counts: Times) -> _Moments:
    """Of the seven panes at `places`, which hold `counts` samples, joined oldest first: `(indexes,)` each."""
    each = _moments(panes.counts, panes.stats.T)
    means, squares = _padded(each.means, 0.0).take(places), _padded(each.squares, 0.0).take(places)
    totals = counts.cumsum(axis=0)
    known, shares = totals - counts, counts / np.maximum(totals, 1)
    nothing = known == 0
    some_nothing = nothing.any(axis=1).tolist()
    apart, joined = np.empty_like(means), np.zeros(places.shape[1])
    for at, share in enumerate(shares):
        np.subtract(means[at], joined, out=apart[at])
        joined = joined + apart[at] * share
        if some_nothing[at]:
            joined = np.where(nothing[at], means[at], joined)
    # One after the other: each pane's own squares, then what lies between it and those before it.
    parts = np.stack((squares, _between(apart, known, shares)), axis=1).reshape(-1, places.shape[1])
    return _Moments(joined, np.add.accumulate(parts, axis=0)[-1])


def _between(apart: Floats, counts: Times, share: Floats) -> Floats:
    """What the squared distances of two sets together are more than those of each (Chan, Golub, LeVeque 1983):
    `counts` are the first set's, `apart` is how far the means lie apart, `share` is the second set's of both."""
    between: Floats = apart * apart
    between *= counts
    between *= share
    return between
