"""Time rises strictly within each run; what is left out is counted."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import UsageError
from ingest.importers.order import ClockStep, Ordered, order


def ordered(times: list[int], values: list[float] | None = None) -> Ordered:
    rows = np.asarray(values if values is not None else range(len(times)), dtype=np.float64)[:, None]
    return order(np.array(times, dtype=np.int64), rows, lambda row: f"line {row + 2}")


def runs(result: Ordered) -> list[list[int]]:
    return [rows.tolist() for rows in result.runs]


def test_rising_times_stay_as_they_are_gaps_and_all() -> None:
    result = ordered([0, 10, 20, 5000, 5010])
    assert (runs(result), result.steps, result.repeated, result.jittered) == ([[0, 1, 2, 3, 4]], (), 0, 0)


def test_a_step_of_the_clock_begins_a_new_run() -> None:
    result = ordered([0, 10, 20, 30, 5, 15, 25, 35, 2, 12])
    assert runs(result) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert result.steps == (ClockStep(4, 25), ClockStep(8, 33))


def test_a_step_of_exactly_one_median_step_is_a_step_of_the_clock() -> None:
    assert ordered([0, 10, 20, 10, 20, 30]).steps == (ClockStep(3, 10),)


def test_repeats_and_jitter_are_left_out_the_first_row_stays() -> None:
    times = [10 * i for i in range(40)]
    times[20] = times[19]
    times[30] = times[29] - 3
    result = ordered(times)
    assert (result.repeated, result.jittered) == (1, 1)
    assert runs(result) == [[i for i in range(40) if i not in (20, 30)]]


def test_a_row_behind_an_earlier_newest_time_is_left_out_too() -> None:
    times = [10 * i for i in range(40)]
    times[20], times[21] = times[21], times[20] + 9
    assert times[20] > times[21]
    assert runs(ordered(times)) == [[i for i in range(40) if i != 21]]


def test_a_time_too_coarse_for_its_rows_is_refused() -> None:
    with pytest.raises(UsageError, match="line 3: 90 of 100 rows do not lie after the row before them; use a finer"):
        ordered([i // 10 for i in range(100)])


def test_rows_written_twice_are_free() -> None:
    result = ordered([i // 2 for i in range(100)], [float(i // 2) if i // 2 != 7 else np.nan for i in range(100)])
    assert (result.repeated, [len(r) for r in result.runs]) == (50, [50])


def test_one_time_for_all_rows_is_refused() -> None:
    with pytest.raises(UsageError, match="2 of 3 rows"):
        ordered([5, 5, 5])


def test_an_unsorted_file_is_refused() -> None:
    with pytest.raises(UsageError, match="time has stepped back 1001 times; sort or split the file"):
        ordered([0, 10, 20] * 1100)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=60))
def test_runs_equal_a_row_by_row_oracle(times: list[int]) -> None:
    try:
        result = ordered(times)
    except UsageError:
        return
    rising = [b - a for a, b in pairwise(times) if b > a]
    bound = max(int(np.median(rising)), 1) if rising else 1
    kept, newest, repeated, jittered = [[0]], times[0], 0, 0
    for row, time in enumerate(times[1:], 1):
        if time > newest:
            kept[-1].append(row)
        elif newest - time >= bound:
            kept.append([row])
        else:
            repeated, jittered = repeated + (time == newest), jittered + (time != newest)
            continue
        newest = time
    assert (runs(result), result.repeated, result.jittered) == (kept, repeated, jittered)
    assert [step.row for step in result.steps] == [rows[0] for rows in kept[1:]]
