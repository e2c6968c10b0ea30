"""What stands of marks after any events: idempotent, and indifferent to where adds and retracts lie."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest.records import Mark, MarkAdd, MarkEdit, MarkRetract
from labeling.marks import ResolvedMark, fold


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


def retract(mark: str = "m") -> MarkRetract:
    return MarkRetract("pump", mark, "bob", "operator")


small = st.integers(0, 30)
tools = st.sampled_from(["operator", "rule"])
ids = st.sampled_from(["a", "b"])
labels = st.sampled_from(["run", "stop", ""])
adds = st.builds(MarkAdd, st.just("pump"), ids, small, small, labels, st.just("ann"), tools)
edits = st.builds(
    MarkEdit, st.just("pump"), ids, st.sampled_from(["bob", "cy"]), tools, st.none() | small, st.none() | small
)
retracts = st.builds(MarkRetract, st.just("pump"), ids, st.just("bob"), tools)
histories: st.SearchStrategy[list[Mark]] = st.lists(adds | edits | retracts, max_size=12)


def test_an_add_stands_as_it_is() -> None:
    assert fold([add()]).marks == (ResolvedMark("m", "pump", 10, 20, "run", "ann", "operator", 1.0),)


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
    assert fold(adds_last).marks == fold(events).marks == fold(retracts_first).marks


@given(histories)
def test_every_mark_that_was_added_stands_or_is_counted(events: list[Mark]) -> None:
    folded = fold(events)
    added = {event.id for event in events if isinstance(event, MarkAdd)}
    assert len(added) == len(folded.marks) + folded.counts["retracted"] + folded.counts["invalid"]
