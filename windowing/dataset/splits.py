"""Which windows go into which part of a split: by groups, stratified and sticky, or by time with an embargo. Pure.

**Groups.** A group (a subject, a device) lies in one part whole. Groups are taken by size, the largest first, and among
equals by a hash of seed and name; each goes where the shares of all classes come closest to what was asked (a greedy
quota, as in scikit-learn's StratifiedGroupKFold, for parts of any share). A bare hash of each name misses a share by a
fifth where there are twenty groups. What was assigned before stays.

**Time.** Windows are cut at instants. At each, windows of the later part that begin before the embargo is over are in
no part, and so are those of the earlier one that reach over it: nothing that one part has seen is in another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError

Ints = NDArray[np.int64]


def check_shares(shares: Mapping[str, float]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """The parts' names, and their shares, whose sum is 1.

    Raises:
        UsageError: a share is not above 0, or the sum is not 1.
    """
    values = np.array([float(share) for share in shares.values()])
    if not len(values) or not bool((values > 0).all()) or abs(values.sum() - 1) > 1e-6:
        raise UsageError(f"split: shares {dict(shares)}: each is above 0, and together they are 1")
    return tuple(shares), values / values.sum()


def class_counts(groups: NDArray[np.str_], y: Ints, *, stratified: bool) -> tuple[tuple[str, ...], Ints]:
    """The groups' names in order, and `(groups, classes) int64`: how many windows each has of each class that there
    is (unlabelled ones are a class of their own), or of all together."""
    names, group = np.unique(groups, return_inverse=True)
    kind = np.unique(y, return_inverse=True)[1] if stratified else np.zeros(len(y), np.int64)
    kinds = int(kind.max(initial=0)) + 1
    counts = np.bincount(group * kinds + kind, minlength=len(names) * kinds)
    return tuple(names.tolist()), counts.reshape(len(names), kinds).astype(np.int64)


def assign_groups(
    names: Sequence[str], counts: Ints, shares: NDArray[np.float64], *, seed: int, before: Mapping[str, int]
) -> Ints:
    """The part of each group, `(groups,) int64`; `before` says which group lies where already."""
    totals = np.maximum(counts.sum(axis=0), 1)
    weights = counts / totals
    filled = np.zeros((len(shares), counts.shape[1]))
    part = np.full(len(names), -1, np.int64)
    for group, name in enumerate(names):
        if name in before:
            part[group] = before[name]
            filled[part[group]] += weights[group]
    order = sorted(
        np.flatnonzero(part < 0).tolist(), key=lambda group: (-int(counts[group].sum()), _draw(seed, names[group]))
    )
    for number, group in enumerate(order):
        lacking = shares[:, None] - filled
        # How much closer each part comes to its quota by this group; a quota of zero left is only overfilled.
        closer = (lacking**2 - (lacking - weights[group]) ** 2) / shares[:, None]
        gain = closer.sum(axis=1)
        empty = ~np.isin(np.arange(len(shares)), part)
        if len(order) - number <= empty.sum():  # each part has a group, if there are as many
            gain[~empty] = -np.inf
        part[group] = int(np.argmax(gain))
        filled[part[group]] += weights[group]
    return part


def _draw(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()


def time_parts(t0_ns: Ints, t1_ns: Ints, shares: NDArray[np.float64], embargo_ns: int) -> Ints:
    """The part of each window, `(windows,) int64`, the earliest first; -1: around a cut, in none."""
    return parts_between(t0_ns, t1_ns, time_cuts(t0_ns, shares), embargo_ns)


def time_cuts(t0_ns: Ints, shares: NDArray[np.float64]) -> list[int]:
    """Between each two parts, the first start in the later one, ns UTC; none where there are no windows."""
    if not len(t0_ns):
        return []
    ordered = np.sort(t0_ns)
    places = np.minimum((np.cumsum(shares)[:-1] * len(ordered)).round().astype(np.int64), len(ordered) - 1)
    return [int(cut) for cut in ordered[places]]


def parts_between(t0_ns: Ints, t1_ns: Ints, cuts: Sequence[int], embargo_ns: int) -> Ints:
    """As `time_parts`, by cuts that are known."""
    part = np.full(len(t0_ns), -1, np.int64)
    begins = [np.iinfo(np.int64).min, *(cut + embargo_ns for cut in cuts)]
    ends = [*cuts, np.iinfo(np.int64).max]
    for number, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        part[(t0_ns >= begin) & (t1_ns <= end)] = number
    return part


def time_folds(t0_ns: Ints, t1_ns: Ints, k: int, embargo_ns: int) -> list[tuple[Ints, Ints]]:
    """`(train, test)` places for each of `k` stretches of time: in train is what ends an embargo before the stretch
    begins, or begins an embargo after it has ended."""
    folds = []
    whole = time_parts(t0_ns, t1_ns, np.full(k, 1 / k), 0)
    for fold in range(k):
        test = np.flatnonzero(whole == fold)
        begin, end = (int(t0_ns[test].min()), int(t1_ns[test].max())) if len(test) else (0, 0)
        clear = (t1_ns <= begin - embargo_ns) | (t0_ns >= end + embargo_ns)
        folds.append((np.flatnonzero(clear) if len(test) else np.arange(len(t0_ns)), test))
    return folds


def kept_folds(fold: Ints, k: int) -> list[tuple[Ints, Ints]]:
    """`(train, test)` places for each of `k` folds; what is in none, with -1, is left out."""
    return [(np.flatnonzero((fold != each) & (fold >= 0)), np.flatnonzero(fold == each)) for each in range(k)]


def group_folds(part: Ints, k: int) -> list[tuple[Ints, Ints]]:
    """`(train, test)` places for each of `k` parts."""
    return [(np.flatnonzero(part != fold), np.flatnonzero(part == fold)) for fold in range(k)]
