"""A stream's own period, and from when on a silence is a gap."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.pace import (
    ENDLESS_NS,
    GAP_FLOOR_NS,
    STEPS,
    measured_periods,
    rated_gap_ns,
    unrated_gap_ns,
    unrated_gaps_ns,
)

BEFORE_ALL = -(1 << 62)


def own(times: list[int]) -> int:
    """The lower median of the last eight steps, in plain Python."""
    steps = sorted(b - a for a, b in itertools.pairwise(times[-STEPS - 1 :]))
    return steps[(len(steps) - 1) // 2] if steps else 0


@given(st.lists(st.integers(1, 10**12), max_size=40), st.integers(0, 60), st.sampled_from([0, 1_700_000_000 * 10**9]))
def test_a_period_is_the_lower_median_of_the_last_steps(steps: list[int], filled: int, start: int) -> None:
    times = np.cumsum([start, *steps])
    padded = np.concatenate((np.full(STEPS + 1 + filled, BEFORE_ALL), times))
    found = measured_periods(padded)
    assert len(found) == len(padded) - STEPS
    assert found[-1 - len(times) :].tolist() == [own(times[:count].tolist()) for count in range(len(times) + 1)]


@pytest.mark.parametrize("period_ns", [1, 99_999_999, 100_000_000, 100_000_001, 300 * 10**9, 1 << 61])
def test_a_gap_is_longer_than_five_periods(period_ns: int) -> None:
    assert rated_gap_ns(period_ns) == min(5 * period_ns, ENDLESS_NS)
    assert unrated_gap_ns(period_ns) == max(GAP_FLOOR_NS, rated_gap_ns(period_ns))
    assert unrated_gaps_ns(np.array([period_ns, 0])).tolist() == pytest.approx(
        [unrated_gap_ns(period_ns), ENDLESS_NS], rel=1e-15
    )


def test_without_two_samples_nothing_is_a_gap() -> None:
    assert unrated_gap_ns(0) == ENDLESS_NS
