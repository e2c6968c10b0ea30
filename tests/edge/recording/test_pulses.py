"""What a pulse per second makes of the times: a machine whose clocks are off, its pulses, and what is made of both."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.protocol import Frame
from edge.recording.pulses import (
    HELD_MOST_NS,
    STEP_NS,
    TOLERANCE_NS,
    Line,
    Look,
    Piece,
    Pulse,
    PulseClock,
    parse_assert,
    parse_report,
    span_words,
)
from edge.recording.recorder import Recorder
from edge.recording.terms import ClockState, Previous, Rules
from ingest.records import Chunk, Progress, RecordingEnd
from ingest.times import sample_times
from tests.edge.configs import source_config

S = 1_000_000_000
EPOCH = 1_700_000_000 * S
BOOT = 5000 * S + 123_456_789


@dataclass
class Machine:
    """Clocks that are off, `t` ns after the beginning."""

    ppm: float = 0.0
    ahead_ns: int = 0
    """The system's clock, at the beginning."""
    bound_ns: int | None = 100_000_000
    clock: PulseClock = field(default_factory=PulseClock)
    sequence: int = 100

    def boot(self, t: int) -> int:
        return BOOT + t + int(t * self.ppm / 1e6)

    def look(self, t: int) -> Look:
        return Look(self.boot(t), EPOCH + self.ahead_ns - BOOT, 0, self.bound_ns)

    def pulse(self, second: int, *, late_ns: int = 0, seen: bool = True, numbered: bool = False) -> None:
        """A second passes: its pulse, that the kernel stamps so late, and looks at it."""
        at, look = second * S + late_ns, self.look(second * S + 300_000_000)
        if seen:
            self.sequence += 1
            true_ns = EPOCH + second * S if numbered else None
            self.clock.take(Pulse(self.boot(at) + look.lacks_ns, self.sequence, true_ns), look)
        self.clock.go_on(look)
        self.clock.go_on(self.look(second * S + 800_000_000))

    def error_ns(self, t: int) -> int:
        """How far the line is off then."""
        assert self.clock.line is not None
        return self.boot(t) + self.clock.line.lacks_ns(self.boot(t)) - EPOCH - t


@settings(max_examples=30)
@given(
    st.floats(-200, 200),
    st.integers(-90_000_000, 90_000_000),
    st.lists(st.integers(0, 20_000), min_size=10, max_size=20),
)
def test_the_line_is_led_to_where_the_pulses_are(ppm: float, ahead_ns: int, late: list[int]) -> None:
    machine = Machine(ppm, ahead_ns)
    for second, late_ns in enumerate(late):
        machine.pulse(second, late_ns=late_ns)
        line = machine.clock.line
        if second >= 4:
            assert line is not None
            at = second * S + 900_000_000
            assert abs(machine.error_ns(at)) <= line.error_ns + 25_000
            assert line.error_ns < 200_000
    assert machine.clock.state == "locked"
    assert abs(machine.clock.ahead_ns - ahead_ns) < 50_000 + len(late) * 200_000  # type: ignore[operator]
    assert (machine.clock.pulses, machine.clock.missed, machine.clock.extra) == (len(late), 0, 0)


@settings(max_examples=20)
@given(st.integers(0, 1 << 32), st.floats(-100, 100))
@example(13216, 0.0)  # four pulses, the first in time and the others late, were believed to show how fast a clock is
@example(3_699_104_193, 9.676915781989067)
def test_times_never_run_back_and_never_change_again(seed: int, ppm: float) -> None:
    """Also where pulses are late and missed."""
    chance = random.Random(seed)
    machine, known, begin = Machine(ppm), dict[int, int](), (0, 0, 0)
    for second in range(30):
        machine.pulse(second, late_ns=chance.choice([0, 5000, 50_000, 900_000]), seen=chance.random() < 0.8)
        line = machine.clock.line
        if line is None or line.pieces[0] != begin:  # it has begun, or stepped
            known, begin = {}, (0, 0, 0) if line is None else line.pieces[0]
        if line is not None:
            assert all(line.lacks_ns(at) == lacks for at, lacks in known.items())
            at = np.unique(np.linspace(begin[0], machine.boot(second * S + 800_000_000), 40).astype(np.int64))
            utc = line.utc(at)
            assert (np.diff(utc) > 0).all()
            np.testing.assert_array_equal(utc, [one + line.lacks_ns(one) for one in at.tolist()])
            known |= {one: line.lacks_ns(one) for one in at[:-1:5].tolist()}
            assert abs(machine.error_ns(second * S + 790_000_000)) <= line.error_ns + 1_000_000


