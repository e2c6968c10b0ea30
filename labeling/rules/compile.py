"""Rule text to a `RuleSet`: read, names replaced, checked as far as that goes without stream descriptions."""

from __future__ import annotations

from labeling.rules.ast import Compare, Condition, Logic, streams, walk
from labeling.rules.document import RuleText, read_document
from labeling.rules.errors import Source
from labeling.rules.grammar import Scope, parse
from labeling.rules.ruleset import Rule, RuleSet, Timing


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
    timing = Timing(
        written.limits.max_gap_ns, written.for_ns, written.hold_ns, written.cooldown_ns, written.for_samples
    )
    return Rule(written.label, when, until, timing, written.pad_ns, written.limits)


def _condition(source: Source, scope: Scope) -> Condition:
    node = parse(source, scope)
    if not isinstance(node, Compare | Logic):
        raise source.span().error("found a value, expected a condition; compare it, as in mag < 0.35g")
    for part in walk(node):
        if isinstance(part, Compare) and not streams(part):
            raise part.at.error("compares two constants; name a channel")
    return node


__all__ = ["RuleSet", "compile_rules"]
