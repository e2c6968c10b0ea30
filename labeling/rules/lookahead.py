"""What looks ahead: a value at an instant that rests on later samples waits until these have come.

The rule's lanes are kept from as long before the first instant that waits as its values look back, and its program runs
over all that is kept: no value depends on when that is. What waits is worked out once it is a sixteenth of what is
kept, so that a long span is not gone through for each batch.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from ingest.pace import STEPS
from ingest.times import Times
from labeling.rules.kernels import NEVER, TAIL, Axis, AxisPart, Pace
from labeling.rules.panes import Floats
from labeling.rules.plan import AheadPlan
from labeling.rules.program import Tri

_SHARE: Final = 16
_KEPT: Final = STEPS + 2
"""So many samples before what is looked at tell the stream's period there, and what the first one covers."""


class Finished(NamedTuple):
    """Instants that were worked out."""

    axis: AxisPart
    registers: list[Any]
    """Of the `AheadPlan`'s program, at these instants."""


class Ahead:
    """A rule's samples of one stream of one recording, where it looks ahead."""

    __slots__ = ("done_ns", "lanes", "times")

    def __init__(self) -> None:
        self.times: Times = np.empty(0, dtype=np.int64)
        self.lanes: dict[int, Floats] = {}
        """By register of the stream's program, `(n,)`."""
        self.done_ns = NEVER
        """Every instant before this has been worked out."""

    def add(self, plan: AheadPlan, times: Times, registers: list[Any]) -> None:
        """More samples of the stream, and what its program made of them."""
        self.lanes = {
            at: np.concatenate((self.lanes[at], registers[at])) if len(self.times) else registers[at]
            for at in plan.inputs
        }
        self.times = np.concatenate((self.times, times))

    def work(self, plan: AheadPlan, period_ns: int, limit_ns: int, *, at_once: bool) -> Finished | None:
        """Work out the instants before `limit_ns`: all samples that they rest on have come, or never will. None: there
        are none, or so few that they can wait, unless they are wanted `at_once`."""
        first, last = (int(at) for at in self.times.searchsorted((self.done_ns, limit_ns)))
        if limit_ns <= self.done_ns or (0 < last - first < len(self.times) // _SHARE and not at_once):
            return None
        self.done_ns = limit_ns
        if first == last:
            return None
        axis = Axis(np.full(TAIL, NEVER), self.times, period_ns)
        registers = plan.program.run(lambda lane: self.lanes[lane.register], axis, plan.program.new_states())
        finished = Finished(AxisPart(axis, first, last), [_part(register, first, last) for register in registers])
        self._trim(plan, last)
        return finished

    def _trim(self, plan: AheadPlan, last: int) -> None:
        next_ns = int(self.times[last]) if last < len(self.times) else self.done_ns
        keep = min(int(self.times.searchsorted(next_ns - plan.behind_ns)), last) - _KEPT
        if keep > 0:
            self.times = self.times[keep:].copy()
            self.lanes = {at: lane[keep:].copy() for at, lane in self.lanes.items()}

    def pace(self, period_ns: int) -> Pace:
        """How often samples come behind all instants that were worked out."""
        last = int(self.times.searchsorted(self.done_ns))
        return Pace.after(np.concatenate((np.full(TAIL, NEVER), self.times[:last])), period_ns)


def _part(register: Any, start: int, stop: int) -> Any:
    if isinstance(register, Tri):
        return register.part(start, stop)
    return register[start:stop] if isinstance(register, np.ndarray) else register
