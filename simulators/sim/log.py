"""A log in memory that passes the contract suite when it is calm, and lies in every permitted way when a seed says so.

`SimBroker` is the durable side: topics, groups, committed offsets; it never dies. `SimLog` is one process's client.
A member that is taken for dead keeps what it was assigned and goes on reading, as a zombie does in Kafka, until it
hears of it; its commits are refused in silence.
"""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ingest.errors import LogConfigError, LogUnavailableError, TruncatedLogError
from ingest.log.protocol import (
    Assigned,
    Bounds,
    Entry,
    Event,
    LogBatch,
    Position,
    Revoked,
    Truncated,
    partition_of,
)
from simulators.sim.faults import Chance, Process

EPOCH_NS = 1_790_000_000_000_000_000
"""The append time at second 0 of the loop's clock."""
FETCH_RECORDS_MAX = 500
HOLE_MAX = 5

T = TypeVar("T")


@dataclass(slots=True)
class SimPartition:
    """The records of one partition in columns, and the bounds."""

    begin: int = 0
    end: int = 0
    offsets: list[int] = field(default_factory=list)
    append_ns: list[int] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)

    def append(self, entry: Entry, now_ns: int) -> int:
        """The new record's offset."""
        self.offsets.append(self.end)
        self.append_ns.append(max(now_ns, self.append_ns[-1] if self.append_ns else now_ns))
        self.keys.append(entry.key)
        self.values.append(entry.value)
        self.end += 1
        return self.end - 1

    def truncate(self, before: int) -> None:
        """Forget the records below an offset."""
        self.begin = max(self.begin, min(before, self.end))
        gone = bisect_left(self.offsets, self.begin)
        for column in (self.offsets, self.append_ns, self.keys, self.values):
            del column[:gone]

    def compact(self) -> None:
        """Keep the last record of each key; offsets stay as they are."""
        last = {key: index for index, key in enumerate(self.keys)}
        kept = sorted(last.values())
        self.offsets = [self.offsets[i] for i in kept]
        self.append_ns = [self.append_ns[i] for i in kept]
        self.keys = [self.keys[i] for i in kept]
        self.values = [self.values[i] for i in kept]

    def batch(self, topic: str, partition: int, position: int, count: int) -> LogBatch | None:
        """Up to `count` records from `position` on; None at the end."""
        first = bisect_left(self.offsets, position)
        stop = min(first + count, len(self.offsets))
        after = self.offsets[stop] if stop < len(self.offsets) else self.end
        if after <= position:
            return None
        return LogBatch(
            topic,
            partition,
            self.offsets[first:stop],
            self.append_ns[first:stop],
            self.keys[first:stop],
            self.values[first:stop],
            after,
        )


