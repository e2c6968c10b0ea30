"""Which second a pulse begins, by fixes that come behind it: every delay that a receiver may have, and who is late."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.protocol import Frame, Read
from edge.recording.device import GPS_ERA_NS
from edge.recording.fixes import FRESH_NS, LATE_NS, Fixes
from edge.recording.pulses import PulseClock
from tests.edge.recording.test_pulses import BOOT, EPOCH, Machine, S

SIZE = 80
"""Bytes of a fix."""


class Receiver:
    """Says its fixes so long behind the second, or the part of it, that each names."""

    def __init__(self, late_ns: int) -> None:
        self.late_ns = late_ns
        self.fixes = Fixes()
        self._said = 0

    def say(self, at: int, *, late_ns: int | None = None, by_ns: int = 0) -> None:
        """A fix of the instant `at` ns after the beginning, by a receiver that is `by_ns` off."""
        self._said += SIZE
        self.fixes.hear(SIZE, (), BOOT + at + (self.late_ns if late_ns is None else late_ns))
        self.fixes.take([Frame(np.zeros((1, 1)), np.array([EPOCH + at + by_ns], dtype=np.int64), self._said)])


@settings(max_examples=60)
@given(st.integers(LATE_NS[0], LATE_NS[1] - 1), st.integers(0, S - 1), st.sampled_from([S, S // 5]), st.integers(1, 9))
def test_a_pulse_is_numbered_whatever_the_delay_the_rate_and_the_begin(
    late_ns: int, begin: int, step: int, second: int
) -> None:
    receiver = Receiver(late_ns)
    for number in range(4):
        receiver.say(begin // step * step + number * step)
    assert receiver.fixes.number(BOOT + second * S) == EPOCH + second * S
    assert receiver.fixes.trouble == ""


@pytest.mark.parametrize("late_ns", [0, LATE_NS[0] - 2_000_000, LATE_NS[1] + 2_000_000, S - 1])
def test_a_delay_near_to_a_whole_second_numbers_nothing_and_is_told(late_ns: int) -> None:
    receiver = Receiver(late_ns)
    for number in range(4):
        receiver.say(number * S)
    assert receiver.fixes.number(BOOT + 4 * S) is None
    assert "too near to a whole second" in receiver.fixes.trouble


def test_reads_that_were_made_late_do_not_number() -> None:
    receiver = Receiver(200_000_000)
    for number in range(8):
        receiver.say(number * S, late_ns=1_300_000_000 if number == 3 else None)
        numbered = receiver.fixes.number(BOOT + (number + 1) * S)
        assert numbered == (EPOCH + (number + 1) * S if number == 7 else None)
    receiver = Receiver(200_000_000)
    for number in range(4):  # the agent stood still, and they came together
        receiver.say(number * S, late_ns=(5 - number) * S + 100_000_000)
    assert receiver.fixes.number(BOOT + 5 * S) is None


def test_fixes_that_are_old_or_waited_or_lie_before_an_interruption_say_nothing() -> None:
    receiver = Receiver(200_000_000)
    for number in range(4):
        receiver.say(number * S)
    assert receiver.fixes.number(BOOT + 4 * S + FRESH_NS) is None
    assert "does it have a fix" in receiver.fixes.trouble
    receiver.fixes.hear(0, (), BOOT + 5 * S, waited_ns=S)
    assert receiver.fixes.number(BOOT + 5 * S) is None
    for number in range(6, 10):
        receiver.say(number * S)
    assert receiver.fixes.number(BOOT + 10 * S) is not None
    receiver.fixes.reset()
    assert receiver.fixes.number(BOOT + 10 * S) is None


def test_a_fix_came_when_its_own_bytes_did() -> None:
    """One is given when the next one begins, and several reads are one arrival."""
    fixes = Fixes()
    for second in range(5):
        at = BOOT + second * S
        reads = [Read(SIZE, at + 300_000_000, 0), Read(2 * SIZE, at + 800_000_000, 0)]
        fixes.hear(2 * SIZE, reads, at + 990_000_000)
        if second:
            begin = (second - 1) * 2 * SIZE
            time_ns = np.array([EPOCH + (second - 1) * S], dtype=np.int64)
            fixes.take([Frame(np.zeros((1, 1)), time_ns, begin + SIZE - 3)])
    assert fixes.number(BOOT + 3 * S) == EPOCH + 3 * S


def test_weeks_that_ran_over_are_put_right_by_who_knows_better() -> None:
    receiver = Receiver(100_000_000)
    for number in range(4):
        receiver.say(number * S, by_ns=-GPS_ERA_NS)
    pulse, true = BOOT + 4 * S, EPOCH + 4 * S
    assert receiver.fixes.number(pulse, true - 200_000_000) == true
    assert receiver.fixes.number(pulse) == true - GPS_ERA_NS


def driven(machine: Machine, receiver: Receiver, seconds: range, by_ns: int = 0) -> None:
    """Pulses, and the fixes behind them."""
    for second in seconds:
        machine.pulse(second)
        receiver.say(second * S, by_ns=by_ns)


def machine_of(receiver: Receiver, **more: int | None) -> Machine:
    return Machine(clock=PulseClock(receiver.fixes), **more)  # type: ignore[arg-type]


def test_a_receiver_leads_a_clock_that_nobody_set() -> None:
    receiver = Receiver(180_000_000)
    machine = machine_of(receiver, ahead_ns=-EPOCH + 4 * S, bound_ns=None)  # 1970
    driven(machine, receiver, range(3))
    assert (machine.clock.state, machine.clock.line) == ("ambiguous", None)
    assert "its receiver says no times" in machine.clock.words
    driven(machine, receiver, range(3, 12))
    assert machine.clock.state == "locked"
    assert abs(machine.error_ns(11 * S)) < 1000
    for second in range(12, 40):  # its line is pulled: the pulses go on
        machine.pulse(second)
    assert machine.clock.state == "locked"
    assert abs(machine.error_ns(39 * S)) < 1000


def test_a_receiver_that_is_a_second_off_is_contradicted_by_a_clock_that_is_bounded() -> None:
    receiver = Receiver(180_000_000)
    machine = machine_of(receiver, ahead_ns=0, bound_ns=100_000_000)
    driven(machine, receiver, range(12), by_ns=S)
    assert (machine.clock.state, machine.clock.line) == ("contradicted", None)
    assert "1 s behind, which its own error bound rules out" in machine.clock.words


def test_a_receiver_that_learns_of_leap_seconds_is_followed_by_a_step() -> None:
    receiver = Receiver(180_000_000)
    machine = machine_of(receiver, ahead_ns=-40 * S, bound_ns=None)
    driven(machine, receiver, range(12), by_ns=2 * S)
    assert abs(machine.error_ns(11 * S) - 2 * S) < 1000
    driven(machine, receiver, range(12, 24))
    assert machine.clock.state == "locked"
    assert abs(machine.error_ns(23 * S)) < 1000
