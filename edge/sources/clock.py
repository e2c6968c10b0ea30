"""The two clocks that an arrival is stamped with."""

from __future__ import annotations

import time
from typing import Final

TOGETHER_NS: Final = 1_000_000
"""Clocks read within this time belong together."""
_ATTEMPTS: Final = 5


def boottime_ns() -> int:
    """CLOCK_BOOTTIME, ns: CLOCK_MONOTONIC that goes on while the machine is suspended."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def now() -> tuple[int, int]:
    """CLOCK_BOOTTIME, which goes on while the machine is suspended, and CLOCK_REALTIME; both in ns, read together.

    Read anew where the process was set aside in between: a stop there would look like a step of the wall clock.
    """
    for _ in range(_ATTEMPTS):
        before_ns = boottime_ns()
        wall_ns = time.time_ns()
        after_ns = boottime_ns()
        if after_ns - before_ns <= TOGETHER_NS:
            break
    return after_ns, wall_ns
