"""An archive as a log: the records of the log that was archived, at their offsets, for whoever reads them again.

Nothing can be appended, and each member of a group is alone and has all partitions. It has the identity of the log that
was archived: what was begun on the one may go on with the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ingest.archive.completed import CompleteTopic
from ingest.archive.topic import archived_topics
from ingest.engine.genesis import Genesis
from ingest.errors import LogConfigError, TruncatedLogError, UsageError
from ingest.log.protocol import (
    DEADLETTER,
    MARKS,
    READINGS,
    Assigned,
    Bounds,
    Entry,
    Event,
    Log,
    LogBatch,
    Member,
    Position,
    Reader,
    Truncated,
)


class _Partition(Protocol):
    bounds: Bounds

    def batches(self, offset: int) -> Iterator[LogBatch]: ...


class _Topic(Protocol):
    genesis: Genesis

    def partitions(self) -> Mapping[int, _Partition]: ...


class ArchiveLog:
    """See `ingest.log.protocol.Log`.

    With `marks`, which is the log that was archived, its marks are those of that log, and can be appended to. With
    `complete`, what came late is read in its place: see `ingest.archive.complete`.

    Raises:
        UsageError: the folder is no archive.
        CorruptError: a topic of it is missing.
    """

    trouble = ""
    remarks: Sequence[str] = ()

    def __init__(self, path: str | Path, marks: Log | None = None, *, complete: bool = False) -> None:
        self.url = f"archive:{path}"
        self._marks = marks
        self._topics: dict[str, _Topic] = {**archived_topics(Path(path))}
        if complete:
            self._topics[READINGS] = CompleteTopic(archived_topics(Path(path))[READINGS])

    async def check_marks(self) -> None:
        """Raise `UsageError` where the log of the marks is not the one that was archived."""
        if self._marks is not None and (found := await self._marks.identity()) != (own := await self.identity()):
            raise UsageError(f"{self.url} is of the log {own}, {self._marks.url} is {found}: that has other data")

    def _elsewhere(self, topic: str) -> Log | None:
        return self._marks if topic == MARKS else None

    async def identity(self) -> str:
        """That of the log that was archived."""
        return self._topic(READINGS).genesis.log

    async def topics(self) -> dict[str, int]:
        """The archived topics, with their number of partitions."""
        return {topic: await self.ensure(topic) for topic in self._topics}

    async def ensure(self, topic: str) -> int:
        """The topic's number of partitions. Raises `LogConfigError` where it was not archived."""
        if (log := self._elsewhere(topic)) is not None:
            return await log.ensure(topic)
        if topic == DEADLETTER:  # where `append` lets them vanish
            return 1
        return self._topic(topic).genesis.partitions

    async def check(self, topic: str, entries: Sequence[Entry]) -> None:
        """Raise `LogConfigError`: an archive takes nothing but marks for the log behind it."""
        if (log := self._elsewhere(topic)) is not None:
            return await log.check(topic, entries)
        raise LogConfigError(f"{self.url}: an archive is only read; append to the log itself")

    async def append(self, topic: str, entries: Sequence[Entry]) -> list[Position]:
        """Raise as `check`; but dead letters go nowhere: who read the log itself has written them there."""
        if (log := self._elsewhere(topic)) is not None:
            return await log.append(topic, entries)
        if topic != DEADLETTER:
            await self.check(topic, entries)
        return [Position(0, 0) for _ in entries]

    async def bounds(self, topic: str) -> dict[int, Bounds]:
        """Begin and end of what is archived of every partition."""
        if (log := self._elsewhere(topic)) is not None:
            return await log.bounds(topic)
        partitions = await asyncio.to_thread(self._topic(topic).partitions)
        return {number: partition.bounds for number, partition in partitions.items()}

    async def since(self, topic: str, append_ns: int) -> dict[int, int]:
        """Where to begin reading for what was appended then or later: all that is archived."""
        if (log := self._elsewhere(topic)) is not None:
            return await log.since(topic, append_ns)
        return {number: bounds.begin for number, bounds in (await self.bounds(topic)).items()}

    async def committed(self, topic: str, group: str) -> dict[int, int]:
        """Nothing: groups are not kept."""
        return {}

    def reader(self, topic: str, start: Mapping[int, int], *, durable: bool = True) -> Reader:
        """Read the partitions in `start` from their offsets, to where the archive ends now."""
        if (log := self._elsewhere(topic)) is not None:
            return log.reader(topic, start, durable=durable)
        return ArchiveReader(self._topic(topic), start)

    async def join(self, topic: str, group: str, instance: str, *, owner: str = "") -> Member:
        """Be the only member."""
        if (log := self._elsewhere(topic)) is not None:
            return await log.join(topic, group, instance, owner=owner)
        return ArchiveMember(self._topic(topic))

    async def close(self) -> None:
        """Let go of the log of the marks; of the archive nothing is held open."""
        if self._marks is not None:
            await self._marks.close()

    def _topic(self, name: str) -> _Topic:
        if name not in self._topics:
            raise LogConfigError(f"{self.url}: the topic {name} was not archived")
        return self._topics[name]


