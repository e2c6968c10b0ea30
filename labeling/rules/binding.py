"""Expressions bound to stream descriptions: units checked, literals converted, lowered to programs.

Whatever names the channels of one stream only runs on that stream's samples. In a rule that joins streams, each
longest value of a single stream is a *lane*; the rest runs where the lanes meet. In what looks ahead, each longest
value that does not is a lane too; the rest runs when the stream has come far enough.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, NamedTuple, TypeAlias

from ingest.measures import ANY, NUMBER, Unit, conversion, convert, product
from ingest.settings import suggest
from labeling.rules.ast import (
    Arithmetic,
    Call,
    Channel,
    Compare,
    Condition,
    Numeric,
    Quantity,
    Roll,
)
from labeling.rules.document import Limits
from labeling.rules.errors import Span
from labeling.rules.kernels import RollSpec
from labeling.rules.program import Program

_SHOWN_CHARACTERS_MAX: Final = 200


class Operand(NamedTuple):
    """A value that is being lowered: a register, or a constant that can still change its unit."""

    at: Span
    register: int = -1
    constant: Fraction | None = None
    unit: Unit | None = None
    """None: a plain number; it takes the unit of what it meets."""
    difference: bool = False
    """A difference of temperatures: converted without the scale's shift."""


class Shown(NamedTuple):
    """A side of a comparison, for a mark's evidence."""

    name: str
    register: int
    constant: float | None
    """None: what the register has at each instant."""


@dataclass(slots=True)
class Bound:
    """A condition in a program."""

    register: int
    shown: list[Shown]


class Lane(NamedTuple):
    """A value of one stream that is taken from its program: a register of that."""

    stream: str
    register: int


FindLane: TypeAlias = Callable[[Numeric], tuple[str, Operand] | None]
"""The stream and the register there of a value that is a lane; None: it is none."""


