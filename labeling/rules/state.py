"""Rules at work: samples in, marks out. Pure: no clock, no log; the agent and the rules operator feed it alike.

Samples are only collected when they come; `take` (or enough of them) works them out. What is late is decided when it
comes, so it makes no difference when that is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ingest.records import MarkAdd, StreamDescription
from ingest.times import Times
from labeling.marks import RULE, rule_mark_id
from labeling.rules.errors import RuleError
from labeling.rules.joining import Join
from labeling.rules.kernels import NEVER, TAIL, Axis, AxisPart, Pace, RollState, every
from labeling.rules.lookahead import Ahead
from labeling.rules.panes import Floats
from labeling.rules.plan import BoundRule, JoinPlan, StreamPlan, evidence
from labeling.rules.program import Tri
from labeling.rules.ruleset import Rule, RuleSet
from labeling.rules.tracker import END, FAR, Paced, Tracker

FAULTS_MAX: Final = 200
PLANS_MAX: Final = 1000
COLLECT_SAMPLES: Final = 16_384
"""A stream collects at most about so many samples before they are worked out."""
CHANGED: Final = "closed by another description of the stream"
_MARK_BYTES: Final = 300


class Stream:
    """One stream of one recording."""

    __slots__ = ("_pace", "_tail", "aheads", "collected", "complete_to", "pieces", "plan", "rolls")

    def __init__(self) -> None:
        self.plan: StreamPlan | None = None
        """None while no sample has come."""
        self.rolls: list[RollState] = []
        self._tail: Times = np.full(TAIL, NEVER)
        self._pace: Pace | None = None
        self.complete_to = NEVER
        """Every sample before this has come, or never will."""
        self.pieces: list[tuple[Times, NDArray[Any]]] = []
        self.collected = 0
        self.aheads: dict[int, Ahead] = {}
        """By rule that looks ahead in it."""

    def adopt(self, plan: StreamPlan) -> None:
        """Begin anew under a description."""
        self.plan = plan
        self.rolls = plan.program.new_states()
        self.tail = np.full(TAIL, NEVER)
        self.aheads = {index: Ahead() for index in plan.aheads}

    @property
    def tail(self) -> Times:
        """The times of the last 64 samples that were worked out."""
        return self._tail

    @tail.setter
    def tail(self, times: Times) -> None:
        self._tail, self._pace = times, None

    @property
    def pace(self) -> Pace:
        """How often samples come behind those that were worked out."""
        if self._pace is None:
            self._pace = Pace.after(self._tail, 0 if self.plan is None else self.plan.period_ns)
        return self._pace

    def done_to(self, index: int) -> int:
        """Every instant of a rule's before this has been worked out."""
        ahead = self.aheads.get(index)
        return self.complete_to if ahead is None else ahead.done_ns


class Recording:
    """All that the rules know of one recording of one device."""

    __slots__ = ("device", "joins", "name", "streams", "trackers")

    def __init__(self, rules: RuleSet, device: str, name: str) -> None:
        self.device = device
        self.name = name
        self.streams = {stream: Stream() for stream in sorted(rules.streams)}
        self.trackers = [Tracker(rule.timing) for rule in rules.rules]
        self.joins = {index: Join(rule) for index, rule in enumerate(rules.rules) if len(rule.streams) > 1}


