"""Confident learning: the joint of a small example by hand, and what is found of planted errors."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.errors import UsageError
from preparing.mislabelled import confident_joint, error_counts, suspects


def test_the_confident_joint_by_hand() -> None:
    y = np.array([0, 0, 0, 0, 1, 1, -1])
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.1, 0.9], [0.2, 0.8], [0.4, 0.6], [0.5, 0.5]])
    # Thresholds: class 0 is 2.5 / 4 = 0.625, class 1 is 1.4 / 2 = 0.7; the window of 0.6 reaches none.
    assert confident_joint(y, p).tolist() == [[3, 1], [0, 1]]
    assert error_counts(y, p).tolist() == [[3.0, 1.0], [0.0, 2.0]]
    found = suspects(y, p)
    assert found.places.tolist()[0] == 3
    assert (found.label[0], found.likely[0], found.suspected.tolist()) == (0, 1, [True] + [False] * 5)
    assert found.score[0] == pytest.approx(-0.8)
    assert 6 not in found.places, "what has no label has no wrong one"


def test_planted_errors_come_first() -> None:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 4, 3000)
    logits = rng.normal(size=(3000, 4)) + 4 * np.eye(4)[truth]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    wrong = rng.choice(3000, 150, replace=False)
    y = truth.copy()
    y[wrong] = (truth[wrong] + rng.integers(1, 4, 150)) % 4
    found = suspects(y, p)
    assert np.isin(wrong, found.places[:300]).mean() > 0.95
    assert 100 <= found.suspected.sum() <= 300
    assert np.isin(found.places[found.suspected], wrong).mean() > 0.6


def test_odd_cases_and_what_does_not_fit() -> None:
    assert len(suspects(np.full(3, -1), np.full((3, 2), np.nan)).places) == 0
    only = suspects(np.zeros(4, np.int64), np.tile([0.9, 0.1], (4, 1)))
    assert not only.suspected.any(), "a label that is the only one is not wrong"
    assert error_counts(np.array([1, 1]), np.array([[0.5, 0.5], [0.5, 0.5]])).tolist() == [[0, 0], [0, 2]]
    for y, p, words in (
        (np.zeros(3, np.int64), np.ones((2, 2)), "windows, classes"),
        (np.array([2]), np.array([[0.5, 0.5]]), "classes 2 to 2"),
        (np.array([0]), np.array([[0.5, 0.4]]), "sum 1"),
        (np.array([0]), np.array([[np.nan, 0.4]]), "sum 1"),
    ):
        with pytest.raises(UsageError, match=words):
            suspects(y, p)
