"""From a condition over time to marks: one rule on one recording.

The meaning, in this order:

1. The state goes on at an instant where `when` is true, off at one where `until` is true (without `until`: where `when`
   is false), at most one change an instant. Unknown changes nothing.
2. While it is on, it ends once more than `max_gap` has gone by since the last known instant. That instant is the last
   in it, and stands for a period as every sample does: it ends one period of the stream behind it, or `max_gap` where
   that is shorter, so never within what follows. The instant at which it went on counts as known.
3. An off stretch of at most `hold` with no such stretch in it is bridged.
4. What lasts less than `for`, a duration or a number of known instants, is no event, nor what begins within `cooldown`
   of the end of the event before it.
5. An event `[on, off)` is widened by `pad`.

Every step looks at samples alone, so marks do not depend on when they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeAlias

import msgspec
import numpy as np

from ingest.times import Times
from labeling.rules.kernels import Pace
from labeling.rules.panes import Flags
from labeling.rules.program import Tri
from labeling.rules.ruleset import Timing

Evidence: TypeAlias = Callable[[int], dict[str, float]]
"""What the sides of the comparisons are at an instant of the batch."""
FAR: Final = 1 << 62
"""Behind every instant."""
GAP: Final = "closed by a gap over max_gap [s]"
END: Final = "closed by the end of the recording"


class Paced(Protocol):
    """How often the instants of a batch come; see `labeling.rules.kernels.Axis`."""

    max_step_ns: int

    @property
    def periods(self) -> int | Times:
        """The period as it is known right before each instant, one number where it is the same."""

    @property
    def max_gaps(self) -> int | Times:
        """The longest silence that is no gap where the rule says nothing else."""


class Event(msgspec.Struct, frozen=True, array_like=True):
    """A mark in the making: `[start_ns, end_ns)` before it is padded, and what opened and closed it."""

    start_ns: int
    end_ns: int
    opened: dict[str, float]
    closed: dict[str, float]
    samples: int = 0
    """The known instants in it, where they are counted."""


class TrackerState(msgspec.Struct, array_like=True):
    """All that a tracker knows between two batches."""

    onset_ns: int | None = None
    """Since when it is on; None: off."""
    opened: dict[str, float] = {}
    known_ns: int = 0
    """The last known instant, while it is on or an event is waiting."""
    waiting: Event | None = None
    """An event that a short dip may yet join to the next one."""
    calm_ns: int | None = None
    """No event begins before this."""
    samples: int = 0
    """The known instants since it went on or, while an event is waiting, since that ended; where they are counted."""


class Tracker:
    """Folds a rule's condition into events."""

    __slots__ = ("_timing", "events", "state")

    def __init__(self, timing: Timing, state: TrackerState | None = None) -> None:
        self._timing = timing
        self.state = TrackerState() if state is None else state
        self.events: list[Event] = []
        """What is finished; the caller takes it away."""

    def advance(
        self, times: Times, when: Tri, until: Tri | None, opened: Evidence, closed: Evidence, axis: Paced
    ) -> None:
        """Take a batch of instants."""
        state = self.state
        if state.onset_ns is None and state.waiting is None and not np.count_nonzero(when.true):
            return
        batch = _Batch(times, when, when.negated() if until is None else until, axis, self._timing.max_gap_ns)
        at, count = 0, len(times)
        while at < count:
            at = self._off(batch, at, opened) if state.onset_ns is None else self._on(batch, at, closed)

    def _off(self, batch: _Batch, at: int, opened: Evidence) -> int:
        """Look for the next onset from instant `at` on; where to go on."""
        state = self.state
        found = _first(batch.when.true, at)
        if state.waiting is not None:
            self._wait(batch, at, found)
        if found == len(batch.times):
            return found
        onset_ns = int(batch.times[found])
        if state.waiting is None:
            state.onset_ns, state.opened, state.samples = onset_ns, opened(found), 1
        else:
            state.onset_ns, state.opened = state.waiting.start_ns, state.waiting.opened
            state.samples += state.waiting.samples + 1
            state.waiting = None
        state.known_ns = onset_ns
        return found + 1

    def _wait(self, batch: _Batch, at: int, found: int) -> None:
        """Give the waiting event up to the next onset where that is too far, or data are missing on the way."""
        state, times = self.state, batch.times
        assert state.waiting is not None
        onset_ns = int(times[found]) if found < len(times) else None
        late = onset_ns is not None and onset_ns - state.waiting.end_ns > self._timing.hold_ns
        if late or self._gap(batch, batch.when_known, at, found) is not None:
            self._finish_waiting()
        else:
            self._count(batch.when_known, at, found)

    def _on(self, batch: _Batch, at: int, closed: Evidence) -> int:
        """Look for what ends the state from instant `at` on; where to go on."""
        state, times = self.state, batch.times
        assert state.onset_ns is not None
        found = _first(batch.until.true, at)
        behind = self._gap(batch, batch.until_known, at, found)
        self._count(batch.until_known, at, found if behind is None else behind)
        if behind is not None:
            self._close_behind(batch.pace(behind), None)
            return behind
        if found < len(times):
            self._close(int(times[found]), closed(found), wait=True)
            return found + 1
        return found

    def _count(self, known: Flags | None, at: int, stop: int) -> None:
        """Count the known instants of `[at, stop)`, where that matters."""
        if self._timing.for_samples:
            self.state.samples += stop - at if known is None else int(np.count_nonzero(known[at:stop]))

    def _gap(self, batch: _Batch, known: Flags | None, at: int, last: int) -> int | None:
        """Move the last known instant on through `[at, last]`, up to a gap: the first instant behind it, or None."""
        state = self.state
        times = batch.times[at : last + 1]
        if not len(times):
            return None
        max_gaps = batch.max_gaps if isinstance(batch.max_gaps, int) else batch.max_gaps[at : at + len(times)]
        if known is None and batch.steady and int(times[0]) - state.known_ns <= max_gaps:
            state.known_ns = int(times[-1])
            return None
        newest = (
            times if known is None else np.maximum.accumulate(np.where(known[at : last + 1], times, state.known_ns))
        )
        before = np.concatenate(([state.known_ns], newest[:-1]))
        holes = np.flatnonzero(times - before > max_gaps)
        if len(holes):
            behind = int(holes[0])
            state.known_ns = int(before[behind])
            return at + behind
        state.known_ns = int(newest[-1])
        return None

    def pass_to(self, complete_to_ns: int, pace: Pace) -> None:
        """Every instant before `complete_to_ns` has been taken, and they come at this pace: let what that decides
        happen."""
        state = self.state
        if state.onset_ns is not None:
            if complete_to_ns - state.known_ns > self._max_gap_ns(pace):
                self._close_behind(pace, None)
        elif state.waiting is not None and complete_to_ns - state.waiting.end_ns > self._timing.hold_ns:
            self._finish_waiting()

    def end(self, reason: Mapping[str, float], pace: Pace, limit_ns: int = FAR) -> None:
        """Nothing follows, or nothing of the kind before `limit_ns`: what is on ends behind the last known instant."""
        if self.state.onset_ns is not None:
            self._close_behind(pace, reason, limit_ns)
        self._finish_waiting()

    def _max_gap_ns(self, pace: Pace) -> int:
        return pace.max_gap_ns if self._timing.max_gap_ns is None else self._timing.max_gap_ns

    def _close_behind(self, pace: Pace, reason: Mapping[str, float] | None, limit_ns: int = FAR) -> None:
        """End the event one period behind the last known instant; without a reason for want of more."""
        max_gap_ns, known_ns = self._max_gap_ns(pace), self.state.known_ns
        end_ns = max(known_ns + 1, min(known_ns + min(pace.period_ns, max_gap_ns), limit_ns))
        self._close(end_ns, {GAP: max_gap_ns / 1e9} if reason is None else dict(reason), wait=False)

    def _close(self, end_ns: int, closed: dict[str, float], *, wait: bool) -> None:
        state = self.state
        assert state.onset_ns is not None
        state.waiting = Event(state.onset_ns, end_ns, state.opened, closed, state.samples)
        state.onset_ns, state.opened, state.samples = None, {}, 1  # the instant that ended it
        if wait:
            state.known_ns = end_ns
        if not wait or not self._timing.hold_ns:
            self._finish_waiting()

    def _finish_waiting(self) -> None:
        state, timing = self.state, self._timing
        event, state.waiting = state.waiting, None
        if event is None or event.end_ns - event.start_ns < timing.for_ns or event.samples < timing.for_samples:
            return
        if state.calm_ns is not None and event.start_ns < state.calm_ns:
            return
        if timing.cooldown_ns:
            state.calm_ns = event.end_ns + timing.cooldown_ns
        self.events.append(event)


class _Batch:
    """What a tracker looks at."""

    __slots__ = ("_axis", "max_gaps", "steady", "times", "until", "until_known", "when", "when_known")

    def __init__(self, times: Times, when: Tri, until: Tri, axis: Paced, max_gap_ns: int | None) -> None:
        self.times = times
        self.when = when
        self.when_known = when.known
        self.until = until
        self.until_known = until.known
        self._axis = axis
        self.max_gaps = axis.max_gaps if max_gap_ns is None else max_gap_ns
        self.steady = isinstance(self.max_gaps, int) and axis.max_step_ns <= self.max_gaps
        """No two neighbours lie further apart than `max_gap`."""

    def pace(self, at: int) -> Pace:
        """How often instants came before this one."""
        periods, max_gaps = self._axis.periods, self._axis.max_gaps
        return Pace(
            periods if isinstance(periods, int) else int(periods[at]),
            max_gaps if isinstance(max_gaps, int) else int(max_gaps[at]),
        )


def _first(flags: Flags, at: int) -> int:
    """The first true one from `at` on; the length where there is none."""
    found = at + int(flags[at:].argmax())
    return found if flags[found] else len(flags)
