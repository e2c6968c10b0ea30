from __future__ import annotations

from collections import Counter

import pytest

from ingest.records import MarkAdd, MarkEdit, MarkRetract
from sinks.influx.marks import SHELF, Annotations, Shelves


def add(number: int) -> MarkAdd:
    return MarkAdd("a", str(number), number, number, "run", "ann", "operator")


def test_a_mark_more_changes_one_part_of_the_state() -> None:
    shelves = Shelves()
    for number in range(3 * SHELF - 1):
        shelves.tell(add(number))
    before = shelves.save()
    shelves.tell(add(3 * SHELF))
    after = shelves.save()
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, True, False]
    again = Shelves(after)
    assert again.save() == after
    retract = MarkRetract("a", "7", "ann", "operator")
    again.tell(retract)
    assert again.told(("a", "7")) == [add(7), retract]


def test_the_oldest_marks_are_forgotten() -> None:
    shelves = Shelves(most=4)
    for number in range(SHELF * 4 + 1):
        shelves.tell(add(number))
    assert ("a", "0") not in shelves
    assert shelves.told(("a", str(SHELF - 1))) == []
    assert ("a", str(SHELF)) in shelves
    assert len(shelves.save()) == 4


@pytest.mark.parametrize("anew", [False, True])
def test_a_mark_that_leaves_its_place_leaves_the_one_that_has_the_same(anew: bool) -> None:
    """Two of one label, author and start have one point: it said that none stands when one of them was taken back."""
    notes: Counter[str] = Counter()
    marks = Annotations()
    for id_ in ("one", "two"):
        marks.add(MarkAdd("a", id_, 5, 9, "run", "ann", "page", reason=f"note {id_}"), notes)
    marks.take()
    if anew:
        marks = Annotations(marks.save())
    marks.add(MarkEdit("a", "two", "ann", "page", start_ns=7, client_ns=1), notes)
    here, there = marks.take()
    assert (here[-2:], there[-2:]) == (" 5", " 7")
    for field in ("active=1i", 'id="one"', 'reason="note one"'):
        assert field in here
    marks.add(MarkRetract("a", "one", "ann", "page", client_ns=2), notes)
    (gone,) = marks.take()
    assert gone.endswith(" active=0i 5")


def test_places_are_known_of_the_marks_that_are_kept_alone() -> None:
    """A sink that runs for years knew where each mark of all of them had started."""
    notes: Counter[str] = Counter()
    marks = Annotations(most=2)
    marks.add(add(0), notes)
    marks.add(MarkRetract("a", "0", "ann", "operator"), notes)
    most = 0
    for number in range(1, 12 * SHELF):
        marks.add(add(number), notes)
        most = max(most, marks.starts)
    assert SHELF < most <= 5 * SHELF + 1
    twin = MarkAdd("a", "twin", number, number, "run", "ann", "operator")
    marks.add(twin, notes)
    marks.take()
    marks.add(MarkRetract("a", "twin", "ann", "operator"), notes)
    (line,) = marks.take()
    assert f'id="{number}"' in line


def test_a_point_says_that_its_mark_has_no_note() -> None:
    """InfluxDB keeps the fields that a line does not name: the note of a mark that was there before."""
    marks = Annotations()
    marks.add(MarkAdd("a", "one", 5, 9, "run", "ann", "page"), Counter())
    (line,) = marks.take()
    assert 'reason=""' in line
