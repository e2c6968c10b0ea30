"""What rules compute on a stream of a given description, and where streams meet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ingest.measures import ANY, channel_unit
from ingest.pace import ENDLESS_NS, GAP_PERIODS
from ingest.records import StreamDescription
from labeling.rules.ast import Compare, Logic, Node, Numeric, ahead_ns, behind_ns, children, streams
from labeling.rules.binding import Binder, Bound, Operand, Shown
from labeling.rules.errors import Faults, RuleError
from labeling.rules.panes import Floats
from labeling.rules.program import Program
from labeling.rules.ruleset import Rule, RuleSet

REACH_SAMPLES_MAX: Final = 1 << 18
"""A rule that looks ahead keeps at most so many samples of a stream with a rate."""


@dataclass(frozen=True, slots=True)
class BoundRule:
    """A rule's conditions in a program."""

    index: int
    """Among the rules of the set."""
    when: Bound
    until: Bound | None


@dataclass(frozen=True, slots=True)
class AheadPlan:
    """What a rule wants of a stream at instants for whose values later samples are needed."""

    program: Program
    """Its inputs are lanes of the stream's program."""
    inputs: tuple[int, ...]
    """Which."""
    ahead_ns: int
    """Samples up to so long behind an instant are needed."""
    behind_ns: int
    """And values from so long before it on."""
    rule: BoundRule | None = None
    """A rule of this stream alone."""


class StreamPlan:
    """What all rules want of a stream under one description; made of these two alone."""

    __slots__ = (
        *("_lanes", "_offsets", "_places", "_scales", "_used"),
        *("aheads", "description", "faults", "lanes", "least_gap_ns", "period_ns", "program", "rules", "signature"),
    )

    def __init__(self, rules: Sequence[Rule], description: StreamDescription) -> None:
        self.description = description
        self.program = Program()
        self.rules: list[BoundRule] = []
        """Those that name this stream alone, and do not look ahead."""
        self.aheads: dict[int, AheadPlan] = {}
        """By rule that looks ahead in this stream."""
        self.lanes: dict[int, tuple[int, ...]] = {}
        """By joining rule, the registers that it takes from here: of its `AheadPlan` where it has one."""
        self.faults: dict[int, RuleError] = {}
        """By rule, why it cannot run on this stream."""
        rate = description.rate_num
        self.period_ns = round(10**9 * description.rate_den / rate) if rate > 0 else 0
        units = {channel.name: channel_unit(channel.unit) for channel in description.channels}
        self._places = {channel.name: place for place, channel in enumerate(description.channels)}
        self._scales = _column([channel.scale for channel in description.channels], 1.0)
        self._offsets = _column([channel.offset for channel in description.channels], 0.0)
        self.signature = (self.period_ns, tuple((channel.name, channel.unit) for channel in description.channels))
        """Descriptions that differ elsewhere only give the same values from the same physical ones."""
        self._lanes: dict[tuple[int, Numeric], Operand] = {}
        for index, rule in enumerate(rules):
            if description.stream in rule.streams:
                binder = Binder(self.program, rule.limits, units, self.period_ns)
                try:
                    self._bind(index, rule, binder)
                except RuleError as fault:
                    self.faults[index] = fault

        own = (rules[index].timing.max_gap_ns for index in (*(bound.index for bound in self.rules), *self.aheads))
        self.least_gap_ns = min((gap_ns for gap_ns in own if gap_ns is not None), default=ENDLESS_NS)
        """The shortest `max_gap` that one of them gives."""
        self._used = {step.extra for step in self.program.steps if step.op == "input"}

    def _bind(self, index: int, rule: Rule, binder: Binder) -> None:
        if len(rule.streams) == 1:
            check_max_gap(rule, self.period_ns, self.description.stream)
        conditions = [rule.when] if rule.until is None else [rule.when, rule.until]
        lanes = [lane for condition in conditions for lane in _lanes(condition, self.description.stream)]
        ahead = max(map(ahead_ns, lanes))
        if ahead:
            before = max(map(behind_ns, lanes))
            self._check_reach(rule, ahead + before)
            binder = self._ahead_binder(binder)
        bound = None
        if len(rule.streams) == 1:
            until = None if rule.until is None else binder.bind(rule.until)
            bound = BoundRule(index, binder.bind(rule.when), until)
        else:
            for lane in lanes:
                self._lanes[index, lane] = binder.value(lane)
            self.lanes[index] = tuple(sorted({self._lanes[index, lane].register for lane in lanes}))
        if ahead:
            inputs = sorted({step.extra.register for step in binder.program.steps if step.op == "input"})
            self.aheads[index] = AheadPlan(binder.program, tuple(inputs), ahead, before, bound)
        elif bound is not None:
            self.rules.append(bound)

    def _ahead_binder(self, binder: Binder) -> Binder:
        """For what looks ahead, above values of the stream's own program that do not."""
        stream = self.description.stream

        def find(node: Numeric) -> tuple[str, Operand] | None:
            return (stream, binder.value(node)) if streams(node) and not ahead_ns(node) else None

        return Binder(Program(), binder.limits, binder.units, binder.period_ns, find)

    def _check_reach(self, rule: Rule, reach_ns: int) -> None:
        if self.period_ns and reach_ns > REACH_SAMPLES_MAX * self.period_ns:
            raise rule.when.at.error(
                f"looks at {reach_ns // self.period_ns} samples of {self.description.stream} at once, "
                f"expected at most {REACH_SAMPLES_MAX}; use a shorter span, or one that is not centred"
            )

    def lane(self, index: int, node: Numeric) -> Operand:
        """A lane of a joining rule, in this stream's program."""
        return self._lanes[index, node]

    def columns(self, raw: NDArray[Any]) -> Callable[[str], Floats]:
        """Each channel's physical values, `(n,) float64`, of samples as encoded, `(n, channels)`."""
        if len(self._used) == raw.shape[1]:
            values = raw.T.astype(np.float64, order="C")
            if self._scales is not None:
                values *= self._scales
            if self._offsets is not None:
                values += self._offsets
            return lambda name: values[self._places[name]]
        return lambda name: self._column(raw, self._places[name])

    def _column(self, raw: NDArray[Any], place: int) -> Floats:
        values = raw[:, place].astype(np.float64)
        if self._scales is not None:
            values *= self._scales[place]
        if self._offsets is not None:
            values += self._offsets[place]
        return values


