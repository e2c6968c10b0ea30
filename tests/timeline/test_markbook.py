"""Marks by range and by density: the same as looking at each of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest.records import Mark, MarkAdd, MarkEdit, MarkRetract
from labeling.marks import fold
from timeline import markbook
from timeline.markbook import MarkBook

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


@given(events, spans, st.integers(0, 8))
def test_what_meets_a_range_is_what_stands_and_meets_it(told: list[Mark], span: list[int], rebuild: int) -> None:
    start, end = span[0], span[1] + 1
    before, markbook.REBUILD = markbook.REBUILD, rebuild  # type: ignore[misc]
    try:
        found, complete = filled(told).meeting("pump", start, end, 100)
    finally:
        markbook.REBUILD = before  # type: ignore[misc]
    standing = fold(told).marks
    expected = [it.id for it in standing if it.start_ns < end and max(it.end_ns, it.start_ns + 1) > start]
    assert ([it.id for it in found], complete) == (expected, True)


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


@given(events)
def test_every_change_is_told_with_the_mark_as_it_is_then(told: list[Mark]) -> None:
    book = MarkBook()
    shown: dict[str, tuple[str, str, bool]] = {}
    for offset, event in enumerate(told):
        changed = book.feed(event, 0, offset)
        if changed is not None:
            shown[changed.mark.id] = changed.mark.start_ns, changed.mark.end_ns, changed.mark.stands
    standing = {it.id: (str(it.start_ns), str(it.end_ns), True) for it in fold(told).marks}
    assert {name: it for name, it in shown.items() if it[2]} == standing
    assert book.count("pump") == len(standing)
    assert {label for label, count in book.labels.items() if count} == {it.label for it in fold(told).marks}
