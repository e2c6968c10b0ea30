"""Times that a device gives, and times that are counted. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

import numpy as np

from edge.protocol import Times
from edge.recording.stamps import Ahead, ClockEstimate, ClockStep, Placed, Stamp
from ingest.ordering import BACK_STEP_NS, first_step, rising
from ingest.times import advance, period_of

DEVICE_STEP_NS: Final = 2_000_000_000
"""A device's clock has stepped when it is further ahead of the arrivals by so much than it ever was, or went back by so
much. Falling behind is no step: devices send late what they kept."""
STEADY_ARRIVALS: Final = 3
"""A device's clock that so many arrivals agree with is steady: what jumps then is the clock, not the data."""
GPS_ERA_NS: Final = 1024 * 7 * 86_400 * 1_000_000_000
ERA_CERTAIN_NS: Final = 86_400 * 1_000_000_000
"""So near to a whole number of eras behind, nothing else can be meant."""
UNSET_NS: Final = 365 * 86_400 * 1_000_000_000
"""A device's clock that goes on at the pace of the arrivals, but further behind than this, was never set …"""
NEVER_SET_NS: Final = 1_262_304_000_000_000_000
"""… and neither was one, so far behind, that says a time before 2010; later ones may be kept data, sent in a heap."""
UNKNOWN_NS: Final = 1_000_000_000
"""How far a device's clock may be off that no arrival was near to."""


class DeviceTimes:
    """The device's clock is believed; it must be UTC. What does not rise is judged as in files (`ingest.ordering`); the
    arrivals tell besides when the clock was set, and when a GPS receiver has lost count of the weeks."""

    def __init__(self) -> None:
        self._floor = -(1 << 62)
        self._last: int | None = None
        self._lead: int | None = None
        """The most by which a sample's time was ahead of its arrival."""
        self._arrived = 0
        """When the newest sample did."""
        self._steady = 0
        """So many arrivals in a row, newest last, came as long after the one before as their samples' times say."""
        self._offset = 0
        self._synced = True

    def place(self, count: int, device_ns: Times | None, stamp: Stamp, ahead: Sequence[Ahead] | None = None) -> Placed:
        """See `Timebase`. Samples without a time are left out."""
        if device_ns is None:
            return Placed(np.zeros(0, dtype=np.int64), slice(0, 0), count)
        device_ns = self._in_its_era(device_ns, stamp)
        self._look_for_step(device_ns, stamp)
        found = rising(device_ns, self._last)
        kept = found.kept & (device_ns >= self._floor)
        times = device_ns[kept]
        if len(times):
            self._follow(times, stamp)
        return Placed(times, kept, count - len(times))

    def _in_its_era(self, device_ns: Times, stamp: Stamp) -> Times:
        """Times of a receiver whose 10 bits of week number have run over (IS-GPS-200, 20.3.3.3.1.1), put right."""
        if not stamp.trusted or not len(device_ns):
            return device_ns
        behind = stamp.time_ns - int(device_ns[-1])
        eras = (behind + GPS_ERA_NS // 2) // GPS_ERA_NS
        if eras > 0 and abs(behind - eras * GPS_ERA_NS) < ERA_CERTAIN_NS:
            return device_ns + eras * GPS_ERA_NS
        return device_ns

    def _look_for_step(self, device_ns: Times, stamp: Stamp) -> None:
        """Raise `ClockStep` at the first sample whose time no device gives whose clock goes on as before."""
        stepped = [first_step(device_ns, self._last), self._set_ahead(device_ns, stamp)]
        first = min((index for index in stepped if index is not None), default=None)
        if first is not None:
            raise ClockStep(first)

    def _set_ahead(self, device_ns: Times, stamp: Stamp) -> int | None:
        """The first sample further ahead of its arrival than any was, or before which a steady clock jumped ahead."""
        lead = int(device_ns[0]) - stamp.time_ns if self._lead is None else self._lead
        suspect = device_ns - stamp.time_ns > max(0, lead) + DEVICE_STEP_NS
        if self._lead is None:
            suspect[:1] = False
        if stamp.trusted and self._steady >= STEADY_ARRIVALS and self._last is not None:
            jumps = np.diff(device_ns, prepend=np.int64(self._last))
            passed = stamp.time_ns - self._arrived
            suspect |= (jumps > passed + DEVICE_STEP_NS) & (device_ns - self._last > passed + DEVICE_STEP_NS)
        return int(suspect.argmax()) if suspect.any() else None

    def _follow(self, times: Times, stamp: Stamp) -> None:
        lead = int(times[-1]) - stamp.time_ns
        if self._last is not None:
            passed, said = stamp.time_ns - self._arrived, int(times[-1]) - self._last
            if passed:
                is_steady = abs(passed - said) <= DEVICE_STEP_NS and passed > said // 2
                self._steady = self._steady + 1 if is_steady else 0
        self._floor = int(times[-1]) + 1
        self._lead = lead if self._lead is None else max(self._lead, lead)
        self._last, self._arrived, self._offset = int(times[-1]), stamp.time_ns, lead
        is_old = self._last < NEVER_SET_NS or self._steady >= STEADY_ARRIVALS
        self._synced = not (stamp.trusted and lead < -UNSET_NS and is_old)

    def behind(self, device_ns: Times) -> int:
        """How many samples in a row, from the first on, a device whose clock is steady had kept: older than the newest
        by a step. 0 where nothing tells that the clock itself was not set back."""
        if self._last is None or self._steady < STEADY_ARRIVALS:
            return 0
        kept = device_ns <= self._last - BACK_STEP_NS
        return len(kept) if kept.all() else int(kept.argmin())

    def skip(self, count: int) -> None:
        """See `Timebase`: the device's times show what is missing."""

    def interrupt(self) -> None:
        """See `Timebase`: nothing depends on it."""

    def close_chunk(self) -> None:
        """See `Timebase`: nothing depends on it."""

    def promise(self, now_ns: int, *, is_away: bool = False) -> int:
        """See `Timebase`: of a foreign clock no more is known than that it rises."""
        return self._floor

    @property
    def state(self) -> ClockEstimate:
        """See `Timebase`: how far the device is ahead of the arrivals, and how near its clock is seen to have been."""
        lead = UNKNOWN_NS if self._lead is None else min(abs(self._lead), UNKNOWN_NS)
        return ClockEstimate(self._offset, 0.0, max(1, lead), self._synced)


class CountedTimes:
    """Sample `i` lies at the first arrival plus `i` periods, exactly: for what is played from a file at a rate."""

    def __init__(self, rate: Fraction) -> None:
        self._period = period_of(rate)
        self._at: tuple[int, int] | None = None
        """Instant and phase of the next sample."""

    def place(self, count: int, device_ns: Times | None, stamp: Stamp, ahead: Sequence[Ahead] | None = None) -> Placed:
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
        if self._at is not None and count > 0:
            self._at = advance(*self._at, *self._period, count)

    def interrupt(self) -> None:
        """See `Timebase`: a file is not interrupted."""

    def close_chunk(self) -> None:
        """See `Timebase`: nothing depends on it."""

    def promise(self, now_ns: int, *, is_away: bool = False) -> int:
        """See `Timebase`: the next sample's place is known."""
        return -(1 << 62) if self._at is None else self._at[0]

    @property
    def state(self) -> ClockEstimate:
        """See `Timebase`: what is counted is certain to the rounding."""
        return ClockEstimate()
