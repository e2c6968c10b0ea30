"""Balance: how much each window counts, or how often it comes, where classes are of different sizes.

Nothing is copied and nothing left out of a dataset: these are weights, and numbers of windows for training.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError

UNLABELLED: Final = -1


def class_weights(y: NDArray[np.integer], classes: int) -> NDArray[np.float64]:
    """A weight a class, `windows / (classes × its windows)` (King and Zeng 2001), scikit-learn's "balanced": their mean
    over the windows is 1. `y` are class indices `(windows,)`; -1 has none, and a class without windows weighs 0."""
    counts = _counts(y, classes)
    there = counts > 0
    return np.where(there, counts.sum() / (np.maximum(there.sum(), 1) * np.maximum(counts, 1)), 0.0)


def over_sampled(y: NDArray[np.integer], classes: int, seed: int, epoch: int = 0) -> NDArray[np.int64]:
    """Numbers of windows such that every class comes as often as the largest does, shuffled: each of its windows as
    often as the others but for one, as a function of (seed, epoch)."""
    return _drawn(y, classes, int(_counts(y, classes).max(initial=0)), seed, epoch)


def under_sampled(y: NDArray[np.integer], classes: int, seed: int, epoch: int = 0) -> NDArray[np.int64]:
    """Numbers of windows such that every class that has some comes as often as the smallest does, shuffled, none twice,
    as a function of (seed, epoch): over many epochs each window has its turn."""
    counts = _counts(y, classes)
    return _drawn(y, classes, int(counts[counts > 0].min()) if counts.any() else 0, seed, epoch)


def _drawn(y: NDArray[np.integer], classes: int, wanted: int, seed: int, epoch: int) -> NDArray[np.int64]:
    rng = np.random.default_rng((seed, epoch))
    parts = [np.empty(0, dtype=np.int64)]
    for number in range(classes):
        own = np.flatnonzero(y == number)
        if len(own):
            whole, rest = divmod(wanted, len(own))
            parts += [np.tile(own, whole), rng.permutation(own)[:rest]]
    return np.asarray(rng.permutation(np.concatenate(parts)), dtype=np.int64)


def _counts(y: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    if y.ndim != 1 or (len(y) and not UNLABELLED <= int(y.min()) <= int(y.max()) < classes):
        raise UsageError(f"balance: y must be class indices of 0 to {classes - 1}, or -1, one a window")
    return np.bincount(y[y >= 0], minlength=classes)
