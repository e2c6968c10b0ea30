"""What publishers may have kept of an absence, and bring when it is over. Pure: times are arguments.

A publisher keeps what the broker was not there for, and nobody says when it comes back. What comes first after an
absence, and what follows, may be as old as the absence: until the topic has its own pace again, without a pause.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import Final

from ingest.times import NS

PAUSE_NS: Final = NS // 4
"""What a publisher kept may stand still for longer, on a busy machine: the pace is looked at anew behind it …"""
UNKNOWN_PAUSE_NS: Final = NS
"""… and where no pace is known, it has come."""
MOST_NS: Final = 30 * NS
"""What goes on for longer at another pace has a new one …"""
UNKNOWN_MOST_NS: Final = 10 * NS
"""… which is believed earlier where none was known."""
SLOWEST, FASTEST = 0.5, 1.5
"""A topic's own pace, in shares of the one before."""
KNOWN: Final = 8
"""Messages that tell a pace …"""
EVEN: Final = 0.25
"""… also a slower one than before, where none came sooner behind another than this share of the usual time."""
STEP_NS: Final = NS // 20


class Kept:
    """One topic. Times are CLOCK_BOOTTIME, in ns."""

    def __init__(self) -> None:
        self._count = 0
        self._known: deque[tuple[int, int]] = deque(maxlen=64)
        """Of messages that nobody kept: when they came, and how many had come by then."""
        self._absent_ns = 0
        """The begin of an absence, while what was kept of it may come."""
        self._first_ns = self._newest_ns = self._from_ns = 0
        """When messages came since: the first, the newest, the one behind which they are counted."""
        self._came = 0
        self._recent: deque[int] = deque(maxlen=KNOWN)
        """When the newest of them came."""

    def absent(self, since_ns: int) -> None:
        """A connection is there again, and was not since then; 0: nothing was kept before the first one."""
        self._absent_ns = self._absent_ns or since_ns
        self._first_ns = 0
        self._recent.clear()

    def arrived(self, now_ns: int) -> int:
        """A message came: for up to how long its publisher may have kept it, in ns."""
        if self._absent_ns and not self._has_come(now_ns):
            return now_ns - self._absent_ns
        self._count += 1
        if not self._known or now_ns - self._known[-1][0] >= STEP_NS:
            self._known.append((now_ns, self._count))
        return 0

    def _has_come(self, now_ns: int) -> bool:
        """Whether what comes now is not kept any more; then the absence is over."""
        first_ns = self._first_ns or now_ns
        pause_ns, pace_ns = now_ns - (self._newest_ns if self._first_ns else now_ns), self._pace_ns
        self._newest_ns, self._first_ns = now_ns, first_ns
        self._came += 1
        self._recent.append(now_ns)
        is_known = pace_ns > 0
        if first_ns == now_ns or (is_known and pause_ns > max(PAUSE_NS, 4 * pace_ns)):
            self._from_ns, self._came = now_ns, 0
            is_over = False
        elif is_known:
            is_over = self._is_usual(now_ns, pace_ns)
        else:
            is_over = pause_ns > UNKNOWN_PAUSE_NS
        is_over |= self._is_slower(pace_ns)
        if is_over or now_ns - first_ns > (MOST_NS if is_known else UNKNOWN_MOST_NS):
            self._absent_ns = 0
        return not self._absent_ns

    def _is_usual(self, now_ns: int, pace_ns: float) -> bool:
        """Whether messages have come at their pace for a while."""
        span_ns = now_ns - self._from_ns
        if span_ns < max(NS, 0.9 * pace_ns):
            return False
        expected, came = span_ns / pace_ns, self._came
        self._from_ns, self._came = now_ns, 0
        return SLOWEST * expected <= came <= FASTEST * expected + 1

    def _is_slower(self, pace_ns: float) -> bool:
        """Whether the newest came evenly for a while, and no faster than before: what is kept comes in heaps."""
        times, span_ns = list(self._recent), self._recent[-1] - self._recent[0]
        if len(times) < KNOWN or span_ns < max(NS, (KNOWN - 1) * pace_ns):
            return False
        nearest_ns = min(after - before for before, after in pairwise(times))
        return nearest_ns >= EVEN * span_ns / (KNOWN - 1)

    @property
    def _pace_ns(self) -> float:
        """Between two messages; 0 where that is not known."""
        if not self._known:
            return 0.0
        (begin_ns, before), (end_ns, behind) = self._known[0], self._known[-1]
        return (end_ns - begin_ns) / (behind - before) if behind - before >= KNOWN else 0.0
