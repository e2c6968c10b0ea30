"""Up to when a topic was heard, and which deliveries may come again: the rules, without a broker."""

from __future__ import annotations

import pytest

from edge.protocol import Settled
from edge.sources.mqtt.hearing import CONNECTION_LOST, MAY_BE_DROPPED, QUEUE_LEAST, SESSION_LOST, Hearing, Loss
from edge.sources.mqtt.redelivery import Redelivery

MS = 1_000_000
S = 1_000_000_000
DAY = 86_400 * S


def current(qos: int = 1, window: int = 60_000, at: int = 100 * S) -> Hearing:
    """One that is connected, and has all."""
    hearing = Hearing(window, qos, DAY)
    hearing.connected(False, at)
    assert hearing.answered(at, 0, at) is None
    assert (hearing.is_current, hearing.heard_ns) == (True, at)
    return hearing


def test_nothing_is_known_before_the_first_answer() -> None:
    hearing = Hearing(60_000, 1, DAY)
    assert hearing.heard_ns == 0
    hearing.connected(False, 5 * S)
    assert hearing.heard_ns == 0
    assert hearing.arrived(5 * S + 1, 1) == 1  # it cannot be older than the subscription
    assert hearing.answered(5 * S, 1, 6 * S) is None
    assert hearing.heard_ns == 6 * S


def test_a_session_of_an_earlier_boot_delivers_what_waited_for_nobody_knows_how_long() -> None:
    hearing = Hearing(60_000, 1, DAY)
    hearing.connected(True, 5 * S)
    assert hearing.arrived(6 * S, 1) == DAY
    assert hearing.answered(5 * S, 1, 6 * S) is None  # the answer came behind one message: there may be more
    assert hearing.answered(7 * S, 0, 7 * S) == Loss(MAY_BE_DROPPED, 0)
    assert hearing.arrived(8 * S, 1) == 0


def test_messages_and_answers_say_up_to_when_all_has_come() -> None:
    hearing = current()
    assert hearing.arrived(101 * S, 1) == 0
    assert hearing.heard_ns == 101 * S
    assert hearing.answered(105 * S, 1, 106 * S) is None
    assert hearing.heard_ns == 105 * S  # what was published after the question may come behind the answer
    assert hearing.answered(104 * S, 1, 106 * S) is None
    assert hearing.heard_ns == 105 * S


def test_it_stands_while_the_broker_is_away_and_until_its_queue_is_empty() -> None:
    hearing = current()
    hearing.over()
    assert hearing.heard_ns == 100 * S
    assert hearing.answered(101 * S, 0, 101 * S) is None  # a late word of the connection before
    assert hearing.arrived(155 * S, 1) == 55 * S  # it came right behind the broker's welcome
    hearing.connected(True, 160 * S)
    assert [hearing.arrived(161 * S, number) for number in range(1, 21)] == 20 * [61 * S]
    assert hearing.answered(160 * S, 20, 161 * S) is None  # as many as it sent at once: there may be more
    assert hearing.heard_ns == 100 * S
    hearing.over()  # and it is lost again in the middle
    hearing.connected(True, 170 * S)
    assert hearing.arrived(171 * S, 1) == 71 * S
    assert hearing.answered(172 * S, 0, 173 * S) == Loss(MAY_BE_DROPPED, 100 * S)
    assert hearing.heard_ns == 173 * S
    assert hearing.answered(174 * S, 0, 175 * S) is None


def test_a_session_that_is_gone_is_a_loss_from_where_all_was_there() -> None:
    hearing = current()
    hearing.over()
    hearing.connected(False, 160 * S)
    assert hearing.arrived(160 * S + 5, 1) == 60 * S + 5  # the broker had nothing of us, its publisher may have
    assert hearing.answered(160 * S, 1, 161 * S) == Loss(SESSION_LOST, 100 * S)


def after_an_absence(*, session_kept: bool, has_grid: bool = False) -> Hearing:
    """From 100 s to 160 s there was no connection; what the broker had is there at 161 s."""
    hearing = Hearing(60_000, 1, DAY, has_grid=has_grid)
    hearing.connected(False, 100 * S)
    assert hearing.answered(100 * S, 0, 100 * S) is None
    hearing.over()
    hearing.connected(session_kept, 160 * S)
    assert hearing.answered(160 * S, 0, 161 * S) is not None
    return hearing


@pytest.mark.parametrize("session_kept", [False, True])
def test_what_a_publisher_kept_of_an_absence_comes_first(session_kept: bool) -> None:
    hearing = after_an_absence(session_kept=session_kept)
    assert [hearing.arrived(165 * S + n * MS, 1) for n in (0, 5, 90)] == [65 * S, 65 * S + 5 * MS, 65 * S + 90 * MS]
    assert hearing.arrived(167 * S, 1) == 0  # it was quiet in between


