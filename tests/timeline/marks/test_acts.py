"""Acts as events for the log."""

from __future__ import annotations

import msgspec
import pytest

from ingest.records import MarkAdd, MarkEdit
from timeline.marks.acts import RefusedError, Site, Who, event_of
from timeline.marks.markbook import MarkBook
from timeline.protocol import Act

NOW_NS = 1_800_000_000 * 10**9
COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"
ADD = Act(
    "00000000-0000-4000-8000-000000000001", "add", "pump-7", "00000000-0000-4000-8000-000000000002",
    client_ns=str(NOW_NS), start_ns=str(NOW_NS - 9), end_ns=str(NOW_NS), label=DECOMPOSED,
)  # fmt: skip


@pytest.mark.parametrize("classes", [(), (COMPOSED, "run")])
def test_a_label_is_written_in_its_one_spelling(classes: tuple[str, ...]) -> None:
    site = Site({"pump-7": (NOW_NS - 100, NOW_NS)}, classes)
    event = event_of(ADD, Who("anna", "annotator"), MarkBook(), site, NOW_NS)
    assert isinstance(event, MarkAdd)
    assert event.label == COMPOSED


def test_a_label_that_is_no_class_is_refused() -> None:
    site = Site({"pump-7": (NOW_NS - 100, NOW_NS)}, ("run",))
    with pytest.raises(RefusedError, match="none of the classes"):
        event_of(ADD, Who("anna", "annotator"), MarkBook(), site, NOW_NS)


def test_an_edit_empties_a_note_and_one_that_says_nothing_is_refused() -> None:
    site, anna, book = Site({"pump-7": (NOW_NS - 100, NOW_NS)}, ()), Who("anna", "annotator"), MarkBook()
    note = msgspec.structs.replace(ADD, reason="loud")
    said = event_of(note, anna, book, site, NOW_NS)
    assert isinstance(said, MarkAdd)
    book.feed(said, NOW_NS, 0)
    edit = Act(ADD.act, "edit", ADD.device, ADD.mark, client_ns=str(NOW_NS + 1))
    with pytest.raises(RefusedError, match="changes nothing"):
        event_of(edit, anna, book, site, NOW_NS)
    emptied = event_of(msgspec.structs.replace(edit, reason=" "), anna, book, site, NOW_NS)
    assert isinstance(emptied, MarkEdit)
    changed = book.feed(emptied, NOW_NS, 1)
    assert changed is not None
    assert (changed.mark.reason, changed.event.fields) == ("", ())
