from __future__ import annotations

import asyncio
import itertools
import random

import pytest

from edge.agent.schedule import LOOK_BYTES, PENDING_BYTES, CommitSchedule, rest_s
from simulators.sim.loop import run


def test_a_commit_is_due_at_its_interval_and_at_once_where_that_is_asked() -> None:
    async def main() -> None:
        await CommitSchedule(0.001, lambda: 0).due()
        schedule = CommitSchedule(3600, lambda: 0)
        schedule.at_once()
        await schedule.due()
        waiting = asyncio.create_task(schedule.due())
        await asyncio.sleep(0)
        assert not waiting.done()
        schedule.at_once()
        async with asyncio.timeout(200):
            await waiting

    asyncio.run(main())


def test_who_collects_too_much_waits_for_a_commit() -> None:
    pending = [PENDING_BYTES]

    async def main() -> None:
        schedule = CommitSchedule(3600, lambda: pending[0])
        await schedule.room(LOOK_BYTES)
        pending[0] += 1
        for _ in range(9):
            await schedule.room(LOOK_BYTES // 10)
        waiting = asyncio.create_task(schedule.room(LOOK_BYTES // 10 + 10))
        async with asyncio.timeout(200):
            await schedule.due()
        assert not waiting.done()
        pending[0] = 0
        schedule.make_room()
        async with asyncio.timeout(200):
            await waiting

    asyncio.run(main())


@pytest.mark.parametrize(
    ("last_s", "longest_s", "waits_s"),
    [(0, 0, 0.875), (0.02, 0.05, 0.755), (0.05, 0.05, 0.725), (0.4, 0.4, 0.5), (9, 9, 0.5)],
)
def test_what_a_commit_takes_is_part_of_the_interval(last_s: float, longest_s: float, waits_s: float) -> None:
    assert rest_s(1, last_s, longest_s) == pytest.approx(waits_s)


def test_what_is_on_its_way_has_an_eighth_of_an_interval_and_no_more_than_it_needs() -> None:
    assert rest_s(0.2, 0, 0) == pytest.approx(0.175)
    assert rest_s(60, 0, 0) == pytest.approx(59.875)


def test_what_comes_right_behind_a_commits_begin_is_durable_within_the_interval() -> None:
    async def main(rng: random.Random) -> list[tuple[float, float]]:
        loop, schedule = asyncio.get_running_loop(), CommitSchedule(1.0, lambda: 0)
        commits = list[tuple[float, float]]()
        for _ in range(200):
            await schedule.due()
            begun_s = loop.time()
            await asyncio.sleep(rng.uniform(0.05, 0.16))
            commits.append((begun_s, loop.time()))
        return commits

    commits = run(main, seed=1)
    lost_s = [ended_s - begun_s for (begun_s, _), (_, ended_s) in itertools.pairwise(commits)]
    assert 0.6 < max(lost_s[3:]) <= 0.875
