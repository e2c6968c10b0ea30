"""Recordings without a clock lie one behind the other, over nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import UsageError
from ingest.importers.laying import PAUSE_NS, Places

START = 1_000 * PAUSE_NS
_spans = st.lists(st.tuples(st.integers(0, 10**11), st.integers(1, 10**10)), max_size=6)


@given(_spans, st.lists(st.integers(1, 10**10), min_size=1, max_size=6))
def test_nothing_lies_over_another_and_all_keep_their_order(taken: list[tuple[int, int]], lengths: list[int]) -> None:
    places = Places(START)
    there = [(START + at - 5 * 10**10, START + at - 5 * 10**10 + length) for at, length in taken]
    for number, (start, end) in enumerate(there):
        places.take(f"there-{number}", start, end)
    laid = [(t, t + length) for number, length in enumerate(lengths) for t in [places.place(f"r{number}", length)]]
    assert laid == sorted(laid)
    for index, (start, end) in enumerate(laid):
        assert start >= START
        assert (start - START) % PAUSE_NS == 0
        for other_start, other_end in [*there, *laid[:index]]:
            assert end + PAUSE_NS <= other_start or other_end + PAUSE_NS <= start


def test_the_first_lies_at_the_start_where_that_is_free() -> None:
    places = Places(START)
    assert places.place("a", 2 * PAUSE_NS + 1) == START
    assert places.place("b", 1) == START + 4 * PAUSE_NS


def test_behind_the_start_of_one_that_has_not_ended_nothing_is_free() -> None:
    places = Places(START)
    places.take("live", START + 10 * PAUSE_NS, None)
    assert places.place("a", 5 * PAUSE_NS) == START
    with pytest.raises(UsageError, match='"b" has no clock, and no place: "live" of its device has not ended'):
        places.place("b", 5 * PAUSE_NS)
    places.take("live", START + 10 * PAUSE_NS, START + 12 * PAUSE_NS)
    assert places.place("b", 5 * PAUSE_NS) == START + 13 * PAUSE_NS
