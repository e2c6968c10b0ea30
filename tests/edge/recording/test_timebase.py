from __future__ import annotations

import copy
from collections.abc import Iterable
from fractions import Fraction
from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.recording.timebase import (
    CLOCK_STEP_NS,
    DEVICE_STEP_NS,
    ArrivalTimes,
    Axis,
    ClockStep,
    CountedTimes,
    DeviceTimes,
    Stamp,
    UnratedTimes,
    timebase,
)
from ingest.times import period_of, run_times

S = 1_000_000_000
WALL = 1_700_000_000 * S
STEPS = st.lists(
    st.tuples(
        st.integers(1, 50),
        st.integers(0, 3 * S),
        st.sampled_from(["place"] * 2 + ["promise", "chunk", "skip", "cut"]),
    ),
    max_size=30,
)


@given(STEPS, st.sampled_from([None, 1, 100, 12_000]), st.booleans())
def test_arrival_times_rise_strictly_and_keep_promises(
    steps: list[tuple[int, int, str]], rate: int | None, looks_ahead: bool
) -> None:
    base = timebase("arrival", None if rate is None else Fraction(rate))
    now, last, promised = 10**18, 0, 0
    for count, passed, what in steps:
        now += passed
        if what == "promise":
            promised = base.promise(now, is_away=count > 25)
            assert promised >= now or (rate is not None and count <= 25)
        elif what == "chunk":
            base.close_chunk()
        elif what == "skip":
            base.skip(count)
        elif what == "cut":
            base.interrupt()
        else:
            times = base.place(count, None, Stamp(now), () if looks_ahead else None).times
            assert len(times) == count
            assert times[0] > last
            assert times[0] >= promised
            assert (np.diff(times) > 0).all()
            last = int(times[-1])


Floats = NDArray[np.float64]


class Sensor:
    """A sensor of a true rate whose samples come in reads of `block`, each up to `jitter_s` late; and what a timebase
    that is told `nominal` makes of them, with a chunk a second."""

    def __init__(self, nominal: float, block: int, seed: int = 1, jitter_s: float = 0.01) -> None:
        self.base = ArrivalTimes(Fraction(nominal).limit_denominator(10**6))
        self.block = block
        self.jitter_s = jitter_s
        self.now_s = 0.0
        """When the newest sample was taken."""
        self.true: list[float] = []
        self.placed: list[float] = []
        self.arrived: list[float] = []
        self.holes = 0
        self._rng = np.random.default_rng(seed)
        self._reads: list[tuple[int, float]] = []
        self._arrived_s = 0.0
        self._second = 1.0

    def play(self, rate: float, seconds: float, *, lost: bool = False) -> None:
        """It speaks for so long; nobody hears it if it is `lost`."""
        count = int(rate * seconds)
        taken = self.now_s + np.arange(1, count + 1) / rate
        self.now_s = float(taken[-1])
        if not lost:
            for begin in range(0, count, self.block):
                part = taken[begin : begin + self.block]
                self._read(part, part[-1] + self._rng.uniform(0, self.jitter_s))

    def stall(self, rate: float, seconds: float, block: int) -> None:
        """It speaks for so long; all of it comes together then, in reads of `block`."""
        taken = self.now_s + np.arange(1, int(rate * seconds) + 1) / rate
        self.now_s = float(taken[-1])
        for begin in range(0, len(taken), block):
            self._read(taken[begin : begin + block], self.now_s + begin * 1e-6)

    def _read(self, taken: Floats, arrived_s: float) -> None:
        self._arrived_s = max(arrived_s, self._arrived_s + 1e-6)
        if self._arrived_s > self._second:
            self.flush()
        self.true += taken.tolist()
        self._reads.append((len(taken), self._arrived_s))

    def flush(self) -> None:
        """A tick: what came is placed, and makes a chunk."""
        stamps = [(count, round(at * S) + WALL) for count, at in self._reads]
        for number, (count, at) in enumerate(stamps):
            placed = self.base.place(count, None, Stamp(at), stamps[number + 1 :])
            self.placed += ((placed.times - WALL) / S).tolist()
            self.arrived += [self._reads[number][1]] * count
            self.holes += placed.hole is not None
        self.base.close_chunk()
        self._reads, self._second = [], self._arrived_s + 1

    def errors_ms(self, since_s: float, until_s: float = 1e9) -> Floats:
        """Of the samples that were taken in this time."""
        self.flush()
        true = np.array(self.true)
        chosen = (true > since_s) & (true <= until_s)
        errors: Floats = (np.array(self.placed)[chosen] - true[chosen]) * 1e3
        return errors


