"""A file's rows in the order of their times: runs within which time rises strictly, by the rule of `ingest.ordering`.

A file is there as a whole, so that an import sees more than the rule does:

- A file that lies newest first is turned round, and that is told.
- Rows that repeat a time can be spread over the time until the next one, or left out all of them: see `Repeated`. Where
  nothing was said about them, and more than a tenth of the rows would go whose values are not simply repeated, the
  column is too coarse to be a time, and that is an error.
- A file whose clock steps back every few rows is not sorted, and that is an error too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.ordering import FORWARD_STEP_NS, first_step, rising
from ingest.times import Times

Repeated: TypeAlias = Literal["first", "drop", "spread"]
"""Of rows that follow one another with one time: the first stays; none stays, for nobody knows which one is right; or
all stay, evenly over the time until the next one (a median step at most)."""

STEPS_BACK_MAX: Final = 1000
ROWS_PER_STEP_MIN: Final = 10
LEFT_OUT_SHARE_MAX: Final = 0.1
_BLOCK_ROWS: Final = 65_536


@dataclass(frozen=True, slots=True)
class ClockStep:
    """The clock stood `back_ns` behind the newest time when `row` was taken; below 0: ahead of it."""

    row: int
    back_ns: int


@dataclass(frozen=True, slots=True)
class Ordered:
    """The rows that stay, as runs within which time rises strictly."""

    runs: tuple[NDArray[np.int64], ...]
    """Row numbers of each run."""
    steps: tuple[ClockStep, ...]
    """What separates run `i` from run `i + 1`."""
    times: Times
    """`(rows,) int64` ns UTC: as they were given, or spread."""
    repeated: int = 0
    """Rows left out because their time repeats the newest one exactly."""
    jittered: int = 0
    """Rows left out because their time lies a little behind the newest one."""
    spread: int = 0
    """Rows that were given a time of their own."""
    turned: bool = False
    """The file lay newest first."""


def order(times: Times, values: NDArray[Any], place: Callable[[int], str], repeated: Repeated | None = None) -> Ordered:
    """Split rows with `times` `(rows,) int64` into runs of strictly rising time; `place` names a row in messages.

    Raises:
        UsageError: the column is no usable time: see above.
    """
    rows = np.arange(len(times), dtype=np.int64)
    steps = np.diff(times)
    if ((steps > 0) & (steps < FORWARD_STEP_NS)).all():
        return Ordered((rows,), (), times)
    turned = bool((steps <= 0).all() and (steps < 0).any())
    if turned:
        rows = rows[::-1]
    spread = np.zeros(len(times), dtype=np.bool_)
    if repeated == "spread":
        times, spread = _spread(times, rows)
    dropped = _sharing(times[rows]) if repeated == "drop" else np.zeros(len(rows), dtype=np.bool_)
    if dropped.all():
        raise UsageError(f"{place(int(rows[0]) + 1)}: no row has a time of its own; use a finer time column")
    runs, found, left = _runs(times, rows[~dropped], place)
    gone = int(dropped.sum()) + left[0]
    ordered = Ordered(tuple(runs), tuple(found), times, gone, left[1], int(spread.sum()), turned)
    if repeated is None:
        _check_share(times, values, ordered, rows, place)
    return ordered


def _runs(
    times: Times, rows: NDArray[np.int64], place: Callable[[int], str]
) -> tuple[list[NDArray[np.int64]], list[ClockStep], tuple[int, int]]:
    """Runs of `rows`, the steps between them, and how many rows were left out as repeated and as late."""
    runs: list[NDArray[np.int64]] = []
    steps: list[ClockStep] = []
    parts: list[NDArray[np.int64]] = []
    newest: int | None = None
    repeated = late = backward = start = 0
    while start < len(rows):
        block = rows[start : start + _BLOCK_ROWS]
        step = first_step(times[block], newest)
        block = block if step is None else block[:step]
        kept = rising(times[block], newest)
        parts.append(block[kept.kept])
        repeated, late, start = repeated + kept.repeated, late + kept.late, start + len(block)
        newest = int(times[parts[-1][-1]]) if len(parts[-1]) else newest
        if step is not None:
            assert newest is not None
            steps.append(ClockStep(int(rows[start]), newest - int(times[rows[start]])))
            backward += steps[-1].back_ns > 0
            if backward > STEPS_BACK_MAX or (backward > 2 and backward * ROWS_PER_STEP_MIN > len(rows)):
                raise UsageError(
                    f"{place(int(rows[start]))}: time has stepped back {backward} times; sort or split the file"
                )
            runs.append(np.concatenate(parts))
            parts, newest = [], None
    runs.append(np.concatenate(parts))
    return runs, steps, (repeated, late)


def _sharing(times: Times) -> NDArray[np.bool_]:
    """Which rows have the time of a neighbour."""
    same = np.diff(times) == 0
    return np.concatenate((same, [False])) | np.concatenate(([False], same))


def _spread(times: Times, rows: NDArray[np.int64]) -> tuple[Times, NDArray[np.bool_]]:
    """Times in which rows that follow one another with one time lie evenly until the next; and which were moved."""
    taken = times[rows]
    first = np.concatenate(([True], np.diff(taken) != 0))
    starts = np.flatnonzero(first)
    counts = np.diff(np.append(starts, len(taken)))
    steps = np.diff(taken[starts])
    usual = int(np.median(steps[steps > 0])) if (steps > 0).any() else 0
    room = np.append(np.where(steps > 0, np.minimum(steps, usual), usual), usual)
    group = np.cumsum(first) - 1
    within = np.arange(len(taken)) - starts[group]
    moved = taken + room[group] * within // counts[group]
    result, changed = times.copy(), np.zeros(len(times), dtype=np.bool_)
    result[rows], changed[rows] = moved, moved != taken
    return result, changed


def _check_share(
    times: Times, values: NDArray[Any], ordered: Ordered, rows: NDArray[np.int64], place: Callable[[int], str]
) -> None:
    """Refuse a time column that would cost more than a tenth of the rows; plain copies of the row before are free."""
    if ordered.repeated + ordered.jittered <= LEFT_OUT_SHARE_MAX * len(times):
        return
    stays = np.zeros(len(times), dtype=np.bool_)
    stays[np.concatenate(ordered.runs)] = True
    at = np.flatnonzero(~stays[rows])
    out, before = rows[at], rows[at - 1]
    equal = (values[out] == values[before]) | (np.isnan(values[out]) & np.isnan(values[before]))
    copies = equal.all(axis=1) & (times[out] == times[before])
    lost = int((~copies).sum())
    if lost > LEFT_OUT_SHARE_MAX * len(times):
        raise UsageError(
            f"{place(int(out[~copies][0]))}: {lost} of {len(times)} rows do not lie after the row before them; "
            "use a finer time column, --rate with --start, or say --repeated spread, first or drop"
        )
