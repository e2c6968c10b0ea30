"""Expressions bound to stream descriptions: units checked, literals converted, lowered to programs.

Whatever names the channels of one stream only runs on that stream's samples. In a rule that joins streams, each
longest value of a single stream is a *lane*; the rest runs where the lanes meet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple, TypeAlias

from ingest.settings import suggest
from labeling.rules.ast import (
    Arithmetic,
    Call,
    Channel,
    Compare,
    Condition,
    Logic,
    Numeric,
    Quantity,
    Roll,
    streams,
)
from labeling.rules.document import Limits
from labeling.rules.errors import Span
from labeling.rules.kernels import RollSpec
from labeling.rules.program import Program
from labeling.rules.units import ANY, NUMBER, Unit, conversion, convert, product


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
    constant: float


@dataclass(slots=True)
class Bound:
    """A condition in a program."""

    register: int
    shown: list[Shown] = field(default_factory=list)


class Lane(NamedTuple):
    """A value of one stream that a joining rule takes from it: a register of the stream's program."""

    stream: str
    register: int


FindLane: TypeAlias = Callable[[str, Numeric], Operand]
"""The lane of a value that names one stream's channels only."""


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
    _shown: list[Shown] = field(default_factory=list)

    def bind(self, condition: Condition) -> Bound:
        """The condition, lowered. Raises `RuleError` where units do not fit or a channel is not there."""
        self._shown = []
        return Bound(self._condition(condition, self.program), self._shown)

    def value(self, node: Numeric) -> Operand:
        """A value, lowered. Raises `RuleError`."""
        return self._value(node, self.program)

    def _condition(self, node: Condition, program: Program) -> int:
        if isinstance(node, Logic):
            registers = [self._condition(part, program) for part in node.parts]
            first = registers[0]
            if node.op == "not":
                return program.emit("not", first)
            for register in registers[1:]:
                first = program.emit(node.op, first, register)
            return first
        return self._compare(node, program)

    def _compare(self, node: Compare, program: Program) -> int:
        left, right = self._value(node.left, program), self._value(node.right, program)
        if left.constant is not None and right.constant is not None:
            raise node.at.error("compares two constants; name a channel")
        left, right, unit = _aligned(left, right, program, node.at)
        registers = _materialised(left, unit, program), _materialised(right, unit, program)
        for operand, register, side in ((left, registers[0], node.left), (right, registers[1], node.right)):
            name = f"{side.at.text} [{unit.name}]" if unit is not None and unit.name else side.at.text
            constant = float("nan") if operand.constant is None else float(operand.constant)
            self._shown.append(Shown(name, -1 if operand.constant is not None else register, constant))
        return program.emit(node.op, *registers)

    def _value(self, node: Numeric, program: Program) -> Operand:
        if self.find_lane is not None:
            named = streams(node)
            if len(named) == 1:
                (stream,) = named
                lane = self.find_lane(stream, node)
                return lane._replace(at=node.at, register=program.emit("input", extra=Lane(stream, lane.register)))
        match node:
            case Quantity():
                return Operand(node.at, constant=node.value, unit=node.unit)
            case Channel():
                if node.name not in self.units:
                    known = suggest(node.name, self.units)
                    raise node.at.error(f'stream {node.stream} has no channel "{node.name}"{known}')
                return Operand(node.at, program.emit("input", extra=node.name), unit=self.units[node.name])
            case Call():
                return self._call(node, program)
            case Roll():
                return self._roll(node, program)
            case Arithmetic():
                left, right = self._value(node.left, program), self._value(node.right, program)
                return (_sum if node.op in "+-" else _product)(node, left, right, program)

    def _call(self, node: Call, program: Program) -> Operand:
        values = [self._value(value, program) for value in node.values]
        if node.function != "norm":
            (value,) = values
            if value.constant is not None:
                return value._replace(constant=-value.constant if node.function == "neg" else abs(value.constant))
            return value._replace(at=node.at, register=program.emit(node.function, value.register))
        first, registers = values[0], []
        for value in values:
            if value.constant is not None:
                raise value.at.error("found a constant in norm, expected channels: norm(acc.x, acc.y, acc.z)")
            _refuse_shift(value)
            first, value, unit = _aligned(first, value, program, node.at)
            registers.append(_materialised(value, unit, program))
        return first._replace(at=node.at, register=program.emit("norm", *registers))

    def _roll(self, node: Roll, program: Program) -> Operand:
        value = self._value(node.value, program)
        # Where there is a nominal rate, max_gap makes no difference to what is covered: rules share more.
        max_gap_ns = 0 if self.period_ns else self.limits.max_gap_ns
        spec = RollSpec.of(node.kind, node.span_ns, self.limits.coverage, max_gap_ns)
        difference = value.difference or node.kind == "std"
        register = program.emit("roll", value.register, extra=spec)
        return value._replace(at=node.at, register=register, difference=difference)


