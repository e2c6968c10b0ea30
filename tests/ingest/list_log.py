"""A log in a list: just enough of `ingest.log.protocol` for tests of what only appends and reads."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from ingest.log.protocol import Bounds, Entry, LogBatch, Member, Position, partition_of


class ListLog:
    """Every append is durable at once; offsets are list indices."""

    url = "list:"

    def __init__(self, partitions: int = 2) -> None:
        self.partitions = partitions
        self.content: dict[str, list[list[Entry]]] = {}
        self.calls: list[tuple[str, int]] = []
        """(topic, entries) of every append, in order."""
        self.appended = asyncio.Event()

    async def identity(self) -> str:
        return "list"

    async def topics(self) -> dict[str, int]:
        return dict.fromkeys(self.content, self.partitions)

    async def ensure(self, topic: str) -> int:
        self.content.setdefault(topic, [[] for _ in range(self.partitions)])
        return self.partitions

    async def append(self, topic: str, entries: Sequence[Entry]) -> list[Position]:
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
        return {p: Bounds(0, len(entries)) for p, entries in enumerate(self.content[topic])}

    async def committed(self, topic: str, group: str) -> dict[int, int]:
        return {}

    def reader(self, topic: str, start: Mapping[int, int], *, durable: bool = True) -> ListReader:
        return ListReader(self, topic, dict(start))

    async def join(self, topic: str, group: str, instance: str) -> Member:
        raise NotImplementedError

    async def close(self) -> None:
        pass


class ListReader:
    def __init__(self, log: ListLog, topic: str, positions: dict[int, int]) -> None:
        self.log, self.topic, self.positions = log, topic, positions

    async def fetch(self, timeout_s: float) -> list[LogBatch]:
        self.log.appended.clear()
        batches = self._ready()
        if not batches:
            try:
                await asyncio.wait_for(self.log.appended.wait(), timeout_s)
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
        pass
