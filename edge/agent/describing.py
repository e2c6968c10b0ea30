"""The descriptions of an agent's streams are in the log, and stay there: a chunk whose schema nobody describes is
waited for by every worker, for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from ingest.errors import SensorloomError
from ingest.log.protocol import STREAMS, Bounds, Log, Position

LOOK_S: Final = 30.0
"""So often the topic's bounds are asked for …"""
AGAIN_S: Final = 3600.0
"""… and so often descriptions are published anyway, for what bounds do not show. `streams` is compacted: it does not
grow by that."""


class Described:
    """Where the descriptions lie, and whether they can still lie there. Pure."""

    def __init__(self, positions: Sequence[Position]) -> None:
        self._oldest: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        for partition, offset in positions:
            self._oldest[partition] = min(offset, self._oldest.get(partition, offset))
            self._ends[partition] = max(offset + 1, self._ends.get(partition, 0))

    def are_there(self, bounds: Mapping[int, Bounds]) -> bool:
        """Whether a topic with these bounds can be the one that was written to, with all of it. Call it in order."""
        for partition, oldest in self._oldest.items():
            found = bounds.get(partition, Bounds(0, 0))
            if found.begin > oldest or found.end < self._ends[partition]:
                return False
            self._ends[partition] = found.end
        return True


async def keep_described(
    log: Log,
    positions: Sequence[Position],
    append: Callable[[], Awaitable[Sequence[Position]]],
    report: Callable[[str], None],
) -> None:
    """Publish descriptions that lie at `positions` again where the topic has lost them, until cancelled; `append` does
    it, however long it takes."""
    described, looks = Described(positions), 0
    while True:
        await asyncio.sleep(LOOK_S)
        looks += 1
        lost = not await _are_there(log, described)
        if lost:
            report(f"the log: {STREAMS} has lost the descriptions of this agent's streams: published again")
        if lost or looks >= AGAIN_S / LOOK_S:
            described, looks = Described(await append()), 0


async def _are_there(log: Log, described: Described) -> bool:
    try:
        if STREAMS not in await log.topics():
            await log.ensure(STREAMS)
            return False
        return described.are_there(await log.bounds(STREAMS))
    except SensorloomError:  # that the log is away is told by who waits for it
        return True
