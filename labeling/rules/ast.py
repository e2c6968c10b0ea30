"""The expressions of rules as a tree; equal where they mean the same, wherever they were written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, TypeAlias

from ingest.measures import Unit
from labeling.rules.errors import Span

RollKind: TypeAlias = Literal["max", "min", "mean", "std"]
ArithmeticOp: TypeAlias = Literal["+", "-", "*", "/"]
CompareOp: TypeAlias = Literal["<", "<=", ">", ">=", "==", "!="]
LogicOp: TypeAlias = Literal["and", "or", "not"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number, with or without a unit."""

    value: Fraction
    unit: Unit | None
    at: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel of a stream: its value at each sample."""

    stream: str
    name: str
    at: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """`neg`, `abs` or `norm` of values at the same instant."""

    function: Literal["neg", "abs", "norm"]
    values: tuple[Numeric, ...]
    at: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Roll:
    """A value over the samples in `(t + ahead_ns - span_ns, t + ahead_ns]`."""

    kind: RollKind
    value: Numeric
    span_ns: int
    at: Span = field(compare=False)
    ahead_ns: int = 0
    """Half of the span where it is centred, else 0."""


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`left op right`."""

    op: ArithmeticOp
    left: Numeric
    right: Numeric
    at: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Compare:
    """`left op right`: true, false or, where a side is unknown, unknown."""

    op: CompareOp
    left: Numeric
    right: Numeric
    at: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Logic:
    """`and`, `or` (two parts) or `not` (one), after Kleene: unknown only where it matters."""

    op: LogicOp
    parts: tuple[Condition, ...]
    at: Span = field(compare=False)


Numeric: TypeAlias = Quantity | Channel | Call | Roll | Arithmetic
Condition: TypeAlias = Compare | Logic
Node: TypeAlias = Numeric | Condition


def children(node: Node) -> tuple[Node, ...]:
    """The nodes right below."""
    match node:
        case Call():
            return node.values
        case Roll():
            return (node.value,)
        case Arithmetic() | Compare():
            return node.left, node.right
        case Logic():
            return node.parts
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it."""
    yield node
    for child in children(node):
        yield from walk(child)


def streams(node: Node) -> frozenset[str]:
    """The streams whose channels it names."""
    return frozenset(part.stream for part in walk(node) if isinstance(part, Channel))


def ahead_ns(node: Node) -> int:
    """How far behind an instant the samples lie that its value there looks at."""
    own = node.ahead_ns if isinstance(node, Roll) else 0
    return own + max(map(ahead_ns, children(node)), default=0)


def behind_ns(node: Node) -> int:
    """How far before an instant the values lie from which the parts that look ahead are made."""
    own = node.span_ns - node.ahead_ns if isinstance(node, Roll) and ahead_ns(node) else 0
    return own + max(map(behind_ns, children(node)), default=0)


def canonical(node: Node) -> str:
    """Text that two nodes share exactly if they mean the same: what a rule's revision is a hash of."""
    match node:
        case Quantity():
            return f"{node.value}{node.unit.name if node.unit else ''}"
        case Channel():
            return f"`{node.stream}.{node.name}`"
        case Call():
            return f"{node.function}({', '.join(map(canonical, node.values))})"
        case Roll():
            return f"{node.kind}({canonical(node.value)}, {node.span_ns}ns{', centre' if node.ahead_ns else ''})"
        case Logic():
            return f"{node.op}({', '.join(map(canonical, node.parts))})"
        case _:
            return f"({canonical(node.left)} {node.op} {canonical(node.right)})"
