"""Where the streams of a rule meet: at every instant that one of them has a sample, each with its newest one.

A stream's newest sample stands in for `max_age`; after that the stream is unknown. An instant is worked out when every
stream is complete past it, or a day of event time lies behind it: a stream that is silent for ever must not hold up
the others, nor fill the memory.

The instants come as often as the samples of the quickest stream that has come: its period is theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from ingest.lifetimes import WAIT_NS as WAIT_NS
from ingest.pace import ENDLESS_NS, rated_gap_ns, unrated_gaps_ns
from ingest.times import Times
from labeling.rules.binding import Lane
from labeling.rules.kernels import NEVER, Axis, AxisPart, Pace
from labeling.rules.panes import Flags, Floats
from labeling.rules.plan import JoinPlan
from labeling.rules.ruleset import Rule


class Buffer:
    """A stream's lanes: those of its newest sample that was worked out, and of all that were not."""

    __slots__ = ("lanes", "period_ns", "periods", "times")

    def __init__(self) -> None:
        self.period_ns = 0
        """The stream's nominal period; 0 where it has none."""
        self.periods: Times = np.empty(0, dtype=np.int64)
        """As it is known behind each sample, `(n,)`."""
        self.times: Times = np.empty(0, dtype=np.int64)
        self.lanes: dict[int, Floats] = {}
        """By register of the stream's program, `(n,)`."""

    def max_gaps(self) -> Times:
        """The longest silence that is no gap in the stream behind each sample, `(n,)`."""
        if self.period_ns:
            return np.full(len(self.periods), rated_gap_ns(self.period_ns))
        return unrated_gaps_ns(self.periods)


class JoinAxis:
    """The instants of a batch, and how often they come; see `labeling.rules.tracker.Paced`."""

    def __init__(self, buffers: Iterable[Buffer], times: Times) -> None:
        self.max_step_ns = int((times[1:] - times[:-1]).max()) if len(times) > 1 else 0
        paces = [_pace_before(buffer, times) for buffer in buffers]
        periods = np.min([periods for periods, _ in paces], axis=0)
        self.periods: int | Times = np.where(periods < ENDLESS_NS, periods, 0)
        self.max_gaps: int | Times = np.min([gaps for _, gaps in paces], axis=0)


def _pace_before(buffer: Buffer, times: Times) -> tuple[Times, Times]:
    """Period and default `max_gap` of a stream as they are known right before each instant; endless: not known."""
    none = np.full(len(times), ENDLESS_NS)
    if not len(buffer.times):
        return none, none
    places = buffer.times.searchsorted(times) - 1
    periods, gaps = buffer.periods[places], buffer.max_gaps()[places]
    known = (places >= 0) & (periods > 0)
    return np.where(known, periods, ENDLESS_NS), np.where(known, gaps, ENDLESS_NS)


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

    def add(self, stream: str, axis: Axis | AxisPart, lanes: Mapping[int, Floats]) -> int:
        """More samples of a stream; how many are left out since nobody waits for them any more."""
        buffer, times = self.buffers[stream], axis.times
        periods = axis.periods if not isinstance(axis.periods, int) else np.full(len(times) + 1, axis.periods)
        skip = int(times.searchsorted(self.done_ns))
        if len(buffer.times):
            buffer.lanes = {at: np.concatenate((buffer.lanes[at], lane[skip:])) for at, lane in lanes.items()}
        else:
            buffer.lanes = {at: lane[skip:] for at, lane in lanes.items()}
        buffer.times = np.concatenate((buffer.times, times[skip:]))
        buffer.periods = np.concatenate((buffer.periods, periods[1 + skip :]))
        buffer.period_ns = axis.period_ns
        return skip

    def drop(self, stream: str) -> None:
        """Forget a stream's samples: they no longer mean what its next ones do."""
        if stream in self.buffers:
            self.buffers[stream] = Buffer()

    def drop_all(self) -> None:
        """Forget every stream's samples: the rule cannot run on them."""
        for stream in self.buffers:
            self.drop(stream)

    def pace(self, limit_ns: int) -> Pace:
        """How often instants come, as it is known right before `limit_ns`."""
        axis = JoinAxis(self.buffers.values(), np.array([limit_ns]))
        periods, gaps = np.asarray(axis.periods), np.asarray(axis.max_gaps)
        return Pace(int(periods[0]), int(gaps[0]))

    def instants(self, limit_ns: int, max_age_ns: int | None) -> tuple[Times, JoinAxis, Callable[[Lane], Floats]]:
        """The instants before `limit_ns` that were not worked out yet, their axis, and each lane at them; they count as
        done."""
        parts = []
        for buffer in self.buffers.values():
            low, high = buffer.times.searchsorted((self.done_ns, limit_ns))
            parts.append(buffer.times[low:high])
        times: Times = np.unique(np.concatenate(parts))
        axis = JoinAxis(self.buffers.values(), times)
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
        return times, axis, lane


def _newest(buffer: Buffer, times: Times, max_age_ns: int | None) -> tuple[Times, Flags]:
    """For each instant the newest sample at or before it, and whether that is young enough."""
    if not len(buffer.times):
        return times, np.zeros(len(times), dtype=np.bool_)
    places = buffer.times.searchsorted(times, side="right") - 1
    longest = buffer.max_gaps()[places] if max_age_ns is None else max_age_ns
    fresh = (places >= 0) & (times - buffer.times[places] <= longest)
    return np.maximum(places, 0), fresh


def _trim(buffer: Buffer, limit_ns: int) -> None:
    """Keep the last sample before `limit_ns` and all from there on."""
    keep = max(0, int(buffer.times.searchsorted(limit_ns)) - 1)
    if keep:
        buffer.times = buffer.times[keep:].copy()
        buffer.periods = buffer.periods[keep:].copy()
        buffer.lanes = {at: lane[keep:].copy() for at, lane in buffer.lanes.items()}
