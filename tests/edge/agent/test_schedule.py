from __future__ import annotations

import asyncio

from edge.agent.schedule import LOOK_BYTES, PENDING_BYTES, CommitSchedule


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
