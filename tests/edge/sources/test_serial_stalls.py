"""Which bytes waited while the process stood still."""

from __future__ import annotations

from edge.sources.serial.stalls import KERNEL_BYTES, Stalls

S = 1_000_000_000
MS = 1_000_000


def test_bytes_are_taken_as_they_come_while_it_looks_often_enough() -> None:
    stalls = Stalls(0)
    assert [stalls.look(at * 2 * S, 100) for at in range(1, 5)] == [None] * 4


def test_what_is_read_after_a_stall_has_waited_until_nothing_was_left() -> None:
    stalls = Stalls(0)
    stalls.look(10 * S, 0)
    stalls = Stalls(10 * S)
    assert stalls.look(130 * S, 4095) == 10 * S
    stalls.seen(is_empty=True)  # the kernel has not handed on all of it yet
    assert stalls.look(130 * S + 1 * MS, 4095) == 10 * S
    stalls.seen(is_empty=False)
    assert stalls.look(130 * S + 60 * MS, 4095) == 10 * S
    stalls.seen(is_empty=True)
    assert stalls.look(130 * S + 61 * MS, 10) is None
    assert stalls.look(131 * S, 10) is None


def test_a_stall_that_is_noticed_where_nothing_is_read() -> None:
    stalls = Stalls(0)
    assert stalls.look(5 * S, 0) == 0
    stalls.seen(is_empty=False)
    assert stalls.look(5 * S + 1, 50) == 0
    stalls.seen(is_empty=True)
    assert stalls.look(5 * S + 500 * MS, 0) is None


def test_a_second_stall_in_the_backlog_of_the_first_counts_from_the_first() -> None:
    stalls = Stalls(0)
    assert stalls.look(5 * S, 10) == 0
    stalls.seen(is_empty=False)
    assert stalls.look(15 * S, 10) == 0


def test_more_than_a_kernel_keeps_cannot_have_waited() -> None:
    stalls = Stalls(0)
    at_ns, found = 5 * S, 0
    while stalls.look(at_ns, 4095) is not None:
        stalls.seen(is_empty=False)
        at_ns, found = at_ns + MS, found + 4095
    assert KERNEL_BYTES < found <= KERNEL_BYTES + 2 * 4095