class ArchiveReader:
    """See `ingest.log.protocol.Reader`; a batch of each partition at a time."""

    def __init__(self, topic: _Topic, start: Mapping[int, int]) -> None:
        self._topic = topic
        self._start = dict(start)
        self._reading: dict[int, Iterator[LogBatch]] | None = None

    def seek(self, partition: int, offset: int) -> None:
        """Read a partition from `offset` on."""
        self._start[partition] = offset
        self._reading = None

    async def fetch(self, timeout_s: float) -> list[LogBatch]:
        """The next batch of each partition; after `timeout_s` nothing, where all is read.

        Raises:
            CorruptError: a file of the archive is damaged or missing.
            TruncatedLogError: what is wanted is not kept any longer.
        """
        if past := await self.past():
            raise TruncatedLogError(
                f"{past[0].partition}: offset {past[0].wanted} is not kept any longer; it begins at {past[0].begin}"
            )
        batches = await asyncio.to_thread(self._next)
        if not batches:
            await asyncio.sleep(timeout_s)
        for batch in batches:
            self._start[batch.partition] = batch.next_offset
        return batches

    async def past(self) -> list[Truncated]:
        """Where what is wanted is not kept any longer."""
        if self._reading is not None:
            return []
        partitions = await asyncio.to_thread(self._topic.partitions)
        begins = {number: partitions[number].bounds.begin for number in self._start}
        past = [Truncated(number, at, begins[number]) for number, at in self._start.items() if at < begins[number]]
        if not past:
            self._reading = {number: partitions[number].batches(offset) for number, offset in self._start.items()}
        return past

    def _next(self) -> list[LogBatch]:
        assert self._reading is not None, "`past` has looked"
        found = (next(reading, None) for reading in self._reading.values())
        return [batch for batch in found if batch is not None]

    async def close(self) -> None:
        """Read nothing more."""
        self._start, self._reading = {}, None


class ArchiveMember:
    """See `ingest.log.protocol.Member`: has all partitions for good."""

    def __init__(self, topic: _Topic) -> None:
        self._partitions = tuple(range(topic.genesis.partitions))
        self._reader = ArchiveReader(topic, {})
        self._is_told = False

    async def poll(self, timeout_s: float) -> list[Event]:
        """That all partitions are owned, then their records. Raises as `ArchiveReader.fetch`."""
        if not self._is_told:
            self._is_told = True
            return [Assigned(self._partitions)]
        if past := await self._reader.past():
            return list(past)
        return list(await self._reader.fetch(timeout_s))

    def seek(self, partition: int, offset: int) -> None:
        """Deliver a partition from `offset` on."""
        self._reader.seek(partition, offset)

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Nothing: offsets are hints for lag monitors."""

    async def close(self) -> None:
        """Read nothing more."""
        await self._reader.close()
