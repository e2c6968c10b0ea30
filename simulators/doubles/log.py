"""A log in memory: just enough of `ingest.log.protocol` for tests of what only appends and reads."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import numpy as np

from ingest.errors import LogUnavailableError
from ingest.log.protocol import READINGS, Bounds, Entry, LogBatch, Member, Position, partition_of
from ingest.records import Chunk, Gap, Record
from ingest.wire import decode


class ListLog:
    """Every append is durable at once; offsets are list indices."""

    url = "list:"
    trouble = ""
    remarks: tuple[str, ...] = ()

    def __init__(self, partitions: int = 2) -> None:
        self.partitions = partitions
        self.content: dict[str, list[list[Entry]]] = {}
        self.calls: list[tuple[str, int]] = []
        """(topic, entries) of every append, in order."""
        self.appended = asyncio.Event()

    async def identity(self) -> str:
        """Of this kind there is one."""
        return "list"

    async def topics(self) -> dict[str, int]:
        """Partitions by topic."""
        return dict.fromkeys(self.content, self.partitions)

    async def ensure(self, topic: str) -> int:
        """Create the topic where it is missing; its partitions."""
        self.content.setdefault(topic, [[] for _ in range(self.partitions)])
        return self.partitions

    async def check(self, topic: str, entries: Sequence[Entry]) -> None:
        """Any size will do."""

    async def append(self, topic: str, entries: Sequence[Entry]) -> list[Position]:
        """Keep them, in order."""
        await self.ensure(topic)
        self.calls.append((topic, len(entries)))
        positions = []
        for entry in entries:
            partition = partition_of(entry.key, self.partitions)
            self.content[topic][partition].append(entry)
            positions.append(Position(partition, len(self.content[topic][partition]) - 1))
        self.appended.set()
        return positions

    async def bounds(self, topic: str) -> dict[int, Bounds]:
        """From 0 to what was appended."""
        return {p: Bounds(0, len(entries)) for p, entries in enumerate(self.content[topic])}

    async def since(self, topic: str, append_ns: int) -> dict[int, int]:
        """All of it: nothing here has a time."""
        return dict.fromkeys(range(self.partitions), 0)

    async def committed(self, topic: str, group: str) -> dict[int, int]:
        """Nobody commits here."""
        return {}

    def reader(self, topic: str, start: Mapping[int, int], *, durable: bool = True) -> ListReader:
        """From these offsets on."""
        return ListReader(self, topic, dict(start))

    async def join(self, topic: str, group: str, instance: str, *, owner: str = "") -> Member:
        """Groups need a real log. Raises `NotImplementedError`."""
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing is held."""


class ListReader:
    """Reads a `ListLog`'s topic."""

    def __init__(self, log: ListLog, topic: str, positions: dict[int, int]) -> None:
        self.log, self.topic, self.positions = log, topic, positions

    async def fetch(self, timeout_s: float) -> list[LogBatch]:
        """What there is, else what comes within `timeout_s`; at most 100 entries a partition."""
        self.log.appended.clear()
        batches = self._ready()
        if not batches:
            try:
                async with asyncio.timeout(timeout_s):
                    await self.log.appended.wait()
            except TimeoutError:
                return []
            batches = self._ready()
        return batches

    def _ready(self) -> list[LogBatch]:
        batches = []
        for partition, position in self.positions.items():
            entries = self.log.content[self.topic][partition][position : position + 100]
            if entries:
                end = position + len(entries)
                offsets = range(position, end)
                keys, values = [e.key for e in entries], [e.value for e in entries]
                batches.append(LogBatch(self.topic, partition, offsets, [0] * len(entries), keys, values, end))
                self.positions[partition] = end
        return batches

    async def close(self) -> None:
        """Nothing is held."""


class FlakyLog(ListLog):
    """A log that can be away: while `away` is set, an append fails as at a log that nobody can reach."""

    def __init__(self) -> None:
        super().__init__(1)
        self.away = False

    async def append(self, topic: str, entries: Sequence[Entry]) -> list[Position]:
        """Keep them. Raises `LogUnavailableError` while it is away."""
        if self.away:
            raise LogUnavailableError("list: nobody answers at this address")
        return await super().append(topic, entries)

    def records(self, topic: str = READINGS) -> list[Record]:
        """A topic's records."""
        return [decode(entry.value) for part in self.content.get(topic, []) for entry in part]

    def chunks(self) -> list[Chunk]:
        """Of `readings`, in their order, twice where they were appended twice."""
        return [record for record in self.records() if isinstance(record, Chunk)]

    def values(self) -> list[float]:
        """Every sample (float32) once: chunks by identity."""
        once = {(chunk.device, chunk.stream, chunk.boot, chunk.seq): chunk for chunk in self.chunks()}
        return [value for chunk in once.values() for value in np.frombuffer(chunk.values, "<f4").tolist()]

    def gaps(self) -> list[Gap]:
        """Of `readings`."""
        return [record for record in self.records() if isinstance(record, Gap)]