def test_missed_and_extra_pulses_are_counted() -> None:
    machine = Machine()
    for second in range(12):
        machine.pulse(second, seen=second not in (6, 9))
    assert (machine.clock.missed, machine.clock.extra, machine.clock.state) == (2, 0, "locked")
    machine.sequence += 3
    machine.pulse(12)
    assert (machine.clock.missed, machine.clock.extra) == (2, 3)
    machine.sequence = 0  # the driver was loaded again
    machine.pulse(13)
    assert (machine.clock.missed, machine.clock.extra) == (2, 3)


def test_a_late_interrupt_moves_nothing_and_is_in_the_error() -> None:
    machine = Machine(20)
    for second in range(20):
        machine.pulse(second)
    machine.pulse(20, late_ns=3_000_000)
    assert machine.clock.line is not None
    assert abs(machine.error_ns(20 * S + 900_000_000)) < 1000
    assert machine.clock.line.error_ns > 2_900_000
    machine.pulse(21)
    assert machine.clock.line.error_ns < 10_000


def test_a_pulse_that_vanishes_is_told_and_its_return_goes_on() -> None:
    machine = Machine(30)
    for second in range(20):
        machine.pulse(second)
    machine.pulse(20, seen=False)
    assert str(machine.clock.state) == "locked"
    for second in range(21, 120):
        machine.pulse(second, seen=False)
    assert str(machine.clock.state) == "held"
    assert machine.clock.line is not None
    assert abs(machine.error_ns(119 * S)) < machine.clock.line.error_ns
    assert 1_500_000 < machine.clock.line.error_ns < 2_500_000
    assert "for 101 s" in machine.clock.words
    line = machine.clock.line
    machine.ppm = 31.0  # warmer meanwhile: 0.1 ms since
    for second in range(120, 126):
        machine.pulse(second)
    assert machine.clock.state == "locked"
    assert line.pieces[-1] in machine.clock.line.pieces
    assert abs(machine.error_ns(125 * S)) < 50_000
    assert machine.clock.missed == 100


