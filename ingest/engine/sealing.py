"""How what partitions made becomes visible, one change of a chain at a time, while they are fed on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

from ingest.engine import partition as work
from ingest.engine.chain import Head
from ingest.engine.heads import mark_head
from ingest.engine.keeping import RECORDS, expire, is_time
from ingest.engine.leftovers import sweep
from ingest.engine.manifest import sha256_of
from ingest.engine.merging import Merging, commit_merged, is_due, let_go, merge, write_merged
from ingest.engine.operator import Operator, Output
from ingest.engine.partition import Offload, Partition
from ingest.engine.patience import Patience
from ingest.engine.store import Store
from ingest.engine.telling import Teller
from ingest.errors import CorruptError, LogUnavailableError, StoreUnavailableError
from ingest.log.protocol import Entry, Log, Member
from ingest.units import format_time

T = TypeVar("T")
_PASSING: Final = (StoreUnavailableError, LogUnavailableError)
"""A full disk and a log that is away both pass."""


class Sealing:
    """Seals and merges on their way to the disk: one a partition at most.

    `is_held` says of a partition whether it is still the worker's: for one that is not, nothing is tried again.
    """

    def __init__(
        self,
        log: Log,
        store: Store,
        operator: Operator,
        *,
        merging: Merging | None,
        offload: Offload,
        patience: Patience,
        teller: Teller,
        is_held: Callable[[Partition], bool],
    ) -> None:
        self._log = log
        self._store = store
        self._operator = operator
        self._merging = merging
        self._offload = offload
        self._patience = patience
        self._teller = teller
        self._is_held = is_held
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._bytes: dict[int, int] = {}
        """What the seals among them hold."""

    def __contains__(self, number: int) -> bool:
        return number in self._under_way

    def __len__(self) -> int:
        return len(self._under_way)

    @property
    def held_bytes(self) -> int:
        """What the seals under way hold in memory."""
        return sum(self._bytes.values())

    async def begin(self, member: Member, part: Partition, output: Output | None = None) -> None:
        """Take output and state, and let them become visible while the partition is fed on; one after the other."""
        await self.through(part.number)
        seal = await self._offload(lambda: work.prepare(part, self._operator, output))
        outdated = work.move_on(part, seal)
        part.looked = asyncio.get_running_loop().time()
        self._bytes[part.number] = seal.size
        self._change(part.number, self._make_visible(member, part, seal, outdated))

    async def through(self, number: int) -> None:
        """Return when what is under way for a partition, if anything, is visible."""
        act = self._under_way.pop(number, None)
        if act is not None:
            await act

    async def all_through(self) -> None:
        """Return when all that is under way is visible."""
        while self._under_way:
            await self.through(next(iter(self._under_way)))

    async def first_through(self) -> None:
        """Wait for the disk to be done with one of them."""
        await asyncio.wait(self._under_way.values(), return_when=asyncio.FIRST_COMPLETED)
        await self.reap()

    async def reap(self) -> None:
        """See how those that are through have ended."""
        for number, act in list(self._under_way.items()):
            if act.done():
                await self._under_way.pop(number)

    async def leave(self, number: int) -> None:
        """Wait for what is under way for a partition that is no longer the worker's, however it ends.

        It may still win the link(): its successor begins behind it, or fences it.
        """
        act = self._under_way.pop(number, None)
        if act is not None:
            await asyncio.gather(act, return_exceptions=True)

    async def leave_all(self) -> None:
        """Wait for all that is under way, however it ends: the membership has ended."""
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)
        self._under_way.clear()
        self._bytes.clear()

    async def tidy(self, part: Partition) -> None:
        """Let what has become old go from a partition that was just recovered."""
        if self._merging is not None and self._merging.keep is not None:
            await self._merge(part, self._merging)

    def expire_due(self, parts: Iterable[Partition]) -> None:
        """Let what has become old go from partitions that nothing comes for, too."""
        merging = self._merging
        if merging is not None and merging.keep is not None:
            for part in parts:
                if part.number not in self and is_time(part, merging.keep):
                    self._change(part.number, self._merge(part, merging))

    def _change(self, number: int, act: Coroutine[Any, Any, None]) -> None:
        """Change a partition's chain, whose next seal waits for it, while it is fed on."""
        task = asyncio.create_task(act)
        task.add_done_callback(lambda done: self._let_go(number, done))
        self._under_way[number] = task

    def _let_go(self, number: int, done: asyncio.Task[None]) -> None:
        if self._under_way.get(number, done) is done:
            self._bytes.pop(number, None)

    async def _make_visible(self, member: Member, part: Partition, seal: work.Seal, outdated: tuple[str, ...]) -> None:
        """Make output, state and position visible together. The order of the steps is the protocol."""
        note = await self.insist(part, lambda: work.write_files(self._store, seal))
        await self.insist(part, lambda: self._publish(seal))
        await self.insist(part, lambda: work.commit(self._store, part, seal))
        await mark_head(self._store, part.folder, Head(seal.entry, sha256_of(seal.document)))
        self._teller.tell("sealed", part.number, seal.entry.through, entry=seal.entry)
        self._teller.notes(part, seal.output)
        await member.commit({part.number: seal.entry.through})
        await self._store.delete(outdated)
        await work.write_checkpoint(self._store, part.folder, seal.entry.seq)
        await self._store.delete([note])
        if self._merging is not None and self._is_held(part):
            await self._merge(part, self._merging)

    async def _publish(self, seal: work.Seal) -> None:
        by_topic: dict[str, list[Entry]] = {}
        for publication in seal.output.publications:
            by_topic.setdefault(publication.topic, []).append(publication.entry)
        for topic, entries in by_topic.items():
            await self._log.ensure(topic)
            await self._log.append(topic, entries)

    async def _merge(self, part: Partition, merging: Merging) -> None:
        """Merge what has become many small files; no seal of the partition begins meanwhile. What is in the way of it
        is in the way of nothing else: it is told, and tried again behind the next seal."""
        seq = part.next_seq - 1
        try:
            if part.littered:
                await sweep(self._store, part.folder, seq)
                part.littered = False
            await let_go(self._store, part, merging)
            if is_due(part, merging):
                ready = await merge(self._store, part, merging, self._offload)
            elif merging.keep is None or (expiring := await expire(self._store, part, merging.keep)) is None:
                return
            else:
                ready = expiring
            part.littered = True
            note = await write_merged(self._store, part, ready)
        except (CorruptError, StoreUnavailableError) as error:
            self._teller.note(part.number, part.position, f"{part.folder}: small files are not merged: {error}")
            return
        outdated = await self.insist(part, lambda: commit_merged(self._store, part, ready))
        part.littered = False
        await mark_head(self._store, part.folder, Head(ready.entry, sha256_of(ready.document)))
        await self._store.delete(outdated)
        await work.write_checkpoint(self._store, part.folder, ready.entry.seq)
        await self._store.delete([note])
        await let_go(self._store, part, merging)
        if merging.keep is not None and (records := ready.entry.counts.get(RECORDS, 0)):
            before = format_time(merging.keep.until_ns)
            text = f"{part.folder}: {records:,} records of before {before} are not kept any longer"
            self._teller.note(part.number, part.position, text)

    async def insist(self, part: Partition, step: Callable[[], Awaitable[T]]) -> T:
        """Do a step of a seal until it succeeds, or the partition is no longer the worker's."""
        return await self._patience.outlast(
            step,
            _PASSING,
            lambda text: self._teller.wait(part.number, text, part.begin),
            given_up=lambda: not self._is_held(part),
        )
