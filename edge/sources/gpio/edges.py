"""The kernel's line events to rows: levels, edges, or counts of them. Pure.

An event is a `struct gpio_v2_line_event` of the kernel's GPIO character device (linux/gpio.h). A request's events are
numbered, all of them and those of each line: where its buffer of some hundred ran over, the numbers say how many went.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.decoders.scans.decoder import rows_of
from edge.protocol import Times, Values

EVENT: Final = np.dtype(
    [
        ("time_ns", "u8"),  # CLOCK_MONOTONIC, as it is asked for
        ("id", "u4"),
        ("offset", "u4"),
        ("seqno", "u4"),
        ("line_seqno", "u4"),
        ("padding", "u4", (6,)),
    ]
)
RISING: Final = 1
"""An event's `id`; a falling edge has 2. Both are told of a line's logical level."""
Events = NDArray[np.void]


class Edges(Protocol):
    """What events are made of."""

    wait_s: float
    """Rows are due so often, also when there are no events."""

    @property
    def wants_levels(self) -> bool:
        """Whether `stand` has something to say."""
        ...

    def begin(self, at_ns: int) -> None:
        """The lines were requested."""
        ...

    def stand(self, levels: Sequence[float], at_ns: int) -> bytes:
        """The lines' levels now; all events before were taken."""
        ...

    def take(self, events: Events, ahead_ns: int) -> bytes:
        """Rows of events; CLOCK_BOOTTIME is `ahead_ns` ahead of CLOCK_MONOTONIC."""
        ...

    def quiet(self, at_ns: int) -> bytes:
        """Rows that are due now that all up to `at_ns` was taken."""
        ...


class Levels:
    """A sample at each edge. `both`: the levels of all lines from then on; else only that of the line itself, 1 at a
    rising and 0 at a falling edge.

    Behind edges that were missed nobody knows the other lines' levels: NaN, until they are looked at, or change.
    """

    wait_s = float("inf")

    def __init__(self, offsets: Sequence[int], *, both: bool) -> None:
        self._column = {offset: column for column, offset in enumerate(offsets)}
        self._both = both
        self.begin(0)

    @property
    def wants_levels(self) -> bool:
        """See `Edges`."""
        return self._both and bool(np.isnan(self._levels).any())

    def begin(self, at_ns: int) -> None:
        """See `Edges`."""
        self._seqno = 0
        self._levels = np.full(len(self._column), np.nan)

    def stand(self, levels: Sequence[float], at_ns: int) -> bytes:
        """See `Edges`."""
        self._levels = np.array(levels, dtype=np.float64)
        return rows_of(np.array([at_ns]), self._levels[np.newaxis])

    def take(self, events: Events, ahead_ns: int) -> bytes:
        """See `Edges`."""
        numbers = events["seqno"]
        missed = np.diff(numbers, prepend=np.uint32(self._seqno)) - np.uint32(1)
        self._seqno = int(numbers[-1])
        values = np.full((len(events), len(self._column)), np.nan)
        columns = [self._column[offset] for offset in events["offset"].tolist()]
        values[np.arange(len(events)), columns] = events["id"] == RISING
        if self._both:
            values = held(values, self._levels, missed != 0)
            self._levels = values[-1]
        return rows_of(_times(events, ahead_ns), values, missed)

    def quiet(self, at_ns: int) -> bytes:
        """See `Edges`."""
        return b""


class Counts:
    """How many edges each line had, once in `every_ns`: also those that were missed, as their numbers say.

    A sample's time is its interval's end; those that were missed count where the next edge is.
    """

    wants_levels = False

    def __init__(self, offsets: Sequence[int], every_ns: int) -> None:
        self.wait_s = every_ns / 1e9
        self._column = {offset: column for column, offset in enumerate(offsets)}
        self._every_ns = every_ns
        self.begin(0)

    def begin(self, at_ns: int) -> None:
        """See `Edges`: the first interval begins."""
        self._end_ns = at_ns + self._every_ns
        self._counts = [0] * len(self._column)
        self._numbers = [0] * len(self._column)

    def stand(self, levels: Sequence[float], at_ns: int) -> bytes:
        """See `Edges`."""
        return b""

    def take(self, events: Events, ahead_ns: int) -> bytes:
        """See `Edges`."""
        found = []
        offsets, numbers = events["offset"].tolist(), events["line_seqno"].tolist()
        for time_ns, offset, number in zip(_times(events, ahead_ns).tolist(), offsets, numbers, strict=True):
            found.append(self.quiet(time_ns))
            column = self._column[offset]
            self._counts[column] += (number - self._numbers[column]) & 0xFFFF_FFFF
            self._numbers[column] = number
        return b"".join(found)

    def quiet(self, at_ns: int) -> bytes:
        """See `Edges`: the intervals that are over."""
        if at_ns < self._end_ns:
            return b""
        over = (at_ns - self._end_ns) // self._every_ns + 1
        values = np.zeros((over, len(self._counts)))
        values[0] = self._counts
        times = self._end_ns + self._every_ns * np.arange(over, dtype=np.int64)
        self._counts = [0] * len(self._counts)
        self._end_ns += over * self._every_ns
        return rows_of(times, values)


def _times(events: Events, ahead_ns: int) -> Times:
    return events["time_ns"].astype(np.int64) + ahead_ns


def held(values: Values, before: Values, is_break: NDArray[np.bool_]) -> Values:
    """Each line's value up to its next one, `(events, lines)`; behind a break nothing of before it holds."""
    held = np.vstack([before, values])
    numbers = np.arange(len(held))[:, np.newaxis]
    newest = np.maximum.accumulate(np.where(np.isnan(held), 0, numbers), axis=0)
    breaks = np.maximum.accumulate(np.where(np.concatenate([[False], is_break])[:, np.newaxis], numbers, 0), axis=0)
    found: Values = np.where(newest >= breaks, np.take_along_axis(held, newest, axis=0), np.nan)
    return found[1:]
