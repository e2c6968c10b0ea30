"""Corrections of marks: what they write, and that the fold of it is what was asked for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.importers.marks import mark_id
from ingest.records import Mark, MarkAdd, MarkEdit, MarkRetract
from labeling.changing import Book, Fields, Scope, Who, edit_of, replace, retracts_of, scopes_of, undo_of
from labeling.marks import ResolvedMark, histories

ANN, BOB = Who("ann", reason="why not"), Who("bob", "button")


def row(start: int, end: int, label: str, author: str = "ann", device: str = "d", confidence: float = 1.0) -> MarkAdd:
    return MarkAdd(device, mark_id(device, start, end, label, author), start, end, label, author, "import", confidence)


def book(events: Sequence[Mark]) -> Book:
    return Book(histories(events, range(len(events)))[0])


def stands(events: Sequence[Mark]) -> list[tuple[str, int, int, str, str]]:
    return [(m.device, m.start_ns, m.end_ns, m.label, m.author) for m in book(events).standing().values()]


def only(events: Sequence[Mark]) -> ResolvedMark:
    (mark,) = book(events).standing().values()
    return mark


def test_an_edit_says_who_with_what_when_and_why() -> None:
    mark = only([row(0, 10, "run")])
    edit = edit_of(mark, ANN, 77, Fields(label="stop"))
    assert edit == MarkEdit("d", mark.id, "ann", "operator", label="stop", client_ns=77, reason="why not")
    first, second = retracts_of([mark, mark], BOB, 77)
    assert (first.author, first.tool, first.client_ns, second.client_ns) == ("bob", "button", 77, 78)


def test_undo_takes_back_an_authors_events_one_after_the_other() -> None:
    events: list[Mark] = [row(0, 10, "run"), row(20, 30, "stop")]
    events.append(edit_of(book(events).standing()["d", events[0].id], ANN, 5, Fields(label="walk")))
    events += retracts_of([book(events).standing()["d", events[1].id]], ANN, 6)
    assert stands(events) == [("d", 0, 10, "walk", "ann")]
    seen = []
    for now_ns in range(10, 14):
        (undone,) = undo_of(book(events), ANN, now_ns)
        events.append(undone.event)
        seen.append([label for *_, label, _ in stands(events)])
    assert seen == [["walk", "stop"], ["run", "stop"], ["run"], []]
    assert undo_of(book(events), ANN, 20) == []
    assert undo_of(book(events), BOB, 20) == []


def test_several_at_once_and_of_one_device() -> None:
    events: list[Mark] = [row(0, 10, "a"), row(0, 10, "b", device="e"), row(20, 30, "c")]
    events += [undone.event for undone in undo_of(book(events), ANN, 9, times=2, device="d")]
    assert stands(events) == [("e", 0, 10, "b", "ann")]
    assert len(undo_of(book(events), ANN, 9, times=5)) == 1


def test_a_rules_mark_that_was_edited_is_the_rules_again_after_an_undo() -> None:
    made = MarkAdd("d", "m", 0, 10, "hot", "rules.yaml", "rule", revision="r1")
    events: list[Mark] = [made]
    events.append(edit_of(only(events), ANN, 5, Fields(end_ns=4)))
    assert only(events).by_person
    events += [undone.event for undone in undo_of(book(events), ANN, 6)]
    assert (only(events).tool, only(events).end_ns, only(events).revision) == ("rule", 10, "r1")
    assert undo_of(book(events), Who("rules.yaml"), 7) == [], "rules have no last word to take back"


def replaced(events: Sequence[Mark], rows: Sequence[MarkAdd], *more: Scope) -> tuple[list[Mark], dict[str, int]]:
    """Each time later than before: an equal event of the same instant would be one that is delivered again."""
    now_ns = 1000 * (1 + len(events))
    plan = replace(book(events), rows, [*scopes_of(rows), *more], now_ns, "again")
    return [*events, *plan.events], {name: count for name, count in plan.counts.items() if count}


def test_what_the_file_says_now_is_what_stands() -> None:
    events = [row(0, 10, "wrong"), row(20, 30, "ok"), row(40, 50, "gone"), row(60, 70, "long"), row(80, 90, "ok")]
    file = [row(0, 10, "right"), row(20, 30, "ok"), row(60, 75, "long"), row(77, 78, "new"), row(80, 90, "ok")]
    after, counts = replaced(events, file)
    assert stands(after) == stands(file)
    assert counts == {"edited": 2, "unchanged": 2, "retracted": 1, "added": 1}
    assert [it.reason for it in after if isinstance(it, MarkEdit | MarkRetract)] == ["again"] * 3
    assert replaced(after, file) == (after, {"unchanged": 5}), "again changes nothing"


def test_only_the_authors_marks_in_the_files_range_are_replaced() -> None:
    rule = MarkAdd("d", "m", 12, 14, "hot", "ann", "rule")
    others: list[Mark] = [row(0, 10, "b", "bob"), row(0, 10, "a", device="e"), row(100, 110, "later"), rule]
    after, counts = replaced([*others, row(5, 8, "out")], [row(0, 10, "x"), row(12, 15, "y")])
    assert counts == {"added": 2, "retracted": 1}
    assert sorted(label for *_, label, _ in stands(after)) == ["a", "b", "hot", "later", "x", "y"]
    touching: list[Mark] = [row(0, 10, "before"), row(30, 40, "behind"), row(30, 30, "tap")]
    assert replaced(touching, [row(10, 30, "x")])[1] == {"added": 1}, "ends are exclusive"
    assert replaced([row(30, 30, "tap")], [row(10, 20, "x"), row(30, 30, "tip")])[1] == {"added": 1, "edited": 1}


def test_a_device_as_a_whole_also_by_a_file_without_rows() -> None:
    after, counts = replaced([row(0, 10, "a"), row(50, 60, "b")], [], Scope("d", "ann", -(1 << 62), 1 << 62))
    assert (stands(after), counts) == ([], {"retracted": 2})


def test_what_was_retracted_comes_back_under_a_fresh_id() -> None:
    events: list[Mark] = [row(0, 10, "a"), row(20, 30, "b")]
    after, _ = replaced(events, [row(20, 30, "b")], Scope("d", "ann", 0, 100))
    again, counts = replaced(after, [row(0, 10, "a"), row(20, 30, "b")])
    assert (stands(again), counts) == (stands(events), {"added": 1, "unchanged": 1})
    assert again[-1].id == events[0].id + "-2"


def test_what_somebody_else_has_corrected_stays_as_they_made_it() -> None:
    events: list[Mark] = [row(0, 10, "a"), row(20, 30, "b")]
    events += retracts_of([book(events).standing()["d", events[0].id]], BOB, 5)
    events.append(edit_of(book(events).standing()["d", events[1].id], BOB, 6, Fields(label="c")))
    after, counts = replaced(events, [row(0, 10, "a"), row(20, 30, "b")])
    assert (stands(after), counts) == ([("d", 20, 30, "c", "bob")], {"others": 2})


spans = st.tuples(st.integers(0, 20), st.integers(0, 6), st.sampled_from("ab"), st.sampled_from(["ann", "bob"]))
files = st.lists(spans, max_size=5, unique=True).map(
    lambda rows: [row(a, a + n, label, who) for a, n, label, who in rows]
)


@settings(max_examples=150)
@given(st.lists(files, min_size=1, max_size=4))
def test_after_any_files_the_last_one_stands(versions: list[list[MarkAdd]]) -> None:
    events: list[Mark] = []
    for version in versions:
        whole = [Scope("d", author, -(1 << 62), 1 << 62) for author in ("ann", "bob")]
        events = replaced(events, version, *whole)[0]
        assert sorted(stands(events)) == sorted(stands(version))
    assert len({event.id for event in events if isinstance(event, MarkAdd)}) == sum(
        isinstance(event, MarkAdd) for event in events
    ), "no id is used twice"


def test_edits_pair_one_mark_with_one_row() -> None:
    events = [row(0, 10, "a"), row(0, 10, "b")]
    after, counts = replaced(events, [row(0, 10, "c"), row(0, 10, "d")])
    assert (stands(after), counts) == (stands([row(0, 10, "c"), row(0, 10, "d")]), {"edited": 2})


@pytest.mark.parametrize("confidence", [0.5, 1.0])
def test_confidence_is_part_of_a_mark(confidence: float) -> None:
    assert replaced([row(0, 10, "a")], [row(0, 10, "a", confidence=confidence)])[1] == {
        "unchanged" if confidence == 1.0 else "edited": 1
    }
