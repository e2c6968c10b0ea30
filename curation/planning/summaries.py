"""Each window in a few numbers, for pages: what is far from the others, and what is like its class. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
KINDS = ("mean", "spread")


def summaries(batches: Iterable[NDArray[np.float32]], channels: int) -> Floats:
    """`(windows, 2 × channels)`: each channel's mean, then each one's standard deviation; NaN of no value."""
    found = [np.empty((0, 2 * channels))]
    for X in batches:
        there = ~np.isnan(X)
        count = there.sum(axis=1)
        values = np.where(there, X, 0.0).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = values.sum(axis=1) / count
            off = np.where(there, values - mean[:, None, :], 0.0)
            spread = np.sqrt((off**2).sum(axis=1) / count)
        found.append(np.concatenate([mean, spread], axis=1))
    return np.concatenate(found)


def robust(table: Floats) -> Floats:
    """How many robust deviations each number lies from its column's median (1.4826 × MAD); 0 where a column stands
    still, and of no value."""
    if not len(table):
        return table
    filled = np.where(np.isnan(table), np.inf, table)
    middle = np.array(
        [np.median(column[np.isfinite(column)]) if np.isfinite(column).any() else 0.0 for column in filled.T]
    )
    off = np.where(np.isnan(table), 0.0, table - middle)
    scale = 1.4826 * np.median(np.abs(off), axis=0)
    return np.where(scale > 0, off / np.where(scale > 0, scale, 1.0), 0.0)


def by_class(table: Floats, labels: NDArray[np.int64], least: int) -> Floats:
    """`robust` among the windows of the same label; zeros where there are fewer than `least` of them."""
    found = np.zeros_like(table)
    for label in np.unique(labels).tolist():
        rows = labels == label
        if rows.sum() >= least:
            found[rows] = robust(table[rows])
    return found


def typical(scores: Floats, rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Of the windows at `rows`, the `count` nearest to their middle, and of the rest none."""
    mine = scores[rows]
    off = np.abs(mine - np.median(mine, axis=0)).sum(axis=1)
    return rows[np.argsort(off, kind="stable")[:count]]
