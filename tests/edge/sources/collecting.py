"""Taking from a source in a test: as much as is wanted, within a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from edge.protocol import Arrival, Interruption, Source

TIMEOUT_S = 60.0
Items = list[Arrival | Interruption]


class Taker:
    """Takes a source's arrivals; what was taken stays in `items`."""

    def __init__(self, source: Source) -> None:
        self.items: Items = []
        self._arrivals: AsyncIterator[Arrival | Interruption] = source.arrivals()

    @property
    def data(self) -> bytes:
        """All bytes so far."""
        return b"".join(item.data for item in self.items if isinstance(item, Arrival))

    async def until(self, enough: Callable[[Taker], bool]) -> Items:
        """Take until `enough` says so; the items taken by this call."""
        before = len(self.items)
        async with asyncio.timeout(TIMEOUT_S):
            while not enough(self):
                self.items.append(await anext(self._arrivals))
        return self.items[before:]

    async def bytes_until(self, count: int) -> bytes:
        """Take until `count` bytes have come in all; all bytes."""
        await self.until(lambda taker: len(taker.data) >= count)
        return self.data


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop run until something outside of it has come about."""
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 - what it waits for happens in a thread or in the kernel
            await asyncio.sleep(0.005)