@dataclass(slots=True)
class Binder:
    """Lowers conditions into a program: a stream's, or that of a rule where several streams' lanes meet."""

    program: Program
    limits: Limits
    units: Mapping[str, Unit] = field(default_factory=dict)
    """By channel, of the program's stream."""
    period_ns: int = 0
    """The stream's nominal period; 0 where it has none."""
    find_lane: FindLane | None = None

    def bind(self, condition: Condition) -> Bound:
        """The condition, lowered. Raises `RuleError` where units do not fit or a channel is not there."""
        shown: list[Shown] = []
        return Bound(self._condition(condition, shown), shown)

    def value(self, node: Numeric) -> Operand:
        """A value, lowered. Raises `RuleError`."""
        if self.find_lane is not None and (found := self.find_lane(node)) is not None:
            stream, lane = found
            return lane._replace(at=node.at, register=self.program.emit("input", extra=Lane(stream, lane.register)))
        match node:
            case Quantity():
                return Operand(node.at, constant=node.value, unit=node.unit)
            case Channel():
                if node.name not in self.units:
                    known = suggest(node.name, self.units)
                    raise node.at.error(f'stream {node.stream} has no channel "{node.name}"{known}')
                return Operand(node.at, self.program.emit("input", extra=node.name), unit=self.units[node.name])
            case Call(function="norm"):
                return self._norm(node)
            case Call():
                return self._call(node)
            case Roll():
                return self._roll(node)
            case Arithmetic():
                left, right = self.value(node.left), self.value(node.right)
                return (self._sum if node.op in ("+", "-") else self._product)(node, left, right)

    def _condition(self, node: Condition, shown: list[Shown]) -> int:
        if isinstance(node, Compare):
            return self._compare(node, shown)
        first, *others = (self._condition(part, shown) for part in node.parts)
        if node.op == "not":
            return self.program.emit("not", first)
        for other in others:
            first = self.program.emit(node.op, first, other)
        return first

    def _compare(self, node: Compare, shown: list[Shown]) -> int:
        left, right, unit = self._aligned(self.value(node.left), self.value(node.right), node.at)
        registers = self._register(left), self._register(right)
        for value, register, side in ((left, registers[0], node.left), (right, registers[1], node.right)):
            text = side.at.text[:_SHOWN_CHARACTERS_MAX]  # it is in every mark
            name = f"{text} [{unit.name}]" if unit is not None and unit.name else text
            shown.append(Shown(name, register, None if value.constant is None else _constant(value)))
        return self.program.emit(node.op, *registers)

    def _call(self, node: Call) -> Operand:
        (value,) = map(self.value, node.values)
        if value.constant is not None:
            return value._replace(constant=-value.constant if node.function == "neg" else abs(value.constant))
        return value._replace(at=node.at, register=self.program.emit(node.function, value.register))

    def _norm(self, node: Call) -> Operand:
        values = [self.value(value) for value in node.values]
        first, registers = values[0], []
        for value in values:
            if value.constant is not None:
                raise value.at.error("found a constant in norm, expected channels: norm(acc.x, acc.y, acc.z)")
            _refuse_shift(value)
            first, value, _ = self._aligned(first, value, node.at)
            registers.append(value.register)
        return first._replace(at=node.at, register=self.program.emit("norm", *registers))

    def _roll(self, node: Roll) -> Operand:
        value = self.value(node.value)
        # Where there is a nominal rate, max_gap makes no difference to what is covered: rules share more.
        max_gap_ns = None if self.period_ns else self.limits.max_gap_ns
        spec = RollSpec.of(node.kind, node.span_ns, self.limits.coverage, max_gap_ns, node.ahead_ns)
        difference = value.difference or node.kind == "std"
        return value._replace(
            at=node.at, register=self.program.emit("roll", value.register, extra=spec), difference=difference
        )

    def _sum(self, node: Arithmetic, left: Operand, right: Operand) -> Operand:
        """`+` and `-`. The difference of two temperatures is one; a literal beside a temperature is one too."""
        shifted = _shifted(left), _shifted(right)
        if left.constant is None and right.constant is None and all(shifted):
            if node.op == "+":
                raise node.at.error("adds two temperatures; only a difference can be added to one")
            left, right, unit = self._aligned(left, right, node.at)
            return Operand(node.at, self.program.emit("-", left.register, right.register), unit=unit, difference=True)
        if shifted[0] and left.constant is None:
            right = right._replace(difference=True)
        elif shifted[1] and right.constant is None:
            left = left._replace(difference=True)
        unit = _anchor(left, right).unit
        if unit is not None:
            left = self._in_unit(left, unit, left.difference, node.at)
            right = self._in_unit(right, unit, right.difference, node.at)
        difference = left.difference and right.difference
        if left.constant is not None and right.constant is not None:
            total = left.constant + right.constant if node.op == "+" else left.constant - right.constant
            return Operand(node.at, constant=total, unit=unit, difference=difference)
        return self._combined(node, left, right)._replace(unit=unit, difference=difference)

    def _product(self, node: Arithmetic, left: Operand, right: Operand) -> Operand:
        """`*` and `/`: units multiply; a plain number leaves the other side's unit as it is."""
        for value in (left, right):
            _refuse_shift(value)
        times = node.op == "*"
        unit: Unit | None
        if left.unit is None and (times or right.unit is None):
            unit = right.unit
        elif right.unit is None:
            unit = left.unit
        else:
            unit = product(left.unit or NUMBER, right.unit, 1 if times else -1)
        if left.constant is not None and right.constant is not None:
            if not times and right.constant == 0:
                raise right.at.error("divides by 0")
            folded = left.constant * right.constant if times else left.constant / right.constant
            value = Operand(node.at, constant=folded)
        else:
            value = self._combined(node, left, right)
        value = value._replace(unit=unit, difference=left.difference or right.difference)
        # A ratio of equal dimensions is a number, whatever the units were.
        return value if unit is None or unit.dimensions else self._in_unit(value, NUMBER, False, node.at)

    def _combined(self, node: Arithmetic, left: Operand, right: Operand) -> Operand:
        return Operand(node.at, self.program.emit(node.op, self._register(left), self._register(right)))

    def _register(self, value: Operand) -> int:
        return value.register if value.constant is None else self.program.emit("const", extra=_constant(value))

    def _aligned(self, left: Operand, right: Operand, at: Span) -> tuple[Operand, Operand, Unit | None]:
        """Both sides in one unit, and that unit."""
        unit = _anchor(left, right).unit
        if unit is None:
            return left, right, None
        difference = left.difference or right.difference
        for one, other in ((left, right), (right, left)):
            if one.difference and other.constant is None and _shifted(other):
                raise at.error("sets a temperature against a difference of temperatures")
        return self._in_unit(left, unit, difference, at), self._in_unit(right, unit, difference, at), unit

    def _in_unit(self, value: Operand, unit: Unit, difference: bool, at: Span) -> Operand:
        if value.unit in (None, ANY, unit) or unit is ANY:
            return value
        if value.unit.dimensions != unit.dimensions:
            raise value.at.error(f"{value.unit} does not fit {unit} in: {at.text}")
        if value.constant is not None:
            return value._replace(constant=convert(value.constant, value.unit, unit, difference=difference), unit=unit)
        factor, shift = conversion(value.unit, unit, difference=difference)
        if factor == 1 and shift == 0:
            return value._replace(unit=unit)
        register = self.program.emit("affine", value.register, extra=(float(factor), float(shift)))
        return value._replace(register=register, unit=unit)


def _constant(value: Operand) -> float:
    """A constant as kernels compute with it: each number in a file is bounded, their products are not."""
    assert value.constant is not None
    try:
        return float(value.constant)
    except OverflowError:
        raise value.at.error("is beyond what a float64 holds") from None


def _anchor(left: Operand, right: Operand) -> Operand:
    """The side whose unit counts: that of a channel before that of a literal, the left one before the right one."""
    if left.unit is None or left.unit is ANY:
        return right if right.unit is not None else left
    return right if left.constant is not None and right.constant is None and right.unit not in (None, ANY) else left


def _shifted(value: Operand) -> bool:
    return value.unit is not None and value.unit.shift != 0 and not value.difference


def _refuse_shift(value: Operand) -> None:
    if _shifted(value):
        raise value.at.error(f"a temperature in {value.unit} cannot be multiplied; use a difference, or K")
