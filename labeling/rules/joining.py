"""Where the streams of a rule meet: at every instant that one of them has a sample, each with its newest one.

A stream's newest sample stands in for `max_age`; after that the stream is unknown. An instant is worked out when every
stream is complete past it, or a day of event time lies behind it: a stream that is silent for ever must not hold up
the others, nor fill the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from ingest.times import Times
from labeling.rules.binding import Lane
from labeling.rules.kernels import NEVER
from labeling.rules.panes import Flags, Floats
from labeling.rules.plan import JoinPlan
from labeling.rules.ruleset import Rule

WAIT_NS: Final = 86_400 * 10**9


class Buffer:
    """A stream's lanes: those of its newest sample that was worked out, and of all that were not."""

    __slots__ = ("lanes", "times")

    def __init__(self) -> None:
        self.times: Times = np.empty(0, dtype=np.int64)
        self.lanes: dict[int, Floats] = {}
        """By register of the stream's program, `(n,)`."""


class Join:
    """A joining rule's samples in one recording."""

    __slots__ = ("buffers", "done_ns", "horizon_ns", "plan")

    def __init__(self, rule: Rule) -> None:
        self.buffers = {stream: Buffer() for stream in rule.streams}
        self.done_ns = NEVER
        """Every instant before this has been worked out."""
        self.horizon_ns = NEVER
        """Nobody waits for samples before this."""
        self.plan: JoinPlan | None = None
        """Under the streams' present descriptions."""

    @property
    def waiting(self) -> int:
        """How many samples were not worked out yet."""
        return sum(len(buffer.times) - int(buffer.times.searchsorted(self.done_ns)) for buffer in self.buffers.values())

    def reach(self, complete_to_ns: int) -> None:
        """One of the streams is complete to there."""
        self.horizon_ns = max(self.horizon_ns, complete_to_ns - WAIT_NS)

    def add(self, stream: str, times: Times, lanes: Mapping[int, Floats]) -> None:
        """More samples of a stream; those that nobody waits for any more are left out."""
        buffer = self.buffers[stream]
        skip = int(times.searchsorted(self.done_ns))
        if len(buffer.times):
            buffer.lanes = {at: np.concatenate((buffer.lanes[at], lane[skip:])) for at, lane in lanes.items()}
        else:
            buffer.lanes = {at: lane[skip:] for at, lane in lanes.items()}
        buffer.times = np.concatenate((buffer.times, times[skip:]))

    def drop(self, stream: str) -> None:
        """Forget a stream's samples: they no longer mean what its next ones do."""
        if stream in self.buffers:
            self.buffers[stream] = Buffer()

    def drop_all(self) -> None:
        """Forget every stream's samples: the rule cannot run on them."""
        for stream in self.buffers:
            self.drop(stream)

    def instants(self, limit_ns: int, max_age_ns: int) -> tuple[Times, Callable[[Lane], Floats]]:
        """The instants before `limit_ns` that were not worked out yet, and each lane at them; they count as done."""
        parts = []
        for buffer in self.buffers.values():
            low, high = buffer.times.searchsorted((self.done_ns, limit_ns))
            parts.append(buffer.times[low:high])
        times: Times = np.unique(np.concatenate(parts))
        newest = {stream: _newest(buffer, times, max_age_ns) for stream, buffer in self.buffers.items()}
        kept = {stream: buffer.lanes for stream, buffer in self.buffers.items()}

        def lane(wanted: Lane) -> Floats:
            lanes = kept[wanted.stream].get(wanted.register)
            if lanes is None or not len(lanes):
                return np.full(len(times), np.nan)
            places, fresh = newest[wanted.stream]
            return np.where(fresh, lanes[places], np.nan)

        self.done_ns = limit_ns
        for buffer in self.buffers.values():
            _trim(buffer, limit_ns)
        return times, lane


def _newest(buffer: Buffer, times: Times, max_age_ns: int) -> tuple[Times, Flags]:
    """For each instant the newest sample at or before it, and whether that is young enough."""
    if not len(buffer.times):
        return times, np.zeros(len(times), dtype=np.bool_)
    places = buffer.times.searchsorted(times, side="right") - 1
    fresh = (places >= 0) & (times - buffer.times[places] <= max_age_ns)
    return np.maximum(places, 0), fresh


def _trim(buffer: Buffer, limit_ns: int) -> None:
    """Keep the last sample before `limit_ns` and all from there on."""
    keep = max(0, int(buffer.times.searchsorted(limit_ns)) - 1)
    if keep:
        buffer.times = buffer.times[keep:].copy()
        buffer.lanes = {at: lane[keep:].copy() for at, lane in buffer.lanes.items()}
