"""Which marks a dataset counts: those of people, and those of the rules that its configuration names, no other's.

A log keeps the marks of every rule that ever ran on it: of a threshold that was corrected, a rule that was renamed or
removed, of other datasets, of agents that run other rules. A rule is known by its revision, a hash of what it means
(its label, conditions, times, and what the kernels mean), so an unchanged rule of a changed file keeps its marks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ingest.names import normal
from labeling.marks import ResolvedMark, rule_mark_id

if TYPE_CHECKING:
    from labeling.rules.ruleset import RuleSet

FORMAT: Final = 1
OTHER_RULES: Final = "other_rules"
"""Counts the marks of rules that the dataset does not name."""


class CountedRule(NamedTuple):
    """One rule whose marks count."""

    label: str
    revision: str


class CountedRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rules of a file, as far as their marks are to be told from others': what a dataset keeps of it."""

    format: int
    name: str
    """The file's, as in `rules.yaml`."""
    revision: str
    """Of them all."""
    rules: tuple[CountedRule, ...]
    text: str = ""
    """The file's text, for people; "" where it was not kept."""

    @classmethod
    def of(cls, rules: RuleSet, text: str = "") -> CountedRules:
        """What is kept of a set of rules."""
        return cls(
            FORMAT, rules.name, rules.revision, tuple(CountedRule(r.label, r.revision) for r in rules.rules), text
        )


msgspec.json.Decoder(CountedRules)
"""What msgspec learns of a named tuple at its first use, another thread would see by halves: it is learned here."""


@dataclass(frozen=True, slots=True)
class Counting:
    """The marks that count, in their order, and how many others stand."""

    marks: tuple[ResolvedMark, ...]
    counts: Counter[str]
    """`other_rules`: the standing marks of rules that are not named."""


def count(marks: Iterable[ResolvedMark], rules: CountedRules | None) -> Counting:
    """The marks of people and of `rules` (None: of no rule) among those that stand."""
    revisions: dict[str, list[str]] = {}
    for rule in rules.rules if rules is not None else ():
        revisions.setdefault(normal(rule.label), []).append(rule.revision)
    kept, others = [], 0
    for mark in marks:
        if mark.by_person or _is_of(mark, revisions.get(mark.label, ())):
            kept.append(mark)
        else:
            others += 1
    return Counting(tuple(kept), Counter({OTHER_RULES: others} if others else {}))


def _is_of(mark: ResolvedMark, revisions: Iterable[str]) -> bool:
    """Whether a rule's mark was made by one of these; a mark that does not say is known by its id."""
    if mark.revision:
        return mark.revision in revisions
    return any(rule_mark_id(revision, mark.device, mark.start_ns) == mark.id for revision in revisions)


def changed_rules(before: CountedRules | None, now: CountedRules | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The labels of rules that no longer count, and of those that newly do; a changed rule is in both."""
    old, new = (
        {(normal(rule.label), rule.revision) for rule in rules.rules} if rules is not None else set()
        for rules in (before, now)
    )
    return tuple(sorted({label for label, _ in old - new})), tuple(sorted({label for label, _ in new - old}))
