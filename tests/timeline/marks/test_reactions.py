"""What corrections say of how late a person marks."""

from __future__ import annotations

import msgspec

from ingest.records import CLOCK_OFFSET, REACTION, MarkAdd, MarkEdit
from timeline.marks.acts import Site, Who, event_of
from timeline.marks.markbook import MarkBook
from timeline.marks.reactions import LEAST
from timeline.protocol import Act

S = 1_000_000_000
NOW_NS = 1_800_000_000 * S
SITE = Site({"pump": (NOW_NS - 1000 * S, NOW_NS)}, ())
ANNA = Who("anna", "annotator")


def act(number: int, kind: str = "add", **fields: str) -> Act:
    own = {"act": f"{number:08x}-0000-4000-8000-000000000001", "client_ns": str(NOW_NS + number)}
    span = {"start_ns": str(NOW_NS - S), "end_ns": str(NOW_NS), "label": "run"} if kind == "add" else {}
    told = {"kind": kind, "device": "pump", "mark": f"00000000-0000-4000-8000-{number:012x}"} | own | span | fields
    return msgspec.convert(told | {"type": "act"}, Act)


def do(book: MarkBook, asked: Act, who: Who = ANNA) -> MarkAdd | MarkEdit:
    event = event_of(asked, who, book, SITE, NOW_NS)
    assert isinstance(event, MarkAdd | MarkEdit)
    book.feed(event, NOW_NS, sum(1 + len(one.changes) for one in book.histories.values()))
    return event


def corrected(book: MarkBook, delays_ms: list[int]) -> None:
    for number, delay in enumerate(delays_ms):
        do(book, act(number))
        mark = act(number).mark
        do(book, act(1000 + number, "edit", mark=mark, start_ns=str(NOW_NS - S - delay * 1_000_000)))


def test_the_usual_delay_stands_beside_the_next_mark_and_changes_no_time() -> None:
    book = MarkBook()
    corrected(book, [400, 300, 500, 420, 9_000, 380])  # one of them was another thing
    added = do(book, act(50))
    assert added.evidence[REACTION] == 0.4
    assert (added.start_ns, added.end_ns) == (NOW_NS - S, NOW_NS)
    bert = do(book, act(51), Who("bert", "annotator"))
    assert REACTION not in bert.evidence


def test_few_corrections_say_nothing_and_a_later_one_of_the_same_mark_takes_its_place() -> None:
    book = MarkBook()
    corrected(book, [400] * (LEAST - 1))
    assert REACTION not in do(book, act(50)).evidence
    do(book, act(2000, "edit", mark=act(0).mark, start_ns=str(NOW_NS - S - 200_000_000)))
    assert REACTION not in do(book, act(51)).evidence


def test_what_was_marked_in_the_past_has_no_delay_and_says_none() -> None:
    book = MarkBook()
    corrected(book, [400] * LEAST)
    past = act(50, start_ns=str(NOW_NS - 90 * S), end_ns=str(NOW_NS - 80 * S))
    assert REACTION not in do(book, past).evidence
    late_clock = act(51, client_ns=str(NOW_NS - 3600 * S), offset_ns=str(3600 * S))
    assert REACTION in do(book, late_clock).evidence
    assert CLOCK_OFFSET in do(book, act(52)).evidence


def test_a_correction_that_is_taken_back_says_nothing() -> None:
    book = MarkBook()
    corrected(book, [400] * LEAST)
    mark = act(0).mark
    do(book, act(3000, "undo", mark=mark, undoes_ns=str(NOW_NS + 1000)))
    assert REACTION not in do(book, act(50)).evidence
