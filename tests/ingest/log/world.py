"""What the suite of all logs stands on: a log as its clients see it, and the members of a group, watched."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from ingest.log.protocol import (
    Assigned,
    Log,
    LogBatch,
    Member,
    Reader,
    Revoked,
    Truncated,
    partition_of,
)

T = TypeVar("T")


class World(Protocol):
    """One log, seen by any number of clients; each test gets a world of its own."""

    patience_s: float
    """How long anything that must happen may take, a killed member's takeover among it."""

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end: `asyncio.run`, or a simulated loop."""
        ...

    def open(self, partitions: int | None = None) -> Log:
        """A further client of this world's log, as another process would have one."""
        ...

    def topic(self, name: str) -> str:
        """A topic name of this test's own (a shared broker keeps what earlier tests wrote)."""
        ...

    async def trim(self, log: Log, topic: str, partition: int, before: int) -> None:
        """Let the log forget records below `before`, or as many of them as it can; offset 0 at least."""
        ...

    async def crash(self, log: Log) -> None:
        """End a client as kill -9 would: no goodbye to anyone."""
        ...


def spread(partitions: int, each: int = 1) -> list[bytes]:
    """`each` keys for every partition, those of partition 0 first."""
    found: dict[int, list[bytes]] = {p: [] for p in range(partitions)}
    number = 0
    while any(len(keys) < each for keys in found.values()):
        key = b"device-%d" % number
        keys = found[partition_of(key, partitions)]
        if len(keys) < each:
            keys.append(key)
        number += 1
    return [key for keys in found.values() for key in keys]


def values(batches: list[LogBatch]) -> list[bytes]:
    return [value for batch in batches for value in batch.values]


async def read(world: World, reader: Reader, count: int) -> list[LogBatch]:
    """At least `count` records, or fail."""
    batches: list[LogBatch] = []
    async with asyncio.timeout(world.patience_s):
        while sum(map(len, batches)) < count:
            batches += await reader.fetch(0.2)
    return batches


async def read_all(world: World, log: Log, topic: str, start: Mapping[int, int], count: int) -> list[LogBatch]:
    reader = log.reader(topic, start)
    try:
        return await read(world, reader, count)
    finally:
        await reader.close()


@dataclass
class Group:
    """The members of one group; it fails as soon as two of them own a partition at once."""

    world: World
    owners: dict[int, str] = field(default_factory=dict)
    followers: list[Follower] = field(default_factory=list)

    def add(self, name: str, member: Member, start: int | None = 0) -> Follower:
        follower = Follower(self, name, member, start)
        self.followers.append(follower)
        return follower

    def forget(self, follower: Follower) -> None:
        """It was closed or killed: what it had is free."""
        self.followers.remove(follower)
        for partition in follower.owned:
            del self.owners[partition]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Poll all members until the condition holds, or fail."""
        async with asyncio.timeout(self.world.patience_s):
            while not condition():
                await asyncio.gather(*(follower.step() for follower in self.followers))


@dataclass
class Follower:
    """A member that begins each partition it is given at `start`, and keeps what it saw."""

    group: Group
    name: str
    member: Member
    start: int | None
    owned: set[int] = field(default_factory=set)
    seen: list[LogBatch] = field(default_factory=list)
    truncated: list[Truncated] = field(default_factory=list)

    async def step(self, timeout_s: float = 0.05) -> None:
        for event in await self.member.poll(timeout_s):
            match event:
                case Assigned(partitions):
                    self.take(partitions)
                case Revoked(partitions):
                    for partition in partitions:
                        self.owned.remove(partition)
                        del self.group.owners[partition]
                case Truncated():
                    self.truncated.append(event)
                case LogBatch():
                    assert event.partition in self.owned, f"{self.name} got records of a partition it does not own"
                    self.seen.append(event)

    def take(self, partitions: tuple[int, ...]) -> None:
        for partition in partitions:
            owner = self.group.owners.get(partition)
            assert owner is None, f"partition {partition} given to {self.name} while {owner} has it"
            self.group.owners[partition] = self.name
            self.owned.add(partition)
            if self.start is not None:
                self.member.seek(partition, self.start)

    def values(self) -> list[bytes]:
        return values(self.seen)


def in_world(test: Callable[[Any, World], Coroutine[Any, Any, None]]) -> Callable[[Any, World], None]:
    """A test as a coroutine, run by its world."""

    @functools.wraps(test)
    def run(self: Any, world: World) -> None:
        world.run(test(self, world))

    return run
