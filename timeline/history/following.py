"""Reading a topic for ever: from where one is to what comes, over everything that may happen to a log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from ingest.errors import CorruptLogError, ReplacedLogError, SensorloomError, TruncatedLogError
from ingest.log.protocol import Log, LogBatch, Reader

FETCH_S: Final = 0.05
"""A log of segments is looked at again so soon, whatever it was like before: an operator waits."""
RETRY_S: Final = 1.0
ABSENT_S: Final = 0.2
"""How often a topic that nobody has begun is looked for."""


class Progress(NamedTuple):
    """How much of what there was at first has been read, in records."""

    done: int
    whole: int


class Follower:
    """Hands every record of a topic on, in the log's order; begins at the partitions' begins, or at `start`.

    Offsets that the log no longer has when they are wanted are told to `lose`, before what comes behind them.
    """

    def __init__(
        self,
        log: Log,
        topic: str,
        take: Callable[[LogBatch], Awaitable[None]],
        *,
        durable: bool,
        start: dict[int, int] | None = None,
        lose: Callable[[int, int, int], None] = lambda partition, begin, end: None,
    ) -> None:
        self.trouble = ""
        """Why nothing comes just now, in words; "" where all is well."""
        self.damage = 0
        """Records that could not be read."""
        self.positions: dict[int, int] = {}
        """What was taken of each partition."""
        self.begun = asyncio.Event()
        """Set when the log has said how much there is."""
        self.caught_up = asyncio.Event()
        """Set when everything was taken that the topic had at first."""
        self._log = log
        self._topic = topic
        self._take = take
        self._durable = durable
        self._start = start or {}
        self._lose = lose
        self._moved = asyncio.Condition()
        self._begins: dict[int, int] = {}
        self._ends: dict[int, int] = {}

    @property
    def progress(self) -> Progress:
        """Of what the topic had at first."""
        done = (self.positions.get(partition, begin) - begin for partition, begin in self._begins.items())
        whole = sum(self._ends[partition] - begin for partition, begin in self._begins.items())
        return Progress(whole if self.caught_up.is_set() else min(sum(done), whole), whole)

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            try:
                await self._follow()
            except TruncatedLogError:
                self.trouble = ""  # retention was quicker: it goes on where the log begins, and says so
            except SensorloomError as error:
                self.trouble = str(error)
            await asyncio.sleep(RETRY_S)

    async def reach(self, partition: int, offset: int) -> None:
        """Return when everything before `offset` has been taken."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.positions.get(partition, 0) >= offset)

    async def _follow(self) -> None:
        while self._topic not in await self._log.topics():
            self.trouble = ""
            self.begun.set()
            self.caught_up.set()
            await asyncio.sleep(ABSENT_S)
        bounds = await self._log.bounds(self._topic)
        for partition, (begin, end) in bounds.items():
            wanted = self.positions.get(partition, self._start.get(partition, begin))
            if wanted < begin:
                self._lose(partition, wanted, begin)
            at = self.positions[partition] = max(begin, wanted)
            if at > end and self._durable:  # a log that was made anew: what was read is no more
                raise ReplacedLogError(
                    f"{self._log.url}: {self._topic} ends at {end}, and was read to {at} before: it was made anew, or "
                    "restored from a backup; start this server again"
                )
        ends = {partition: end for partition, (_, end) in bounds.items()}
        if not self.begun.is_set():
            self._begins, self._ends = dict(self.positions), ends
            self.begun.set()
        await self._announce()
        reader = self._log.reader(self._topic, dict(self.positions), durable=self._durable)
        try:
            while True:
                if all(self.positions[partition] >= end for partition, end in ends.items()):
                    self.caught_up.set()
                    ends = {}
                reader = await self._step(reader)
        finally:
            await reader.close()

    async def _step(self, reader: Reader) -> Reader:
        try:
            batches = await reader.fetch(FETCH_S)
        except CorruptLogError as error:
            self.damage += error.next_offset - error.offset
            self.positions[error.partition] = error.next_offset
            await reader.close()
            return self._log.reader(self._topic, dict(self.positions), durable=self._durable)
        self.trouble = self._log.trouble
        for batch in batches:
            await self._take(batch)
            self.positions[batch.partition] = batch.next_offset
            await self._announce()
            await asyncio.sleep(0)
        return reader

    async def _announce(self) -> None:
        async with self._moved:
            self._moved.notify_all()
