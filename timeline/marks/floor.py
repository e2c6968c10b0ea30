"""How far a log's marks must be known before an act is done: what another server has written is not written again."""

from __future__ import annotations

import asyncio

from ingest.log.protocol import Log, Position


class Floor:
    """Where a topic ended when somebody last came who may send again what is in it, and what was written here since.

    The log is asked once for all who wait: what was asked after the newest doubt answers every one before it.
    """

    def __init__(self, log: Log, topic: str) -> None:
        self._log = log
        self._topic = topic
        self._ends: dict[int, int] = {}
        self._doubts = self._answered = 1
        self._asking = asyncio.Lock()
        self.doubt()

    def doubt(self) -> None:
        """There may be more in the log than is known here."""
        self._doubts += 1
        self._ends = {}

    async def look(self) -> None:
        """Ask the log where it ends, where that is in doubt. Raises `SensorloomError`; the topic must exist."""
        async with self._asking:
            doubts = self._doubts
            if self._answered == doubts:
                return
            for partition, bounds in (await self._log.bounds(self._topic)).items():
                self._raise(partition, bounds.end)
            self._answered = doubts

    def wrote(self, position: Position) -> None:
        """This is in the log."""
        self._raise(position.partition, position.offset + 1)

    def of(self, partition: int) -> int:
        """The offset before which everything must be known."""
        return self._ends.get(partition, 0)

    def _raise(self, partition: int, end: int) -> None:
        self._ends[partition] = max(self._ends.get(partition, 0), end)
