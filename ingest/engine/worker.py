"""The worker that runs an operator: reads its partitions, feeds, seals, and gives way when it is fenced."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import ClassVar, Final, TypeVar

from ingest.engine import partition as work
from ingest.engine.chain import read_head
from ingest.engine.continuity import check_continuity, last_of
from ingest.engine.genesis import Ending
from ingest.engine.leftovers import sweep
from ingest.engine.manifest import LastRecord, chain_folder
from ingest.engine.merging import Merging
from ingest.engine.operator import Operator
from ingest.engine.partition import Offload, Partition
from ingest.engine.patience import Patience
from ingest.engine.rhythm import Limits, due_at, due_bytes
from ingest.engine.sealing import Sealing
from ingest.engine.store import Store
from ingest.engine.telling import Notice, Teller
from ingest.errors import (
    CorruptLogError,
    FencedError,
    LogUnavailableError,
    StoreUnavailableError,
    TransientError,
    TruncatedLogError,
)
from ingest.log.protocol import Assigned, Bounds, Event, Log, LogBatch, Member, Revoked, Truncated
from ingest.schemas import SchemaRegistry

T = TypeVar("T")
_SHORT_TRIES: Final = 4
"""How often a log that seems shorter than what was read is asked again: a new leader in Kafka learns its end late."""


class Worker:
    """Runs one operator over one topic, as a member of a group."""

    sealing: ClassVar[type[Sealing]] = Sealing

    def __init__(
        self,
        log: Log,
        store: Store,
        operator: Operator,
        *,
        topic: str,
        group: str,
        instance: str,
        owner: str = "",
        after: Sequence[Ending] = (),
        limits: Limits | None = None,
        merging: Merging | None = None,
        offload: Offload = asyncio.to_thread,
        observe: Callable[[Notice], None] = lambda notice: None,
    ) -> None:
        self._log = log
        self._store = store
        self._operator = operator
        self._topic = topic
        self._group = group
        self._instance = instance
        self._owner = owner
        self._after = {ending.partition: ending for ending in after}
        self._limits = limits or Limits()
        self._offload = offload
        self._schemas = SchemaRegistry(log)
        self._parts: dict[int, Partition] = {}
        self._same: dict[int, int] = {}
        """Up to where each partition was seen, in this membership, to be the one that its chain has read."""
        self._stop = asyncio.Event()
        self._patience = Patience(self._stop, self._limits.retry_seconds)
        self._teller = Teller(observe)
        self._sealing = self.sealing(
            log,
            store,
            operator,
            merging=merging,
            offload=offload,
            patience=self._patience,
            teller=self._teller,
            is_held=lambda part: self._parts.get(part.number) is part,
        )
        self._away = ""
        """Why the log cannot be read just now; it was told."""
        self._passing: tuple[type[TransientError], ...] = (StoreUnavailableError,)

    def stop(self) -> None:
        """Ask `run` to return; what is not sealed yet stays in the log for the next worker."""
        self._stop.set()

    async def run(self, until: Mapping[int, int] | None = None) -> None:
        """Work until stopped or, given `until` (end offset by partition), until everything before is sealed.

        Raises:
            CorruptError, StateVersionError, LogConfigError, LogUnavailableError: nothing is made visible by halves;
                what was sealed stays, and a later run goes on from there.
        """
        if until is None:  # a service outlasts its log; who waits for an end is told that there is none
            self._passing = (StoreUnavailableError, LogUnavailableError)
        await self._outlast(-1, lambda: self._log.ensure(self._topic))
        while not await self._serve(until):
            pass

    async def _outlast(self, partition: int, step: Callable[[], Awaitable[T]]) -> T:
        """The step's result, as soon as there is room for it and, in a service, a log."""
        return await self._patience.outlast(step, self._passing, lambda text: self._teller.wait(partition, text))

    async def _serve(self, until: Mapping[int, int] | None) -> bool:
        """One membership; False where it was fenced, or its log went away, and must join anew."""
        member = await self._outlast(
            -1, lambda: self._log.join(self._topic, self._group, self._instance, owner=self._owner)
        )
        self._parts.clear()
        self._same.clear()
        try:
            while not self._stop.is_set():
                for event in await self._poll(member):
                    await self._on_event(member, event, until)
                await self._seal_due(member, until)
                self._sealing.expire_due(self._parts.values())
                if until is not None and await self._reached(until):
                    return True
            await self._sealing.all_through()
        except FencedError as fenced:
            self._teller.tell("fenced", -1, 0, str(fenced))
            self._parts.clear()
            await self._patience.pause()
            return False
        except LogUnavailableError as away:
            if LogUnavailableError not in self._passing or self._stop.is_set():
                raise
            if str(away) != self._away:
                self._away = str(away)
                self._teller.wait(-1, self._away)
            self._parts.clear()
            await self._patience.pause()
            return False
        finally:
            self._parts.clear()
            await self._sealing.leave_all()
            await member.close()
        return True

    async def _poll(self, member: Member) -> Sequence[Event]:
        try:
            events = await member.poll(self._rest_seconds())
            self._away = ""
            return events
        except CorruptLogError as rotten:
            # Bytes that rotted do not come back: go on behind them, loudly, and let the entry say so.
            self._teller.tell("lost", rotten.partition, rotten.next_offset, str(rotten))
            return [Truncated(rotten.partition, rotten.offset, rotten.next_offset)]

    def _rest_seconds(self) -> float:
        """How long records may be waited for: no longer than until the next partition is to be sealed."""
        waiting = [part for part in self._parts.values() if part.dirty and part.number not in self._sealing]
        soonest = min(map(self._due_at, waiting), default=math.inf) - asyncio.get_running_loop().time()
        return max(0.0, min(soonest, self._limits.poll_seconds))

    def _due_at(self, part: Partition) -> float:
        if part.since is None:
            return math.inf
        return due_at(self._limits, part.since, part.looked, urgent=part.running.urgent)

    async def _on_event(self, member: Member, event: Event, until: Mapping[int, int] | None) -> None:
        match event:
            case Assigned(numbers):
                bounds = await self._bounds()
                late = []
                for number in numbers:
                    part = await self._recover(number, bounds[number].begin)
                    if part.head is not None or number in self._after:
                        await self._check_continuity(number, part.begin, part.last)
                    self._parts[number] = part
                    if part.head is None and number not in self._after and part.begin > 0:
                        late.append(number)
                    await self._exorcise(member, part)
                    await self._sealing.tidy(part)
                    self._teller.tell("recovered", number, part.position)
                    member.seek(number, part.position)
                if late:
                    first = self._parts[late[0]]
                    self._teller.note(first.number, first.position, _begins_late(self._topic, late, bounds))
            case Revoked(numbers):
                for number in numbers:
                    if self._parts.pop(number, None) is not None:
                        self._teller.tell("revoked", number, 0)
                    await self._sealing.leave(number)
            case Truncated(number, wanted, begin):
                await self._skip(member, number, wanted, begin)
                member.seek(number, begin)
            case LogBatch():
                await self._feed(member, event, until)

    async def _bounds(self) -> dict[int, Bounds]:
        return await self._outlast(-1, lambda: self._log.bounds(self._topic))

    async def _recover(self, number: int, log_begin: int) -> Partition:
        return await self._outlast(
            number,
            lambda: work.recover(self._store, self._operator, self._topic, number, log_begin, self._after.get(number)),
        )

    async def _exorcise(self, member: Member, part: Partition) -> None:
        """Fence whoever had begun the next entry, with an entry of nothing, and sweep away what it left."""
        if part.haunted and part.position == part.begin:
            await self._sealing.begin(member, part)
            await self._sealing.through(part.number)
            await sweep(self._store, part.folder, part.next_seq - 1)

    async def _check_continuity(self, number: int, through: int, last: LastRecord | None) -> None:
        """Raise `ReplacedLogError` where the log is not the one that a partition's chain has read up to `through`."""
        if self._same.get(number) == through:
            return
        for _ in range(_SHORT_TRIES):
            bounds = await self._bounds()
            if through <= bounds[number].end or self._stop.is_set():
                break
            await self._patience.pause()
        note = await self._outlast(
            number, lambda: check_continuity(self._log, self._topic, number, through, last, bounds)
        )
        self._same[number] = through
        if note:
            self._teller.note(number, through, note)

    async def _skip(self, member: Member, number: int, wanted: int, begin: int) -> None:
        """Go on behind what the log no longer has; the entry that says so comes first.

        A worker that slept for so long may have lost the partition meanwhile. What it makes of the records behind the
        hole nobody else makes, and what an output publishes is in the log before the `link()` that would fence it.

        Raises:
            TruncatedLogError: the hole ends beyond the log's end; an entry that says so could never be gone on from.
        """
        part = self._parts.get(number)
        if part is None:
            return
        end = (await self._bounds())[number].end
        if begin > end:
            raise TruncatedLogError(
                f"{self._topic}-{number}: records from offset {wanted} on cannot be read, and the next ones are said "
                f"to begin at {begin}, but the log ends at {end}; nothing of this was sealed: see the log's disk and "
                "network, compare with another replica, and start again"
            )
        if part.position < part.begin:
            part.running.skip(wanted, min(begin, part.begin))
            part.position = wanted = min(begin, part.begin)
            await self._offload(lambda: work.discard(part))
            if begin == part.position:
                return
        self._begin(part)
        part.running.skip(wanted, begin)
        part.lost.append((wanted, begin))
        part.position = begin
        words = f"{self._topic}-{number}: the log no longer has offsets {wanted} to {begin}"
        more = "retention took them before they were read here; let the log keep more, or leave this running"
        self._teller.tell("lost", number, begin, f"{words}: {more}")
        await self._sealing.begin(member, part)

    def _begin(self, part: Partition) -> None:
        """There is something that no entry tells yet, from now on if there was nothing before."""
        now = asyncio.get_running_loop().time()
        part.since = now if part.since is None else part.since
        part.unsealed = now if part.unsealed is None else part.unsealed

    async def _feed(self, member: Member, batch: LogBatch, until: Mapping[int, int] | None) -> None:
        part = self._parts.get(batch.partition)
        if part is None:
            return
        if until is not None:
            batch = batch.before(until.get(batch.partition, 0))
        if batch.next_offset <= part.position:
            return
        if len(batch) and batch.offsets[0] < part.position:  # fetched before a seek: fed already
            batch = batch.tail(sum(1 for offset in batch.offsets if offset < part.position))
        if part.position < part.begin:
            early = batch.before(part.begin)
            await self._warm(part, early)
            if part.position < part.begin or batch.next_offset <= part.begin:
                return
            batch = batch.tail(len(early))
        end, rest = batch.next_offset, batch
        while len(rest) and not self._stop.is_set():
            taken = await self._offload(lambda rest=rest: part.running.feed(rest))  # type: ignore[misc]
            self._begin(part)
            if taken:
                part.last = last_of(rest, taken)
                part.unsealed_bytes += sum(map(len, rest.values[:taken]))
                rest = rest.tail(taken)
            part.position = int(rest.offsets[0]) if len(rest) else end
            if len(rest) and part.running.missing_schema is not None:
                await self._learn(part, part.position)
            else:
                await self._relieve(member, part, full=len(rest) > 0)
        part.position = int(rest.offsets[0]) if len(rest) else end
        if part.dirty:
            self._begin(part)
        self._teller.tell("fed", part.number, part.position)

    async def _warm(self, part: Partition, batch: LogBatch) -> None:
        """Read again what another chain has sealed, for the sake of the state."""
        rest = batch
        while len(rest) and not self._stop.is_set():
            rest = rest.tail(await self._offload(lambda rest=rest: part.running.feed(rest)))  # type: ignore[misc]
            if len(rest) and part.running.missing_schema is not None:
                await self._learn(part, int(rest.offsets[0]))
            else:
                await self._offload(lambda: work.discard(part))
        part.position = int(rest.offsets[0]) if len(rest) else batch.next_offset
        self._teller.tell("fed", part.number, part.position)

    async def _relieve(self, member: Member, fed: Partition, *, full: bool) -> None:
        """Seal what holds too much: the partition just fed where it is `full`, and while all of them together do so,
        the fullest; then wait for the disk."""
        if full or fed.running.pending_bytes >= max(2 * self._limits.seal_bytes, self._due_bytes(fed)):
            await self._sealing.begin(member, fed)
        while True:
            held, sealing = {p.number: p.running.pending_bytes for p in self._parts.values()}, self._sealing.held_bytes
            if sum(held.values()) + sealing <= self._limits.held_bytes:
                return
            fullest = max((number for number in held if number not in self._sealing), key=held.__getitem__, default=-1)
            if held.get(fullest, 0) and sealing < self._limits.held_bytes // 4:
                await self._sealing.begin(member, self._parts[fullest])
            elif len(self._sealing):
                await self._sealing.first_through()
            else:
                return

    def _due_bytes(self, part: Partition) -> int:
        return due_bytes(self._limits, 0 if part.head is None else part.head.entry.state.bytes)

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
                else:
                    text += "; a running agent publishes it again within a minute, an import when it is run again"
                self._teller.wait(part.number, text, offset)
                told = True
            await self._patience.pause()

    async def _seal_due(self, member: Member, until: Mapping[int, int] | None) -> None:
        now = asyncio.get_running_loop().time()
        await self._sealing.reap()
        for part in list(self._parts.values()):
            full = part.running.pending_bytes >= self._due_bytes(part)
            old = now >= self._due_at(part)
            last = until is not None and part.position >= until.get(part.number, 0)
            if not part.dirty or (part.number in self._sealing and not last):
                continue
            if full or last:
                await self._sealing.begin(member, part)
            elif old:
                await self._seal_if_any(member, part, now)

    async def _seal_if_any(self, member: Member, part: Partition, now: float) -> None:
        """Seal a partition whose time has come, unless the entry would tell of next to nothing."""
        output = await self._offload(lambda: work.draw(part))
        long = part.unsealed is None or now - part.unsealed >= self._limits.quiet_seconds
        much = part.unsealed_bytes >= self._limits.quiet_bytes
        if long or much or part.lost or not work.is_hollow(output):
            await self._sealing.begin(member, part, output)
            return
        part.counted, part.since, part.looked = output.counts, now, now
        self._teller.notes(part, output)
        await member.commit({part.number: part.position})

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
            read = head.entry if head else self._after.get(number)
            if read is None or read.through < end:
                # Where the log forgot everything before anything was sealed, no entry will ever come.
                if head is not None or end > (await self._bounds())[number].begin:
                    return False
                continue
            # Who has not got the partition yet would take a log that was made anew, and is shorter, for read.
            await self._check_continuity(number, read.through, read.last)
            if head is None:
                continue
            await self._store.settle(folder)  # its writer may have died before it made the entry durable
        await self._sealing.all_through()
        return True


def _begins_late(topic: str, numbers: Sequence[int], bounds: Mapping[int, Bounds]) -> str:
    """What to say where chains begin behind what was."""
    where = ", ".join(f"{topic}-{number} at offset {bounds[number].begin}" for number in numbers)
    return f"this begins where the log does: {where}; what was before, retention has taken"
