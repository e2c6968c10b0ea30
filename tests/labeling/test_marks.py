"""What stands of marks after any events: idempotent, and indifferent to where adds and retracts lie."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ingest.records import CLOCK_OFFSET, Mark, MarkAdd, MarkEdit, MarkRetract
from labeling.marks import Fold, ResolvedMark, fold, rule_mark_id


def add(mark: str = "m", **fields: object) -> MarkAdd:
    values: dict[str, object] = {
        "device": "pump",
        "id": mark,
        "start_ns": 10,
        "end_ns": 20,
        "label": "run",
        "author": "ann",
        "tool": "operator",
    }
    return MarkAdd(**(values | fields))  # type: ignore[arg-type]


def edit(mark: str = "m", *, author: str = "bob", tool: str = "operator", **fields: object) -> MarkEdit:
    return MarkEdit("pump", mark, author, tool, **fields)  # type: ignore[arg-type]


def retract(mark: str = "m", *, author: str = "bob", client_ns: int = 0) -> MarkRetract:
    return MarkRetract("pump", mark, author, "operator", client_ns)


def undo(client_ns: int, mark: str = "m", *, author: str = "bob") -> MarkEdit:
    return MarkEdit("pump", mark, author, "operator", undoes_ns=client_ns)


def plain(folded: Fold) -> list[ResolvedMark]:
    """The marks without when they were said."""
    return [msgspec.structs.replace(mark, order=0) for mark in (*folded.marks, *folded.trims)]


small = st.integers(0, 30)
tools = st.sampled_from(["operator", "rule"])
ids = st.sampled_from(["a", "b"])
labels = st.sampled_from(["run", "stop", ""])
adds = st.builds(MarkAdd, st.just("pump"), ids, small, small, labels, st.just("ann"), tools, trim=st.booleans())
people, moments = st.sampled_from(["bob", "cy"]), st.integers(0, 3)
edits = st.builds(
    MarkEdit, st.just("pump"), ids, people, tools, st.none() | small, st.none() | small, client_ns=moments,
    undoes_ns=st.just(0) | moments, accept=st.booleans(),
)  # fmt: skip
retracts = st.builds(MarkRetract, st.just("pump"), ids, people, tools, moments)
histories: st.SearchStrategy[list[Mark]] = st.lists(adds | edits | retracts, max_size=12)


def test_an_add_stands_as_it_is() -> None:
    assert fold([add()]).marks == (ResolvedMark("m", "pump", 10, 20, "run", "ann", "operator", 1.0),)


def test_labels_have_one_spelling_whoever_wrote_them() -> None:
    (mark,) = fold([add(label="cafe\u0301")]).marks
    assert mark.label == "caf\u00e9"
    (edited,) = fold([add(), edit(label="cafe\u0301")]).marks
    assert edited.label == "caf\u00e9"


def test_a_trim_is_no_mark_and_has_no_label_whatever_is_edited() -> None:
    trim = add(label="", trim=True, reason="loose")
    folded = fold([trim, add("n"), edit(label="run", end_ns=25), edit("n", label="stop")])
    assert [(it.id, it.label) for it in folded.marks] == [("n", "stop")]
    (found,) = folded.trims
    assert (found.start_ns, found.end_ns, found.label, found.shown, found.reason) == (10, 25, "", "trim", "loose")
    assert fold([trim, edit(reason="belt off", end_ns=22)]).trims[0].reason == "belt off"
    assert fold([trim, retract()]).trims == ()
    assert fold([trim, retract(client_ns=7), undo(7)]).trims == fold([trim]).trims
    assert fold([add(label="trim")]).marks[0].shown == "trim", "a label may be called so"
    assert fold([add(label="trim")]).trims == ()
    assert fold([add(label="", trim=True, start_ns=11, end_ns=10)]).counts == {"invalid": 1}


def test_a_note_is_left_changed_and_emptied() -> None:
    noted = add(reason="loud")
    for reason, note in (("", "loud"), ("louder", "louder"), (" ", "")):
        assert fold([noted, edit(reason=reason)]).marks[0].reason == note
    assert fold([noted, edit(reason=" "), edit(reason="again", client_ns=2)]).marks[0].reason == "again"


def test_the_first_add_of_an_id_counts() -> None:
    folded = fold([add(), add(label="other")])
    assert [mark.label for mark in folded.marks] == ["run"]
    assert folded.counts == {"duplicate": 1}


def test_one_id_on_two_devices_is_two_marks() -> None:
    assert len(fold([add(), add(device="fan")]).marks) == 2


def test_an_edit_changes_only_what_it_names() -> None:
    (mark,) = fold([add(), edit(end_ns=30, confidence=0.5)]).marks
    assert (mark.start_ns, mark.end_ns, mark.label, mark.confidence, mark.author) == (10, 30, "run", 0.5, "bob")


def test_an_edit_that_passes_through_an_inverted_range_is_fine() -> None:
    (mark,) = fold([add(), edit(start_ns=100), edit(end_ns=200)]).marks
    assert (mark.start_ns, mark.end_ns) == (100, 200)


def test_a_person_takes_a_rules_mark_over_and_keeps_it() -> None:
    folded = fold([add(tool="rule"), edit(label="stop"), edit(label="run", tool="rule")])
    assert [(mark.label, mark.tool, mark.by_person) for mark in folded.marks] == [("stop", "operator", True)]
    assert folded.counts == {"overruled": 1}


def test_a_retract_is_for_ever() -> None:
    folded = fold([retract(), add(), edit(label="x"), add()])
    assert folded.marks == ()
    assert folded.counts == {"duplicate": 1, "retracted": 1}


def test_who_takes_an_edit_back_gives_the_mark_back_as_it_was() -> None:
    taken_over = edit(label="stop", client_ns=5)
    folded = fold([add(tool="rule", author="rules.yaml", revision="r1"), taken_over, undo(5)])
    (mark,) = folded.marks
    assert (mark.label, mark.author, mark.tool, mark.revision) == ("run", "rules.yaml", "rule", "r1")
    assert folded.counts == {"undone": 1}
    (mark,) = fold([add(), edit(label="a", client_ns=5), edit(end_ns=30, client_ns=6), undo(5)]).marks
    assert (mark.label, mark.end_ns) == ("run", 30), "another edit stays"


def test_only_its_author_takes_a_retract_back() -> None:
    gone = retract(client_ns=7)
    assert fold([add(), gone, undo(7, author="ann")]).marks == ()
    assert fold([add(), gone, undo(8)]).marks == ()
    assert fold([add(), gone, retract(author="cy", client_ns=7), undo(7)]).marks == ()
    folded = fold([add(), gone, undo(7)])
    assert [mark.label for mark in folded.marks] == ["run"]


def test_an_edit_that_two_servers_passed_on_is_one() -> None:
    first, later = edit(label="stop", client_ns=7, server_ns=100), edit(author="cy", label="run", client_ns=8)
    again = edit(label="stop", client_ns=7, server_ns=250)
    assert plain(fold([add(), first, later, again])) == plain(fold([add(), first, later]))
    assert fold([add(), first, later, again]).counts == {"duplicate": 1}


def test_an_edit_that_was_sent_again_with_a_clock_measured_anew_is_one() -> None:
    first, again = (edit(label="stop", client_ns=7, evidence={CLOCK_OFFSET: offset}) for offset in (0.1, 0.2))
    assert fold([add(), first, again]).counts == {"duplicate": 1}


def accept(author: str = "bob", client_ns: int = 0) -> MarkEdit:
    return edit(author=author, accept=True, client_ns=client_ns)


def test_an_accepted_mark_of_a_rule_is_its_reviewers_and_of_a_person_stays_theirs() -> None:
    (mark,) = fold([add(tool="rule", author="rules.yaml", revision="r1"), accept()]).marks
    assert (mark.author, mark.tool, mark.revision, mark.reviewed_by) == ("bob", "operator", "", "bob")
    (mark,) = fold([add(), accept()]).marks
    assert (mark.author, mark.tool, mark.reviewed_by) == ("ann", "operator", "bob")


def test_a_review_holds_until_somebody_else_changes_the_mark() -> None:
    reviewed = [[mark.reviewed_by for mark in fold([add(), *events]).marks] for events in (
        [accept(), edit(label="stop")],
        [accept(), edit(label="stop", author="ann")],
        [accept(), accept("cy")],
        [accept(client_ns=5), undo(5)],
    )]  # fmt: skip
    assert reviewed == [["bob"], [""], ["cy"], [""]]


def test_a_rules_accept_does_not_touch_a_persons_mark() -> None:
    (mark,) = fold([add(), edit(author="rules.yaml", tool="rule", accept=True)]).marks
    assert (mark.author, mark.reviewed_by) == ("ann", "")


def test_an_edit_that_is_delivered_again_overrules_nobody() -> None:
    first, second = edit(label="a", client_ns=5), edit(label="b", author="ann", client_ns=6)
    folded = fold([add(), first, second, first])
    assert [(mark.label, mark.author) for mark in folded.marks] == [("b", "ann")]
    assert folded.counts == {"duplicate": 1}
    unnamed = [edit(label="a"), edit(label="b"), edit(label="a")]
    assert [mark.label for mark in fold([add(), *unnamed]).marks] == ["a"], "who says it anew means it"


def test_an_event_without_a_time_of_its_own_cannot_be_undone() -> None:
    assert fold([add(), retract(), undo(0)]).marks == ()


def test_an_undo_that_comes_twice_or_early_takes_back_one_event() -> None:
    events: list[Mark] = [undo(6), add(), edit(label="a", client_ns=5), edit(label="b", client_ns=6), undo(6)]
    (mark,) = fold(events).marks
    assert (mark.label, mark.author) == ("a", "bob")


def test_a_mark_says_when_it_was_made_what_it_is() -> None:
    events: list[Mark] = [add("a"), add("b"), edit("a", client_ns=5), edit("a", client_ns=6), undo(6, "a")]
    marks = {mark.id: (mark.marked_ns, mark.order) for mark in fold(events, [100, 110, 120, 130, 140]).marks}
    assert marks == {"a": (120, 2), "b": (110, 1)}


def test_a_rules_mark_has_its_revision_until_a_person_takes_it_over() -> None:
    made = add(tool="rule", revision="r1")
    assert [mark.revision for mark in fold([made]).marks] == ["r1"]
    assert [mark.revision for mark in fold([made, edit(confidence=0.5)]).marks] == [""]


def test_a_rules_mark_is_named_as_ever() -> None:
    assert rule_mark_id("0123456789abcdef", "pump", 5) == "210f22ddbb2a1439869adcf842241e62"


def test_edits_and_retracts_without_an_add_are_orphans() -> None:
    assert fold([edit(), retract("n")]).counts == {"orphan": 2}


def test_what_ends_before_it_starts_or_has_no_label_is_invalid() -> None:
    folded = fold([add("a", end_ns=9), add("b", label=""), add("c", end_ns=10)])
    assert [mark.id for mark in folded.marks] == ["c"]
    assert folded.counts == {"invalid": 2}


@given(histories, st.data())
def test_a_repeated_add_or_retract_changes_nothing(events: list[Mark], data: st.DataObject) -> None:
    again = [event for event in events if not isinstance(event, MarkEdit)]
    repeats = data.draw(st.lists(st.sampled_from(again), max_size=4)) if again else []
    assert fold([*events, *repeats]).marks == fold(events).marks


@given(histories)
def test_adds_and_retracts_may_come_at_any_time(events: list[Mark]) -> None:
    adds_last = sorted(events, key=lambda event: isinstance(event, MarkAdd))
    retracts_first = sorted(events, key=lambda event: not isinstance(event, MarkRetract))
    assert plain(fold(adds_last)) == plain(fold(events)) == plain(fold(retracts_first))


@given(histories)
def test_every_mark_that_was_added_stands_or_is_counted(events: list[Mark]) -> None:
    folded = fold(events)
    added = {event.id for event in events if isinstance(event, MarkAdd)}
    assert len(added) == len(folded.marks + folded.trims) + folded.counts["retracted"] + folded.counts["invalid"]
