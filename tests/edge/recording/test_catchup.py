"""What was kept somewhere and comes at once: told by the pace of a stream without a rate."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Final

import pytest

from edge.recording.catchup import LOOKED_AT, CatchUp
from edge.recording.timebase import Stamp, timebase

MS: Final = 1_000_000
S: Final = 1_000_000_000
TICK_NS: Final = S


def kept(arrivals: Iterable[int]) -> list[int]:
    """How long each of these may have been kept; the ones of a tick are known together."""
    arrivals, catchup = list(arrivals), CatchUp()
    found = []
    for number, at_ns in enumerate(arrivals):
        ahead = [(1, t) for t in arrivals[number + 1 :][:LOOKED_AT] if t // TICK_NS == at_ns // TICK_NS]
        found.append(catchup.arrived(1, at_ns, ahead))
    return found


def paced(period_ns: int, begin_ns: int, count: int, jitter_ns: int = 0) -> list[int]:
    """Arrivals of a steady stream."""
    chance = random.Random(5)
    return sorted(begin_ns + n * period_ns + chance.randrange(jitter_ns + 1) for n in range(count))


@pytest.mark.parametrize(
    ("period_ns", "away_ns"), [(20 * MS, 3 * S), (20 * MS, 600 * S), (MS, 15 * S), (S, 60 * S), (10 * S, 60 * S)]
)
@pytest.mark.parametrize("step_ns", [100_000, 0])
def test_what_comes_in_a_heap_after_a_silence_may_be_as_old_as_it(period_ns: int, away_ns: int, step_ns: int) -> None:
    before = paced(period_ns, S, 100, period_ns // 2)
    number = away_ns // period_ns
    back = before[-1] + away_ns + 7 * MS
    heap = [back + n * step_ns for n in range(number)]
    taken = [before[-1] + (n + 1) * period_ns for n in range(number)]
    after = paced(period_ns, max(heap[-1], taken[-1]) + period_ns, max(400, 4 * S // period_ns), period_ns // 2)
    found = kept([*before, *heap, *after])
    assert not any(found[:100])
    for told, arrived, true in zip(found[100:], heap, taken, strict=False):
        assert told >= arrived - true
    assert not any(found[-200:]), "it never ended"


def test_a_heap_of_which_a_queue_kept_only_some_is_one() -> None:
    before = paced(20 * MS, S, 100)
    back = before[-1] + 60 * S
    found = kept([*before, *(back + n * 200_000 for n in range(100)), *paced(20 * MS, back + S // 2, 400, 5 * MS)])
    assert found[100:200] == [60 * S + n * 200_000 for n in range(100)]
    assert not any(found[-200:])


def test_a_heap_that_stands_still_for_a_while_goes_on() -> None:
    before = paced(20 * MS, S, 100)
    back = before[-1] + 60 * S
    rest = back + 4 * S
    heap = [*(back + n * MS for n in range(50)), *(rest + n * MS for n in range(500))]
    found = kept([*before, *heap, *paced(20 * MS, rest + 2 * S, 600)])
    assert all(found[100:650])
    assert not any(found[-200:])


def test_a_stream_that_is_slower_after_its_heap_is_believed_in_the_end() -> None:
    before = paced(20 * MS, S, 100)
    back = before[-1] + 60 * S
    found = kept([*before, *(back + n * MS for n in range(100)), *paced(200 * MS, back + S, 200)])
    assert not any(found[-100:])


@pytest.mark.parametrize("jitter_ns", [0, 10 * MS])
def test_a_silence_after_which_a_stream_goes_on_kept_nothing(jitter_ns: int) -> None:
    before = paced(20 * MS, S, 100, jitter_ns)
    assert not any(kept([*before, *paced(20 * MS, 60 * S, 400, jitter_ns)]))


def test_who_comes_in_bursts_anyway_has_no_pace() -> None:
    bursts = [minute * 60 * S + n * 50 * MS for minute in range(20) for n in range(10)]
    assert not any(kept(bursts))


def test_another_pace_after_a_silence_is_not_held_against_a_stream_for_ever() -> None:
    found = kept([*paced(100 * MS, S, 100), *paced(10 * MS, 15 * S, 3000)])
    assert not any(found[-1000:])


def test_a_heap_that_begins_at_the_end_of_a_tick_is_known_from_its_second_message_on() -> None:
    before = paced(20 * MS, S, 100)
    heap = [60 * S - 1, *(60 * S + n * MS for n in range(100))]
    found = kept([*before, *heap])
    assert found[100] == 0
    assert all(told > 50 * S for told in found[101:200])


def test_the_times_of_a_stream_without_a_rate_own_up_to_it() -> None:
    base = timebase("arrival", None)
    for n in range(100):
        assert base.place(1, None, Stamp(n * 20 * MS)).error_ns == 0
    back = 12 * S
    placed = base.place(1, None, Stamp(back), [(1, back + n * MS) for n in range(1, 5)])
    assert placed.times.tolist() == [back]
    assert placed.error_ns == back - 99 * 20 * MS
