"""Sources are stopped whatever swallows a cancellation: `asyncio.wait_for` of Python 3.11 does."""

from __future__ import annotations

import asyncio

import pytest

from edge.agent.remote.serving import end_all
from edge.sources.polled import PolledSource, PollError


async def stubborn(swallows: int) -> None:
    """Goes on from so many cancellations."""
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            swallows -= 1
            if swallows < 0:
                raise


def test_tasks_end_also_where_who_ends_them_is_cancelled_meanwhile() -> None:
    async def main() -> None:
        task = asyncio.create_task(stubborn(2))
        ending = asyncio.create_task(end_all([task]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ending
        assert task.done()

    asyncio.run(main())


@pytest.mark.parametrize("fails", [False, True])
def test_a_question_that_is_answered_as_it_is_cancelled_is_the_last_one(fails: bool) -> None:
    """An agent that polled did not end: the answer came in the very moment of the stop."""

    class Device(PolledSource):
        asked = 0

        async def _poll(self) -> bytes:
            self.asked += 1
            self.answer = asyncio.get_running_loop().create_future()
            data: bytes = await asyncio.wait_for(self.answer, 60)
            return data

    async def main() -> None:
        device = Device("scale", 1_000_000)
        asking = asyncio.create_task(device.open())
        await asyncio.sleep(0)
        if fails:
            device.answer.set_exception(PollError("no"))
        else:
            device.answer.set_result(b"7")
        asking.cancel()
        await asyncio.wait([asking], timeout=5)
        assert asking.cancelled()
        assert device.asked == 1
        assert not device.waiting_for

    asyncio.run(main())
