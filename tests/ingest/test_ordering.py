"""One rule for stamps that do not rise, whoever reads them, and in whatever pieces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.ordering import BACK_STEP_NS, FORWARD_STEP_NS, first_step, rising
from ingest.times import NS, Times


def stamps(*times: int) -> Times:
    return np.array(times, dtype=np.int64)


def test_what_rises_stays_and_a_jump_is_a_gap() -> None:
    times = stamps(0, NS, 3600 * NS, 30 * 86_400 * NS)
    assert first_step(times, None) is None
    assert rising(times, None).kept.all()


def test_a_repeat_is_left_out_and_the_first_stays() -> None:
    found = rising(stamps(5, 5, 6, 6, 6, 7), None)
    assert (found.kept.tolist(), found.repeated, found.late) == ([True, False, True, False, False, True], 3, 0)


def test_what_lies_a_little_behind_is_left_out_until_time_is_past_the_newest() -> None:
    times = stamps(0, 10 * NS, 9 * NS, 10 * NS, 10 * NS + 1)
    assert first_step(times, None) is None
    found = rising(times, None)
    assert (found.kept.tolist(), found.repeated, found.late) == ([True, True, False, False, True], 1, 1)


def test_what_was_before_counts() -> None:
    assert first_step(stamps(7 * NS), 9 * NS) == 0
    found = rising(stamps(8 * NS, 9 * NS, 9 * NS + 1), 9 * NS)
    assert (found.kept.tolist(), found.repeated, found.late) == ([False, False, True], 1, 1)


@pytest.mark.parametrize(
    ("step", "is_one"),
    [
        (-BACK_STEP_NS, True),
        (1 - BACK_STEP_NS, False),
        (FORWARD_STEP_NS, True),
        (FORWARD_STEP_NS - 1, False),
        (366 * 86_400 * NS, False),
    ],
)
def test_the_bounds_of_a_step(step: int, is_one: bool) -> None:
    at = 1_700_000_000 * NS
    assert (first_step(stamps(at - 1, at, at + step), None) == 2) is is_one


def test_a_clock_that_is_set_begins_a_recording() -> None:
    cold, true = 946_684_800 * NS, 1_790_000_000 * NS
    assert first_step(stamps(cold, cold + NS, true, true + NS), None) == 2
    assert first_step(stamps(0, NS, true), None) == 2


def test_nothing_is_nothing() -> None:
    assert first_step(stamps(), None) is None
    assert not len(rising(stamps(), 5).kept)


@given(st.lists(st.integers(0, 5 * NS), min_size=1, max_size=40), st.integers(0, 40))
def test_pieces_do_not_matter(times: list[int], cut: int) -> None:
    whole = stamps(*times)[: first_step(stamps(*times), None)]
    head, tail = whole[:cut], whole[cut:]
    first = rising(head, None)
    newest = int(head.max()) if len(head) else None
    second = rising(tail, newest)
    assert first_step(tail, newest) is None
    together = rising(whole, None)
    assert together.kept.tolist() == [*first.kept.tolist(), *second.kept.tolist()]
    assert (together.repeated, together.late) == (first.repeated + second.repeated, first.late + second.late)
    assert (np.diff(whole[together.kept]) > 0).all()