def test_without_pulses_the_line_is_given_up_before_it_is_worse_than_a_clock() -> None:
    machine = Machine()
    for second in range(10):
        machine.pulse(second)
    for second in range(10, 10 + HELD_MOST_NS // 20_000 + 60):
        machine.clock.go_on(machine.look(second * S))
    assert (machine.clock.line, machine.clock.state) == (None, "waiting")


@pytest.mark.parametrize("bound_ns", [None, 450_000_000])
def test_nobody_who_does_not_know_the_second_is_corrected(bound_ns: int | None) -> None:
    machine = Machine(ahead_ns=213_000_000, bound_ns=bound_ns)
    for second in range(20):
        machine.pulse(second)
    assert (machine.clock.line, machine.clock.state) == (None, "ambiguous")
    assert machine.clock.ahead_ns == 213_000_000
    assert "213 ms ahead, or that and whole seconds" in machine.clock.words


def test_who_numbers_the_pulses_is_believed_by_a_clock_that_nobody_set() -> None:
    machine = Machine(ahead_ns=-EPOCH + 4 * S, bound_ns=None)  # 1970
    for second in range(10):
        machine.pulse(second, numbered=True)
    assert machine.clock.state == "locked"
    assert abs(machine.error_ns(9 * S)) < 1000


@pytest.mark.parametrize("true_ns", [0, 1_000_000_000 * S, 1 << 62, 10**40])
def test_a_year_that_cannot_be_is_not_believed(true_ns: int) -> None:
    machine = Machine(ahead_ns=-EPOCH, bound_ns=None)
    for second in range(10):
        look = machine.look(second * S + 300_000_000)
        machine.clock.take(Pulse(machine.boot(second * S) + look.lacks_ns, second, true_ns + second * S), look)
        machine.clock.go_on(look)
    assert (machine.clock.line, machine.clock.state) == (None, "contradicted")


def test_a_bound_that_says_too_little_contradicts_nobody() -> None:
    machine = Machine(ahead_ns=5_000_000, bound_ns=0)  # as systemd-timesyncd says right behind an answer
    for second in range(10):
        machine.pulse(second)
    assert machine.clock.state == "locked"
    assert abs(machine.error_ns(9 * S)) < 1000


@pytest.mark.parametrize(
    ("ahead_ns", "bound_ns", "numbered"),
    [
        (100_000_000, 20_000_000, False),  # the pulse's other edge, most likely
        (2 * S, 20_000_000, True),  # one of gpsd and the time server
        (1024 * 7 * 86_400 * S, None, True),  # a receiver that has lost count of the weeks
    ],
)
def test_who_is_contradicted_is_not_believed(ahead_ns: int, bound_ns: int | None, numbered: bool) -> None:
    machine = Machine(ahead_ns=ahead_ns, bound_ns=bound_ns)
    for second in range(10):
        machine.pulse(second, numbered=numbered)
    assert (machine.clock.line, machine.clock.state) == (None, "contradicted")


def test_a_clock_that_is_found_to_have_been_a_second_off_ends_it() -> None:
    machine = Machine()
    for second in range(10):
        machine.pulse(second)
    machine.ahead_ns += S
    for second in range(10, 13):
        machine.pulse(second)
    assert (machine.clock.line, machine.clock.state) == (None, "contradicted")


def test_a_system_clock_that_is_set_while_pulses_come_moves_nothing() -> None:
    machine = Machine(10, ahead_ns=80_000_000)
    for second in range(20):
        if second == 12:
            machine.ahead_ns = 2_000_000
        machine.pulse(second)
        if second > 5:
            assert abs(machine.error_ns(second * S + 500_000_000)) < 5000
    assert machine.clock.state == "locked"


@pytest.mark.parametrize("apart_ms", [1024, 500, 100])
def test_what_does_not_come_once_a_second_is_none(apart_ms: int) -> None:
    machine = Machine()
    for number in range(1, 40):
        look = machine.look(number * apart_ms * 1_000_000)
        machine.clock.take(Pulse(look.at_ns + look.lacks_ns - 1_000_000, number), look)
        machine.clock.go_on(look)
        assert machine.clock.line is None
    assert machine.clock.state in ("unsteady", "contradicted")


def test_an_old_pulse_is_none() -> None:
    machine = Machine()
    look = machine.look(100 * S)
    machine.clock.take(Pulse(EPOCH + 40 * S, 7), look)
    machine.clock.go_on(look)
    assert (machine.clock.pulses, machine.clock.state) == (0, "waiting")
    assert "no pulse" in machine.clock.words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1332254400.000012345#17\n", Pulse(1_332_254_400_000_012_345, 17)),
        ("0.000000000#0\n", None),
        ("", None),
    ],
)
def test_the_kernels_file(text: str, found: Pulse | None) -> None:
    assert parse_assert(text) == found


