"""When the agent commits: at its interval; at once where a sender or the memory cannot wait for that."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

PENDING_BYTES: Final = 2_000_000
"""What sources may bring between two commits; more, and they wait for a commit at once."""

LOOK_BYTES: Final = 65_536
"""So many bytes may come before it is looked whether there is room."""

_REMEMBERED: Final = 10
"""So many of the newest commits say how long the next may take."""


_WAY_S: Final = 0.125
"""So long what a sensor says is on its way to us: steady ports are read some times a second. Of an interval, an eighth
at most."""


def rest_s(interval_s: float, last_s: float, longest_s: float) -> float:
    """How long to wait behind a commit, for what is said from its begin on to be durable within the interval.

    It took `last_s`, and none of late more than `longest_s`: one that takes twice as long is still in time. A disk that
    is slower than that has half of the interval for itself.
    """
    return max(interval_s / 2, interval_s - min(interval_s / 8, _WAY_S) - last_s - 2 * longest_s)


class CommitSchedule:
    """Who collects asks for a commit, and waits for room; who commits waits until it is due, and makes room.

    `pending_bytes` says how much was collected since the last commit.
    """

    def __init__(self, interval_s: float, pending_bytes: Callable[[], int]) -> None:
        self.interval_ns: Final = int(interval_s * 1e9)
        self._interval_s = interval_s
        self._pending_bytes = pending_bytes
        self._taken_bytes = 0
        """Since it was last asked how much is pending: to ask costs a look at every stream."""
        self._begun_s: float | None = None
        self._took_s: deque[float] = deque(maxlen=_REMEMBERED)
        self._now = asyncio.Event()
        self._room = asyncio.Event()

    def at_once(self) -> None:
        """A commit is due now."""
        self._now.set()

    async def due(self) -> None:
        """Return when a commit is due; the one before has ended."""
        loop, wait_s = asyncio.get_running_loop(), self._interval_s
        if self._begun_s is not None:
            self._took_s.append(loop.time() - self._begun_s)
            wait_s = rest_s(self._interval_s, self._took_s[-1], max(self._took_s))
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._now.wait()
        self._now.clear()
        self._begun_s = loop.time()

    async def room(self, taken_bytes: int) -> None:
        """`taken_bytes` were collected: return when there is room for more; where there is none, a commit is due."""
        self._taken_bytes += taken_bytes
        if self._taken_bytes < LOOK_BYTES:
            return
        self._taken_bytes = 0
        if self._pending_bytes() <= PENDING_BYTES:
            return
        self._room.clear()
        self._now.set()
        await self._room.wait()

    def make_room(self) -> None:
        """What was collected was taken."""
        self._room.set()
