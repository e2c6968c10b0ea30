from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.recording.timebase import (
    CLOCK_STEP_NS,
    DEVICE_STEP_NS,
    ArrivalTimes,
    Axis,
    ClockStep,
    CountedTimes,
    DeviceTimes,
    Stamp,
    timebase,
)
from ingest.times import period_of, run_times

S = 1_000_000_000
STEPS = st.lists(
    st.tuples(
        st.integers(1, 50), st.integers(0, 3 * S), st.sampled_from(["place", "place", "promise", "chunk", "skip"])
    ),
    max_size=30,
)


@given(STEPS, st.sampled_from([None, 1, 100, 12_000]))
def test_arrival_times_rise_strictly_and_keep_promises(steps: list[tuple[int, int, str]], rate: int | None) -> None:
    base = ArrivalTimes(None if rate is None else Fraction(rate))
    now, last, promised = 10**18, 0, 0
    for count, passed, what in steps:
        now += passed
        if what == "promise":
            promised = base.promise(now)
            assert promised >= now
        elif what == "chunk":
            base.close_chunk()
        elif what == "skip":
            base.skip(count)
        else:
            times = base.place(count, None, Stamp(now)).times
            assert len(times) == count
            assert times[0] > last
            assert times[0] >= promised
            assert (np.diff(times) > 0).all()
            last = int(times[-1])


def test_samples_with_a_rate_lie_on_its_grid_and_follow_the_arrivals() -> None:
    base = ArrivalTimes(Fraction(100))
    rng = np.random.default_rng(1)
    found, arrived = [], []
    for number in range(200):
        at = number * 100_000_000 + int(rng.integers(0, 5_000_000))
        found.append(base.place(10, None, Stamp(at)).times)
        arrived.append(at)
        if number % 10 == 9:
            assert len(set(np.diff(np.concatenate(found[-10:])))) == 1
            base.close_chunk()
    late = np.array([times[-1] for times in found]) - np.array(arrived)
    assert np.abs(late).max() < 20_000_000


def test_a_silence_is_not_filled() -> None:
    base = ArrivalTimes(Fraction(100))
    first = base.place(5, None, Stamp(S)).times
    second = base.place(5, None, Stamp(9 * S)).times
    assert first[-1] == S
    assert second[-1] == 9 * S


def test_without_a_rate_samples_that_come_together_are_spread() -> None:
    base = ArrivalTimes(None)
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
    assert isinstance(timebase("arrival", None), ArrivalTimes)
    assert isinstance(timebase("device", None), DeviceTimes)
    assert isinstance(timebase("counted", Fraction(1)), CountedTimes)
