"""Which instant a sample belongs to: arrivals, or the device's own times, made strictly rising.

Pure: every time comes in as an argument. A `Timebase` serves one stream of one recording. It never gives a time that
repeats, runs backwards, or lies before what was promised to be complete; what it cannot place that way it leaves out
and counts. A step of the clock is not mended but told: the agent begins a new recording there. `arrivals` (at a
rate) and `unrated` place what has no time of its own, `device` what has one or is counted, `kernel` what the kernel
has stamped.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from edge.protocol import ClockKind, Times
from edge.recording.arrivals import ArrivalTimes
from edge.recording.device import DEVICE_STEP_NS, CountedTimes, DeviceTimes
from edge.recording.kernel import KernelTimes
from edge.recording.pulses import STEP_NS, Line
from edge.recording.stamps import Ahead, ClockEstimate, ClockStep, Placed, RateFound, Stamp, Timebase
from edge.recording.unrated import UnratedTimes

__all__ = [
    "CLOCK_STEP_NS",
    "DEVICE_STEP_NS",
    "Ahead",
    "ArrivalTimes",
    "Axis",
    "ClockEstimate",
    "ClockStep",
    "CountedTimes",
    "DeviceTimes",
    "KernelTimes",
    "Placed",
    "RateFound",
    "Stamp",
    "Timebase",
    "UnratedTimes",
    "timebase",
]

CLOCK_STEP_NS: Final = 50_000_000
"""The system's clock has stepped when its distance to CLOCK_BOOTTIME changed by more within a recording: slewing
moves both alike."""


def timebase(kind: ClockKind, rate: Fraction | None) -> Timebase:
    """The timebase of a source's `clock` and nominal `rate`."""
    if kind == "device":
        return DeviceTimes()
    if kind == "kernel":
        return KernelTimes()
    if kind == "counted":
        assert rate is not None
        return CountedTimes(rate)
    return UnratedTimes() if rate is None else ArrivalTimes(rate)


class Axis:
    """The agent's time axis within a recording: CLOCK_BOOTTIME plus an offset that is fixed when it begins, or what a
    pulse per second says that it lacks.

    Unset, the offset is 0: the data wait on monotonic time until `offset_ns` is known.
    """

    def __init__(self, offset_ns: int, line: Line | None = None) -> None:
        self.line = line
        """The newest, where there is a pulse."""
        self._offset_ns: Final = offset_ns

    @classmethod
    def begin(cls, monotonic_ns: int, wall_ns: int, *, is_set: bool, line: Line | None = None) -> Axis:
        """The axis of a recording that begins now."""
        return cls(wall_ns - monotonic_ns, line) if is_set else cls(0)

    def offset_ns(self, monotonic_ns: int) -> int:
        """What CLOCK_BOOTTIME lacks to this axis at a time."""
        return self._offset_ns if self.line is None else self.line.lacks_ns(monotonic_ns)

    def stamp(self, monotonic_ns: int) -> Stamp:
        """A monotonic time on this axis."""
        return Stamp(monotonic_ns + self.offset_ns(monotonic_ns))

    def times(self, monotonic_ns: Times) -> Times:
        """Monotonic times, `(samples,)`, on this axis."""
        return monotonic_ns + self._offset_ns if self.line is None else self.line.utc(monotonic_ns)

    def has_stepped(self, monotonic_ns: int, wall_ns: int) -> bool:
        """Whether the wall clock has left the axis; where a pulse leads it, nobody asks that clock."""
        return self.line is None and abs(wall_ns - monotonic_ns - self._offset_ns) > CLOCK_STEP_NS

    def leaves(self, line: Line | None, monotonic_ns: int) -> bool:
        """Whether it would step, if this line led it from now on."""
        if line is None:
            return self.line is not None
        return abs(line.lacks_ns(monotonic_ns) - self.offset_ns(monotonic_ns)) > STEP_NS