def test_a_connection_that_is_lost_again_makes_the_absence_longer() -> None:
    hearing = after_an_absence(session_kept=False)
    hearing.over()
    hearing.connected(False, 180 * S)
    hearing.answered(180 * S, 0, 181 * S)
    assert hearing.arrived(190 * S, 1) == 90 * S


def test_a_grid_shows_by_itself_what_was_kept() -> None:
    assert after_an_absence(session_kept=False, has_grid=True).arrived(165 * S, 1) == 0


def test_without_quality_of_service_each_absence_is_a_loss() -> None:
    hearing = current(qos=0)
    hearing.over()
    hearing.connected(True, 160 * S)  # a session keeps nothing of it
    assert hearing.answered(160 * S, 7, 161 * S) == Loss(CONNECTION_LOST, 100 * S)
    first = Hearing(20, 0, DAY)
    first.failed(50 * S)  # no connection since then
    first.failed(55 * S)
    first.connected(False, 60 * S)
    assert first.answered(60 * S, 0, 61 * S) == Loss(CONNECTION_LOST, 50 * S)
    keeps = Hearing(20, 1, DAY)
    keeps.failed(50 * S)
    assert keeps.heard_ns == 0


def test_what_is_published_behind_a_full_window_waits_at_the_broker() -> None:
    hearing = current(window=20)
    assert [hearing.arrived(101 * S, number) for number in range(1, 21)] == 20 * [0]
    assert hearing.heard_ns == 101 * S
    assert hearing.answered(100 * S, 20, 102 * S) is None  # asked before
    assert hearing.answered(102 * S, 20, 102 * S) is None  # still full
    assert hearing.arrived(103 * S, 1) == 2 * S
    assert hearing.heard_ns == 101 * S
    assert hearing.answered(103 * S, 1, 104 * S) is None  # a few: no queue overflows by that
    assert hearing.heard_ns == 104 * S


def test_a_burst_behind_a_full_window_may_have_run_over() -> None:
    hearing = current(window=20)
    for number in range(1, 21):
        hearing.arrived(101 * S, number)
    for _ in range(QUEUE_LEAST):
        hearing.arrived(102 * S, 20)
    assert hearing.answered(103 * S, 3, 104 * S) == Loss(MAY_BE_DROPPED, 101 * S)


def test_what_comes_after_a_stall_has_waited_in_the_kernel() -> None:
    hearing = current()
    hearing.stalled(130 * S)
    assert hearing.answered(99 * S, 0, 130 * S) is None  # asked before the stall: it says nothing of what came since
    assert not hearing.is_current
    assert hearing.arrived(130 * S, 1) == 30 * S
    hearing.stalled(140 * S)
    assert hearing.answered(135 * S, 0, 141 * S) is None
    assert hearing.answered(141 * S, 0, 142 * S) is None  # the connection held: the broker sent all of it
    assert hearing.arrived(143 * S, 1) == 0
    without = current(qos=0)
    without.stalled(130 * S)
    without.arrived(130 * S, 0)
    assert without.answered(131 * S, 1, 132 * S) == Loss(MAY_BE_DROPPED, 100 * S)


def test_what_was_surely_acknowledged_comes_no_more() -> None:
    deliveries = Redelivery()
    for identity in (b"1", b"2", b"3"):
        deliveries.delivered(identity)
    assert deliveries.take([]) == Settled([], None)
    deliveries.settled([b"1"])
    assert deliveries.take([]) == Settled([b"1"], None)
    assert deliveries.take([]) == Settled([], None)
    deliveries.repeated_all()
    assert deliveries.take([b"waiting"]) == Settled([], frozenset({b"2", b"3", b"waiting"}))
    deliveries.connection_over()
    assert deliveries.take([]) == Settled([], None)


def test_the_same_identity_again_is_another_delivery() -> None:
    deliveries = Redelivery()
    deliveries.delivered(b"1")
    deliveries.delivered(b"1")  # its packet id was free: the first acknowledgement was read
    deliveries.settled([b"1"])
    deliveries.repeated_all()
    assert deliveries.take([]) == Settled([b"1"], frozenset({b"1"}))


def test_a_connection_that_ends_takes_what_it_would_have_said_of_others_with_it() -> None:
    deliveries = Redelivery()
    deliveries.delivered(b"1")
    deliveries.repeated_all()
    deliveries.connection_over()  # nobody asked meanwhile: "1" may come again
    assert deliveries.take([]) == Settled([], None)
