"""Acts as events: they have the times of the device's samples, also over a clock that is set, and a restart."""

from __future__ import annotations

from edge.agent.marking.book import Add, Made, Open, Retract
from edge.agent.marking.events import CLOCK_STEP, entry_of
from edge.spool.entries import HELD_MARK, MARK, Key, key_of
from ingest.log.protocol import Entry
from ingest.records import MarkAdd, MarkRetract
from ingest.wire import decode

BOOT, EARLIER = b"k" * 16, b"e" * 16
S = 1_000_000_000
UTC = 1_700_000_000 * S


def opened(boot: bytes = BOOT, utc_ns: int = UTC + 5 * S) -> Open:
    return Open("hold", "pump", "walk", "pump/walk", "button", "walk", 5 * S, boot, 5 * S, utc_ns, evidence={"a": 1.0})


def said(entry: Entry) -> tuple[Key, MarkAdd]:
    record = decode(entry.value)
    assert isinstance(record, MarkAdd)
    return key_of(entry.key), record


def known(_: str, at_ns: int) -> tuple[int, bool]:
    return UTC + at_ns, False


def unknown(_: str, at_ns: int) -> tuple[int, bool]:
    return at_ns, True


def test_a_range_lasts_as_long_as_the_monotonic_clock_says() -> None:
    key, mark = said(entry_of(Add(opened(), 9 * S, {}, "why"), BOOT, lambda name, at_ns: (UTC + at_ns + 700, False)))
    assert key == Key(MARK, "pump")
    assert (mark.start_ns, mark.end_ns, mark.client_ns) == (UTC + 5 * S, UTC + 9 * S, UTC + 9 * S)
    assert (mark.id, mark.author, mark.reason, mark.evidence) == (opened().id, "pump/walk", "why", {})


def test_a_clock_that_was_put_on_within_it_is_told() -> None:
    _, mark = said(entry_of(Add(opened(), 9 * S), BOOT, lambda name, at_ns: (UTC + at_ns + 60 * S, False)))
    assert (mark.end_ns - mark.start_ns, mark.evidence) == (64 * S, {CLOCK_STEP: 60.0})
    _, mark = said(entry_of(Add(opened(), 9 * S), BOOT, lambda name, at_ns: (UTC + at_ns - 60 * S, False)))
    assert (mark.end_ns, mark.evidence) == (mark.start_ns, {CLOCK_STEP: -60.0})


def test_without_a_clock_it_waits_on_boot_time() -> None:
    key, mark = said(entry_of(Add(opened(utc_ns=0), 9 * S), BOOT, unknown))
    assert key == Key(HELD_MARK, "pump", BOOT)
    assert (mark.start_ns, mark.end_ns) == (5 * S, 9 * S)
    _, mark = said(entry_of(Add(opened(utc_ns=0), 9 * S), BOOT, known))
    assert (mark.start_ns, mark.end_ns) == (UTC + 5 * S, UTC + 9 * S)


def test_of_an_earlier_boot_its_own_clock_counts() -> None:
    key, mark = said(entry_of(Add(opened(EARLIER), 9 * S), BOOT, lambda name, at_ns: (at_ns, False)))
    assert (key.kind, mark.start_ns, mark.end_ns) == (MARK, UTC + 5 * S, UTC + 9 * S)
    key, mark = said(entry_of(Add(opened(EARLIER, 0), 9 * S), BOOT, known))
    assert (key, mark.start_ns) == (Key(HELD_MARK, "pump", EARLIER), 5 * S)


def test_what_somebody_said_in_utc_stays_so() -> None:
    key, mark = said(entry_of(Add(opened(b""), 9 * S), BOOT, unknown))
    assert (key.kind, mark.start_ns, mark.end_ns) == (MARK, 5 * S, 9 * S)


def test_a_mark_is_taken_back_by_its_id() -> None:
    act = Retract(Made("0f", "pump", "pump/walk", "button"), "walk", 7 * S)
    entry = entry_of(act, BOOT, known)
    expected = MarkRetract("pump", "0f", "pump/walk", "button", UTC + 7 * S, undo=True)
    assert (key_of(entry.key).kind, decode(entry.value)) == (MARK, expected)
    assert key_of(entry_of(act, BOOT, unknown).key).kind == HELD_MARK