class _Group:
    """Who is a member, who holds which partition, and what was committed."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.members: dict[str, SimMember] = {}
        self.holders: dict[int, SimMember] = {}
        self.committed: dict[int, int] = {}
        self.owner = ""
        self.rotation = 0
        """Turns the assignment, so that a rebalance of unchanged members moves partitions."""

    def share(self, member: SimMember) -> list[int]:
        """The partitions that the range assignor gives to a member."""
        names = sorted(self.members)
        rank = (names.index(member.instance) + self.rotation) % len(names)
        whole, extra = divmod(self.partitions, len(names))
        first = rank * whole + min(rank, extra)
        return list(range(first, first + whole + (rank < extra)))

    def has(self, member: SimMember) -> bool:
        """Is this object, and not a later one of the same name, a member?"""
        return self.members.get(member.instance) is member

    def remove(self, member: SimMember) -> None:
        """It left, or is taken for dead; what it holds is free."""
        if self.has(member):
            del self.members[member.instance]
        self.holders = {number: holder for number, holder in self.holders.items() if holder is not member}

    def expire(self, now_s: float, session_s: float) -> None:
        """Take members for dead that did not poll for a session."""
        for member in [m for m in self.members.values() if m.polled_s + session_s < now_s]:
            self.remove(member)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class SimBroker:
    """The log itself, shared by all clients; it is durable and never fails, its clients do."""

    def __init__(self, rng: random.Random, *, partitions: int = 4, session_s: float = 6.0) -> None:
        self.identity = f"sim-{rng.getrandbits(64):016x}"
        self.partitions = partitions
        self.session_s = session_s
        self.topics: dict[str, list[SimPartition]] = {}
        self._groups: dict[tuple[str, str], _Group] = {}
        self._waiting: list[asyncio.Future[None]] = []

    def ensure(self, topic: str, partitions: int | None) -> list[SimPartition]:
        """The topic's partitions; creates it where it is missing."""
        if topic not in self.topics:
            self.topics[topic] = [SimPartition() for _ in range(partitions or self.partitions)]
        return self.topics[topic]

    def group(self, topic: str, name: str) -> _Group:
        """The group, empty at first."""
        return self._groups.setdefault((topic, name), _Group(len(self.topics[topic])))

    def wake(self) -> None:
        """Something changed: let those who wait look again."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            _finish(future)

    async def changed(self, timeout_s: float) -> None:
        """Return at the next change, or after `timeout_s`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(timeout_s, _finish, future)
        self._waiting.append(future)
        try:
            await future
        finally:
            timer.cancel()

    async def first(self, look: Callable[[], list[T]], timeout_s: float) -> list[T]:
        """What `look` finds, asked again at every change until `timeout_s` is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while True:
            found = look()
            left_s = deadline - loop.time()
            if found or left_s <= 0:
                return found
            await self.changed(left_s)


class SimLog:
    """One process's client: an `ingest.log.protocol.Log`."""

    def __init__(self, broker: SimBroker, process: Process | None = None, *, partitions: int | None = None) -> None:
        self.url = "sim:"
        self.trouble = ""
        self.remarks: tuple[str, ...] = ()
        self.broker = broker
        self.process = process or Process("client", Chance(random.Random(0)))
        self._partitions = partitions
        self._appending = asyncio.Lock()

    async def call(self, what: str) -> None:
        """The moment before the broker is asked: slow, failing or the process's last."""
        await self.process.step()
        if self.process.chance.hits(self.process.chance.faults.unavailable):
            raise LogUnavailableError(f"{self.url} {what}: the simulated log is away; retry")

    async def identity(self) -> str:
        """See `Log`."""
        await self.call("identity")
        return self.broker.identity

    async def topics(self) -> dict[str, int]:
        """See `Log`."""
        await self.call("topics")
        return {topic: len(partitions) for topic, partitions in self.broker.topics.items()}

    async def ensure(self, topic: str) -> int:
        """See `Log`."""
        await self.call("ensure")
        return len(self.broker.ensure(topic, self._partitions))

    async def check(self, topic: str, entries: Sequence[Entry]) -> None:
        """See `Log`: any size will do."""

    async def append(self, topic: str, entries: Sequence[Entry]) -> list[Position]:
        """See `Log`; with faults, entries are lost, cut short, doubled, or there without an acknowledgement."""
        async with self._appending:
            await self.call("append")
            chance, faults = self.process.chance, self.process.chance.faults
            if chance.hits(faults.lost_ack):
                self._append(topic, entries[: chance.rng.randrange(len(entries) + 1)])
                raise LogUnavailableError(f"{self.url} {topic}: the acknowledgement was lost; retry")
            positions = self._append(topic, entries)
            if chance.hits(faults.duplicate):
                self._append(topic, entries)
            return positions

    def _append(self, topic: str, entries: Sequence[Entry]) -> list[Position]:
        partitions = self.broker.ensure(topic, self._partitions)
        now_ns = EPOCH_NS + int(asyncio.get_running_loop().time() * 1e9)
        chance = self.process.chance
        positions = []
        for entry in entries:
            number = partition_of(entry.key, len(partitions))
            if chance.hits(chance.faults.hole):
                partitions[number].end += chance.rng.randrange(1, HOLE_MAX)
            positions.append(Position(number, partitions[number].append(entry, now_ns)))
        self.broker.wake()
        return positions

    async def bounds(self, topic: str) -> dict[int, Bounds]:
        """See `Log`."""
        await self.call("bounds")
        return {number: Bounds(p.begin, p.end) for number, p in enumerate(self.broker.topics[topic])}

    async def since(self, topic: str, append_ns: int) -> dict[int, int]:
        """See `Log`; nobody asks for more than the begin here."""
        return {number: begin for number, (begin, _) in (await self.bounds(topic)).items()}

    async def committed(self, topic: str, group: str) -> dict[int, int]:
        """See `Log`."""
        await self.call("committed")
        return dict(self.broker.group(topic, group).committed)

    def reader(self, topic: str, start: Mapping[int, int], *, durable: bool = True) -> SimReader:
        """See `Log`; all that is appended is durable here."""
        return SimReader(self, topic, start)

    async def join(self, topic: str, group: str, instance: str, *, owner: str = "") -> SimMember:
        """See `Log`; a member of the same name is replaced, and does not know it yet."""
        await self.call("join")
        self.broker.ensure(topic, self._partitions)
        joined = self.broker.group(topic, group)
        if owner and joined.owner not in ("", owner):
            raise LogConfigError(f'{self.url} group "{group}" works for "{joined.owner}", not for "{owner}"')
        joined.owner = joined.owner or owner
        member = SimMember(self, topic, joined, instance)
        member.enter()
        return member

    async def close(self) -> None:
        """See `Log`."""
        self.process.check()

    def fetch(self, topic: str, number: int, position: int) -> LogBatch | None:
        """Some records from a position on. Raises `TruncatedLogError` past the end."""
        partition = self.broker.topics[topic][number]
        if position > partition.end:
            raise TruncatedLogError(
                f"{self.url} {topic}-{number}: wanted offset {position}, the log ends at {partition.end}; "
                "it was cut or replaced"
            )
        chance, count = self.process.chance, FETCH_RECORDS_MAX
        if chance.hits(chance.faults.small_batch):
            count = chance.rng.randrange(1, 8)
        return partition.batch(topic, number, position, count)


