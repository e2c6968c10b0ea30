from __future__ import annotations

from edge.waiting import Waiting


def test_a_change_is_told_once() -> None:
    said: list[str] = []
    waiting = Waiting(said.append, "publishing again")
    for what in ("", "the log", "the log", "a broker", "", ""):
        waiting.say("readings", what)
    assert said == ["readings: waiting for the log", "readings: waiting for a broker", "readings: publishing again"]


def test_the_first_who_waits_is_known() -> None:
    waiting = Waiting(lambda line: None)
    assert waiting.first == ""
    waiting.say("urgent", "")
    waiting.say("readings", "the log")
    assert waiting.first == "the log"
