from __future__ import annotations

import asyncio

from edge.rhythm import PENDING_BYTES, Rhythm


def test_a_commit_is_due_at_its_interval_and_at_once_where_that_is_asked() -> None:
    async def main() -> None:
        await Rhythm(0.001, lambda: 0).due()
        rhythm = Rhythm(3600, lambda: 0)
        rhythm.at_once()
        await rhythm.due()
        waiting = asyncio.create_task(rhythm.due())
        await asyncio.sleep(0)
        assert not waiting.done()
        rhythm.at_once()
        async with asyncio.timeout(10):
            await waiting

    asyncio.run(main())


def test_who_collects_too_much_waits_for_a_commit() -> None:
    pending = [PENDING_BYTES]

    async def main() -> None:
        rhythm = Rhythm(3600, lambda: pending[0])
        await rhythm.room()
        pending[0] += 1
        waiting = asyncio.create_task(rhythm.room())
        async with asyncio.timeout(10):
            await rhythm.due()
        assert not waiting.done()
        pending[0] = 0
        rhythm.make_room()
        async with asyncio.timeout(10):
            await waiting

    asyncio.run(main())