class SimReader:
    """A `Reader` of given partitions."""

    def __init__(self, log: SimLog, topic: str, start: Mapping[int, int]) -> None:
        self._log = log
        self._topic = topic
        self._positions = dict(start)

    async def fetch(self, timeout_s: float) -> list[LogBatch]:
        """See `Reader`."""
        await self._log.call("fetch")
        batches = await self._log.broker.first(self._look, timeout_s)
        self._log.process.check()
        return batches

    def _look(self) -> list[LogBatch]:
        batches = []
        for number, position in self._positions.items():
            begin = self._log.broker.topics[self._topic][number].begin
            if position < begin:
                raise TruncatedLogError(
                    f"{self._log.url} {self._topic}-{number}: wanted offset {position}, the log begins at {begin}"
                )
            batch = self._log.fetch(self._topic, number, position)
            if batch is not None:
                self._positions[number] = batch.next_offset
                batches.append(batch)
        return batches

    async def close(self) -> None:
        """See `Reader`."""
        self._log.process.check()


class SimMember:
    """A `Member` of a group."""

    def __init__(self, log: SimLog, topic: str, group: _Group, instance: str) -> None:
        self.instance = instance
        self.polled_s = 0.0
        self._log = log
        self._topic = topic
        self._group = group
        self._positions: dict[int, int | None] = {}
        """What it believes to own, and where it reads on; None: silent."""

    def enter(self) -> None:
        """Become a member, or become one again."""
        self.polled_s = asyncio.get_running_loop().time()
        former = self._group.members.get(self.instance)
        if former is not None:
            self._group.remove(former)
        self._group.members[self.instance] = self
        self._log.broker.wake()

    async def poll(self, timeout_s: float) -> list[Event]:
        """See `Member`."""
        await self._log.call("poll")
        self._disturb()
        events = await self._log.broker.first(self._look, timeout_s)
        self._log.process.check()
        return events

    def _disturb(self) -> None:
        """What a seed does to a group: expel a living member, hand the partitions out anew."""
        chance, group = self._log.process.chance, self._group
        if chance.hits(chance.faults.rebalance):
            group.rotation += 1
            self._log.broker.wake()
        if group.members and chance.hits(chance.faults.expel):
            group.remove(group.members[chance.rng.choice(sorted(group.members))])
            self._log.broker.wake()

    def _look(self) -> list[Event]:
        self.polled_s = asyncio.get_running_loop().time()
        self._group.expire(self.polled_s, self._log.broker.session_s)
        return [*self._ownership(), *self._deliver()]

    def _ownership(self) -> list[Event]:
        group, chance = self._group, self._log.process.chance
        member = group.has(self)
        share = group.share(self) if member else []
        lost = tuple(sorted(self._positions.keys() - set(share) if member else self._positions))
        if (lost or not member) and chance.hits(chance.faults.stale):
            return []
        events: list[Event] = []
        if lost:
            events.append(self._revoke(lost))
        if not member:
            self._come_back()
            return events or self._ownership()
        gained = tuple(number for number in share if group.holders.get(number, self) is self)
        gained = tuple(number for number in gained if number not in self._positions)
        if gained:
            self._positions.update(dict.fromkeys(gained))
            group.holders.update(dict.fromkeys(gained, self))
            events.append(Assigned(gained))
        return events

    def _revoke(self, numbers: tuple[int, ...]) -> Revoked:
        for number in numbers:
            del self._positions[number]
            if self._group.holders.get(number) is self:
                del self._group.holders[number]
        self._log.broker.wake()
        return Revoked(numbers)

    def _come_back(self) -> None:
        if self.instance in self._group.members:
            raise LogUnavailableError(
                f"{self._log.url} {self._topic}: another member runs under the name {self.instance}; "
                "give each worker a name of its own"
            )
        self.enter()

    def _deliver(self) -> list[Event]:
        events: list[Event] = []
        for number, position in self._positions.items():
            if position is None:
                continue
            begin = self._log.broker.topics[self._topic][number].begin
            if position < begin:
                self._positions[number] = None
                events.append(Truncated(number, position, begin))
                continue
            batch = self._log.fetch(self._topic, number, position)
            if batch is not None:
                self._positions[number] = batch.next_offset
                events.append(batch)
        return events

    def seek(self, partition: int, offset: int) -> None:
        """See `Member`."""
        self._log.process.check()
        if partition in self._positions:
            self._positions[partition] = offset

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """See `Member`; a member that is taken for dead is refused in silence."""
        await self._log.process.step()
        if self._group.has(self):
            held = {number: offset for number, offset in offsets.items() if self._group.holders.get(number) is self}
            self._group.committed.update(held)

    async def close(self) -> None:
        """See `Member`."""
        self._log.process.check()
        self._group.remove(self)
        self._positions.clear()
        self._log.broker.wake()
