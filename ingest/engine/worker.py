"""The worker that runs an operator: reads its partitions, feeds, seals, and gives way when it is fenced."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

from ingest.engine import partition as work
from ingest.engine.chain import Head, read_head
from ingest.engine.heads import mark_head
from ingest.engine.manifest import Manifest, chain_folder, sha256_of
from ingest.engine.operator import Operator
from ingest.engine.partition import Offload, Partition
from ingest.engine.store import Store
from ingest.errors import CorruptLogError, FencedError, LogUnavailableError, StoreFullError
from ingest.log.protocol import Assigned, Entry, Event, Log, LogBatch, Member, Revoked, Truncated
from ingest.schemas import SchemaRegistry

T = TypeVar("T")
Kind: TypeAlias = Literal["recovered", "fed", "sealed", "fenced", "revoked", "lost", "waiting", "noted"]


@dataclass(frozen=True, slots=True)
class Limits:
    """When to seal, and how long to wait."""

    seal_bytes: int = 16 * 1024 * 1024
    seal_seconds: float = 60.0
    poll_seconds: float = 0.25
    retry_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Notice:
    """What a worker did, for eyes and counters."""

    kind: Kind
    partition: int
    position: int
    text: str = ""
    entry: Manifest | None = None


class Worker:
    """Runs one operator over one topic, as a member of a group."""

    def __init__(
        self,
        log: Log,
        store: Store,
        operator: Operator,
        *,
        topic: str,
        group: str,
        instance: str,
        limits: Limits | None = None,
        offload: Offload = asyncio.to_thread,
        observe: Callable[[Notice], None] = lambda notice: None,
    ) -> None:
        self._log = log
        self._store = store
        self._operator = operator
        self._topic = topic
        self._group = group
        self._instance = instance
        self._limits = limits or Limits()
        self._offload = offload
        self._observe = observe
        self._schemas = SchemaRegistry(log)
        self._parts: dict[int, Partition] = {}
        self._seals: dict[int, asyncio.Task[None]] = {}
        """Seals on their way to the disk, one a partition at most; feeding goes on meanwhile."""
        self._noted: set[str] = set()
        """What people were told already: no partition tells it again."""
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Ask `run` to return; what is not sealed yet stays in the log for the next worker."""
        self._stop.set()

    async def run(self, until: Mapping[int, int] | None = None) -> None:
        """Work until stopped or, given `until` (end offset by partition), until everything before is sealed.

        Raises:
            CorruptError, StateVersionError, LogConfigError, LogUnavailableError: nothing is made visible by halves;
                what was sealed stays, and a later run goes on from there.
        """
        await self._log.ensure(self._topic)
        while not await self._serve(until):
            pass

    async def _with_room(self, partition: int, step: Callable[[], Awaitable[T]]) -> T:
        """The step's result, as soon as there is room for it."""
        told = ""
        while True:
            try:
                return await step()
            except StoreFullError as error:
                if self._stop.is_set():
                    raise
                if str(error) != told:
                    told = str(error)
                    self._tell("waiting", partition, 0, told)
                await self._pause()

    async def _serve(self, until: Mapping[int, int] | None) -> bool:
        """One membership; False where it was fenced and must join anew."""
        member = await self._with_room(-1, lambda: self._log.join(self._topic, self._group, self._instance))
        self._parts.clear()
        try:
            while not self._stop.is_set():
                for event in await self._poll(member):
                    await self._on_event(member, event, until)
                await self._seal_due(member, until)
                if until is not None and await self._reached(until):
                    return True
            await self._finish_seals()
        except FencedError as fenced:
            self._tell("fenced", -1, 0, str(fenced))
            self._parts.clear()
            await self._pause()
            return False
        finally:
            self._parts.clear()
            await asyncio.gather(*self._seals.values(), return_exceptions=True)
            self._seals.clear()
            await member.close()
        return True

    async def _poll(self, member: Member) -> Sequence[Event]:
        try:
            return await member.poll(self._limits.poll_seconds)
        except CorruptLogError as rotten:
            # Bytes that rotted do not come back: go on behind them, loudly, and let the entry say so.
            self._tell("lost", rotten.partition, rotten.next_offset, str(rotten))
            return [Truncated(rotten.partition, rotten.offset, rotten.next_offset)]

    async def _on_event(self, member: Member, event: Event, until: Mapping[int, int] | None) -> None:
        match event:
            case Assigned(numbers):
                begins = await self._log.bounds(self._topic)
                for number in numbers:
                    part = await self._recover(number, begins[number].begin)
                    self._parts[number] = part
                    self._tell("recovered", number, part.position)
                    member.seek(number, part.position)
            case Revoked(numbers):
                for number in numbers:
                    if self._parts.pop(number, None) is not None:
                        self._tell("revoked", number, 0)
                    # What is under way may still win the link(): its successor begins behind it, or fences it.
                    sealing = self._seals.pop(number, None)
                    if sealing is not None:
                        await asyncio.gather(sealing, return_exceptions=True)
            case Truncated(number, wanted, begin):
                await self._skip(member, number, wanted, begin)
                member.seek(number, begin)
            case LogBatch():
                await self._feed(event, until)

    async def _recover(self, number: int, log_begin: int) -> Partition:
        return await self._with_room(
            number, lambda: work.recover(self._store, self._operator, self._topic, number, log_begin)
        )

    async def _skip(self, member: Member, number: int, wanted: int, begin: int) -> None:
        """Go on behind what the log no longer has; the entry that says so comes first.

        A worker that slept for so long may have lost the partition meanwhile. What it makes of the records behind the
        hole nobody else makes, and what an output publishes is in the log before the `link()` that would fence it.
        """
        part = self._parts.get(number)
        if part is None:
            return
        if part.since is None:
            part.since = asyncio.get_running_loop().time()
        part.running.skip(wanted, begin)
        part.lost.append((wanted, begin))
        part.position = begin
        self._tell("lost", number, begin, f"{self._topic}-{number}: the log no longer has offsets {wanted} to {begin}")
        await self._sealed(number)
        await self._seal(member, part)
        await self._sealed(number)

    async def _sealed(self, number: int) -> None:
        """Return when the partition's seal under way, if any, is visible."""
        sealing = self._seals.pop(number, None)
        if sealing is not None:
            await sealing

    async def _feed(self, batch: LogBatch, until: Mapping[int, int] | None) -> None:
        part = self._parts.get(batch.partition)
        if part is None:
            return
        if until is not None:
            batch = batch.before(until.get(batch.partition, 0))
        if batch.next_offset <= part.position:
            return
        if len(batch) and batch.offsets[0] < part.position:  # fetched before a seek: fed already
            batch = batch.tail(sum(1 for offset in batch.offsets if offset < part.position))
        if part.since is None:
            part.since = asyncio.get_running_loop().time()
        end, rest = batch.next_offset, batch
        while len(rest) and not self._stop.is_set():
            taken = await self._offload(lambda rest=rest: part.running.feed(rest))  # type: ignore[misc]
            rest = rest.tail(taken)
            if len(rest):
                await self._learn(part, int(rest.offsets[0]))
        part.position = int(rest.offsets[0]) if len(rest) else end
        self._tell("fed", part.number, part.position)

    async def _learn(self, part: Partition, offset: int) -> None:
        """Wait, visibly, until `streams` says what the missing schema means: a chunk is never given up for that."""
        schema = part.running.missing_schema
        assert schema is not None, "feed stopped early without naming a schema"
        told = False
        while not self._stop.is_set():
            await self._schemas.refresh()
            description = self._schemas.get(schema)
            if description is not None:
                self._operator.learn(schema, description)
                return
            if not told:
                text = f"{self._topic}-{part.number}: offset {offset} needs schema {schema.hex()}, not in streams yet"
                if self._schemas.damage:
                    text += f", or lost there: {self._schemas.damage}; to bring it again, import one of its files again"
                elif self._schemas.unreadable:
                    text += f"; {self._schemas.unreadable} records there are no stream description of this version"
                self._tell("waiting", part.number, offset, text)
                told = True
            await self._pause()

    async def _seal_due(self, member: Member, until: Mapping[int, int] | None) -> None:
        now = asyncio.get_running_loop().time()
        for number, sealing in list(self._seals.items()):
            if sealing.done():
                await self._seals.pop(number)
        for part in list(self._parts.values()):
            full = part.running.pending_bytes >= self._limits.seal_bytes
            old = part.since is not None and now - part.since >= self._limits.seal_seconds
            last = until is not None and part.position >= until.get(part.number, 0)
            behind = part.running.pending_bytes >= 2 * self._limits.seal_bytes
            if part.number in self._seals:
                if not (last or behind):
                    continue
                await self._sealed(part.number)
            if part.dirty and (full or old or last):
                await self._seal(member, part)

    async def _finish_seals(self) -> None:
        while self._seals:
            await self._seals.pop(next(iter(self._seals)))

    async def _seal(self, member: Member, part: Partition) -> None:
        """Take output and state, and let them become visible while the partition is fed on."""
        seal = await self._offload(lambda: work.prepare(part, self._operator))
        outdated = work.move_on(part, seal)
        self._seals[part.number] = asyncio.create_task(self._make_visible(member, part, seal, outdated))

    async def _make_visible(self, member: Member, part: Partition, seal: work.Seal, outdated: tuple[str, ...]) -> None:
        """Make output, state and position visible together. The order of the steps is the protocol."""
        await self._insist(part, lambda: work.write_files(self._store, seal))
        await self._insist(part, lambda: self._publish(seal))
        await self._insist(part, lambda: work.commit(self._store, part, seal))
        await mark_head(self._store, part.folder, Head(seal.entry, sha256_of(seal.document)))
        self._tell("sealed", part.number, seal.entry.through, entry=seal.entry)
        for text in seal.output.notes:
            if text not in self._noted:
                self._noted.add(text)
                self._tell("noted", part.number, seal.entry.through, text)
        await member.commit({part.number: seal.entry.through})
        await self._store.delete(outdated)
        await work.write_checkpoint(self._store, part.folder, seal.entry.seq)

    async def _publish(self, seal: work.Seal) -> None:
        by_topic: dict[str, list[Entry]] = {}
        for publication in seal.output.publications:
            by_topic.setdefault(publication.topic, []).append(publication.entry)
        for topic, entries in by_topic.items():
            await self._log.ensure(topic)
            await self._log.append(topic, entries)

    async def _insist(self, part: Partition, step: Callable[[], Awaitable[None]]) -> None:
        """Do a step of a seal until it succeeds: a full disk and a log that is away both pass."""
        told = ""
        while True:
            try:
                return await step()
            except (StoreFullError, LogUnavailableError) as error:
                if self._stop.is_set() or self._parts.get(part.number) is not part:
                    raise
                if str(error) != told:
                    told = str(error)
                    self._tell("waiting", part.number, part.begin, told)
                await self._pause()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), self._limits.retry_seconds)

    async def _reached(self, until: Mapping[int, int]) -> bool:
        """Is everything before `until` sealed, by this worker or by others?"""
        for number, end in until.items():
            part = self._parts.get(number)
            if part is not None:
                if part.dirty or part.position < end:
                    return False
                continue
            folder = chain_folder(self._topic, number)
            head = await read_head(self._store, folder)
            if head is None:
                # Where the log forgot everything before anything was sealed, no entry will ever come.
                if end > (await self._log.bounds(self._topic))[number].begin:
                    return False
                continue
            if head.entry.through < end:
                return False
            await self._store.settle(folder)  # its writer may have died before it made the entry durable
        await self._finish_seals()
        return True

    def _tell(self, kind: Kind, partition: int, position: int, text: str = "", entry: Manifest | None = None) -> None:
        self._observe(Notice(kind, partition, position, text, entry))
