"""Time rises strictly within each run; what is left out is counted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import UsageError
from ingest.importers.order import ClockStep, Ordered, Repeated, order
from ingest.ordering import BACK_STEP_NS, FORWARD_STEP_NS

S = 10**9
YEARS = 50 * 366 * 86_400


def ordered(
    seconds: Sequence[float], values: Sequence[float] | None = None, repeated: Repeated | None = None
) -> Ordered:
    rows = np.asarray(values if values is not None else range(len(seconds)), dtype=np.float64)[:, None]
    times = np.array([round(t * 1000) * 10**6 for t in seconds], dtype=np.int64)
    return order(times, rows, lambda row: f"line {row + 2}", repeated)


def runs(result: Ordered) -> list[list[int]]:
    return [rows.tolist() for rows in result.runs]


def test_rising_times_stay_as_they_are_gaps_and_all() -> None:
    result = ordered([0, 10, 20, 5000, 5010])
    assert (runs(result), result.steps, result.repeated, result.jittered) == ([[0, 1, 2, 3, 4]], (), 0, 0)


def test_a_step_of_the_clock_begins_a_new_run() -> None:
    times = [*range(0, 40, 10), *range(5, 45, 10), *range(2, 300, 10)]
    result = ordered(times)
    assert runs(result) == [[0, 1, 2, 3], [4, 5, 6, 7], list(range(8, len(times)))]
    assert result.steps == (ClockStep(4, 25 * S), ClockStep(8, 33 * S))


def test_a_clock_that_is_set_years_forward_begins_a_new_run() -> None:
    result = ordered([0, 1, 2, YEARS, YEARS + 1])
    assert (runs(result), result.steps) == ([[0, 1, 2], [3, 4]], (ClockStep(3, (2 - YEARS) * S),))


def test_repeats_and_jitter_are_left_out_the_first_row_stays() -> None:
    times = [0.01 * i for i in range(40)]
    times[20] = times[19]
    times[30] = times[29] - 0.003
    result = ordered(times)
    assert (result.repeated, result.jittered) == (1, 1)
    assert runs(result) == [[i for i in range(40) if i not in (20, 30)]]


def test_a_row_behind_an_earlier_newest_time_is_left_out_too() -> None:
    times = [0.01 * i for i in range(40)]
    times[20], times[21] = times[21], times[20] + 0.009
    assert runs(ordered(times)) == [[i for i in range(40) if i != 21]]


def test_a_time_too_coarse_for_its_rows_is_refused() -> None:
    with pytest.raises(UsageError, match="line 3: 90 of 100 rows do not lie after the row before them; use a finer"):
        ordered([i // 10 for i in range(100)])


def test_rows_of_one_second_are_spread_over_it_when_told_so() -> None:
    result = ordered([i // 10 for i in range(100)], repeated="spread")
    assert (result.times // 10**8).tolist() == list(range(100))
    assert (result.spread, result.repeated, runs(result)) == (90, 0, [list(range(100))])
    thin = ordered([0, 1, 1, 2, 50, 50, 51], repeated="spread")
    assert (thin.times / S).tolist() == [0, 1, 1.5, 2, 50, 50.5, 51], "not over a gap"


def test_rows_of_one_second_are_left_out_but_the_first_or_all_when_told_so() -> None:
    times = [0, 1, 1, 1, 2, 3, 3]
    assert runs(ordered(times, repeated="first")) == [[0, 1, 4, 5]]
    dropped = ordered(times, repeated="drop")
    assert (runs(dropped), dropped.repeated) == ([[0, 4]], 5)
    with pytest.raises(UsageError, match="line 3: no row has a time of its own"):
        ordered([1, 1, 1], repeated="drop")


def test_rows_written_twice_are_free() -> None:
    result = ordered([i // 2 for i in range(100)], [float(i // 2) if i // 2 != 7 else np.nan for i in range(100)])
    assert (result.repeated, [len(r) for r in result.runs]) == (50, [50])


def test_one_time_for_all_rows_is_refused() -> None:
    with pytest.raises(UsageError, match="2 of 3 rows"):
        ordered([5, 5, 5])


def test_a_file_that_lies_newest_first_is_turned_round() -> None:
    result = ordered([3, 2.5, 2.5, 2, 1], [5, 4, 4, 2, 1])
    assert (runs(result), result.turned, result.steps, result.repeated) == ([[4, 3, 2, 0]], True, (), 1)
    assert ordered([9, 6, 3, 0]).turned


@pytest.mark.parametrize("times", [[0, 10, 20] * 1100, [0, 40, 10, 30, 20, 60, 50, 80, 70], [9, 6, 3, 0, 12, 9, 6, 3]])
def test_an_unsorted_file_is_refused(times: list[float]) -> None:
    with pytest.raises(UsageError, match=r"time has stepped back \d+ times; sort or split the file"):
        ordered(times)


def test_a_clock_that_steps_back_a_thousand_times_is_refused() -> None:
    with pytest.raises(UsageError, match="time has stepped back 1001 times"):
        ordered([float(t) for t in range(20)] * 1100)


_STEPS = [0, 1, S, BACK_STEP_NS - 1, BACK_STEP_NS, -1, -S, 1 - BACK_STEP_NS, -BACK_STEP_NS, FORWARD_STEP_NS]


@given(st.lists(st.sampled_from(_STEPS), min_size=1, max_size=60))
def test_runs_equal_a_row_by_row_oracle(steps: list[int]) -> None:
    times = np.cumsum(np.array([0, 10**16, *steps], dtype=np.int64))
    try:
        result = order(times, np.zeros((len(times), 1)), str)
    except UsageError:
        return
    kept, newest, repeated, jittered = [[0]], 0, 0, 0
    for row, time in enumerate(times.tolist()[1:], 1):
        if newest - time >= BACK_STEP_NS or time - newest >= FORWARD_STEP_NS:
            kept.append([row])
        elif time > newest:
            kept[-1].append(row)
        else:
            repeated, jittered = repeated + (time == newest), jittered + (time != newest)
            continue
        newest = time
    assert (runs(result), result.repeated, result.jittered) == (kept, repeated, jittered)
    assert [step.row for step in result.steps] == [rows[0] for rows in kept[1:]]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.booleans())
def test_spread_times_rise_and_stay_within_their_second(seconds: list[int], falling: bool) -> None:
    seconds = sorted(seconds, reverse=falling)
    result = ordered([float(t) for t in seconds], repeated="spread")
    if len(set(seconds)) > 1:
        (rows,) = result.runs
        assert len(rows) == len(seconds)
        assert (np.diff(result.times[rows]) > 0).all()
        assert ((result.times // S) == np.array(seconds)).all() or np.diff(sorted(set(seconds))).max() > 1
