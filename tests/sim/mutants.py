"""Protocols that look right and are not. Each is kept here so that the simulation proves that it can tell.

Design section 6 names the wrong ones; the others are the true protocol with one fsync left out each, found by watching
a seal. `python -m tests.sim.mutants RUNS` prints the share of storms that catch each.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from ingest.engine.manifest import chain_folder
from ingest.engine.operator import Buffer, Output
from ingest.engine.partition import Partition, Seal
from ingest.engine.plan import Fsync, Link, Op, Rename, SyncFolder, create_plan, folder_of
from ingest.engine.sealing import Sealing
from ingest.engine.states import decode_parts, encode_parts
from ingest.engine.store import Exists, FileStore
from ingest.engine.worker import Worker
from ingest.errors import SensorloomError
from ingest.log.protocol import Assigned, LogBatch, Member, Revoked, Truncated
from simulators.sim.faults import Process
from simulators.sim.files import SimDisk, SimFiles
from tests.sim.fixed import LONG, Enumeration, crashed_at
from tests.sim.storm import TRUE, Protocol, storm
from tests.sim.workloads import UntaggedWork

# --- no manifest: the group's committed offset says where to go on


class CommittedOffset(Worker):
    """Kindly, its state is kept too, by offset: what is wrong is only that output and position are two acts."""

    async def _on_event(
        self, member: Member, event: Assigned | Revoked | Truncated | LogBatch, until: Mapping[int, int] | None
    ) -> None:
        if not isinstance(event, Assigned):
            return await super()._on_event(member, event, until)
        begins = await self._log.bounds(self._topic)
        committed = await self._log.committed(self._topic, self._group)
        for number in event.partitions:
            position = committed.get(number, begins[number].begin)
            try:
                state = decode_parts(await self._store.read(state_name(number, position)), "state")
            except FileNotFoundError:
                state = None
            running = self._operator.start(state)
            self._parts[number] = Partition(self._topic, number, running, None, position, position)
            member.seek(number, position)
        return None

    async def _reached(self, until: Mapping[int, int]) -> bool:
        committed = await self._log.committed(self._topic, self._group)
        return all(committed.get(number, 0) >= end for number, end in until.items())


def state_name(partition: int, position: int) -> str:
    return f"state/{partition}-{position}.bin"


class CommittedSealing(Sealing):
    async def _take(self, part: Partition, output: Output | None) -> list[tuple[str, Sequence[Buffer]]]:
        """The state is durable; gives the output files."""
        output, state = output or part.running.take(), part.running.snapshot()
        pieces, _ = encode_parts(state, None)
        await self.insist(part, lambda: self._store.put([(state_name(part.number, part.position), pieces)]))
        return [(name, draft.parts) for name, draft in zip(self._names(part, output), output.drafts, strict=True)]

    def _names(self, part: Partition, output: Output) -> list[str]:
        return [draft.name for draft in output.drafts]

    async def _move_on(self, member: Member, part: Partition) -> None:
        await member.commit({part.number: part.position})
        part.begin, part.since = part.position, None


class CommitsFirst(CommittedSealing):
    async def begin(self, member: Member, part: Partition, output: Output | None = None) -> None:
        files = await self._take(part, output)
        await self._move_on(member, part)
        await self.insist(part, lambda: self._store.put(files))


class CommitsLast(CommittedSealing):
    async def begin(self, member: Member, part: Partition, output: Output | None = None) -> None:
        files = await self._take(part, output)
        await self.insist(part, lambda: self._store.put(files))
        await self._move_on(member, part)


class NamesByOffset(CommitsLast):
    def _names(self, part: Partition, output: Output) -> list[str]:
        return [f"{folder_of(draft.name)}/{part.number}-{part.begin}.jsonl" for draft in output.drafts]


class OffsetBeforeFile(CommittedOffset):
    """Commit the offset, then write the file."""

    sealing = CommitsFirst


class OffsetAfterFile(CommittedOffset):
    """Write the file, then commit the offset."""

    sealing = CommitsLast


class OffsetNamedFiles(CommittedOffset):
    """Files are named by where they begin, so that a repetition replaces them. It need not end at the same offset."""

    sealing = NamesByOffset


# --- a manifest, but not this one


class NoState(Worker):
    """The entry says where to go on, and nothing of the operator's state."""

    async def _on_event(
        self, member: Member, event: Assigned | Revoked | Truncated | LogBatch, until: Mapping[int, int] | None
    ) -> None:
        await super()._on_event(member, event, until)
        if isinstance(event, Assigned):
            for number in event.partitions:
                self._parts[number].running = self._operator.start(None)


