"""Grid instants: floors of exact rationals, far from any overflow."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.times import period_of
from windowing.fold.grid import Grid

RATES = st.fractions(Fraction(1, 3600), 10**8, max_denominator=10**6).filter(lambda rate: rate.numerator < 2**32)
NOW_NS = 1_800_000_000 * 10**9


@given(RATES, st.integers(-(2**61), 2**61), st.integers(-(10**6), 10**6), st.integers(1, 40), st.integers(1, 99))
def test_instants_are_floors_of_rationals(rate: Fraction, origin: int, around: int, count: int, step: int) -> None:
    grid = Grid(origin, *period_of(rate))
    period = Fraction(10**9) / rate
    expected = [origin + (around + i * step) * period // 1 for i in range(count)]
    assert grid.instants(around, count, step).tolist() == expected
    assert grid.instant(around) == expected[0]


@given(RATES, st.integers(0, 10**9))
def test_the_utc_axis_does_not_overflow(rate: Fraction, ahead_ns: int) -> None:
    grid = Grid(0, *period_of(rate))
    j = grid.at_or_after(NOW_NS + ahead_ns)
    assert grid.instant(j) >= NOW_NS + ahead_ns
    assert grid.instant(j - 1) < NOW_NS + ahead_ns
    far = grid.instants_at(j, np.array([0, 1, 1 << 20], dtype=np.int64))
    assert far.tolist() == [grid.instant(j), grid.instant(j + 1), grid.instant(j + (1 << 20))]


@given(RATES, st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12))
def test_the_index_around_a_time(rate: Fraction, origin: int, t_ns: int) -> None:
    grid = Grid(origin, *period_of(rate))
    after, before = grid.at_or_after(t_ns), grid.at_or_before(t_ns)
    assert grid.instant(after - 1) < t_ns <= grid.instant(after)
    assert grid.instant(before) <= t_ns < grid.instant(before + 1)


@pytest.mark.parametrize("rate", [Fraction(50), Fraction(12_000), Fraction(44_100), Fraction(512, 10)])
def test_an_hour_drifts_by_nothing(rate: Fraction) -> None:
    grid = Grid(0, *period_of(rate))
    steps = int(rate * 3600 * 5) // 5
    if (rate * 3600).denominator == 1:
        assert grid.instant(steps) == 3600 * 10**9