def check_max_gap(rule: Rule, period_ns: int, stream: str) -> None:
    """Raise `RuleError` where the rule's `max_gap` is below one period of what it reads."""
    max_gap_ns = rule.timing.max_gap_ns
    if max_gap_ns is not None and period_ns > max_gap_ns:
        raise rule.when.at.error(
            f"max_gap {max_gap_ns / 1e9:g}s is shorter than the {period_ns / 1e9:g}s between samples of {stream}: "
            f"every sample would be a gap; give the rule a longer max_gap, or none: {GAP_PERIODS} periods"
        )


def _column(values: list[float], neutral: float) -> Floats | None:
    """As a column `(channels, 1)`; None where all are `neutral`."""
    return None if all(value == neutral for value in values) else np.array(values)[:, None]


def _lanes(node: Node, stream: str) -> Iterator[Numeric]:
    """The longest values below `node` that name this stream alone."""
    named = streams(node)
    if named == {stream} and not isinstance(node, Compare | Logic):
        yield node
    elif stream in named:
        for child in children(node):
            yield from _lanes(child, stream)


class JoinPlan:
    """A rule where its streams' lanes meet. Raises `RuleError` where their units do not fit."""

    __slots__ = ("program", "rule")

    def __init__(self, index: int, rule: Rule, plans: Mapping[str, StreamPlan]) -> None:
        self.program = Program()

        def find(node: Numeric) -> tuple[str, Operand] | None:
            named = streams(node)
            if len(named) != 1:
                return None
            (stream,) = named
            plan = plans.get(stream)
            # Of a stream that is not described there are no samples: nothing of it is known, in any unit.
            return stream, plan.lane(index, node) if plan is not None else Operand(node.at, unit=ANY)

        rated = [plan for plan in plans.values() if plan.period_ns]
        if len(rated) == len(rule.streams):
            quickest = min(rated, key=lambda plan: plan.period_ns)
            check_max_gap(rule, quickest.period_ns, quickest.description.stream)
        binder = Binder(self.program, rule.limits, find_lane=find)
        until = None if rule.until is None else binder.bind(rule.until)
        self.rule = BoundRule(index, binder.bind(rule.when), until)


def evidence(shown: Iterable[Shown], registers: Sequence[Any], at: int, prefix: str) -> dict[str, float]:
    """The sides of a condition's comparisons at an instant, by name; what is unknown is left out."""
    named: dict[str, float] = {}
    for name, register, constant in shown:
        value = float(registers[register][at]) if constant is None else constant
        if np.isfinite(value):
            named[f"{prefix} {name}"] = value
    return named


def check(rules: RuleSet, descriptions: Iterable[StreamDescription]) -> None:
    """Raise `RuleError` where rules name channels that their streams have not, or units that do not fit: all of it."""
    faults = Faults()
    plans = {
        description.stream: StreamPlan(rules.rules, description)
        for description in descriptions
        if description.stream in rules.streams
    }
    for index, rule in enumerate(rules.rules):
        for stream in rule.streams:
            if stream in plans and index in plans[stream].faults:
                faults.found.append(plans[stream].faults[index])
        whole = all(stream not in plans or index not in plans[stream].faults for stream in rule.streams)
        if len(rule.streams) > 1 and whole:
            faults.attempt(partial(JoinPlan, index, rule, plans), None)
    faults.raise_all()