def _anchor(left: Operand, right: Operand) -> Operand:
    """The side whose unit counts: that of a channel before that of a literal, the left one before the right one."""
    if left.unit is None or left.unit is ANY:
        return right if right.unit is not None else left
    return right if left.constant is not None and right.constant is None and right.unit not in (None, ANY) else left


def _aligned(left: Operand, right: Operand, program: Program, at: Span) -> tuple[Operand, Operand, Unit | None]:
    """Both sides in one unit, and that unit."""
    unit = _anchor(left, right).unit
    if unit is None:
        return left, right, None
    difference = left.difference or right.difference
    for one, other in ((left, right), (right, left)):
        if one.difference and other.constant is None and _shifted(other):
            raise at.error("sets a temperature against a difference of temperatures")
    return _in_unit(left, unit, difference, program, at), _in_unit(right, unit, difference, program, at), unit


def _in_unit(value: Operand, unit: Unit, difference: bool, program: Program, at: Span) -> Operand:
    if value.unit in (None, ANY, unit) or unit is ANY:
        return value
    if value.unit.dimensions != unit.dimensions:
        raise value.at.error(f"{value.unit} does not fit {unit} in: {at.text}")
    if value.constant is not None:
        return value._replace(constant=convert(value.constant, value.unit, unit, difference=difference), unit=unit)
    factor, shift = conversion(value.unit, unit, difference=difference)
    if factor == 1 and shift == 0:
        return value._replace(unit=unit)
    return value._replace(
        register=program.emit("affine", value.register, extra=(float(factor), float(shift))), unit=unit
    )


def _materialised(value: Operand, unit: Unit | None, program: Program) -> int:
    return value.register if value.constant is None else program.emit("const", extra=float(value.constant))


def _sum(node: Arithmetic, left: Operand, right: Operand, program: Program) -> Operand:
    """`+` and `-`. The difference of two temperatures is a difference; a literal beside a temperature is one too."""
    shifted = _shifted(left), _shifted(right)
    if left.constant is None and right.constant is None and all(shifted):
        if node.op == "+":
            raise node.at.error("adds two temperatures; only a difference can be added to one")
        left, right, unit = _aligned(left, right, program, node.at)
        return Operand(node.at, program.emit("-", left.register, right.register), unit=unit, difference=True)
    if shifted[0] and left.constant is None:
        right = right._replace(difference=True)
    elif shifted[1] and right.constant is None:
        left = left._replace(difference=True)
    unit = _anchor(left, right).unit
    if unit is not None:
        left = _in_unit(left, unit, left.difference, program, node.at)
        right = _in_unit(right, unit, right.difference, program, node.at)
    difference = left.difference and right.difference
    if left.constant is not None and right.constant is not None:
        total = left.constant + right.constant if node.op == "+" else left.constant - right.constant
        return Operand(node.at, constant=total, unit=unit, difference=difference)
    registers = _materialised(left, unit, program), _materialised(right, unit, program)
    return Operand(node.at, program.emit(node.op, *registers), unit=unit, difference=difference)


def _product(node: Arithmetic, left: Operand, right: Operand, program: Program) -> Operand:
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
    difference = left.difference or right.difference
    if left.constant is not None and right.constant is not None:
        if not times and right.constant == 0:
            raise right.at.error("divides by 0")
        folded = left.constant * right.constant if times else left.constant / right.constant
        return _plain(Operand(node.at, constant=folded, unit=unit, difference=difference), program)
    registers = _materialised(left, left.unit, program), _materialised(right, right.unit, program)
    return _plain(Operand(node.at, program.emit(node.op, *registers), unit=unit, difference=difference), program)


def _plain(value: Operand, program: Program) -> Operand:
    """A ratio of equal dimensions is a number, whatever the units were."""
    if value.unit is None or value.unit.dimensions:
        return value
    return _in_unit(value, NUMBER, False, program, value.at)


def _shifted(value: Operand) -> bool:
    return value.unit is not None and value.unit.shift != 0 and not value.difference


def _refuse_shift(value: Operand) -> None:
    if _shifted(value):
        raise value.at.error(f"a temperature in {value.unit} cannot be multiplied; use a difference, or K")
