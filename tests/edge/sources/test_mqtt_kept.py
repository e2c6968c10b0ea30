"""What publishers kept of an absence: up to when what comes may be as old as it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from edge.sources.mqtt.kept import Kept
from ingest.times import NS as S

MS = S // 1000


def after_an_absence(pace_ns: int, messages: int = 200) -> Kept:
    """Messages at a pace up to 100 s; nobody was there until 160 s."""
    kept = Kept()
    for number in range(messages, 0, -1):
        assert kept.arrived(100 * S - number * pace_ns) == 0
    kept.absent(100 * S)
    return kept


def old(kept: Kept, times: Iterable[int]) -> list[bool]:
    """Which of what comes then may have been kept."""
    found = []
    for at_ns in times:
        waited_ns = kept.arrived(at_ns)
        assert waited_ns in (0, at_ns - 100 * S)
        found.append(waited_ns > 0)
    return found


def test_what_comes_at_its_pace_for_a_second_is_live() -> None:
    found = old(after_an_absence(20 * MS), range(160 * S, 163 * S, 20 * MS))
    assert found == [True] * 50 + [False] * 100


@pytest.mark.parametrize("pause_ns", [50 * MS, 300 * MS, 3 * S])
def test_a_heap_that_stands_still_for_a_while_goes_on(pause_ns: int) -> None:
    """Five of 750 that came behind the others, on a busy machine, were taken for live: 11 s off."""
    kept = after_an_absence(20 * MS)
    assert all(old(kept, (160 * S + n * 3 * MS for n in range(745))))
    behind_ns = 160 * S + 745 * 3 * MS + pause_ns
    assert all(old(kept, (behind_ns + n * MS for n in range(5))))
    found = old(kept, range(behind_ns + 20 * MS, behind_ns + 5 * S, 20 * MS))
    assert found.index(False) <= 101
    assert not any(found[found.index(False) :])


def test_a_pause_within_a_second_of_the_usual_number_is_none_at_the_topics_pace() -> None:
    kept = after_an_absence(20 * MS)
    assert all(old(kept, (160 * S + n * MS for n in range(60))))
    assert all(old(kept, (161_300 * MS + n * MS for n in range(5))))


def test_a_slow_topic_is_live_from_its_second_message_on() -> None:
    assert old(after_an_absence(10 * S, 9), (161 * S, 171 * S, 181 * S)) == [True, False, False]


def test_of_an_unknown_pace_a_pause_tells_and_so_does_time() -> None:
    assert old(after_an_absence(S, 2), (160 * S, 160 * S + 5 * MS, 160 * S + 900 * MS)) == [True] * 3
    assert old(after_an_absence(S, 2), (160 * S, 162 * S, 162 * S + MS)) == [True, False, False]
    found = old(after_an_absence(S, 2), range(160 * S, 180 * S, 500 * MS))
    assert found == [True] * 7 + [False] * 33
    found = old(after_an_absence(S, 2), range(160 * S, 180 * S, 20 * MS))
    assert found == [True] * 501 + [False] * 499


@pytest.mark.parametrize("pace_ns", [200 * MS, 400 * MS, 3 * S])
def test_a_slower_pace_than_before_is_believed_where_it_is_even(pace_ns: int) -> None:
    found = old(after_an_absence(20 * MS), range(160 * S, 300 * S, pace_ns))
    assert found == [True] * 7 + [False] * (len(found) - 7)
    uneven = (160 * S + number * 200 * MS + number % 2 * 180 * MS for number in range(100))
    assert all(old(after_an_absence(20 * MS), uneven))


def test_another_pace_than_before_is_believed_in_the_end() -> None:
    faster = old(after_an_absence(20 * MS), range(160 * S, 200 * S, 5 * MS))
    assert faster.index(False) == 6001


def test_an_absence_within_what_was_kept_of_another_makes_it_longer() -> None:
    kept = after_an_absence(20 * MS)
    assert old(kept, (160 * S,)) == [True]
    kept.absent(170 * S)
    assert old(kept, (190 * S,)) == [True]


def test_nothing_was_kept_before_the_first_connection() -> None:
    kept = Kept()
    kept.absent(0)
    assert kept.arrived(5 * S) == 0
