from __future__ import annotations

from ingest.records import MarkAdd, MarkRetract
from sinks.influx.marks import SHELF, Shelves


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
