"""What no stream can make true, or what no event can come of, seen without knowing a stream.

- One channel that is compared with units of two dimensions: `acc.x > 1g and acc.x < 80degC`.
- A condition that is never true: `acc.x > 2g and acc.x < 1g`.
- `when` and `until` that are true at once of the same value: `motor.temp > 80degC` until `motor.temp < 85degC` goes on
  and off at each sample between.

Conditions are looked at as alternatives, each a range by signal. A signal is whatever is compared with a constant, as
it is written; what has no constant beside it may be anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple, TypeAlias

from ingest.measures import Dimensions, Unit, product
from labeling.rules.ast import (
    Arithmetic,
    Call,
    Channel,
    Compare,
    CompareOp,
    Condition,
    Numeric,
    Quantity,
    Roll,
    canonical,
    children,
    streams,
    walk,
)
from labeling.rules.errors import RuleError, Span
from labeling.rules.ruleset import Rule

_ALTERNATIVES_MAX: Final = 256
"""A condition of more alternatives is not looked at."""
_FLIPPED: Final[Mapping[CompareOp, CompareOp]] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_OPPOSITE: Final[Mapping[CompareOp, CompareOp]] = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}


# Units.


class _Said(NamedTuple):
    """A dimension, and where it was said."""

    unit: Unit
    at: Span


@dataclass(slots=True)
class _Channels:
    """Which channels are of one dimension, and which it is."""

    parents: dict[str, str]
    said: dict[str, _Said]

    def root(self, name: str) -> str:
        while (parent := self.parents.setdefault(name, name)) != name:
            name = parent
        return name

    def one(self, left: str | _Said | None, right: str | _Said | None, at: Span) -> str | _Said | None:
        """Both are of one dimension. Raises `RuleError`."""
        if left is None or right is None:
            return left or right
        if isinstance(left, _Said) and isinstance(right, _Said):
            if left.unit.dimensions != right.unit.dimensions:
                raise at.error(f"{right.unit} does not fit {left.unit} in: {at.text}")
            return left
        if isinstance(left, str) and isinstance(right, str):
            left, right = self.root(left), self.root(right)
            if left != right:
                self.parents[right] = left
                if (there := self.said.pop(right, None)) is not None:
                    self._say(left, there, at)
            return left
        name, said = (left, right) if isinstance(left, str) else (right, left)
        assert isinstance(name, str)
        assert isinstance(said, _Said)
        self._say(self.root(name), said, at)
        return name

    def _say(self, root: str, said: _Said, at: Span) -> None:
        before = self.said.setdefault(root, said)
        if before.unit.dimensions != said.unit.dimensions:
            raise said.at.error(
                f"no channel can be in {said.unit} here and in {before.unit} at line {before.at.source.line} "
                f"({before.at.text}): {at.text}"
            )


def check_units(conditions: Iterable[Condition]) -> None:
    """Raise `RuleError` where the conditions of one rule want one channel in units of two dimensions."""
    channels = _Channels({}, {})
    for condition in conditions:
        for node in walk(condition):
            if isinstance(node, Compare):
                channels.one(_of(node.left, channels), _of(node.right, channels), node.at)


def _of(node: Numeric, channels: _Channels) -> str | _Said | None:
    """A channel that is of the node's dimension, or that itself; None: any."""
    match node:
        case Quantity():
            return None if node.unit is None else _Said(node.unit, node.at)
        case Channel():
            return channels.root(f"{node.stream}.{node.name}")
        case Roll():
            return _of(node.value, channels)
        case Call():
            found: str | _Said | None = None
            for value in node.values:
                found = channels.one(found, _of(value, channels), node.at)
            return found
        case Arithmetic(op="+") | Arithmetic(op="-"):
            return channels.one(_of(node.left, channels), _of(node.right, channels), node.at)
        case Arithmetic():
            left, right = _of(node.left, channels), _of(node.right, channels)
            if right is None and not streams(node.right):
                return left
            if left is None and not streams(node.left) and node.op == "*":
                return right
            if isinstance(left, _Said) and isinstance(right, _Said):
                return _Said(product(left.unit, right.unit, 1 if node.op == "*" else -1), node.at)
            return None


# Ranges.


class _Range(NamedTuple):
    """The values from `low` to `high`; None: no end."""

    low: Fraction | None
    low_in: bool
    high: Fraction | None
    high_in: bool

    def both(self, other: _Range) -> _Range:
        """What lies in both."""
        low, low_in = max((self.low, self.low_in), (other.low, other.low_in), key=_lowest)
        high, high_in = min((self.high, self.high_in), (other.high, other.high_in), key=_highest)
        return _Range(low, low_in, high, high_in)

    @property
    def is_empty(self) -> bool:
        if self.low is None or self.high is None:
            return False
        return self.low > self.high or (self.low == self.high and not (self.low_in and self.high_in))


