"""Since when nobody answers."""

from __future__ import annotations

from ingest.log.kafka.silence import FORGOTTEN_S, SILENT_S, Silence


def test_what_is_answered_in_time_is_no_silence() -> None:
    silence = Silence()
    assert silence.longest(100.0) is None
    silence.asked("a", "read", 0.0)
    assert silence.longest(SILENT_S - 0.1) is None
    silence.answered("a")
    assert silence.longest(100.0) is None


def test_the_longest_silence_is_told_however_often_it_is_asked() -> None:
    silence = Silence()
    silence.asked("a", "read", 0.0)
    silence.asked("b", "join", 1.0)
    silence.asked("a", "read", 5.0)
    longest = silence.longest(SILENT_S)
    assert longest is not None
    assert (longest.what, longest.since_s) == ("read", 0.0)
    silence.answered("a")
    assert silence.longest(SILENT_S) is None
    longest = silence.longest(1.0 + SILENT_S)
    assert longest is not None
    assert longest.what == "join"


def test_a_question_that_was_given_up_and_asked_again_has_waited_all_the_time() -> None:
    silence = Silence()
    silence.asked("a", "read", 0.0)
    silence.given_up("a", 120.0)
    longest = silence.longest(121.0)
    assert longest is not None
    silence.asked("a", "read", 122.0)
    assert silence.longest(122.0 + 2 * FORGOTTEN_S) is longest
    assert longest.since_s == 0.0


def test_a_question_that_nobody_asks_any_more_is_forgotten() -> None:
    silence = Silence()
    silence.asked("a", "read", 0.0)
    silence.given_up("a", 120.0)
    assert silence.longest(120.0 + FORGOTTEN_S) is None
    silence.asked("a", "read", 200.0)
    assert silence.longest(201.0) is None
    silence.given_up("never asked", 1.0)


def test_a_question_that_was_given_up_at_once_is_forgotten_at_once() -> None:
    silence = Silence()
    silence.asked("a", "append", 0.0)
    silence.given_up("a", SILENT_S - 1.0)
    assert silence.longest(SILENT_S + 1.0) is None
