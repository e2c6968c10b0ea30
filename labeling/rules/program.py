"""What a rule computes, as a list of steps over arrays: common parts once, literals in the channels' units.

A step's result is a register: an array of `(n,)` float64 (NaN is unknown), or a condition (`Tri`).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np

from labeling.rules.kernels import Axis, RollState, every, roll, roll_around
from labeling.rules.panes import Flags, Floats

Op: TypeAlias = Literal[
    "input", "const", "affine", "neg", "abs", "norm", "roll",
    "+", "-", "*", "/", "<", "<=", ">", ">=", "==", "!=", "and", "or", "not",
]  # fmt: skip


class Tri(NamedTuple):
    """A condition at each instant, `(n,)` each: true, false or, where neither, unknown."""

    true: Flags
    false: Flags | None
    """None: false wherever it is not true."""

    @property
    def known(self) -> Flags | None:
        """Where it is not unknown; None: everywhere."""
        return None if self.false is None else self.true | self.false

    def part(self, start: int, stop: int) -> Tri:
        """At the instants `[start, stop)`."""
        return Tri(self.true[start:stop], None if self.false is None else self.false[start:stop])

    def negated(self) -> Tri:
        """False where it was true."""
        return Tri(~self.true, None) if self.false is None else Tri(self.false, self.true)

    def both(self, other: Tri) -> Tri:
        """Kleene's and."""
        false = None
        if self.false is not None or other.false is not None:
            false = _false(self) | _false(other)
        return Tri(self.true & other.true, false)

    def either(self, other: Tri) -> Tri:
        """Kleene's or."""
        false = None
        if self.false is not None or other.false is not None:
            false = _false(self) & _false(other)
        return Tri(self.true | other.true, false)


def _false(tri: Tri) -> Flags:
    return ~tri.true if tri.false is None else tri.false


@dataclass(frozen=True, slots=True)
class Step:
    """`op` of the registers `args`; what `extra` is depends on it."""

    op: Op
    args: tuple[int, ...] = ()
    extra: Any = None


@dataclass(slots=True)
class Program:
    """Steps in order; step `i` fills register `i`."""

    steps: list[Step] = field(default_factory=list)
    _known: dict[Step, int] = field(default_factory=dict)

    def emit(self, op: Op, *args: int, extra: Any = None) -> int:
        """The register of this step: an equal step's, where there is one."""
        step = Step(op, args, extra)
        register = self._known.get(step)
        if register is None:
            register = self._known[step] = len(self.steps)
            self.steps.append(step)
        return register

    def new_states(self) -> list[RollState]:
        """What its rolling steps carry, in the order of these steps, at the beginning."""
        return [RollState(step.extra.kind) for step in self.steps if step.op == "roll" and not step.extra.ahead_ns]

    def run(
        self, inputs: Callable[[Any], Floats], axis: Axis | None = None, states: Sequence[RollState] = ()
    ) -> list[Any]:
        """All registers; `inputs` gives those of its input steps by their `extra`."""
        registers: list[Any] = []
        rolls = iter(states)
        for step in self.steps:
            function = _OPS.get(step.op)
            if function is not None:
                registers.append(function(*[registers[arg] for arg in step.args]))
            elif step.op == "input":
                registers.append(inputs(step.extra))
            elif step.op == "const":
                registers.append(step.extra)
            elif step.op == "affine":
                factor, shift = step.extra
                registers.append(registers[step.args[0]] * factor + shift)
            elif step.extra.ahead_ns:
                assert axis is not None
                registers.append(roll_around(step.extra, registers[step.args[0]], axis))
            else:
                assert axis is not None
                registers.append(roll(step.extra, registers[step.args[0]], axis, next(rolls)))
        return registers


def _norm(*values: Floats) -> Floats:
    total = values[0] * values[0]
    for value in values[1:]:
        total += value * value
    return np.sqrt(total, out=total)


def _comparing(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Tri]:
    def run(left: Floats | float, right: Floats | float) -> Tri:
        known: Flags | None = None
        for side in (left, right):
            if isinstance(side, np.ndarray):
                finite = np.isfinite(side)
                if not every(finite):
                    known = finite if known is None else known & finite
        true = compare(left, right)
        if known is None:
            return Tri(true, None)
        true &= known
        return Tri(true, known & ~true)

    return run


_OPS: Final[dict[str, Callable[..., Any]]] = {
    "neg": operator.neg,
    "abs": np.abs,
    "norm": _norm,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "<": _comparing(operator.lt),
    "<=": _comparing(operator.le),
    ">": _comparing(operator.gt),
    ">=": _comparing(operator.ge),
    "==": _comparing(operator.eq),
    "!=": _comparing(operator.ne),
    "and": Tri.both,
    "or": Tri.either,
    "not": Tri.negated,
}