@cache
def _settled(block: int, rate: float, seconds: float, jitter_s: float) -> Sensor:
    sensor = Sensor(100, block, jitter_s=jitter_s)
    sensor.play(rate, seconds)
    return sensor


LEARNED = pytest.mark.xdist_group("timebase")
"""One worker has them all, and learns once."""


def settled(block: int, rate: float, seconds: float, jitter_s: float = 0.01) -> Sensor:
    """A sensor of 100 Hz, as it says, that has spoken for so long: learned once, whatever happens to it then."""
    return copy.deepcopy(_settled(block, rate, seconds, jitter_s))


BLOCKS = [1, 16, 32, 160]
HEAPS = [(1, 10), (1, 160), (1, 1), (16, 160), (160, 160)]
"""How many come at once, usually and behind a stall."""
OFF = [0.0, 0.001, 0.01, 0.04, 0.1, 1.0]


def some(names: str, all_of_them: Iterable[tuple[float, ...]], chosen: set[tuple[float, ...]]) -> pytest.MarkDecorator:
    """Parameters of which `make test` has those that are chosen, and `make soak` the others."""
    return pytest.mark.parametrize(
        names, [pytest.param(*it, marks=() if it in chosen else pytest.mark.soak) for it in all_of_them]
    )


@some(
    "off, block",
    product(OFF, BLOCKS),
    {(0.0, 1), (0.001, 32), (0.01, 16), (0.04, 1), (0.04, 160), (0.1, 32), (1.0, 16)},
)
def test_the_true_rate_is_learned(off: float, block: int) -> None:
    true = 100 * (1 + off)
    sensor = Sensor(100, block)
    sensor.play(true, 150)
    errors = sensor.errors_ms(60)
    found = sensor.base.rate
    assert found is not None
    assert found.nominal_hz == 100
    assert abs(found.found_hz / true - 1) < 50e-6
    jitter = np.abs(errors - np.median(errors))
    assert np.quantile(jitter, 0.99) < (1.0 if block < 160 else 3.0)  # 56 reads of up to 10 ms jitter say no more
    steps = np.diff(sensor.placed) * true
    assert steps.min() > 0.5
    late = np.array(sensor.placed) - np.array(sensor.arrived)
    assert late.max() < 0.025
    assert sensor.holes == 0


def test_chunks_of_a_steady_sensor_continue_one_another_to_the_nanosecond() -> None:
    sensor = Sensor(100, 1)
    sensor.play(101.3, 180)
    sensor.flush()
    times = np.round(np.array(sensor.placed)[-101 * 60 :] * S).astype(np.int64)
    changes = np.count_nonzero(np.abs(np.diff(times, 2)) > 1)
    assert changes <= 12  # of 60 chunks


@LEARNED
@some(
    "usual, heap, seconds",
    ((*blocks, seconds) for blocks in HEAPS for seconds in (0.5, 2, 5, 20, 120)),
    {(1, 10, 0.5), (1, 160, 20), (1, 1, 5), (1, 1, 120), (16, 160, 2), (16, 160, 20), (160, 160, 5), (160, 160, 120)},
)
def test_samples_that_waited_while_the_process_stood_still_lie_where_they_were_taken(
    usual: int, heap: int, seconds: float
) -> None:
    sensor = settled(usual, 100.4, 60)
    sensor.stall(100.4, seconds, heap)
    end = sensor.now_s
    sensor.play(100.4, 30)
    constant = np.median(sensor.errors_ms(30, 60))
    assert np.abs(sensor.errors_ms(60, end + 10) - constant).max() < 10
    assert np.abs(sensor.errors_ms(end + 10) - constant).max() < 5
    assert sensor.holes == 0


@LEARNED
@pytest.mark.parametrize("block", [1, 16])
@pytest.mark.parametrize("seconds", [0.3, 3.0, 60.0])
def test_samples_that_are_lost_leave_a_hole_where_they_were(seconds: float, block: int) -> None:
    sensor = settled(block, 100, 60)
    sensor.play(100, seconds, lost=True)
    end = sensor.now_s
    sensor.play(100, 30)
    constant = np.median(sensor.errors_ms(30, 60))
    assert np.abs(sensor.errors_ms(end + 2) - constant).max() < 10
    assert sensor.holes == 1


