"""Which instant a sample belongs to: arrival stamps, or the device's own times, made strictly rising.

Pure: every time comes in as an argument. A `Timebase` serves one stream of one recording. It never gives a time that
repeats, runs backwards, or lies before what was promised to be complete; what it cannot place that way it leaves out
and counts. A step of the clock is not mended but told: the agent begins a new recording there.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Protocol

import numpy as np

from edge.protocol import ClockKind, Times
from ingest.times import advance, period_of

CLOCK_STEP_NS: Final = 50_000_000
"""The system's clock has stepped when its distance to CLOCK_MONOTONIC changed by more within a recording: slewing
moves both alike."""
DEVICE_STEP_NS: Final = 2_000_000_000
"""A device's clock has stepped when it is further ahead of the arrivals by so much than it ever was, or went back by so
much. Falling behind is no step: devices send late what they kept."""
SPREAD_NS: Final = 1_000_000_000
"""Samples without a rate that arrive together are spread over no more than this."""
_SLACK: Final = Fraction(1, 2)
"""How much of a deviation between the grid of a nominal rate and the arrivals is taken back at each chunk's start."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """When bytes came: on the agent's time axis, ns. The axis is UTC once the clock is set."""

    time_ns: int


@dataclass(frozen=True, slots=True)
class Placed:
    """Sample times, `(kept,)`, rising strictly; and which of the samples they belong to."""

    times: Times
    kept: slice | np.ndarray[tuple[int], np.dtype[np.bool_]]
    left_out: int = 0
    """Samples whose time repeats or runs backwards by less than a step."""


class ClockStep(Exception):  # noqa: N818 - it is an event, not an error
    """The device's clock stepped before the sample `index` of what was to be placed."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


class Timebase(Protocol):
    """Places the samples of one stream in time."""

    def place(self, count: int, device_ns: Times | None, stamp: Stamp) -> Placed:
        """Times of the `count` samples that came with `stamp`, with the device's times if it gives any.

        Raises:
            ClockStep: a new recording, with a new timebase, must begin before a sample; nothing was placed.
        """
        ...

    def skip(self, count: int) -> None:
        """So many samples were lost here."""
        ...

    def close_chunk(self) -> None:
        """A chunk ends here: the next one may start off the grid."""
        ...

    def promise(self, now_ns: int) -> int:
        """Every sample to come has this time or a later one; from now on that is so."""
        ...


def timebase(kind: ClockKind, rate: Fraction | None) -> Timebase:
    """The timebase of a source's `clock` and nominal `rate`."""
    if kind == "device":
        return DeviceTimes()
    if kind == "counted":
        assert rate is not None
        return CountedTimes(rate)
    return ArrivalTimes(rate)


