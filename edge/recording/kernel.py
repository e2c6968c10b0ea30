"""Times of samples that the kernel has stamped: they are believed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from edge.protocol import Times
from edge.recording.floor import Floor
from edge.recording.stamps import Ahead, ClockEstimate, Placed, Stamp

KERNEL_ERROR_NS: Final = 100_000
"""What an interrupt may come late, as far as is known."""


class KernelTimes(Floor):
    """A sample was taken when the kernel says so.

    Interrupts of several lines may be a little out of order, and two of them at one instant: such a sample lies right
    behind the one before, and its error says how far it was moved. None is left out. Its source promises up to when the
    kernel has handed on all.
    """

    def place(self, count: int, device_ns: Times | None, stamp: Stamp, ahead: Sequence[Ahead] | None = None) -> Placed:
        """See `Timebase`; `device_ns` are on the agent's axis. Samples without a time are left out."""
        if device_ns is None:
            return Placed(np.zeros(0, dtype=np.int64), slice(0, 0), count)
        steps = np.arange(len(device_ns), dtype=np.int64)
        times = np.maximum.accumulate(np.maximum(device_ns - steps, self._floor)) + steps
        self._floor = int(times[-1]) + 1
        return Placed(times, slice(None), error_ns=int((times - device_ns).max()))

    @property
    def state(self) -> ClockEstimate:
        """See `Timebase`."""
        return ClockEstimate(uncertainty_ns=KERNEL_ERROR_NS)
