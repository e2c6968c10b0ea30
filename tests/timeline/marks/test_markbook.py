"""Marks by range and by density: the same as looking at each of them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ingest.records import Mark, MarkAdd, MarkEdit, MarkRetract
from labeling.marks import fold
from timeline.marks import standing
from timeline.marks.markbook import MarkBook
from timeline.protocol import Neighbour

ANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
small, ids = st.integers(0, 40), st.sampled_from("abcdefgh")
spans = st.tuples(small, small).map(sorted)
labels = st.sampled_from(["run", "stop"])


def added(name: str, span: list[int], label: str) -> MarkAdd:
    return MarkAdd("pump", name, span[0], span[1], label, "ann", "operator")


def edited(name: str, span: list[int], client_ns: int) -> MarkEdit:
    return MarkEdit("pump", name, "bob", "operator", span[0], span[1], client_ns=client_ns)


adds, edits = st.builds(added, ids, spans, labels), st.builds(edited, ids, spans, st.integers(1, 9))
retracts = st.builds(lambda name, at: MarkRetract("pump", name, "bob", "operator", at), ids, st.integers(1, 9))
events: st.SearchStrategy[list[Mark]] = st.lists(adds | edits | retracts, max_size=30)


def filled(told: list[Mark]) -> MarkBook:
    book = MarkBook()
    for offset, event in enumerate(told):
        book.feed(event, 0, offset)
    return book


@pytest.fixture(autouse=True, params=[0, 3, 512])
def changed_max(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether marks are looked through one by one, or sorted in, makes no difference."""
    monkeypatch.setattr(standing, "CHANGED_MAX", request.param)


@ANY
@given(events, spans, st.integers(1, 9), st.none() | st.integers(0, 9))
@example([added("b", [0, 0], "run"), added("a", [0, 0], "run")], [0, 0], 1, None)
def test_what_meets_a_range_is_what_stands_and_meets_it(
    told: list[Mark], span: list[int], most: int, part: int | None
) -> None:
    start, end = span[0], span[1] + 1
    found, complete = filled(told).meeting("pump", start, end, most, part)
    marks = fold(told).marks
    expected = [it.id for it in marks if it.start_ns < end and max(it.end_ns, it.start_ns + 1) > start]
    first = expected[: most if len(expected) <= most or part is None else min(part, most)]
    assert ([it.id for it in found], complete) == (first, len(expected) <= most)


@ANY
@given(events, spans, ids | st.just(""), st.booleans())
def test_the_neighbour_is_the_first_or_last_on_its_side(
    told: list[Mark], span: list[int], name: str, later: bool
) -> None:
    asked = Neighbour(1, "pump", str(span[0]), str(span[1]), name, later)
    place = (span[0], span[1] if name else 99 if later else -1, name)
    places = sorted((it.start_ns, it.end_ns, it.id) for it in fold(told).marks)
    beside = [it for it in places if it > place] if later else [it for it in places if it < place][::-1]
    found = filled(told).neighbour(asked)
    assert (found and found.id) == (beside[0][2] if beside else None)


@ANY
@given(events, spans, st.integers(1, 9))
def test_density_counts_each_mark_in_every_column_that_it_meets(
    told: list[Mark], span: list[int], columns: int
) -> None:
    start, end = span[0], span[1] + columns  # at least a nanosecond a column
    names, cells = filled(told).density("pump", start, end, columns)
    expected: dict[tuple[int, str], int] = {}
    for mark in fold(told).marks:
        low, high = max(mark.start_ns, start), max(min(mark.end_ns, end) - 1, mark.start_ns, start)
        if mark.start_ns < end and max(mark.end_ns, mark.start_ns + 1) > start:
            for column in {(at - start) * columns // (end - start) for at in range(low, high + 1)}:
                expected[column, mark.label] = expected.get((column, mark.label), 0) + 1
    assert {(column, names[label]): count for column, label, count in cells} == expected


@ANY
@given(events)
def test_every_change_is_told_with_the_mark_as_it_is_then(told: list[Mark]) -> None:
    book = MarkBook()
    shown: dict[str, tuple[str, str, bool]] = {}
    for offset, event in enumerate(told):
        changed = book.feed(event, 0, offset)
        if changed is not None:
            shown[changed.mark.id] = changed.mark.start_ns, changed.mark.end_ns, changed.mark.stands
    shown_last = {it.id: (str(it.start_ns), str(it.end_ns), True) for it in fold(told).marks}
    assert {name: it for name, it in shown.items() if it[2]} == shown_last
    assert book.count("pump") == len(shown_last)
    assert {label for label, count in book.labels.items() if count} == {it.label for it in fold(told).marks}
