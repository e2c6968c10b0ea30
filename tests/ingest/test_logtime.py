"""The log's time: steps, jumps, and clocks that cannot be right."""

from __future__ import annotations

from ingest.lifetimes import DAY_NS
from ingest.logtime import JUMP_NS, LogTime

T0 = 1_700_000_000 * 10**9
HOUR_NS = 3_600 * 10**9


def _at(*append_ns: int) -> LogTime:
    time = LogTime()
    for stamp in append_ns:
        time.advance(stamp)
    return time


def test_it_ages_as_append_time_does() -> None:
    time = _at(T0, T0 + HOUR_NS, T0 + HOUR_NS + DAY_NS)
    assert time.age_ns == time.append_ns == T0 + HOUR_NS + DAY_NS
    assert time.limit_ns == time.append_ns + DAY_NS
    assert time.notes == []


def test_a_record_ages_it_by_a_day_at_most() -> None:
    assert _at(T0, T0 + DAY_NS).age_ns == T0 + DAY_NS
    time = _at(T0, T0 + DAY_NS + 1)
    assert (time.age_ns, time.append_ns) == (T0 + DAY_NS, T0 + DAY_NS + 1)


def test_a_step_back_within_a_day_changes_nothing() -> None:
    time = _at(T0, T0 - DAY_NS, T0 + 5)
    assert (time.age_ns, time.append_ns, time.notes) == (T0 + 5, T0 + 5, [])


def test_a_clock_that_was_years_ahead_does_not_stop_the_ageing() -> None:
    ahead = T0 + 70 * 365 * DAY_NS
    time = _at(T0, ahead, T0 + HOUR_NS, T0 + 2 * HOUR_NS)
    assert time.age_ns == T0 + DAY_NS + HOUR_NS
    assert time.append_ns == ahead
    assert [text.partition(",")[2] for text in time.notes] == [
        " 25550 days on: nothing was appended for so long, or a clock is ahead",
        " 25549 days back: the clock that stamps records was ahead, or is behind now",
    ]


def test_a_jump_is_told_beyond_its_bound() -> None:
    assert _at(T0, T0 + JUMP_NS).notes == []
    (text,) = _at(T0, T0 + JUMP_NS + 1).notes
    assert text.startswith("append times jump from 2023-11-14T22:13:20Z to 2023-12-14T22:13:20.000000001Z, 30 days on")


def test_notes_are_bounded() -> None:
    time = _at(*(T0 + (i % 2) * 100 * DAY_NS for i in range(99)))
    for i in range(99):
        time.ahead(f"d\x1b{i}", time.append_ns + 25 * HOUR_NS)
    *jumps, ahead = time.notes
    assert len(jumps) == 8
    assert ahead.count("(25 h)") == 8
    assert ahead.isprintable()


def test_whose_clock_is_wrong() -> None:
    time = _at(T0)
    time.ahead("pump-7", T0 + 25 * HOUR_NS)
    (text,) = time.notes
    assert text.startswith("all samples so far lie more than a day ahead of their append time: the clock that stamps")
    time.trusted = True
    (text,) = time.notes
    assert "the clock is wrong of pump-7 (25 h)" in text


def test_it_goes_on_from_what_was_saved() -> None:
    time = _at(T0, T0 + 70 * DAY_NS, T0 + HOUR_NS)
    again = LogTime(time.append_ns, time.last_ns, time.age_ns)
    for both in (time, again):
        both.advance(T0 + 3 * HOUR_NS)
    assert (again.append_ns, again.last_ns, again.age_ns) == (time.append_ns, time.last_ns, time.age_ns)
    assert LogTime(T0).age_ns == T0
