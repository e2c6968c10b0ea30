"""From the text of an expression to its tree: a lark grammar, names resolved, every error at its place.

    max(mag, 80ms) < 0.35g and not (motor.temp > 80degC)

Channels are `stream.channel`; the stream ends at the first dot. A name with other characters than letters, digits, _
and dots stands in backquotes: `` `machine-1.temp` ``. A number and its unit are written together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Final, NamedTuple, get_args

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from ingest.errors import UsageError
from ingest.measures import UNITS, convert, literal_names, literal_unit
from ingest.records import split_channel
from ingest.settings import suggest
from ingest.units import parse_number
from labeling.rules.ast import (
    Arithmetic,
    ArithmeticOp,
    Call,
    Channel,
    Compare,
    CompareOp,
    Logic,
    LogicOp,
    Node,
    Numeric,
    Quantity,
    Roll,
    RollKind,
)
from labeling.rules.errors import RuleError, Source, Span

LENGTH_MAX: Final = 4000
"""Characters of one expression."""
NODES_MAX: Final = 1000
"""Of one expression, with what its names stand for."""
_DEPTH_MAX: Final = 60
_LOGIC: Final[Mapping[str, LogicOp]] = {"disjunction": "or", "conjunction": "and", "no": "not"}
_COMPARE: Final[Mapping[str, CompareOp]] = {op: op for op in get_args(CompareOp)}
_ARITHMETIC: Final[Mapping[str, ArithmeticOp]] = {op: op for op in get_args(ArithmeticOp)}
_ROLLS: Final[Mapping[str, RollKind]] = {kind: kind for kind in get_args(RollKind)}
FUNCTIONS: Final = ("abs", "norm", *_ROLLS)
_SPAN_NS_MAX: Final = 1 << 60
_CENTRED_NS_MAX: Final = 86_400 * 10**9
CENTRE: Final = "centre"
"""Behind a span: it lies around the instant."""

_GRAMMAR: Final = r"""
?start: disjunction
?disjunction: conjunction ("or" conjunction)*
?conjunction: negation ("and" negation)*
?negation: "not" negation -> no | comparison
?comparison: sum (COMPARE sum)*
?sum: product (SIGN product)*
?product: unary (FACTOR unary)*
?unary: SIGN unary -> signed | atom
?atom: QUANTITY -> quantity
     | NUMBER -> number
     | CHANNEL -> channel
     | QUOTED -> quoted
     | NAME "(" [disjunction ("," disjunction)*] ")" -> call
     | NAME -> name
     | "(" disjunction ")"

