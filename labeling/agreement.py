"""How far annotators agree, by time: between two edges of anybody's marks each of them has one label, or none.

Stretches count by how long they are, so nothing depends on a grid or on how often somebody made a mark anew. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.marks import ResolvedMark

NO_LABEL: Final = -1
"""In a table of ratings: this annotator says nothing here."""
BACKGROUND: Final = ""
"""The label of where somebody who looked has marked nothing."""


class Ratings(NamedTuple):
    """Who says what, stretch by stretch."""

    annotators: list[str]
    labels: list[str]
    table: NDArray[np.int64]
    """`(annotators, stretches)`: the label's number, or `NO_LABEL`."""
    looked: NDArray[np.bool_]
    """`(annotators, stretches)`: whether this annotator looked at it, whatever they said."""
    weights: NDArray[np.float64]
    """`(stretches,)`: how long each is, s."""


class Pair(NamedTuple):
    """Two annotators, where both say something."""

    one: str
    other: str
    seconds: float
    """So long do both say something."""
    share: float
    """Of it they say the same."""
    kappa: float
    """Cohen's, NaN where it says nothing: they never met, or use one label alone."""


class Overlap(NamedTuple):
    """How well two annotators' ranges of one label cover one another."""

    one: str
    other: str
    label: str
    share: float
    """What is in both, of what is in either (Jaccard's index), where both looked."""


def ratings_of(marks: Iterable[ResolvedMark], *, background: bool = False) -> Ratings:
    """What each author says over each stretch of each device; trims and instants say nothing.

    Somebody looked from the start of their first mark at a device to the end of their last one. With `background`, what
    they left unmarked there is a label of its own. Where an author's marks lie over one another, the later one counts.
    """
    by_device: dict[str, list[ResolvedMark]] = defaultdict(list)
    for mark in marks:
        if not mark.trim and mark.end_ns > mark.start_ns:
            by_device[mark.device].append(mark)
    annotators = sorted({mark.author for few in by_device.values() for mark in few})
    labels = sorted({mark.label for few in by_device.values() for mark in few})
    if background:
        labels = [BACKGROUND, *labels]
    nothing = (len(annotators), 0)
    tables, reaches, weights = [np.empty(nothing, np.int64)], [np.empty(nothing, bool)], [np.empty(0)]
    for _, few in sorted(by_device.items()):
        edges = np.unique([edge for mark in few for edge in (mark.start_ns, mark.end_ns)])
        table, looked = _rated(few, edges, annotators, labels)
        tables.append(np.where(looked & (table == NO_LABEL), labels.index(BACKGROUND), table) if background else table)
        reaches.append(looked)
        weights.append(np.diff(edges) / 1e9)
    table, looked, weight = np.concatenate(tables, axis=1), np.concatenate(reaches, axis=1), np.concatenate(weights)
    said = (table != NO_LABEL).any(axis=0)
    return Ratings(annotators, labels, table[:, said], looked[:, said], weight[said])


