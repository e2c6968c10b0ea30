"""Likely label errors, by confident learning (Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating
Uncertainty in Dataset Labels", JAIR 70).

A model that has not seen a window says how likely it is of each class. A class's threshold is the mean probability that
the windows of that label are given for it (equation 2 there); where another class's probability reaches its own
threshold, the window is counted as that class under this label: the confident joint. Scaled to the labels' counts, its
places off the diagonal say how many of each label are likely of each other class (section 3.2, "prune by noise rate").
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError

_SUM_OFF_MAX: Final = 1e-3
_ROUNDING: Final = 1e-6
"""The mean of equal probabilities may be a bit above them."""


class Suspects(NamedTuple):
    """Windows by how likely their label is wrong, the likeliest first; arrays of one length."""

    places: NDArray[np.int64]
    """In `y`, all that have a label."""
    score: NDArray[np.float64]
    """The label's probability less the largest of the others', -1 to 1, rising: section 3.2's normalized margin."""
    label: NDArray[np.int64]
    """The label as given, a class index"""
    likely: NDArray[np.int64]
    """The class that the model finds likeliest among the others"""
    suspected: NDArray[np.bool_]
    """Whether it is among the errors that the confident joint counts"""


def confident_joint(y: NDArray[np.integer], probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
    """`(classes, classes)`: windows of a label (row) that are confidently of a class (column); equation 1. Windows
    that are confidently of none are in no place; of several, the likeliest counts.

    Args:
        y: `(windows,)`, the labels as class indices; -1 has none and is left out.
        probabilities: `(windows, classes)`, each row's sum 1, said of windows that the model was not trained on.

    Raises `UsageError` where the two do not fit.
    """
    y, probabilities = _checked(y, probabilities)
    classes = probabilities.shape[1]
    confident = probabilities >= _thresholds(y, probabilities) - _ROUNDING
    likeliest = np.where(confident, probabilities, -1.0).argmax(axis=1)
    some = confident.any(axis=1)
    joint = np.zeros((classes, classes), np.int64)
    np.add.at(joint, (y[some], likeliest[some]), 1)
    return joint


def error_counts(y: NDArray[np.integer], probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """`(classes, classes)`: about how many windows of a label (row) are truly of a class (column): the confident joint
    with each row's sum that of its label (equation 3). Raises as `confident_joint`."""
    labels = _checked(y, probabilities)[0]
    joint = confident_joint(y, probabilities).astype(np.float64)
    counts = np.bincount(labels, minlength=len(joint)).astype(np.float64)
    sums = joint.sum(axis=1)
    unsure = sums == 0
    joint[unsure, unsure] = 1.0  # nothing speaks against a label that no window is confident of
    return joint * (counts / np.where(unsure, 1.0, sums))[:, None]


def suspects(y: NDArray[np.integer], probabilities: NDArray[np.floating]) -> Suspects:
    """All labelled windows, the likeliest errors first; `suspected` are as many as `error_counts` has off its diagonal,
    of each label and class the ones with the smallest margin. Arguments and errors as `confident_joint`."""
    labelled = np.flatnonzero(np.asarray(y) >= 0)
    own, given = _checked(y, probabilities)
    if not len(own):
        return Suspects(labelled, np.zeros(0), own, own, np.zeros(0, np.bool_))
    rows = np.arange(len(own))
    others = given.copy()
    others[rows, own] = -1.0
    likely = others.argmax(axis=1)
    score = given[rows, own] - others[rows, likely]
    suspected = np.zeros(len(own), np.bool_)
    counts = np.rint(error_counts(y, probabilities)).astype(np.int64)
    for label, other in zip(*np.nonzero(counts), strict=True):
        if label != other:
            of_label = np.flatnonzero(own == label)
            margin = given[of_label, label] - given[of_label, other]
            suspected[of_label[np.argsort(margin, kind="stable")[: counts[label, other]]]] = True
    order = np.argsort(score, kind="stable")
    return Suspects(labelled[order], score[order], own[order], likely[order], suspected[order])


def _thresholds(y: NDArray[np.int64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each class's mean probability among the windows of its label; of a label without windows none reaches it."""
    classes = probabilities.shape[1]
    counts = np.bincount(y, minlength=classes)
    sums = np.bincount(y, weights=probabilities[np.arange(len(y)), y], minlength=classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)


def _checked(
    y: NDArray[np.integer], probabilities: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Those of the windows that have a label."""
    y, found = np.asarray(y), np.asarray(probabilities, np.float64)
    if y.ndim != 1 or found.ndim != 2 or len(found) != len(y):
        raise UsageError(f"label errors: y is {y.shape}, probabilities {found.shape}; (windows, classes) is needed")
    if len(y) and not -1 <= int(y.min()) <= int(y.max()) < found.shape[1]:
        raise UsageError(f"label errors: y has classes {y.min()} to {y.max()}, probabilities have {found.shape[1]}")
    labels, own = y[y >= 0].astype(np.int64), found[y >= 0]
    if not np.isfinite(own).all() or (own < 0).any() or (np.abs(own.sum(axis=1) - 1) > _SUM_OFF_MAX).any():
        raise UsageError("label errors: probabilities must be 0 or more, and each window's sum 1")
    return labels, own
