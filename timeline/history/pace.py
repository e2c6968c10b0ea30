"""Whether a stream keeps its pace. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.archive.reading import Answer

LONG: Final = 1.5
"""A step between two samples is long from so many usual ones on: a sample that is missing makes one of two."""
SHARE: Final = 0.1
"""So much of a recording's time in long steps is jerky,"""
AGAIN: Final = 5
"""in so many of them or more: one pause is none."""


def is_jerky(answer: Answer, gaps: Sequence[tuple[int, int]] = ()) -> bool:
    """Whether samples that should come at a rate come in bursts: more than `SHARE` of the time passes in steps that are
    `LONG`, and no gap was told there.

    Of tiles, the steps are those from the last sample of one to the first of the next: where a tile ends, a long step
    is met as often as its share of the time is large.

    Args:
        answer: of a stream that has a nominal rate; its first channel is looked at.
        gaps: starts and ends of those that were told, ns UTC.
    """
    begins, ends, usual_ns = _steps_of_samples(answer) if answer.level is None else _steps_of_tiles(answer)
    long = (ends - begins > LONG * usual_ns) & ~_met(begins, ends, gaps)
    if np.count_nonzero(long) < AGAIN:
        return False
    lengths = ends - begins if answer.level is None else np.ones(len(begins))
    return bool(lengths[long].sum() > SHARE * lengths.sum())


def _steps_of_samples(answer: Answer) -> tuple[NDArray[np.int64], NDArray[np.int64], float]:
    times = np.asarray(answer.times)
    begins, ends = times[:-1], times[1:]
    return begins, ends, float(np.median(ends - begins)) if len(begins) else 0.0


def _steps_of_tiles(answer: Answer) -> tuple[NDArray[np.int64], NDArray[np.int64], float]:
    tiles = answer.tiles[0]
    full = tiles.samples > 1
    periods = (tiles.last_ns - tiles.first_ns)[full] / (tiles.samples[full] - 1)
    return tiles.last_ns[:-1], tiles.first_ns[1:], float(np.median(periods)) if len(periods) else 0.0


def _met(begins: NDArray[np.int64], ends: NDArray[np.int64], gaps: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """Which of the steps a gap meets."""
    starts = np.sort(np.array([start for start, _ in gaps], np.int64))
    untils = np.sort(np.array([until for _, until in gaps], np.int64))
    return np.searchsorted(starts, ends) > np.searchsorted(untils, begins, "right")
