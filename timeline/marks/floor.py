"""How far a log's marks must be known before an act is done: what another server has written is not written again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from ingest.log.protocol import Log, Position


class Floor:
    """Where a topic ended when somebody last came who may send again what is in it; and of each mark what was written
    here and is not read yet.

    The log is asked once for all who wait: what was asked after the newest doubt answers every one before it. What was
    written here is waited for by who changes the same mark: whoever sets the next one waits for no reading.
    """

    def __init__(self, log: Log, topic: str) -> None:
        self._log = log
        self._topic = topic
        self._ends: dict[int, int] = {}
        self._own: dict[tuple[str, str], Position] = {}
        """By device and mark, the oldest first."""
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

    def wrote(self, mark: tuple[str, str], position: Position, read: Mapping[int, int]) -> None:
        """This is in the log, of a device's mark; `read`: before which offset each partition was read so far."""
        self._own.pop(mark, None)
        self._own[mark] = position
        while self._own:
            oldest, (partition, offset) = next(iter(self._own.items()))
            if read.get(partition, 0) <= offset:
                return
            del self._own[oldest]

    def of(self, partition: int, mark: tuple[str, str]) -> int:
        """The offset before which everything must be known to change this mark."""
        own = self._own.get(mark)
        return max(self._ends.get(partition, 0), 0 if own is None else own.offset + 1)

    def _raise(self, partition: int, end: int) -> None:
        self._ends[partition] = max(self._ends.get(partition, 0), end)
