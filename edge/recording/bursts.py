"""Reads that bring at once what a sensor kept: a module that sends a second's samples in a few milliseconds. Pure.

When `n` samples follow a read sooner than `n` periods later, it came later after it was taken than what follows did: it
lies above every line that could be below the arrivals (`edge.recording.regression`). So of a burst the last read alone
says something of the line, and a line through the others would be as steep as the wire is fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from edge.recording.stamps import Ahead

FASTER: Final = 0.4
"""Samples that follow in less than this share of the time that they took to be taken come in a burst."""
BURST_NS: Final = 2_000_000_000
"""What comes faster for longer is not a burst: it is the rate."""
_JITTERS: Final = 3.0
"""What jitter may draw together is none: a burst holds samples of a longer time than so many times the jitter."""


class Burst(NamedTuple):
    """The place of a read in the burst that it belongs to; a read that belongs to none is a burst by itself."""

    goes_on: bool = False
    """The read before it belongs to the same one."""
    behind: int = 0
    """Samples of the burst that come after this read, as far as is known."""
    end_ns: int = 0
    """When the last of them comes."""


class Bursts:
    """Which reads of one stream belong together."""

    def __init__(self) -> None:
        self._begin_ns = self._at_ns = -BURST_NS
        self._behind, self._end_ns = 0, -BURST_NS
        self._is_on = False

    def read(
        self, count: int, at_ns: int, period_ns: float, jitter_ns: float, ahead: Sequence[Ahead] | None = None
    ) -> Burst:
        """The next read: its samples, when it came, and the reads behind it that are known already.

        `period_ns` is the least that the true period is thought to be.
        """
        follows = self._follows(count, at_ns, self._at_ns, period_ns)
        if not follows:
            self._begin_ns = at_ns
        if follows and at_ns <= self._end_ns:  # seen ahead already
            behind, end_ns = max(0, self._behind - count), self._end_ns
        else:
            behind, end_ns = self._look(at_ns, period_ns, ahead or ())
        least_ns = _JITTERS * jitter_ns
        goes_on = follows and (self._is_on or (count + behind) * period_ns > least_ns)
        if not goes_on and behind * period_ns <= least_ns:
            behind, end_ns = 0, at_ns
        self._is_on = goes_on or behind > 0
        self._at_ns, self._behind, self._end_ns = at_ns, behind, end_ns
        return Burst(goes_on, behind, end_ns)

    def _look(self, at_ns: int, period_ns: float, ahead: Sequence[Ahead]) -> tuple[int, int]:
        behind, end_ns = 0, at_ns
        for more, time_ns in ahead:
            if not self._follows(more, time_ns, end_ns, period_ns):
                break
            behind, end_ns = behind + more, time_ns
        return behind, end_ns

    def _follows(self, count: int, at_ns: int, before_ns: int, period_ns: float) -> bool:
        return at_ns - before_ns < FASTER * count * period_ns and at_ns - self._begin_ns <= BURST_NS