@pytest.mark.parametrize("text", ["nonsense", "12.5#3", "12.000000000", "a.000000000#1"])
def test_a_file_that_says_something_else(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_assert(text)


PPS = (
    b'{"class":"PPS","device":"/dev/ttyS0","real_sec":1330212592, "real_nsec":343182,"clock_sec":1330212592,'
    b'"clock_nsec":343184,"precision":-2}\r\n'
)


def test_gpsds_report() -> None:
    found = parse_report(PPS)
    assert found == Pulse(1_330_212_592_000_343_184, None, 1_330_212_592_000_343_182)
    for other in (b'{"class":"TOFF"}', b"nonsense", b"\xff", b"[1]", PPS.replace(b"343184", b"1.5"), b""):
        assert parse_report(other) is None


@given(st.binary(max_size=200))
def test_no_report_raises(data: bytes) -> None:
    parse_report(data)


def test_spans_in_words() -> None:
    said = [span_words(ns) for ns in (12, -8100, 213_400_000, 3 * S)]
    assert said == ["12 ns", "8.1 us", "213 ms", "3 s"]


def record(clocks: list[tuple[int, ClockState]], times: list[int]) -> list[Any]:
    """Samples that the kernel stamps, at these times, with what is known of the clock from some times on."""
    config = replace(source_config("csv", ("x",)), clock="kernel", rate=Fraction(1))
    recorder = Recorder("pump", b"b" * 16, [config], Rules(), Previous(), ClockState(True, "system"))
    found = []
    for t in times:
        while clocks and clocks[0][0] <= t:
            recorder.set_clock(clocks.pop(0)[1], BOOT + t)
        frame = Frame(np.zeros((1, 1)), np.array([BOOT + t]), 0)
        recorder.take(config.stream, 0, [frame], BOOT + t, EPOCH + t + 250_000_000)
        found += [held.record for held in recorder.flush(BOOT + t)]
    return found


def line_from(at: int, error_ns: int, *pieces: tuple[int, int, int]) -> tuple[int, ClockState]:
    made = tuple(Piece(BOOT + begin, EPOCH - BOOT + lacks, ppb) for begin, lacks, ppb in pieces)
    return at, ClockState(True, "pps", Line(made, error_ns))


def test_a_recording_follows_the_line_from_where_it_is_known() -> None:
    clocks = [
        line_from(3 * S, 7000, (3 * S, 0, 0)),
        line_from(6 * S, 9000, (3 * S, 0, 0), (6 * S, 0, 10_000)),
        (9 * S, ClockState(True, "system")),
    ]
    found = record(clocks, [n * S for n in range(1, 12)])
    chunks = [one for one in found if isinstance(one, Chunk)]
    offs = [time - EPOCH - n * S for n, time in enumerate((t for c in chunks for t in sample_times(c)), 1)]
    assert offs == [250_000_000] * 2 + [0] * 4 + [10_000, 20_000] + [250_000_000] * 3
    assert [(c.clock.source, c.clock.uncertainty_ns) for c in chunks if c.clock] == (
        [("system", 100_000)] * 2 + [("pps", 107_000)] * 3 + [("pps", 109_000)] * 3 + [("system", 100_000)] * 3
    )
    assert [one.reason for one in found if isinstance(one, RecordingEnd)] == ["clock_step"] * 2


def test_a_line_that_jumps_ends_the_recording() -> None:
    small = line_from(4 * S, 0, (4 * S, STEP_NS // 2, 0))
    large = line_from(6 * S, 0, (6 * S, 3 * STEP_NS, 0))
    found = record([line_from(0, 0, (0, 0, 0)), small, large], [n * S for n in range(1, 9)])
    assert len([one for one in found if isinstance(one, RecordingEnd)]) == 1


def test_the_tolerance_is_far_below_a_step() -> None:
    assert 4 * TOLERANCE_NS < STEP_NS


@pytest.mark.parametrize("led", [True, False])
def test_a_stream_that_has_not_spoken_yet_steps_with_the_clock(led: bool) -> None:
    """Another one's recording is under way, and what this one promised in it lies far ahead of what is true."""
    config, other = source_config("csv", ("x",)), source_config("nmea", ("lat",), clock="device", stream="gps")
    recorder = Recorder("pump", b"b" * 16, [other, config], Rules(), Previous(), ClockState(True, "system"))
    found = []
    for second in range(20):
        at, wall = BOOT + second * S, EPOCH + second * S + (37 * S if second < 10 else 0)
        if second == 10 and led:
            recorder.set_clock(line_from(0, 0, (0, 0, 0))[1], at)
        recorder.take("gps", 1, [Frame(np.zeros((1, 1)), np.array([EPOCH + second * S]), second + 1)], at, wall)
        if second >= 15:
            recorder.take("acc", 1, [Frame(np.zeros((1, 1)), None, second - 14)], at, wall)
        found += [held.record for held in recorder.flush(at)]
    times = [int(t) for one in found if isinstance(one, Chunk) and one.stream == "acc" for t in sample_times(one)]
    assert times == [EPOCH + second * S for second in range(15, 20)]
    assert [one.reason for one in found if isinstance(one, RecordingEnd)] == ["clock_step"]


def test_a_stream_that_waits_for_the_clock_promises_nothing_on_the_axis_of_one_that_does_not() -> None:
    config, other = source_config("csv", ("x",)), source_config("nmea", ("lat",), clock="device", stream="gps")
    recorder = Recorder("pump", b"b" * 16, [other, config], Rules(), Previous(), ClockState(False, "system"))
    held = []
    for second in range(8):
        at = BOOT + second * S
        recorder.take("gps", 1, [Frame(np.zeros((1, 1)), np.array([EPOCH + second * S]), second + 1)], at, at)
        if second >= 5:
            recorder.take("acc", 1, [Frame(np.zeros((1, 1)), None, second - 4)], at, at)
        held += [one for one in recorder.flush(at) if one.held]
    times = [int(t) for one in held if isinstance(one.record, Chunk) for t in sample_times(one.record)]
    assert times == [BOOT + second * S for second in range(5, 8)]
    promised = [one.record.complete_to_ns for one in held if isinstance(one.record, Progress)]
    assert all(at <= BOOT + 8 * S for at in promised)
