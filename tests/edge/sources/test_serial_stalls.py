"""Which bytes waited while the process stood still."""

from __future__ import annotations

from edge.sources.serial.stalls import KERNEL_BYTES, Stalls

S = 1_000_000_000
MS = 1_000_000


def test_bytes_are_taken_as_they_come_while_it_looks_often_enough() -> None:
    stalls = Stalls(0, loses=True)
    assert [stalls.look(at * 2 * S, 100) for at in range(1, 5)] == [None] * 4


def test_what_is_read_after_a_stall_has_waited_until_nothing_was_left() -> None:
    stalls = Stalls(0, loses=True)
    stalls.look(10 * S, 0)
    stalls = Stalls(10 * S, loses=True)
    assert stalls.look(130 * S, 4095) == 10 * S
    stalls.seen(is_empty=True)  # the kernel has not handed on all of it yet
    assert stalls.look(130 * S + 1 * MS, 4095) == 10 * S
    stalls.seen(is_empty=False)
    assert stalls.look(130 * S + 60 * MS, 4095) == 10 * S
    stalls.seen(is_empty=True)
    assert stalls.look(130 * S + 61 * MS, 10) is None
    assert stalls.look(131 * S, 10) is None


def test_a_full_buffer_has_lost_what_came_behind_it() -> None:
    """168 of 500 lines a second were missing after a stop of 0.9 s, and nothing said so."""
    stalls = Stalls(0, loses=True)
    assert stalls.look(900 * MS, 4094) is None
    assert stalls.look(1000 * MS, 4095) is None  # it comes fast, and is read often
    assert stalls.look(1900 * MS, 4095) == 1000 * MS
    stalls.seen(is_empty=True)
    assert stalls.take_lost_ns() is None  # what it kept comes first
    assert stalls.look(2000 * MS, 10) is None
    assert stalls.take_lost_ns() == 1000 * MS
    assert stalls.take_lost_ns() is None


def test_a_full_buffer_after_a_long_stall_has_lost_too() -> None:
    stalls = Stalls(0, loses=True)
    assert stalls.look(9 * S, 4095) == 0
    stalls.seen(is_empty=True)
    assert stalls.look(9 * S + 60 * MS, 0) is None
    assert stalls.take_lost_ns() == 0


def test_a_buffer_that_was_not_full_and_a_pipe_have_lost_nothing() -> None:
    for size, loses in ((4094, True), (60_000, False)):
        stalls = Stalls(0, loses=loses)
        assert stalls.look(9 * S, size) == 0
        stalls.seen(is_empty=True)
        assert stalls.look(10 * S, 10) is None
        assert stalls.take_lost_ns() is None


def test_a_stall_that_is_noticed_where_nothing_is_read() -> None:
    stalls = Stalls(0, loses=True)
    assert stalls.look(5 * S, 0) == 0
    stalls.seen(is_empty=False)
    assert stalls.look(5 * S + 1, 50) == 0
    stalls.seen(is_empty=True)
    assert stalls.look(5 * S + 500 * MS, 0) is None


def test_a_second_stall_in_the_backlog_of_the_first_counts_from_the_first() -> None:
    stalls = Stalls(0, loses=True)
    assert stalls.look(5 * S, 10) == 0
    stalls.seen(is_empty=False)
    assert stalls.look(15 * S, 10) == 0


def test_more_than_a_kernel_keeps_cannot_have_waited() -> None:
    stalls = Stalls(0, loses=True)
    at_ns, found = 5 * S, 0
    while stalls.look(at_ns, 4095) is not None:
        stalls.seen(is_empty=False)
        at_ns, found = at_ns + MS, found + 4095
    assert KERNEL_BYTES < found <= KERNEL_BYTES + 2 * 4095
