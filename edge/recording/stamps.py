"""What places samples in time, and what it gives and is given: the words that the timebases share. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np

from edge.protocol import Times

Ahead: TypeAlias = tuple[int, int]
"""Samples of a read that came later and is known already, and when it came."""


class Stamp(NamedTuple):
    """When bytes came: on the agent's time axis, ns. The axis is UTC once the clock is set."""

    time_ns: int
    waited_ns: int = 0
    """Up to so long before they may have come, and waited (`edge.protocol.Arrival`)."""
    trusted: bool = True
    """The agent's own clock is set, and they came when they were said: a device's clock can be held against it."""


@dataclass(frozen=True, slots=True)
class ClockEstimate:
    """What a timebase knows of the times that it gives: the fields of `ingest.records.Clock`."""

    offset_ns: int = 0
    ppm: float = 0.0
    uncertainty_ns: int = 1
    synced: bool = True
    """Whether the times can be UTC."""


@dataclass(frozen=True, slots=True)
class RateFound:
    """What a stream's arrivals say of its rate."""

    nominal_hz: float
    found_hz: float
    uncertainty_hz: float
    samples: int
    """What that rests on."""

    @property
    def ppm(self) -> float:
        """By how much the true rate is above the nominal one."""
        return (self.found_hz / self.nominal_hz - 1) * 1e6


class Placed(NamedTuple):
    """Sample times, `(kept,)`, rising strictly; and which of the samples they belong to."""

    times: Times
    kept: slice | np.ndarray[tuple[int], np.dtype[np.bool_]]
    left_out: int = 0
    """Samples whose time repeats or runs backwards by less than a step."""
    error_ns: int = 0
    """How far the times may be off, where that is further than usual (`Timebase.state`)."""
    hole: tuple[int, int] | None = None
    """Samples are missing in this range before the first one: more than a period without any."""


class ClockStep(Exception):  # noqa: N818 - it is an event, not an error
    """The device's clock stepped before the sample `index` of what was to be placed."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


class Timebase(Protocol):
    """Places the samples of one stream in time."""

    def place(self, count: int, device_ns: Times | None, stamp: Stamp, ahead: Sequence[Ahead] | None = None) -> Placed:
        """Times of the `count` samples that came with `stamp`, with the device's times if it gives any.

        `ahead` are the reads behind it that are known already: they tell a backlog from samples that are missing.
        None where the caller never knows any: then a late read of several samples is the first of a backlog until the
        next one shows that it was not.

        Raises:
            ClockStep: a new recording, with a new timebase, must begin before a sample; nothing was placed.
        """
        ...

    def skip(self, count: int) -> None:
        """So many samples were lost here; -1: nobody knows how many."""
        ...

    def interrupt(self) -> None:
        """The input was interrupted here: what comes next comes when it is taken."""
        ...

    def close_chunk(self) -> None:
        """A chunk ends here: the next one may start off the grid."""
        ...

    def promise(self, now_ns: int, *, is_away: bool = False) -> int:
        """Every sample to come has this time or a later one; from now on that is so.

        `is_away`: nobody hears what the sensor says until now, so none of it will come.
        """
        ...

    @property
    def state(self) -> ClockEstimate:
        """What is known of the times that were given last."""
        ...