def _rated(
    marks: Sequence[ResolvedMark], edges: NDArray[np.int64], annotators: Sequence[str], labels: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """One device's table, and who looked where."""
    table = np.full((len(annotators), len(edges) - 1), NO_LABEL)
    looked = np.zeros(table.shape, dtype=bool)
    rows = {name: row for row, name in enumerate(annotators)}
    numbers = {name: number for number, name in enumerate(labels)}
    reach: dict[str, tuple[int, int]] = {}
    for mark in sorted(marks, key=lambda mark: mark.order):
        begin, end = np.searchsorted(edges, (mark.start_ns, mark.end_ns)).tolist()
        table[rows[mark.author], begin:end] = numbers[mark.label]
        first, last = reach.get(mark.author, (begin, end))
        reach[mark.author] = min(first, begin), max(last, end)
    for name, (begin, end) in reach.items():
        looked[rows[name], begin:end] = True
    return table, looked


def pairs(ratings: Ratings) -> list[Pair]:
    """Each two annotators."""
    found = []
    for one, other in combinations(range(len(ratings.annotators)), 2):
        both = (ratings.table[one] != NO_LABEL) & (ratings.table[other] != NO_LABEL)
        a, b, weights = ratings.table[one, both], ratings.table[other, both], ratings.weights[both]
        seconds = float(weights.sum())
        share = float(weights[a == b].sum()) / seconds if seconds else float("nan")
        kappa = cohen_kappa(a, b, weights)
        found.append(Pair(ratings.annotators[one], ratings.annotators[other], seconds, share, kappa))
    return found


def overlaps(ratings: Ratings) -> list[Overlap]:
    """Each two annotators and each label that one of them uses where both looked."""
    found = []
    for one, other in combinations(range(len(ratings.annotators)), 2):
        both = ratings.looked[one] & ratings.looked[other]
        for number, label in enumerate(ratings.labels):
            a, b = ratings.table[one] == number, ratings.table[other] == number
            either = float(ratings.weights[both & (a | b)].sum())
            if either:
                share = float(ratings.weights[both & a & b].sum()) / either
                found.append(Overlap(ratings.annotators[one], ratings.annotators[other], label, share))
    return found


def cohen_kappa(a: NDArray[np.integer], b: NDArray[np.integer], weights: NDArray[np.floating] | None = None) -> float:
    """Agreement of two annotators beyond chance (Cohen 1960); `a` and `b` are labels' numbers of the same stretches,
    `weights` how much each counts. NaN where there is nothing, or no chance to disagree."""
    weights = np.ones(len(a)) if weights is None else weights
    total = weights.sum()
    if not total:
        return float("nan")
    observed = weights[a == b].sum() / total
    count = int(max(a.max(), b.max())) + 1
    own, others = (np.bincount(rated, weights, count) / total for rated in (a, b))
    expected = float(own @ others)
    return float((observed - expected) / (1.0 - expected)) if expected < 1.0 else float("nan")


def fleiss_kappa(table: NDArray[np.integer], weights: NDArray[np.floating] | None = None) -> float:
    """Agreement of several annotators beyond chance (Fleiss 1971), over those stretches that all of them rate."""
    rated = (table != NO_LABEL).all(axis=0)
    table, weights = table[:, rated], (np.ones(table.shape[1]) if weights is None else weights)[rated]
    raters, total = len(table), weights.sum()
    if raters < 2 or not total:
        return float("nan")
    counts = np.stack([(table == number).sum(axis=0) for number in range(int(table.max()) + 1)], axis=1)
    agreeing = ((counts**2).sum(axis=1) - raters) / (raters * (raters - 1))
    observed = float(weights @ agreeing / total)
    expected = float((((weights @ counts) / (total * raters)) ** 2).sum())
    return (observed - expected) / (1.0 - expected) if expected < 1.0 else float("nan")


def krippendorff_alpha(table: NDArray[np.integer], weights: NDArray[np.floating] | None = None) -> float:
    """Agreement of any number of annotators, each of whom may leave stretches out (Krippendorff 2004), of nominal
    labels; a stretch with one rating says nothing. Weights are durations, of which pairs are drawn as from a continuum:
    the "n - 1" of its formula is for values that can be counted."""
    counted = weights is None
    weights = np.ones(table.shape[1]) if weights is None else weights
    counts = np.stack(
        [(table == number).sum(axis=0) for number in range(int(table.max(initial=0)) + 1)], axis=1
    ).astype(np.float64)
    rated = counts.sum(axis=1)
    paired = rated >= 2
    counts, rated, weights = counts[paired], rated[paired], weights[paired]
    if not len(counts):
        return float("nan")
    per_pair = weights / (rated - 1)
    together = (counts * per_pair[:, None]).T @ counts - np.diag(per_pair @ counts)
    sums = together.sum(axis=1)
    total = sums.sum()
    expected = total**2 - (sums**2).sum()
    if expected <= 0:
        return float("nan")
    return float(1.0 - (total - counted) * (total - np.trace(together)) / expected)
