"""Time rises strictly inside a recording's stream: the one rule for stamps that do not, in files and at the edge alike.

Each stamp is compared with the newest one that its recording has had before it:

| the stamp is | what happens |
|---|---|
| later, by less than `FORWARD_STEP_NS` | it stays; a jump is a gap, which windowing's `max_gap` judges |
| later by `FORWARD_STEP_NS` or more | a step of the clock (it was set): a new recording begins with it |
| equal | repeated: left out and counted; the first stays, no time is invented |
| earlier by less than `BACK_STEP_NS` | late (jitter, swapped rows, a clock corrected a little): left out, counted |
| earlier by `BACK_STEP_NS` or more | a step of the clock: a new recording begins with it |

The rule knows nothing but the stamps in their order, so the same rows make the same recordings however they are read
or cut, live or from a file. An agent knows arrivals besides, and may see a step where this rule sees a gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.times import NS, Times

BACK_STEP_NS: Final = 2 * NS
FORWARD_STEP_NS: Final = 400 * 86_400 * NS
"""More than a year, so that what is measured once a year is no clock that was set."""


@dataclass(frozen=True, slots=True)
class Rising:
    """Which stamps stay, so that time rises strictly."""

    kept: NDArray[np.bool_]
    """`(samples,)`."""
    repeated: int = 0
    """Left out: equal to the newest before."""
    late: int = 0
    """Left out: behind the newest before by less than a step."""


def first_step(times: Times, newest: int | None) -> int | None:
    """The first of `times` `(samples,) int64` ns at which the clock stepped, None where it did not.

    `newest` is the newest time of the recording so far, None where it has none: its first stamp is never a step.
    """
    stepped = _steps(times, newest)
    return int(stepped[0]) if len(stepped) else None


def _steps(times: Times, newest: int | None) -> NDArray[np.intp]:
    behind = _newest_before(times, newest) - times
    return np.flatnonzero((behind >= BACK_STEP_NS) | (behind <= -FORWARD_STEP_NS))


def rising(times: Times, newest: int | None) -> Rising:
    """What stays of `times` `(samples,) int64` ns, among which the clock did not step (see `first_step`)."""
    behind = _newest_before(times, newest) - times
    kept = behind < 0
    if newest is None:
        kept[:1] = True
    repeated = int((behind[~kept] == 0).sum())
    return Rising(kept, repeated, len(times) - int(kept.sum()) - repeated)


def _newest_before(times: Times, newest: int | None) -> Times:
    """For each stamp the newest one before it; for the very first of a recording, itself."""
    if not len(times):
        return times
    first = times[0] if newest is None else newest
    return np.maximum.accumulate(np.concatenate(((first,), times[:-1])))
