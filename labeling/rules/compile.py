"""Rule text to a `RuleSet`: read, names replaced, checked as far as that goes without stream descriptions."""

from __future__ import annotations

from ingest.names import normal
from labeling.rules.ast import Compare, Condition, Logic, streams, walk
from labeling.rules.contradictions import check_units
from labeling.rules.document import RuleText, read_document
from labeling.rules.errors import Faults, Source
from labeling.rules.grammar import Scope, parse
from labeling.rules.ruleset import Rule, RuleSet, Timing


def compile_rules(text: str, name: str) -> RuleSet:
    """The rules in a rule file's text; `name` names it in errors and as its marks' author.

    Raises:
        RuleError: all that is wrong, each with line, column and a caret.
    """
    document = read_document(text, name)
    faults = Faults(document.faults)
    outer = Scope(document.let)
    _look_up_all(outer, faults)
    rules: list[Rule] = []
    seen: dict[str, int] = {}
    for index, written in enumerate(document.rules):
        rule = _rule(written, outer, faults)
        if rule is None:
            continue
        if rule.revision in seen:
            says = f"rules[{index}] says the same as rules[{seen[rule.revision]}]"
            faults.found.append(written.place.span().error(says))
        seen.setdefault(rule.revision, index)
        rules.append(rule)
    faults.raise_all()
    return RuleSet(name, tuple(rules), document.tests)


def _look_up_all(scope: Scope, faults: Faults) -> None:
    """Look at each name, also at those that no rule uses."""
    for let, source in scope.texts.items():
        faults.attempt(lambda let=let, source=source: scope.look_up(let, source.span()), None)  # type: ignore[misc]


def _rule(written: RuleText, outer: Scope, faults: Faults) -> Rule | None:
    """The rule; None where something is wrong with it."""
    scope = Scope(written.let, outer)
    _look_up_all(scope, faults)
    when, until = (
        None if source is None else faults.attempt(lambda source=source: _condition(source, scope), None)  # type: ignore[misc]
        for source in (written.when, written.until)
    )
    if when is None or (until is None and written.until is not None):
        return None
    timing = Timing(
        written.limits.max_gap_ns, written.for_ns, written.hold_ns, written.cooldown_ns, written.for_samples
    )
    faults.attempt(lambda: check_units([when] if until is None else [when, until]), None)
    return Rule(normal(written.label), when, until, timing, written.pad_ns, written.limits, written.label)


def _condition(source: Source, scope: Scope) -> Condition:
    node = parse(source, scope)
    if not isinstance(node, Compare | Logic):
        raise source.span().error("found a value, expected a condition; compare it, as in mag < 0.35g")
    for part in walk(node):
        if isinstance(part, Compare) and not streams(part):
            raise part.at.error("compares two constants; name a channel")
    return node


__all__ = ["RuleSet", "compile_rules"]
