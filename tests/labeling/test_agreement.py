"""How far annotators agree, how good each is, and what is likely true: against formulas written out by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.agreement import (
    BACKGROUND,
    NO_LABEL,
    cohen_kappa,
    fleiss_kappa,
    krippendorff_alpha,
    overlaps,
    pairs,
    ratings_of,
)
from labeling.dawidskene import dawid_skene
from labeling.marks import ResolvedMark

SECOND = 10**9


def mark(author: str, start: float, end: float, label: str, order: int = 0, device: str = "pump-1") -> ResolvedMark:
    times = int(start * SECOND), int(end * SECOND)
    return ResolvedMark(f"{order}", device, *times, label, author, "operator", 1.0, order=order)


def test_stretches_lie_between_the_edges_of_anybodys_marks() -> None:
    found = ratings_of(
        [
            mark("anna", 0, 10, "run", 0),
            mark("ben", 4, 12, "run", 1),
            mark("ben", 8, 12, "stop", 2),  # said later: it counts where both of ben's lie
            mark("anna", 20, 30, "run", 3),
            mark("ben", 5, 6, "run", 4, "pump-2"),
            mark("ben", 9, 9, "tick", 5),  # an instant says nothing
        ]
    )
    assert (found.annotators, found.labels) == (["anna", "ben"], ["run", "stop"])
    assert found.table.tolist() == [[0, 0, 0, -1, 0, -1], [-1, 0, 1, 1, -1, 0]]
    assert found.weights.tolist() == [4, 4, 2, 2, 10, 1]
    assert found.looked.tolist() == [[True] * 5 + [False], [False, True, True, True, False, True]]
    (pair,) = pairs(found)
    assert pair.seconds == 6
    assert pair.share == pytest.approx(4 / 6)
    shares = {overlap.label: overlap.share for overlap in overlaps(found)}
    assert shares == {"run": pytest.approx(4 / 6), "stop": 0.0}  # where both looked: from 4 s to 12 s


def test_what_was_looked_at_and_left_unmarked_can_be_a_label() -> None:
    marks = [mark("anna", 0, 2, "run", 0), mark("anna", 6, 8, "run", 1), mark("ben", 1, 5, "run", 2)]
    found = ratings_of(marks, background=True)
    assert found.labels == [BACKGROUND, "run"]
    assert found.table.tolist() == [[1, 1, 0, 0, 1], [-1, 1, 1, -1, -1]]
    assert found.weights.tolist() == [1, 1, 3, 1, 2]
    assert ratings_of([]).table.shape == (0, 0)
    assert pairs(ratings_of([])) == []


def by_hand_alpha(rows: Sequence[Sequence[int]]) -> float:
    """Krippendorff's alpha, pair by pair."""
    together: Counter[tuple[int, int]] = Counter()
    for unit in zip(*rows, strict=True):
        said = [value for value in unit if value != NO_LABEL]
        for left, right in product(range(len(said)), repeat=2):
            if left != right:
                together[said[left], said[right]] += 1 / (len(said) - 1)  # type: ignore[assignment]
    sums: Counter[int] = Counter()
    for (left_label, _), count in together.items():
        sums[left_label] += count
    n = sum(sums.values())
    different = sum(count for (one, other), count in together.items() if one != other)
    expected = sum(sums[one] * sums[other] for one, other in product(sums, repeat=2) if one != other) / (n - 1)
    return 1 - different / expected


def by_hand_cohen(a: Sequence[int], b: Sequence[int]) -> float:
    n = len(a)
    observed = sum(x == y for x, y in zip(a, b, strict=True)) / n
    expected = sum((a.count(label) / n) * (b.count(label) / n) for label in {*a, *b})
    return (observed - expected) / (1 - expected)


tables = st.integers(2, 4).flatmap(
    lambda raters: st.lists(st.lists(st.integers(-1, 3), min_size=raters, max_size=raters), min_size=2, max_size=20)
)


