from __future__ import annotations

from edge.agent.notices import Notices


def test_a_change_is_told_once() -> None:
    said: list[str] = []
    notices = Notices(said.append, "publishing again")
    for what in ("", "the log", "the log", "a broker", "", ""):
        notices.say("readings", what)
    assert said == ["readings: waiting for the log", "readings: waiting for a broker", "readings: publishing again"]


def test_the_first_who_waits_is_known() -> None:
    notices = Notices(lambda line: None)
    assert notices.first == ""
    notices.say("urgent", "")
    notices.say("readings", "the log")
    assert notices.first == "the log"