@pytest.mark.parametrize(
    ("seconds", "off", "seed"), [(10.0, 1.0, 27), (120.0, 0.04, 12), (120.0, 0.04, 14), (120.0, 1.0, 37)]
)
def test_a_sensor_that_was_not_heard_has_gone_on_by_whole_periods(seconds: float, off: float, seed: int) -> None:
    true = 100 * (1 + off)
    sensor = Sensor(100, 160, seed)
    sensor.play(true, 70)
    sensor.play(true, seconds, lost=True)
    end = sensor.now_s
    sensor.play(true, 60)
    constant = np.median(sensor.errors_ms(60, 70))
    assert np.abs(sensor.errors_ms(end + 10) - constant).max() < 2
    assert sensor.holes == 1


@LEARNED
@pytest.mark.parametrize(("block", "periods"), [(1, -0.4), (1, 0.25), (16, -0.4), (16, 0.25), (160, -0.4), (160, 0.5)])
def test_a_sensor_that_began_anew_while_nobody_heard_it_is_found_out(block: int, periods: float) -> None:
    sensor = settled(block, 101, 70, jitter_s=0.001)
    sensor.now_s += 20 + periods / 101
    end = sensor.now_s
    sensor.play(101, 40)
    constant = np.median(sensor.errors_ms(60, 70))
    assert np.abs(sensor.errors_ms(end + 10) - constant).max() < 1
    assert sensor.holes == 1


@LEARNED
@pytest.mark.parametrize("block", [1, 16])
@pytest.mark.parametrize("rate", [50, 99, 101, 200])
def test_another_rate_is_learned_again(rate: float, block: int) -> None:
    sensor = settled(block, 100, 60)
    sensor.play(rate, 40)
    assert np.abs(sensor.errors_ms(75)).max() < 12
    found = sensor.base.rate
    assert found is not None
    assert abs(found.found_hz / rate - 1) < 500e-6