@settings(max_examples=60)
@given(tables)
def test_alpha_and_kappa_are_those_of_the_books(units: list[list[int]]) -> None:
    table = np.array(units).T
    used = {value for unit in units if sum(v != NO_LABEL for v in unit) > 1 for value in unit if value != NO_LABEL}
    alpha = krippendorff_alpha(table)
    if len(used) > 1:
        assert alpha == pytest.approx(by_hand_alpha(table.tolist()))
    else:
        assert np.isnan(alpha)
    a, b = (row for row in (table[:2, (table[:2] != NO_LABEL).all(axis=0)]))
    kappa = cohen_kappa(a, b)
    if len({*a.tolist(), *b.tolist()}) > 1:
        assert kappa == pytest.approx(by_hand_cohen(a.tolist(), b.tolist()))
    else:
        assert np.isnan(kappa)


def test_fleiss_example_of_the_literature() -> None:
    """Ten subjects, fourteen raters, five categories: 0.210 (Fleiss 1971's worked form)."""
    counts = [
        *([0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1]),
        *([7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]),
    ]
    table = np.array([[label for label, count in enumerate(row) for _ in range(count)] for row in counts]).T
    assert fleiss_kappa(table) == pytest.approx(0.20993, abs=1e-5)
    assert fleiss_kappa(np.hstack([table, np.full((14, 1), NO_LABEL)])) == pytest.approx(0.20993, abs=1e-5)


@settings(max_examples=30)
@given(tables, st.lists(st.integers(1, 4), min_size=20, max_size=20))
def test_a_stretch_counts_as_often_as_it_is_long(units: list[list[int]], lengths: list[int]) -> None:
    table, weights = np.array(units).T, np.array(lengths[: len(units)])
    repeated = np.repeat(table, weights, axis=1)
    for one, other in combinations(range(len(table)), 2):
        both = (table[[one, other]] != NO_LABEL).all(axis=0)
        again = (repeated[[one, other]] != NO_LABEL).all(axis=0)
        left = cohen_kappa(table[one, both], table[other, both], weights[both])
        assert left == pytest.approx(cohen_kappa(repeated[one, again], repeated[other, again]), nan_ok=True)
    assert fleiss_kappa(table, weights) == pytest.approx(fleiss_kappa(repeated), nan_ok=True)
    values = (repeated != NO_LABEL).sum(axis=0)
    n = int(values[values >= 2].sum())  # a continuum has no "n - 1"
    of_values = krippendorff_alpha(repeated)
    continuum = 1 - (1 - of_values) * n / (n - 1) if n else of_values
    assert krippendorff_alpha(table, weights) == pytest.approx(continuum, nan_ok=True)
    left_, right_ = dawid_skene(table, 4, weights, rounds=20), dawid_skene(repeated, 4, rounds=20)
    assert np.allclose(np.repeat(left_.shares, weights, axis=0), right_.shares, equal_nan=True)


def test_those_who_know_better_are_found_and_outvote_the_others() -> None:
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 3, 3000)
    skill = [0.95, 0.9, 0.55, 0.5, 0.5]
    said = np.array(
        [np.where(rng.random(3000) < good, truth, (truth + rng.integers(1, 3, 3000)) % 3) for good in skill]
    )
    said[rng.random(said.shape) < 0.1] = NO_LABEL
    found = dawid_skene(said, 3)
    assert np.allclose(found.accuracy, skill, atol=0.03)
    voted = np.stack([(said == label).sum(axis=0) for label in range(3)], axis=1).argmax(axis=1)
    right, by_vote = (found.shares.argmax(axis=1) == truth).mean(), (voted == truth).mean()
    assert right > 0.93 > 0.88 > by_vote
    assert np.allclose(found.confusion.sum(axis=2), 1)
    assert np.allclose(np.nansum(found.shares, axis=1)[(said != NO_LABEL).any(axis=0)], 1)


def test_of_nobody_there_is_no_consensus() -> None:
    found = dawid_skene(np.array([[0, NO_LABEL, 1], [0, NO_LABEL, 1]]), 2)
    assert np.isnan(found.shares[1]).all()
    assert found.shares[0, 0] > 0.99
