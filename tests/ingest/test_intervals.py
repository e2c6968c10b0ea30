"""Interval sets against a set of integers."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.intervals import IntervalSet


@given(st.lists(st.integers(0, 40), max_size=80))
def test_it_is_a_set_of_integers(numbers: list[int]) -> None:
    found, expected = IntervalSet(), set[int]()
    for number in numbers:
        assert found.add(number) == (number not in expected)
        expected.add(number)
        assert len(found) == len(expected)
        assert found.next == max(expected) + 1
        assert found.missing == found.next - len(expected)
    assert [n for n in range(50) if n in found] == sorted(expected)
    pairs = found.pairs()
    assert [n for start, stop in pairs for n in range(start, stop)] == sorted(expected)
    assert all(a[1] < b[0] for a, b in pairwise(pairs))


@given(st.lists(st.integers(0, 40), max_size=40), st.lists(st.integers(0, 40), max_size=40))
def test_pairs_bring_it_back(first: list[int], then: list[int]) -> None:
    found = IntervalSet()
    for number in first:
        found.add(number)
    again = IntervalSet(found.pairs())
    assert again.pairs() == found.pairs()
    assert [again.add(n) for n in then] == [found.add(n) for n in then]
    assert again.pairs() == found.pairs()
    assert again.missing == found.missing


def test_numbers_in_order_are_one_interval() -> None:
    found = IntervalSet()
    for number in range(1000):
        assert number == found.next
        assert found.add(number)
    assert found.pairs() == [(0, 1000)]


def test_a_number_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="found -1"):
        IntervalSet().add(-1)