COMPARE: "<=" | ">=" | "==" | "!=" | "<" | ">"
SIGN: "+" | "-"
FACTOR: "*" | "/"
NUMBER: /(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?/
QUANTITY.2: /(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?(UNITS|(?![eE]\d)[A-Za-z°µμ%_]\w*)/
CHANNEL.2: /[A-Za-z_]\w*(\.\w+)+/
NAME: /[A-Za-z_]\w*/
QUOTED: /([A-Za-z_]\w*\.)?`[^`\n]*`/
%ignore /\s+/
"""
_SUFFIX: Final = r"(?:" + "|".join(re.escape(name) for name in literal_names()) + r")(?!\w)"
_QUANTITY: Final = re.compile(r"((?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(.+)")
_parser: Final = Lark(
    _GRAMMAR.replace("UNITS", _SUFFIX.replace("/", r"\/")),
    parser="lalr",
    propagate_positions=True,
    maybe_placeholders=False,
)


class _Sized(NamedTuple):
    node: Node
    nodes: int
    depth: int


@dataclass(slots=True)
class Scope:
    """What names stand for: the `let` of a file, or of a rule within it."""

    texts: Mapping[str, Source]
    outer: Scope | None = None
    _known: dict[str, _Sized] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)

    def names(self) -> set[str]:
        """All names that may be used."""
        return {*self.texts, *(self.outer.names() if self.outer else ())}

    def look_up(self, name: str, at: Span) -> _Sized:
        """What a name stands for; `at` is where it is used. Raises `RuleError`."""
        if name in self._known:
            return self._known[name]
        if name not in self.texts:
            if self.outer is None:
                raise at.error(f'unknown name "{name}"')
            return self.outer.look_up(name, at)
        if name in self._open:
            raise at.error(f'"{name}" is defined by itself: {" → ".join([*self._open, name])}')
        self._open.append(name)
        try:
            self._known[name] = _Builder(self.texts[name], self).build()
        finally:
            self._open.pop()
        return self._known[name]


def parse(source: Source, scope: Scope) -> Node:
    """The tree of an expression, its names replaced by what they stand for. Raises `RuleError`."""
    return _Builder(source, scope).build().node


class _Builder:
    def __init__(self, source: Source, scope: Scope) -> None:
        self._source = source
        self._scope = scope
        self._nodes = 0
        self._depth = 0

    def build(self) -> _Sized:
        text = self._source.text
        if len(text) > LENGTH_MAX:
            raise self._source.span(0, 1).error(f"found {len(text)} characters, expected at most {LENGTH_MAX}")
        try:
            tree = _parser.parse(text)
        except UnexpectedInput as error:
            raise _unexpected(self._source, error) from None
        return _Sized(self._node(tree, 1), self._nodes, self._depth)

    def _count(self, nodes: int, depth: int, at: Span) -> None:
        self._nodes += nodes
        self._depth = max(self._depth, depth)
        if self._nodes > NODES_MAX or self._depth > _DEPTH_MAX:
            raise at.error(f"too large: expected at most {NODES_MAX} parts, nested at most {_DEPTH_MAX} deep")

    def _at(self, tree: Tree[Token]) -> Span:
        return self._source.span(tree.meta.start_pos, tree.meta.end_pos)

    def _node(self, tree: Tree[Token], depth: int) -> Node:
        at = self._at(tree)
        self._count(1, depth, at)
        parts = tree.children
        match tree.data:
            case "number":
                return Quantity(_value(str(parts[0]), at), None, at)
            case "quantity":
                return _quantity(str(parts[0]), at)
            case "channel" | "quoted":
                stream, name = split_channel(str(parts[0]).replace("`", ""))
                if not stream or not name:
                    raise at.error("expected stream.channel in the backquotes, as in `machine-1.temp`")
                return Channel(stream, name, at)
            case "name":
                return self._name(str(parts[0]), at, depth)
            case "call":
                return self._call(parts, at, depth)
            case "disjunction" | "conjunction" | "no":
                return Logic(_LOGIC[tree.data], tuple(self._condition(part, depth) for part in parts), at)
            case "signed":
                value = self._numeric(parts[1], depth)
                if parts[0] == "+":
                    return value
                if isinstance(value, Quantity):
                    return Quantity(-value.value, value.unit, at)
                return Call("neg", (value,), at)
            case "comparison":
                return self._comparison(parts, at, depth)
            case _:
                return self._arithmetic(parts, at, depth)

    def _child(self, part: Tree[Token] | Token, depth: int) -> Node:
        assert isinstance(part, Tree)
        return self._node(part, depth + 1)

    def _numeric(self, part: Tree[Token] | Token, depth: int) -> Numeric:
        node = self._child(part, depth)
        if isinstance(node, Compare | Logic):
            raise node.at.error("found a condition, expected a value")
        return node

    def _condition(self, part: Tree[Token] | Token, depth: int) -> Compare | Logic:
        node = self._child(part, depth)
        if not isinstance(node, Compare | Logic):
            raise node.at.error("found a value, expected a condition; compare it, as in mag < 0.35g")
        return node

    def _name(self, name: str, at: Span, depth: int) -> Node:
        names = self._scope.names()
        if name not in names:
            if name in FUNCTIONS:
                raise at.error(f'"{name}" is a function; write {name}(...)')
            hint = suggest(name, names) if names else "; there are none under let"
            rest = re.match(r"[-#/][\w-]*\.\w+", self._source.text[at.stop :])
            if rest is not None:
                raise at.error(f'unknown name "{name}"; a channel like this stands in backquotes: `{name}{rest[0]}`')
            raise at.error(f'unknown name "{name}"; a channel is written stream.channel, as in acc.x{hint}')
        sized = self._scope.look_up(name, at)
        self._count(sized.nodes, depth + sized.depth, at)
        return _placed(sized.node, at)

    def _call(self, parts: list[Tree[Token] | Token], at: Span, depth: int) -> Node:
        name = parts[0]
        assert isinstance(name, Token)
        place = self._source.span(name.start_pos or 0, name.end_pos)
        if name not in FUNCTIONS:
            raise place.error(f'unknown function "{name}"{suggest(name, FUNCTIONS)}')
        if name in _ROLLS:
            values = [self._numeric(part, depth) for part in parts[1:3]]
            return _roll(_ROLLS[name], values, [self._word(part) for part in parts[3:]], at)
        values = [self._numeric(part, depth) for part in parts[1:]]
        if name == "abs" and len(values) != 1:
            raise at.error(f"found {len(values)} values, expected one: abs(acc.x)")
        if name == "norm" and not values:
            raise at.error("found no values, expected at least one: norm(acc.x, acc.y, acc.z)")
        return Call("abs" if name == "abs" else "norm", tuple(values), at)

    def _word(self, part: Tree[Token] | Token) -> Span:
        """What stands behind a span, as it was written."""
        assert isinstance(part, Tree)
        return self._at(part)

    def _comparison(self, parts: list[Tree[Token] | Token], at: Span, depth: int) -> Node:
        values = [self._numeric(part, depth) for part in parts[::2]]
        starts, stops = [at.start, *_ends(parts)], [*_starts(parts)[1:], at.stop]
        spans = (self._source.span(start, stop) for start, stop in zip(starts, stops, strict=False))
        compares = [
            Compare(_COMPARE[str(op)], left, right, span)
            for op, left, right, span in zip(parts[1::2], values, values[1:], spans, strict=False)
        ]
        return compares[0] if len(compares) == 1 else Logic("and", tuple(compares), at)

    def _arithmetic(self, parts: list[Tree[Token] | Token], at: Span, depth: int) -> Node:
        left = self._numeric(parts[0], depth)
        for op, part, stop in zip(parts[1::2], parts[2::2], [*_starts(parts)[1:], at.stop], strict=True):
            right = self._numeric(part, depth)
            left = Arithmetic(_ARITHMETIC[str(op)], left, right, self._source.span(at.start, stop))
        self._count(len(parts) // 2, depth + len(parts) // 2, at)
        return left


def _starts(parts: list[Tree[Token] | Token]) -> list[int]:
    """Where the operators between the parts begin."""
    return [part.start_pos or 0 for part in parts[1::2] if isinstance(part, Token)]


def _ends(parts: list[Tree[Token] | Token]) -> list[int]:
    """Where they end."""
    return [part.end_pos or 0 for part in parts[1::2] if isinstance(part, Token)]


def _placed(node: Node, at: Span) -> Node:
    """The node a name stands for, at the place where the name is used."""
    return node if isinstance(node, Compare | Logic) else replace(node, at=at)


def _quantity(text: str, at: Span) -> Quantity:
    match = _QUANTITY.fullmatch(text)
    assert match is not None
    unit = literal_unit(match[2])
    if unit is None:
        place = at.source.span(at.start + len(match[1]), at.stop)
        raise place.error(f'unknown unit "{match[2]}"{suggest(match[2], UNITS)}')
    return Quantity(_value(match[1], at), unit, at)


def _value(text: str, at: Span) -> Fraction:
    try:
        return parse_number(text)
    except UsageError as error:
        raise at.error(str(error)) from None


def _roll(kind: RollKind, values: list[Numeric], words: list[Span], at: Span) -> Roll:
    example = f"{kind}(acc.x, 80ms)"
    if len(values) != 2:
        raise at.error(f"found {len(values)} values, expected a value and a span: {example}")
    value, span = values
    if not isinstance(span, Quantity) or span.unit is None or span.unit.dimensions != UNITS["s"].dimensions:
        raise span.at.error(f"found no span of time; write {example}")
    span_ns = convert(span.value, span.unit, UNITS["ns"])
    if span_ns.denominator != 1 or not 8 <= span_ns < _SPAN_NS_MAX:
        raise span.at.error("a span is a whole number of nanoseconds, at least 8")
    if isinstance(value, Quantity):
        raise value.at.error(f"found a constant, expected a value that changes: {example}")
    for word in words:
        if words[1:] or word.text != CENTRE:
            raise word.error(f"expected nothing behind the span, or {CENTRE}: {kind}(acc.x, 80ms, {CENTRE})")
    if words and span_ns > _CENTRED_NS_MAX:
        raise span.at.error(f"a centred value waits for half of its span; use at most {_CENTRED_NS_MAX // 10**9}s")
    return Roll(kind, value, int(span_ns), at, int(span_ns) // 2 if words else 0)


_EXPECTED: Final = {
    "COMPARE": "a comparison",
    "SIGN": "+ or -",
    "FACTOR": "* or /",
    "RPAR": ")",
    "LPAR": "(",
    "COMMA": "a comma",
    "AND": "and",
    "OR": "or",
    "NOT": "not",
    "NAME": "a name",
    "CHANNEL": "a channel",
    "NUMBER": "a number",
    "$END": "the end",
}


def _unexpected(source: Source, error: UnexpectedInput) -> RuleError:
    if isinstance(error, UnexpectedCharacters):
        at = error.pos_in_stream or 0
        found, place = f'found "{source.text[at]}"', source.span(at, at + 1)
        expected = set(error.allowed or ())
    else:
        assert isinstance(error, UnexpectedToken)
        expected = set(error.accepts or error.expected)
        if error.token.type == "$END":
            end = len(source.text)
            found, place = "the expression ends too early", source.span(end, end + 1)
        else:
            found, place = f'found "{error.token}"', source.span(error.token.start_pos or 0, error.token.end_pos or 1)
    advice = _advice(source.text, place)
    if advice:
        return place.error(f"{found}; {advice}")
    named = [text for kind, text in _EXPECTED.items() if kind in expected]
    return place.error(f"{found}; expected {', '.join(named)}" if named else found)


_MEANT: Final[Mapping[str, str]] = {
    "=": "==",
    "&": "and",
    "|": "or",
    "!": "not",
    "AND": "and",
    "OR": "or",
    "NOT": "not",
}
"""What other languages write."""


def _advice(text: str, place: Span) -> str:
    """What was probably meant by what cannot stand there."""
    before, found = text[: place.start].rstrip(), text[place.start : place.stop]
    if found in _MEANT:
        return f"write {_MEANT[found]}"
    number = re.search(r"(?<![\w.])[\d.]+$", before)
    if number is not None and found == "," and text[place.stop : place.stop + 1].isdigit():
        return f"write a decimal point, as in {number[0]}.{text[place.stop]}"
    rest = re.match(r"\S+", text[place.start :])
    if number is not None and rest is not None and literal_unit(rest[0]) is not None:
        return f"a number and its unit are written together: {number[0]}{rest[0]}"
    if re.search(r"[A-Za-z_]\w*\.[\w .-]*$", before) and re.match(r"[\w#/-]", found):
        return "a channel that is no plain word stands in backquotes, as in `machine-1.temp`"
    return ""
