"""Rule text to a `RuleSet`: frozen, checked, ready to start.

A rule's revision is a hash of what it means: conditions with their names replaced, and every duration. Marks are named
by it, so that editing one rule leaves the marks of the others as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from ingest.records import StreamDescription
from labeling.rules.ast import Compare, Condition, Logic, Node, canonical, streams
from labeling.rules.document import Limits, RuleText, TestText, read_document
from labeling.rules.errors import RuleError, Source
from labeling.rules.grammar import Scope, parse
from labeling.rules.tracker import Timing

if TYPE_CHECKING:
    from labeling.rules.state import RuleState

SEMANTICS: Final = 1
"""Raised when the same rule gives other marks than before."""
_HEX: Final = 16


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, checked as far as that goes without stream descriptions."""

    label: str
    when: Condition
    until: Condition | None
    timing: Timing
    pad_ns: tuple[int, int]
    limits: Limits
    streams: tuple[str, ...]
    """Whose channels it names, sorted; of several it joins the newest samples."""
    revision: str
    """16 hex digits: a hash of its meaning."""

    @property
    def max_age_ns(self) -> int:
        """How long a stream's last sample stands in for its next, where it joins streams."""
        return self.limits.max_gap_ns if self.limits.max_age_ns is None else self.limits.max_age_ns


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules of a file."""

    name: str
    """The file's, as in `rules.yaml`: the author of its marks."""
    rules: tuple[Rule, ...]
    tests: tuple[TestText, ...] = ()

    @property
    def revision(self) -> str:
        """16 hex digits: a hash of what all its rules mean."""
        return _hash([rule.revision for rule in self.rules])

    @property
    def streams(self) -> frozenset[str]:
        """The streams that the rules name."""
        return frozenset(stream for rule in self.rules for stream in rule.streams)

    def start(self, saved: bytes | None = None) -> RuleState:
        """At work from a saved state, or from the beginning.

        Raises:
            StateVersionError: the state is that of other rules, or another version's.
            CorruptError: the state cannot be understood.
        """
        from labeling.rules.saving import start

        return start(self, saved)

    def check(self, descriptions: Iterable[StreamDescription]) -> None:
        """Raise `RuleError` where a rule names a channel that its stream has not, or a unit that does not fit."""
        from labeling.rules.plan import JoinPlan, StreamPlan

        described = {description.stream: description for description in descriptions}
        plans = {
            name: StreamPlan(self.rules, description) for name, description in described.items() if name in self.streams
        }
        for index, rule in enumerate(self.rules):
            for stream in rule.streams:
                if stream in plans and index in plans[stream].faults:
                    raise plans[stream].faults[index]
            if len(rule.streams) > 1:
                JoinPlan(index, rule, plans)


def compile_rules(text: str, name: str) -> RuleSet:
    """The rules in a rule file's text; `name` names it in errors and as its marks' author.

    Raises:
        RuleError: what is wrong, with line, column and a caret.
    """
    document = read_document(text, name)
    outer = Scope(document.let)
    for let, source in document.let.items():
        outer.look_up(let, source.span())
    rules: list[Rule] = []
    seen: dict[str, int] = {}
    for index, written in enumerate(document.rules):
        rule = _rule(written, outer)
        if rule.revision in seen:
            raise written.place.span().error(f"rules[{index}] says the same as rules[{seen[rule.revision]}]")
        seen[rule.revision] = index
        rules.append(rule)
    return RuleSet(name, tuple(rules), document.tests)


def _rule(written: RuleText, outer: Scope) -> Rule:
    scope = Scope(written.let, outer)
    for let, source in written.let.items():
        scope.look_up(let, source.span())
    when = _condition(written.when, scope)
    until = None if written.until is None else _condition(written.until, scope)
    limits = written.limits
    timing = Timing(limits.max_gap_ns, written.for_ns, written.hold_ns, written.cooldown_ns)
    named = tuple(sorted(streams(when) | (streams(until) if until is not None else frozenset())))
    max_age_ns = limits.max_gap_ns if limits.max_age_ns is None else limits.max_age_ns
    revision = _hash(
        [
            SEMANTICS,
            written.label,
            canonical(when),
            canonical(until) if until is not None else None,
            [timing.for_ns, timing.hold_ns, timing.cooldown_ns, timing.max_gap_ns, *written.pad_ns],
            [limits.coverage.numerator, limits.coverage.denominator, max_age_ns if len(named) > 1 else None],
        ]
    )
    return Rule(written.label, when, until, timing, written.pad_ns, limits, named, revision)


def _condition(source: Source, scope: Scope) -> Condition:
    node: Node = parse(source, scope)
    if not isinstance(node, Compare | Logic):
        raise source.span().error("found a value, expected a condition; compare it, as in mag < 0.35g")
    for part in _compares(node):
        if not streams(part):
            raise part.at.error("compares two constants; name a channel")
    return node


def _compares(node: Condition) -> Iterable[Compare]:
    if isinstance(node, Compare):
        yield node
    else:
        for part in node.parts:
            yield from _compares(part)


def _hash(content: Sequence[object]) -> str:
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:_HEX]


__all__ = ["Rule", "RuleError", "RuleSet", "compile_rules"]
