"""Which marks count: people's, and those of the rules that are named; known by revision, in old logs by their ids."""

from __future__ import annotations

import msgspec

from labeling.counting import CountedRule, CountedRules, changed_rules, count
from labeling.marks import ResolvedMark, rule_mark_id
from labeling.rules.compile import compile_rules

TEXT = """version: 1
rules:
  - {label: hot, when: acc.x > 0.4g, for: 1s}
  - {label: cold, when: acc.x < 0.1g, for: 1s}
"""


def named(*rules: tuple[str, str]) -> CountedRules:
    return CountedRules(1, "rules.yaml", "all", tuple(CountedRule(*rule) for rule in rules))


def mark(label: str, tool: str, revision: str = "", name: str = "m") -> ResolvedMark:
    return ResolvedMark(name, "pump", 10, 20, label, "who", tool, 1.0, revision)


def test_people_count_and_the_rules_that_are_named() -> None:
    ann, now, old = mark("hot", "operator"), mark("hot", "rule", "r2"), mark("hot", "rule", "r1")
    found = count([ann, now, old], named(("hot", "r2")))
    assert found.marks == (ann, now)
    assert found.counts == {"other_rules": 1}


def test_without_rules_only_people_count() -> None:
    ann, button = mark("hot", "import"), mark("hot", "button")
    found = count([ann, mark("hot", "rule", "r1"), button], None)
    assert (found.marks, found.counts) == ((ann, button), {"other_rules": 1})
    assert count([ann], None).counts == {}


def test_a_mark_that_does_not_say_its_revision_is_known_by_its_id() -> None:
    old = [mark("hot", "rule", name=rule_mark_id(revision, "pump", 10)) for revision in ("r1", "r2")]
    assert count(old, named(("cold", "r1"), ("hot", "r2"))).marks == (old[1],)
    assert count(old, named(("cold", "r1"))).marks == ()


def test_a_rule_keeps_its_revision_whichever_way_its_label_is_spelled() -> None:
    """What a dataset of before has kept of it has the spelling of its file."""
    text = "version: 1\nrules:\n  - {label: LABEL, when: acc.x > 5g}\ntests: []\n"
    kept = CountedRules.of(compile_rules(text.replace("LABEL", "cafe\u0301"), "rules.yaml"))
    assert kept.rules == (CountedRule("caf\u00e9", "cd1a8a97ca07e2b2"),)
    older = named(("cafe\u0301", "cd1a8a97ca07e2b2"))
    made = mark("caf\u00e9", "rule", rule := "cd1a8a97ca07e2b2", rule_mark_id(rule, "pump", 10))
    assert count([made, msgspec.structs.replace(made, revision="")], older).counts == {}
    assert changed_rules(older, kept) == ((), ())


def test_two_rules_of_one_label_both_count() -> None:
    both = mark("hot", "rule", "r1"), mark("hot", "rule", "r2")
    assert count(both, named(("hot", "r2"), ("hot", "r1"))).marks == both


def test_a_rule_that_did_not_change_keeps_its_revision_in_a_changed_file() -> None:
    before = CountedRules.of(compile_rules(TEXT, "rules.yaml"), TEXT)
    now = CountedRules.of(compile_rules(TEXT.replace("0.4g", "0.5g"), "rules.yaml"))
    assert before.rules[1] == now.rules[1]
    assert before.revision != now.revision
    assert changed_rules(before, now) == (("hot",), ("hot",))
    assert changed_rules(now, None) == (("cold", "hot"), ())
    assert changed_rules(None, now) == ((), ("cold", "hot"))
    assert changed_rules(now, now) == ((), ())
    assert msgspec.json.decode(msgspec.json.encode(before), type=CountedRules) == before