class RuleState:
    """The rules of a set at work on any number of devices, from the beginning."""

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules
        self.counts: Counter[str] = Counter()
        """`samples`, `late.samples`, `marks`, `fault.samples` (of streams that some rule cannot run on) …"""
        self.faults: dict[tuple[str, str], str] = {}
        """Where a rule does not run: by its label and the reason, the device and stream that were met first; the first
        `FAULTS_MAX` reasons, since what they quote is what devices call their channels."""
        self.short_gaps: dict[tuple[str, str], str] = {}
        """By a rule's label and a stream without a rate whose samples mostly lie further apart than its `max_gap`: the
        device that was met first, and how far."""
        self.unwaited: dict[tuple[str, str], str] = {}
        """By a joining rule's label and a stream that it gave up for a day's silence: the device that was met first."""
        self.recordings: dict[tuple[str, str], Recording] = {}
        self._plans: dict[StreamDescription, StreamPlan] = {}
        self._marks: list[MarkAdd] = []

    def feed(
        self,
        device: str,
        recording: str,
        stream: str,
        times: Times,
        values: NDArray[Any],
        description: StreamDescription,
    ) -> None:
        """Take samples of a stream: `times (n,) int64` ns UTC, `values (n, channels)` as encoded, in the type of
        `description`, whose scale and offset make them physical.

        Samples that do not rise above all before them and above the stream's progress are late: counted, left out.
        """
        if stream not in self.rules.streams or not len(times):
            return
        record = self._recording(device, recording)
        state = record.streams[stream]
        if times[0] < state.complete_to or not every(times[1:] > times[:-1]):
            rising = times > np.maximum.accumulate(np.concatenate(([state.complete_to - 1], times[:-1])))
            self.counts["late.samples"] += len(times) - int(rising.sum())
            times, values = times[rising], values[rising]
            if not len(times):
                return
        if state.plan is None or state.plan.description is not description:
            self._describe(record, stream, description, int(times[0]))
        for index, join in record.joins.items():
            # What is given up before the horizon must not look at samples that come after that was decided.
            ahead = state.plan.aheads.get(index) if state.plan is not None else None
            reach_ns = 0 if ahead is None else ahead.ahead_ns
            if stream in join.buffers and int(times[0]) < join.horizon_ns + reach_ns:
                self._settle(record)
                break
        state.pieces.append((times, values))
        state.collected += len(times)
        self._reach(record, stream, int(times[-1]) + 1)
        if state.collected >= COLLECT_SAMPLES:
            self._settle(record)

    def progress(self, device: str, recording: str, stream: str, complete_to_ns: int) -> None:
        """Every sample of the stream before `complete_to_ns` has been fed, or will never come."""
        if stream in self.rules.streams:
            record = self._recording(device, recording)
            if complete_to_ns > record.streams[stream].complete_to:
                self._reach(record, stream, min(complete_to_ns, FAR))

    def end(self, device: str, recording: str) -> None:
        """Nothing of the recording follows: what is open ends with the last known sample."""
        self.close(device, recording)
        self.recordings.pop((device, recording), None)

    def close(self, device: str, recording: str) -> None:
        """Nothing of the recording has come for long: what is open ends with the last known sample. It may go on."""
        record = self.recordings.get((device, recording))
        if record is not None:
            self._settle(record, max((stream.complete_to for stream in record.streams.values()), default=NEVER))
            for index, tracker in enumerate(record.trackers):
                tracker.end({END: 1.0}, self._pace(record, index))
            self._emit(record)

    def forget(self, device: str, recording: str = "") -> None:
        """Drop all that is known of a device, or of one of its recordings, open marks too."""
        gone = {key for key in self.recordings if key[0] == device and recording in ("", key[1])}
        self.recordings = {key: record for key, record in self.recordings.items() if key not in gone}

    def take(self) -> list[MarkAdd]:
        """The marks that were finished since the last call."""
        self.settle()
        marks, self._marks = self._marks, []
        return marks

    @property
    def pending_bytes(self) -> int:
        """About how many bytes the finished marks take."""
        return _MARK_BYTES * len(self._marks)

    def settle(self) -> None:
        """Work out all that was fed."""
        for record in self.recordings.values():
            self._settle(record)

    # Samples.

    def _recording(self, device: str, name: str) -> Recording:
        record = self.recordings.get((device, name))
        if record is None:
            record = self.recordings[device, name] = Recording(self.rules, device, name)
        return record

    def plan(self, description: StreamDescription) -> StreamPlan:
        """What the rules want of a stream so described."""
        plan = self._plans.get(description)
        if plan is None:
            if len(self._plans) >= PLANS_MAX:
                self._plans.clear()  # whoever works under one keeps it
            plan = self._plans[description] = StreamPlan(self.rules.rules, description)
        return plan

    def _note_short_gaps(self, record: Recording, stream: str, plan: StreamPlan, period_ns: int) -> None:
        """Note which rules make a gap of every sample; where there is a rate they do not run."""
        for index in (*(bound.index for bound in plan.rules), *plan.aheads):
            rule = self.rules.rules[index]
            if rule.timing.max_gap_ns is not None and rule.timing.max_gap_ns < period_ns:
                self.short_gaps.setdefault((rule.label, stream), f"{record.device}: every {period_ns / 1e9:g}s")

    def _note_fault(self, label: str, fault: RuleError, where: str) -> None:
        if len(self.faults) < FAULTS_MAX:
            self.faults.setdefault((label, str(fault)), where)

    def _reach(self, record: Recording, stream: str, complete_to_ns: int) -> None:
        record.streams[stream].complete_to = complete_to_ns
        for join in record.joins.values():
            if stream in join.buffers:
                join.reach(complete_to_ns)

    def _pace(self, record: Recording, index: int) -> Pace:
        """How often a rule's instants come, behind all that were worked out."""
        join = record.joins.get(index)
        if join is not None:
            return join.pace(FAR)
        stream = record.streams[self.rules.rules[index].streams[0]]
        ahead = stream.aheads.get(index)
        if ahead is None or stream.plan is None:
            return stream.pace
        return ahead.pace(stream.plan.period_ns)

    def _describe(self, record: Recording, stream: str, description: StreamDescription, from_ns: int) -> None:
        """Adopt a stream's description from an instant on; where it means other values than the one before, what is
        open ends before that."""
        state, plan = record.streams[stream], self.plan(description)
        before = state.plan
        if before is plan:
            return
        self._settle(record)
        for join in record.joins.values():
            join.plan = None
        if before is not None and before.signature == plan.signature:
            state.plan = plan
            return
        if before is not None:
            with np.errstate(all="ignore"):
                for index in before.aheads:
                    self._look_ahead(record, stream, index, to_end=True)
            for index, rule in enumerate(self.rules.rules):
                if stream in rule.streams:
                    record.trackers[index].end({CHANGED: 1.0}, self._pace(record, index), from_ns)
                if index in record.joins:
                    record.joins[index].drop(stream)
            self._emit(record)
        state.adopt(plan)

    def _settle(self, record: Recording, complete_to_ns: int = NEVER) -> None:
        """Work out what has come; to its end, where nothing before `complete_to_ns` comes any more."""
        with np.errstate(all="ignore"):
            for stream, state in record.streams.items():
                if state.pieces:
                    self._work(record, stream, state)
                if state.plan is not None:
                    for bound in state.plan.rules:
                        record.trackers[bound.index].pass_to(state.complete_to, state.pace)
                    for index in state.plan.aheads:
                        self._look_ahead(record, stream, index, to_end=complete_to_ns != NEVER)
            for index, join in record.joins.items():
                self._join(record, index, join, complete_to_ns)
        self._emit(record)

    def _look_ahead(self, record: Recording, stream: str, index: int, *, to_end: bool) -> None:
        """Work out what a rule that looks ahead in a stream waited for, or all of it."""
        state, join = record.streams[stream], record.joins.get(index)
        assert state.plan is not None
        plan, ahead = state.plan.aheads[index], state.aheads[index]
        given_up_ns = NEVER if join is None else join.horizon_ns
        limit_ns = state.complete_to if to_end else max(state.complete_to - plan.ahead_ns, given_up_ns)
        at_once = to_end or given_up_ns > ahead.done_ns
        finished = ahead.work(plan, state.plan.period_ns, limit_ns, at_once=at_once)
        if finished is not None and join is not None:
            lanes = state.plan.lanes[index]
            self._add_lanes(join, stream, finished.axis, {lane: finished.registers[lane] for lane in lanes})
        elif finished is not None and plan.rule is not None:
            _advance(record.trackers[index], plan.rule, finished.axis.times, finished.registers, finished.axis)
        if plan.rule is not None:
            record.trackers[index].pass_to(ahead.done_ns, ahead.pace(state.plan.period_ns))

    def _work(self, record: Recording, stream: str, state: Stream) -> None:
        """Run a stream's program over what was collected, and hand on what comes of it."""
        plan = state.plan
        assert plan is not None
        if len(state.pieces) == 1:
            times, raw = state.pieces[0]
        else:
            times, raw = (np.concatenate(parts) for parts in zip(*state.pieces, strict=True))
        state.pieces, state.collected = [], 0
        self.counts["samples"] += len(times)
        if plan.faults:
            self.counts["fault.samples"] += len(times)
            for index, fault in plan.faults.items():
                label = self.rules.rules[index].label
                self.counts[f"fault.samples.{label}"] += len(times)
                self._note_fault(label, fault, f"{record.device}/{stream}")
        axis = Axis(state.tail, times, plan.period_ns)
        registers = plan.program.run(plan.columns(raw), axis, state.rolls)
        state.tail = axis.tail()
        for bound in plan.rules:
            _advance(record.trackers[bound.index], bound, times, registers, axis)
        if state.pace.period_ns > plan.least_gap_ns:
            self._note_short_gaps(record, stream, plan, state.pace.period_ns)
        for index, looking in plan.aheads.items():
            state.aheads[index].add(looking, times, registers)
        for index, lanes in plan.lanes.items():
            if index not in plan.faults and index not in plan.aheads:
                self._add_lanes(record.joins[index], stream, axis, {lane: registers[lane] for lane in lanes})

    def _add_lanes(self, join: Join, stream: str, axis: Axis | AxisPart, lanes: Mapping[int, Floats]) -> None:
        unwaited = join.add(stream, axis, lanes)
        if unwaited:
            self.counts["unwaited.samples"] += unwaited

    def _join(self, record: Recording, index: int, join: Join, complete_to_ns: int) -> None:
        rule = self.rules.rules[index]
        states = [record.streams[stream] for stream in rule.streams]
        if any(state.plan is not None and index in state.plan.faults for state in states):
            join.drop_all()
            return
        low = min(state.done_to(index) for state in states)
        limit = max(low, join.horizon_ns, complete_to_ns)
        if limit <= join.done_ns:
            return
        if join.plan is None:
            join.plan = self._join_plan(record, index, rule)
        if join.plan is None:
            join.drop_all()
            return
        bound = join.plan.rule
        times, axis, inputs = join.instants(limit, rule.max_age_ns)
        if len(times):
            if times[-1] >= max(low, complete_to_ns):
                for stream, state in zip(rule.streams, states, strict=True):
                    if state.done_to(index) <= times[-1]:
                        self.unwaited.setdefault((rule.label, stream), record.device)
            registers = join.plan.program.run(inputs)
            _advance(record.trackers[index], bound, times, registers, axis)
        record.trackers[index].pass_to(limit, join.pace(limit))

    def _join_plan(self, record: Recording, index: int, rule: Rule) -> JoinPlan | None:
        plans: Mapping[str, StreamPlan] = {
            stream: plan for stream in rule.streams if (plan := record.streams[stream].plan) is not None
        }
        try:
            return JoinPlan(index, rule, plans)
        except RuleError as fault:
            self._note_fault(rule.label, fault, f"{record.device}/{', '.join(rule.streams)}")
            self.counts[f"fault.samples.{rule.label}"] += record.joins[index].waiting
            return None

    # Marks.

    def _emit(self, record: Recording) -> None:
        for rule, tracker in zip(self.rules.rules, record.trackers, strict=True):
            if tracker.events:
                self._marks += self._made(rule, record.device, tracker)
                tracker.events = []

    def _made(self, rule: Rule, device: str, tracker: Tracker) -> Iterator[MarkAdd]:
        self.counts["marks"] += len(tracker.events)
        before_ns, after_ns = rule.pad_ns
        for event in tracker.events:
            start_ns = event.start_ns - before_ns
            yield MarkAdd(
                device,
                rule_mark_id(rule.revision, device, start_ns),
                max(start_ns, -FAR),
                min(event.end_ns + after_ns, FAR),
                rule.label,
                self.rules.name,
                RULE,
                evidence=event.opened | event.closed,
                revision=rule.revision,
            )


def _advance(tracker: Tracker, bound: BoundRule, times: Times, registers: list[Any], axis: Paced) -> None:
    until: Tri | None = None if bound.until is None else registers[bound.until.register]
    closing = bound.when if bound.until is None else bound.until

    def opened(at: int) -> dict[str, float]:
        return evidence(bound.when.shown, registers, at, "opened by")

    def closed(at: int) -> dict[str, float]:
        return evidence(closing.shown, registers, at, "closed by")

    tracker.advance(times, registers[bound.when.register], until, opened, closed, axis)