class PublishesBlindly(Sealing):
    async def _publish(self, seal: Seal) -> None:
        asyncio.create_task(super()._publish(seal)).add_done_callback(lambda task: task.cancelled() or task.exception())


class Unacknowledged(Worker):
    """Marks are published without waiting for the log's acknowledgement."""

    sealing = PublishesBlindly


class RenameStore(FileStore):
    """The entry is put in place by rename, after a look that its name is free."""

    async def create(self, name: str, data: bytes) -> None:
        if await self.exists(name):
            raise Exists(name)
        plan = create_plan(name, data, self._own_token())
        await self._files.run([Rename(op.path, op.to) if isinstance(op, Link) else op for op in plan])


class NeverSettled(FileStore):
    """What is visible is built on, durable or not."""

    async def settle(self, folder: str) -> None:
        pass


class SettlesFirst(Worker):
    """The folder is made durable before the look for the newest entry, not after it."""

    async def _on_event(
        self, member: Member, event: Assigned | Revoked | Truncated | LogBatch, until: Mapping[int, int] | None
    ) -> None:
        if isinstance(event, Assigned) and isinstance(self._store, FileStore):
            for number in event.partitions:
                await FileStore.settle(self._store, chain_folder(self._topic, number))
        await super()._on_event(member, event, until)


# --- the true protocol with one fsync left out


def role(op: Op, plan: Sequence[Op]) -> str:
    """What an fsync is for, the same in every seal: `put: Fsync state/readings-#/#.bin`."""
    kinds = {type(other) for other in plan}
    act = "create" if Link in kinds else "put" if Rename in kinds else "settle"
    if "checkpoint" in plan[0].path:
        act += " checkpoint"
    path = re.sub(r"\.[^./]+\.\d+-\d+\.tmp$", "", op.path)
    return f"{act}: {type(op).__name__} {re.sub(r'[0-9a-f]{12,}|(?<=-)[0-9]+', '#', path)}"


class WatchedFiles(SimFiles):
    """Notes the role of each fsync, and leaves one of them out."""

    def __init__(self, disk: SimDisk, process: Process, *, without: str = "", seen: dict[str, None]) -> None:
        super().__init__(disk, process)
        self._without = without
        self._seen = seen

    async def run(self, plan: Sequence[Op]) -> None:
        roles = [role(op, plan) if isinstance(op, Fsync | SyncFolder) else None for op in plan]
        self._seen.update(dict.fromkeys(r for r in roles if r))
        await super().run([op for op, r in zip(plan, roles, strict=True) if r is None or r != self._without])


def fsync_roles() -> list[str]:
    """The roles of every fsync in the fixed scenario, in the order of their first appearance."""
    seen: dict[str, None] = {}
    crashed_at(protocol=replace(TRUE, files=partial(WatchedFiles, seen=seen)), records=LONG)
    return list(seen)


def without_fsync(which: str) -> Protocol:
    return Protocol(f"without {which}", files=partial(WatchedFiles, without=which, seen={}))


WRONG = (
    Protocol("offset committed before the file", OffsetBeforeFile, manifests=False),
    Protocol("offset committed after the file", OffsetAfterFile, manifests=False),
    Protocol("offset-named files", OffsetNamedFiles, manifests=False),
    Protocol("manifest without state", NoState),
    Protocol("marks not acknowledged before the seal", Unacknowledged),
    Protocol("entry put in place by rename", store=RenameStore),
    Protocol("built on without settling", store=NeverSettled),
    Protocol("settled before the look", SettlesFirst, store=NeverSettled),
    Protocol("files that partitions share", work=UntaggedWork),
)


def is_wrong(protocol: Protocol, seed: int) -> bool:
    """Does this storm catch the protocol: wrong rows, damage, or a run that cannot end?"""
    try:
        storm(seed, protocol)
    except (AssertionError, OSError, SensorloomError):
        return True
    return False


def hunt(protocol: Protocol, enumerations: Iterable[Enumeration] = (), storms: int = 200) -> str | None:
    """What catches the protocol, the enumerations first and then storms. None: nothing does."""
    for enumeration in enumerations:
        for number, case in enumerate(enumeration(protocol)):
            try:
                case()
            except (AssertionError, OSError, SensorloomError):
                return f"{enumeration.__name__} {number}"
    return next((f"storm {seed}" for seed in range(storms) if is_wrong(protocol, seed)), None)


def main(runs: int) -> None:
    for protocol in (TRUE, *WRONG, *map(without_fsync, fsync_roles())):
        caught = sum(is_wrong(protocol, seed) for seed in range(runs))
        print(f"{caught / runs:7.2%}  {protocol.name}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
