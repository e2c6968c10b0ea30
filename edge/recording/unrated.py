"""Times of samples that come without any, and without a rate: what their arrivals say. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from edge.protocol import Times
from edge.recording.catchup import CatchUp
from edge.recording.floor import Floor
from edge.recording.stamps import Ahead, ClockEstimate, Placed, Stamp

SPREAD_NS: Final = 1_000_000_000
"""Samples without a rate that arrive together are spread over no more, unless they are known to have waited."""
UNRATED_ERROR_NS: Final = 10_000_000
"""What a single arrival may be late, as far as is known: a tick of a USB adapter, a turn of a busy machine."""


class UnratedTimes(Floor):
    """Arrival is what is known, and nothing of a rate: a sample was taken when it came, several since the last ones."""

    def __init__(self) -> None:
        super().__init__()
        self._last_arrival: int | None = None
        self._catchup = CatchUp()

    def place(self, count: int, device_ns: Times | None, stamp: Stamp, ahead: Sequence[Ahead] | None = None) -> Placed:
        """See `Timebase`."""
        arrived = stamp.time_ns
        since = self._floor if self._last_arrival is None else self._last_arrival
        span = min(max(SPREAD_NS, stamp.waited_ns), max(0, arrived - since))
        if stamp.waited_ns:  # somewhere in between
            step = max(1, span // (count + 1))
            first = arrived - count * step
        else:
            step = max(1, span // count)
            first = arrived - (count - 1) * step
        first = max(self._floor, first)
        times = first + np.arange(count, dtype=np.int64) * step
        self._floor = int(times[-1]) + 1
        self._last_arrival = arrived
        kept_ns = self._catchup.arrived(count, arrived, ahead or ())
        error = max(span if count > 1 else 0, stamp.waited_ns, kept_ns)
        return Placed(times, slice(None), error_ns=error)

    @property
    def state(self) -> ClockEstimate:
        """See `Timebase`: the latency is not known, the time between reads is."""
        return ClockEstimate(uncertainty_ns=UNRATED_ERROR_NS)
