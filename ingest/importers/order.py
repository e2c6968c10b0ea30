"""Time rises strictly inside a recording's stream: what an import does with stamps that do not.

- A stamp that repeats, or lies behind the newest one by less than one median step (jitter, rows swapped in transit):
  the row is left out and counted; the row that came first stays. No time is invented. Where more than a tenth of the
  rows would go and their values are not simply repeated, the column is too coarse to be a time, and that is an error.
- A stamp further back is a step of the clock: a new recording begins there.
- A jump forward is a gap like any other; windowing's `max_gap` judges it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.times import Times

CLOCK_STEPS_MAX: Final = 1000
LEFT_OUT_SHARE_MAX: Final = 0.1


@dataclass(frozen=True, slots=True)
class ClockStep:
    """The clock stood `back_ns` behind the newest time when `row` was taken."""

    row: int
    back_ns: int


@dataclass(frozen=True, slots=True)
class Ordered:
    """The rows that stay, as runs within which time rises strictly."""

    runs: tuple[NDArray[np.int64], ...]
    """Row numbers of each run."""
    steps: tuple[ClockStep, ...]
    """What separates run `i` from run `i + 1`."""
    repeated: int = 0
    """Rows left out because their time repeats the newest one exactly."""
    jittered: int = 0
    """Rows left out because their time lies a little behind the newest one."""


def order(times: Times, values: NDArray[Any], place: Callable[[int], str]) -> Ordered:
    """Split rows with `times` `(rows,) int64` into runs of strictly rising time; `place` names a row in messages.

    Raises:
        UsageError: the column is no usable time: see above.
    """
    rows = np.arange(len(times), dtype=np.int64)
    forward = np.diff(times)
    if (forward > 0).all():
        return Ordered((rows,), ())
    rising = forward[forward > 0]
    median = int(np.median(rising)) if len(rising) else 1
    runs: list[NDArray[np.int64]] = []
    steps: list[ClockStep] = []
    out = np.zeros(len(times), dtype=bool)
    newest = np.maximum.accumulate(times)
    start = repeated = 0
    while start < len(times):
        if start:
            newest = np.maximum.accumulate(times[start:])
        back = newest[:-1] - times[start + 1 :]
        far = np.flatnonzero(back >= max(median, 1))
        size = int(far[0]) + 1 if len(far) else len(times) - start
        out[start + 1 : start + size] = back[: size - 1] >= 0
        repeated += int((back[: size - 1] == 0).sum())
        runs.append(rows[start : start + size][~out[start : start + size]])
        start += size
        if start < len(times):
            steps.append(ClockStep(start, int(back[size - 1])))
            if len(steps) > CLOCK_STEPS_MAX:
                raise UsageError(f"{place(start)}: time has stepped back {len(steps)} times; sort or split the file")
    _check_share(times, values, np.flatnonzero(out), place)
    return Ordered(tuple(runs), tuple(steps), repeated, int(out.sum()) - repeated)


def _check_share(times: Times, values: NDArray[Any], out: NDArray[np.int64], place: Callable[[int], str]) -> None:
    """Refuse a time column that would cost more than a tenth of the rows; plain copies of the row before are free."""
    if len(out) <= LEFT_OUT_SHARE_MAX * len(times):
        return
    equal = (values[out] == values[out - 1]) | (np.isnan(values[out]) & np.isnan(values[out - 1]))
    copies = equal.all(axis=1) & (times[out] == times[out - 1])
    lost = int((~copies).sum())
    if lost > LEFT_OUT_SHARE_MAX * len(times):
        raise UsageError(
            f"{place(int(out[~copies][0]))}: {lost} of {len(times)} rows do not lie after the row before them; "
            "use a finer time column, or --rate with --start"
        )