def _lowest(end: tuple[Fraction | None, bool]) -> tuple[bool, Fraction, bool]:
    return end[0] is not None, end[0] or Fraction(0), not end[1]


def _highest(end: tuple[Fraction | None, bool]) -> tuple[bool, Fraction, bool]:
    return end[0] is None, end[0] or Fraction(0), end[1]


class _Signal(NamedTuple):
    """What is compared with a constant."""

    name: str
    dimensions: Dimensions | None
    """The constant's; None: a plain number, which takes the unit of what it meets."""


_Alternative: TypeAlias = Mapping[_Signal, _Range]
"""By signal, what it must be; signals that are not there may be anything."""


def doubts(rules: Sequence[Rule]) -> list[RuleError]:
    """What is probably not meant: conditions that are never true, and rules that go on and off at each sample."""
    found = []
    for rule in rules:
        when = _alternatives(rule.when, negated=False)
        until = None if rule.until is None else _alternatives(rule.until, negated=False)
        for condition, alternatives in ((rule.when, when), (rule.until, until)):
            if condition is not None and alternatives is not None and not alternatives:
                found.append(condition.at.error("is never true"))
        if rule.until is not None and when and until:
            pairs = itertools.product(when, until)
            met = next((signal for one, other in pairs for signal in _meet(one, other)), None)
            if met is not None:
                found.append(
                    rule.until.at.error(
                        f'"when" and "until" are both true of some values of {met.name}: '
                        "there the rule goes on and off at each sample"
                    )
                )
    return found


def _meet(one: _Alternative, other: _Alternative) -> Iterable[_Signal]:
    """The signals that both name, where both can be true at once."""
    shared = [signal for signal in one if signal in other]
    return shared if all(not one[signal].both(other[signal]).is_empty for signal in shared) else []


def _alternatives(node: Condition, *, negated: bool) -> list[_Alternative] | None:
    """The alternatives that are not empty; None: too many to look at."""
    if isinstance(node, Compare):
        return _compared(node, negated=negated)
    parts = [_alternatives(part, negated=negated != (node.op == "not")) for part in node.parts]
    listed = [part for part in parts if part is not None]
    if len(listed) < len(parts):
        return None
    if node.op == "not":
        return listed[0]
    if (node.op == "or") != negated:
        found = list(itertools.chain.from_iterable(listed))
        return found if len(found) <= _ALTERNATIVES_MAX else None
    alternatives: list[_Alternative] = [{}]
    for part in listed:
        if len(alternatives) * len(part) > _ALTERNATIVES_MAX:
            return None
        joined = (_joined(one, other) for one, other in itertools.product(alternatives, part))
        alternatives = [alternative for alternative in joined if alternative is not None]
    return alternatives


def _joined(one: _Alternative, other: _Alternative) -> _Alternative | None:
    """Both at once; None: that cannot be."""
    joined = dict(one)
    for signal, values in other.items():
        joined[signal] = joined[signal].both(values) if signal in joined else values
        if joined[signal].is_empty:
            return None
    return joined


def _compared(node: Compare, *, negated: bool) -> list[_Alternative]:
    op = _OPPOSITE[node.op] if negated else node.op
    left, right = _constant(node.left), _constant(node.right)
    if (left is None) == (right is None):
        return [{}]
    signal, constant = (node.left, right) if right is not None else (node.right, left)
    assert constant is not None
    unit = constant.unit
    name = _Signal(canonical(signal).replace("`", ""), None if unit is None else unit.dimensions)
    value = constant.value if unit is None else constant.value * unit.scale + unit.shift
    return [{name: values} for values in _ranges(op if right is not None else _FLIPPED[op], value)]


def _ranges(op: CompareOp, value: Fraction) -> list[_Range]:
    below, above = _Range(None, False, value, op == "<="), _Range(value, op == ">=", None, False)
    match op:
        case "<" | "<=":
            return [below]
        case ">" | ">=":
            return [above]
        case "==":
            return [_Range(value, True, value, True)]
        case _:
            return [below, above]


def _constant(node: Numeric) -> Quantity | None:
    """The constant that a side is, where it is a single one."""
    if isinstance(node, Call) and node.function == "neg" and isinstance(node.values[0], Quantity):
        value = node.values[0]
        return Quantity(-value.value, value.unit, node.at)
    return node if isinstance(node, Quantity) and not children(node) else None