def test_a_silence_is_not_filled() -> None:
    base = ArrivalTimes(Fraction(100))
    first = base.place(5, None, Stamp(S), ()).times
    for number in range(1, 20):
        first = base.place(5, None, Stamp(S + number * S // 20), ()).times
    second = base.place(5, None, Stamp(9 * S), ())
    assert abs(int(first[-1]) - (S + 19 * S // 20)) < 1000
    assert 0 <= 9 * S - second.times[-1] < S // 1000
    assert second.hole is not None
    assert second.hole[1] == second.times[0]


def test_a_silent_stream_promises_only_what_cannot_be_on_its_way() -> None:
    base = ArrivalTimes(Fraction(100))
    for number in range(10):
        base.place(160, None, Stamp(S + number * 1_600_000_000), ())
    newest = S + 9 * 1_600_000_000
    assert newest < base.promise(newest + S) < newest + S // 100
    assert base.promise(newest + 60 * S) > newest + 50 * S
    assert base.promise(newest + 61 * S, is_away=True) == newest + 61 * S


def test_what_waited_is_not_believed_to_have_come_when_it_was_taken() -> None:
    base = timebase("arrival", None)
    base.place(1, None, Stamp(S))
    waited = base.place(4, None, Stamp(21 * S, waited_ns=20 * S))
    assert waited.times.tolist() == [5 * S, 9 * S, 13 * S, 17 * S]
    assert waited.error_ns == 20 * S
    assert base.place(1, None, Stamp(22 * S)).error_ns == 0
    assert 0 < base.state.uncertainty_ns < S


def test_without_a_rate_samples_that_come_together_are_spread() -> None:
    base = timebase("arrival", None)
    assert base.place(1, None, Stamp(S)).times.tolist() == [S]
    assert base.place(2, None, Stamp(S + 100)).times.tolist() == [S + 50, S + 100]
    assert base.place(1, None, Stamp(S + 100)).times.tolist() == [S + 101]


def test_device_times_are_believed_but_never_repeat() -> None:
    base = DeviceTimes()
    placed = base.place(5, np.array([10, 30, 20, 30, 40]) + S, Stamp(S))
    assert placed.times.tolist() == [S + 10, S + 30, S + 40]
    assert placed.left_out == 2
    assert base.place(2, np.array([S + 40, S + 41]), Stamp(S)).times.tolist() == [S + 41]
    assert base.place(3, None, Stamp(S)).left_out == 3
    assert base.promise(5 * S) == S + 42


@pytest.mark.parametrize("jump", [-DEVICE_STEP_NS - 2, DEVICE_STEP_NS + 2])
def test_a_step_of_the_device_is_told_and_places_nothing(jump: int) -> None:
    base = DeviceTimes()
    base.place(1, np.array([100 * S]), Stamp(100 * S))
    with pytest.raises(ClockStep):
        base.place(1, np.array([100 * S + jump]), Stamp(100 * S))
    with pytest.raises(ClockStep) as found:
        base.place(3, np.array([101, 102, 90], dtype=np.int64) * S, Stamp(102 * S))
    assert found.value.index == 2


@pytest.mark.parametrize("lead_s", [5, -5, 3600])
def test_a_clock_that_is_constantly_ahead_is_no_step(lead_s: int) -> None:
    base = DeviceTimes()
    for second in range(10):
        at = WALL + second * S
        placed = base.place(2, np.array([at, at + S // 2]) + lead_s * S, Stamp(at + S // 2))
        assert (len(placed.times), placed.left_out) == (2, 0)
    assert base.state.offset_ns == lead_s * S
    with pytest.raises(ClockStep):  # further ahead than it ever was
        base.place(1, np.array([WALL + (10 + lead_s) * S + 2 * DEVICE_STEP_NS]), Stamp(WALL + 10 * S))


def test_what_a_device_kept_and_sends_at_once_is_no_step() -> None:
    base = DeviceTimes()
    base.place(1, np.array([100 * S]), Stamp(100 * S))
    for behind in range(60, 0, -10):
        assert base.place(1, np.array([(200 - behind) * S]), Stamp(200 * S)).left_out == 0


@given(
    st.lists(st.integers(1, 100), min_size=1, max_size=10),
    st.sampled_from([Fraction(50), Fraction(12_000), Fraction(1, 3)]),
)
def test_counted_times_are_exact_for_any_batching(counts: list[int], rate: Fraction) -> None:
    base = CountedTimes(rate)
    found = [base.place(count, None, Stamp(S + index)).times for index, count in enumerate(counts)]
    num, den = period_of(rate)
    assert np.concatenate(found).tolist() == run_times(S, 0, num, den, sum(counts)).tolist()
    assert base.promise(0) == S + sum(counts) * num // den


def test_a_lost_sample_keeps_its_place() -> None:
    for base in (CountedTimes(Fraction(10)), ArrivalTimes(Fraction(10))):
        base.place(1, None, Stamp(0))
        base.skip(2)
        assert base.place(1, None, Stamp(300_000_000)).times.tolist() == [300_000_000]


def test_the_axis_is_monotonic_time_with_a_fixed_offset() -> None:
    axis = Axis.begin(5, 1005, is_set=True)
    assert axis.stamp(7) == Stamp(1007)
    assert not axis.has_stepped(10, 1010 + CLOCK_STEP_NS)
    assert axis.has_stepped(10, 1011 + CLOCK_STEP_NS)
    assert Axis.begin(5, 1005, is_set=False).stamp(7) == Stamp(7)


def test_the_kind_names_the_timebase() -> None:
    assert isinstance(timebase("arrival", None), UnratedTimes)
    assert isinstance(timebase("arrival", Fraction(1)), ArrivalTimes)
    assert isinstance(timebase("device", None), DeviceTimes)
    assert isinstance(timebase("counted", Fraction(1)), CountedTimes)


def test_lines_that_vanish_without_a_trace_are_missed() -> None:
    base, rng = ArrivalTimes(Fraction(100)), np.random.default_rng(3)
    errors, missing, holes = [], 0, 0
    for number in range(12_000):
        if number > 3_000 and rng.random() < 0.02:
            missing += 1
            continue
        true = WALL + number * S // 100
        placed = base.place(1, None, Stamp(true + int(rng.uniform(0, S // 1000))), ())
        errors.append(int(placed.times[0]) - true)
        holes += placed.hole is not None
        if number % 100 == 99:
            base.close_chunk()
    settled = np.abs(np.array(errors[3_000:]) - np.median(errors[2_000:3_000])) / 1e6
    assert np.quantile(settled, 0.9) < 12
    assert np.median(settled) < 1
    assert missing * 0.8 < holes <= missing


def test_a_clock_that_was_never_set_is_told_from_data_that_were_kept() -> None:
    years = 10 * 365 * 86_400 * S
    wrong, kept = DeviceTimes(), DeviceTimes()
    for second in range(6):
        at = WALL + second * S
        wrong.place(1, np.array([at - years]), Stamp(at))
        kept.place(1, np.array([at - years + second * 300 * S]), Stamp(WALL + second))
    assert not wrong.state.synced
    assert kept.state.synced
