"""How often a stream's samples come, and from when on a silence is a gap.

Both are counted in the stream's own periods: one number of milliseconds makes every sample of slow data a gap, and
none of fast data's holes. A stream without a nominal rate is measured: its period at an instant is the lower median of
the last steps before it. Past steps alone say so, so it makes no difference where batches end.

| the stream | its period | `max_gap` where none is given |
|---|---|---|
| has a nominal rate | the nominal one | `GAP_PERIODS` of it |
| has none | the lower median of the last `STEPS` steps | `GAP_PERIODS` of it, at least `GAP_FLOOR_NS` |
| has none, and no two samples yet | unknown: 0 | nothing is a gap |
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ingest.times import Times

GAP_PERIODS: Final = 5
"""So many periods without a sample are no gap yet."""
GAP_FLOOR_NS: Final = 500_000_000
"""Nothing shorter is a gap in a stream without a nominal rate."""
STEPS: Final = 8
"""A period is measured over so many steps."""
ENDLESS_NS: Final = 1 << 62
"""Longer than any silence."""
_STEP_NS_MAX: Final = 1 << 60
"""A longer step begins before all samples: what fills the place of samples that have not come."""


def rated_gap_ns(period_ns: int) -> int:
    """The default `max_gap` of a stream of this nominal period."""
    return min(GAP_PERIODS * period_ns, ENDLESS_NS)


def unrated_gap_ns(period_ns: int) -> int:
    """The default `max_gap` of a stream without a nominal rate, of this measured period; 0: none is known."""
    return max(GAP_FLOOR_NS, min(GAP_PERIODS * period_ns, ENDLESS_NS)) if period_ns else ENDLESS_NS


def unrated_gaps_ns(periods: Times) -> Times:
    """The same of many."""
    gaps: Times = np.maximum(np.minimum(periods, ENDLESS_NS // GAP_PERIODS) * GAP_PERIODS, GAP_FLOOR_NS)
    gaps[periods == 0] = ENDLESS_NS
    return gaps


def measured_periods(times: Times) -> Times:
    """The period as it is known right before each of the times from the one at `STEPS + 1` on, and after the last one:
    `(n - STEPS,)`, ns, 0 where there were no two samples.

    Args:
        times: `(n,)`, rising, `n > STEPS`; samples that have not come may be any time before all others, as far off as
            their steps are longer than 36 years.
    """
    steps = sliding_window_view(times[1:] - times[:-1], STEPS)
    ordered = np.sort(np.where(steps < _STEP_NS_MAX, steps, ENDLESS_NS), axis=1)
    # Places that are filled alike step by 0: they are no steps, and come first.
    first = np.count_nonzero(steps <= 0, axis=1)
    known = np.count_nonzero(ordered < ENDLESS_NS, axis=1) - first
    middle = np.take_along_axis(ordered, np.maximum(first + (known - 1) // 2, 0)[:, None], axis=1)[:, 0]
    periods: Times = np.where(known > 0, middle, 0)
    return periods