class ArrivalTimes:
    """Arrival is what is known. With a rate, samples lie on its grid, which follows the arrivals at chunk edges, and
    is left where arrivals and grid part by more than a chunk may: after a silence, or when the rate is not true."""

    def __init__(self, rate: Fraction | None) -> None:
        self._floor = -(1 << 62)
        self._last_arrival: int | None = None
        self._period = None if rate is None else max(1, round(10**9 / rate))
        self._next: int | None = None
        self._early: int | None = None
        """The least that an arrival of this chunk came behind its place on the grid."""

    def place(self, count: int, device_ns: Times | None, stamp: Stamp) -> Placed:
        """See `Timebase`."""
        times = self._unrated(count, stamp.time_ns) if self._period is None else self._rated(count, stamp.time_ns)
        self._floor = int(times[-1]) + 1
        self._last_arrival = stamp.time_ns
        return Placed(times, slice(None))

    def _unrated(self, count: int, arrived: int) -> Times:
        if count == 1:
            return np.array((max(self._floor, arrived),), dtype=np.int64)
        before = self._floor if self._last_arrival is None else self._last_arrival
        span = min(SPREAD_NS, max(0, arrived - before))
        step = max(1, span // count) if count > 1 else 0
        return max(self._floor, arrived - (count - 1) * step) + np.arange(count, dtype=np.int64) * max(1, step)

    def _rated(self, count: int, arrived: int) -> Times:
        period = self._period
        assert period is not None
        ideal = arrived - (count - 1) * period
        tolerance = max(4 * period, SPREAD_NS // 10)
        if self._next is None or abs(ideal - self._next) > tolerance or self._next < self._floor:
            self._next, self._early = max(ideal, self._floor), None
        deviation = ideal - self._next
        self._early = deviation if self._early is None else min(self._early, deviation)
        times = self._next + np.arange(count, dtype=np.int64) * period
        self._next += count * period
        return times

    def skip(self, count: int) -> None:
        """See `Timebase`: a line that was lost has taken its place on the grid."""
        if self._period is not None and self._next is not None:
            self._next += count * self._period

    def close_chunk(self) -> None:
        """See `Timebase`."""
        if self._next is not None and self._early is not None:
            self._next = max(self._floor, self._next + int(self._early * _SLACK))
        self._early = None

    def promise(self, now_ns: int) -> int:
        """See `Timebase`: what arrives later happened later."""
        self._floor = max(self._floor, now_ns)
        return self._floor


class DeviceTimes:
    """The device's clock is believed; it must be UTC."""

    def __init__(self) -> None:
        self._floor = -(1 << 62)
        self._last: int | None = None
        self._lead = 0
        """The most by which a sample's time was ahead of its arrival; never below 0."""

    def place(self, count: int, device_ns: Times | None, stamp: Stamp) -> Placed:
        """See `Timebase`. Samples without a time are left out."""
        if device_ns is None:
            return Placed(np.zeros(0, dtype=np.int64), slice(0, 0), count)
        self._look_for_step(device_ns, stamp)
        newest = np.maximum.accumulate(device_ns)
        kept = device_ns >= self._floor
        kept[1:] &= device_ns[1:] > newest[:-1]
        times = device_ns[kept]
        if len(times):
            self._floor = int(times[-1]) + 1
            self._lead = max(self._lead, int(times[-1]) - stamp.time_ns)
            self._last = int(times[-1])
        return Placed(times, kept, count - len(times))

    def _look_for_step(self, device_ns: Times, stamp: Stamp) -> None:
        if self._last is not None:
            first = int(device_ns[0])
            if first - self._last < -DEVICE_STEP_NS or first - stamp.time_ns > self._lead + DEVICE_STEP_NS:
                raise ClockStep(0)
        steps = np.diff(device_ns)
        stepped = np.flatnonzero(steps < -DEVICE_STEP_NS)
        if len(stepped):
            raise ClockStep(int(stepped[0]) + 1)

    def skip(self, count: int) -> None:
        """See `Timebase`: the device's times show what is missing."""

    def close_chunk(self) -> None:
        """See `Timebase`: nothing depends on it."""

    def promise(self, now_ns: int) -> int:
        """See `Timebase`: of a foreign clock no more is known than that it rises."""
        return self._floor


class CountedTimes:
    """Sample `i` lies at the first arrival plus `i` periods, exactly: for what is played from a file at a rate."""

    def __init__(self, rate: Fraction) -> None:
        self._period = period_of(rate)
        self._at: tuple[int, int] | None = None
        """Instant and phase of the next sample."""

    def place(self, count: int, device_ns: Times | None, stamp: Stamp) -> Placed:
        """See `Timebase`."""
        if self._at is None:
            self._at = stamp.time_ns, 0
        t0_ns, phase = self._at
        num, den = self._period
        whole, rest = divmod(num, den)
        steps = np.arange(count, dtype=np.int64)
        times = t0_ns + steps * whole + (phase + steps * rest) // den
        self._at = advance(t0_ns, phase, num, den, count)
        return Placed(times, slice(None))

    def skip(self, count: int) -> None:
        """See `Timebase`: a lost sample has its place too."""
        if self._at is not None:
            self._at = advance(*self._at, *self._period, count)

    def close_chunk(self) -> None:
        """See `Timebase`: nothing depends on it."""

    def promise(self, now_ns: int) -> int:
        """See `Timebase`: the next sample's place is known."""
        return -(1 << 62) if self._at is None else self._at[0]


class Axis:
    """The agent's time axis within a recording: CLOCK_MONOTONIC plus an offset that is fixed when it begins.

    Unset, the offset is 0: the data wait on monotonic time until `offset_ns` is known.
    """

    def __init__(self, offset_ns: int) -> None:
        self.offset_ns: Final = offset_ns

    @classmethod
    def begin(cls, monotonic_ns: int, wall_ns: int, *, is_set: bool) -> Axis:
        """The axis of a recording that begins now."""
        return cls(wall_ns - monotonic_ns if is_set else 0)

    def stamp(self, monotonic_ns: int) -> Stamp:
        """A monotonic time on this axis."""
        return Stamp(monotonic_ns + self.offset_ns)

    def has_stepped(self, monotonic_ns: int, wall_ns: int) -> bool:
        """Whether the wall clock has left the axis."""
        return abs(wall_ns - monotonic_ns - self.offset_ns) > CLOCK_STEP_NS
