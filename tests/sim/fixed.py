"""One small scenario without chance: for enumerating crashes at every operation, and sleeps at every other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol as ProtocolType

from ingest.engine.plan import Fsync, Link, Op, SyncFolder, Write
from ingest.engine.rhythm import Limits
from ingest.errors import StoreFullError
from ingest.log.protocol import READINGS, Entry
from simulators.sim.faults import CrashPoint, Faults, Phase, Process
from simulators.sim.files import SimDisk, SimFiles
from simulators.sim.log import SimBroker
from simulators.sim.loop import run
from tests.sim.storm import TRUE, Protocol, World, describe_streams, ending, judge, small_thousands, start
from tests.sim.verify import demand, merged_of, read_entries
from tests.sim.workloads import IdleWork, RuleLikeWork

SMALL_BATCHES = Faults(small_batch=1.0)
LIMITS = Limits(seal_bytes=1, seal_seconds=1.0, poll_seconds=0.5, retry_seconds=1.0)
LIMIT_S = 500.0
RECORDS = 12
LONG = 24
"""Such a run also merges."""
MERGE_EVERY = 3
Case = Callable[[], object]
"""Raises where the protocol is wrong."""


async def fixed_world(protocol: Protocol, disk_seed: int, records: int) -> World:
    """One partition, two devices, with duplicates, flips and idle records; the disk's fate alone has a seed."""
    log, disk = SimBroker(random.Random(1), partitions=1), SimDisk(random.Random(disk_seed))
    world = World(random.Random(2), protocol, RuleLikeWork(), SMALL_BATCHES, 1, LIMITS, log, disk)
    world.merge_every = MERGE_EVERY if records == LONG else 0
    await describe_streams(world)
    client = world.client("producer", Faults())
    schema = world.work.descriptions()[0].key
    for seq in range(records):
        x = 0 if seq % 9 == 8 else 900 if seq // 5 % 2 else 100
        entry = Entry(b"device-%d" % (seq % 2), b"%s|boot|%d|%d" % (schema, seq, x + seq))
        await client.append(READINGS, [entry] * (2 if seq % 4 == 3 else 1))
    return world


async def twin_world(protocol: Protocol, disk_seed: int, records: int) -> World:
    """Two partitions with equal records, of which a worker makes equal files at once."""
    log, disk = SimBroker(random.Random(1), partitions=2), SimDisk(random.Random(disk_seed))
    work = protocol.work if issubclass(protocol.work, IdleWork) else IdleWork
    world = World(random.Random(2), protocol, work(), Faults(), 2, LIMITS, log, disk)
    await describe_streams(world)
    client = world.client("producer", Faults())
    schema = world.work.descriptions()[0].key
    for seq in range(records):
        await client.append(READINGS, [Entry(b"sensor-%d" % i, b"%s|boot|%d|500" % (schema, seq)) for i in range(2)])
    return world


def ends(world: World) -> dict[int, int]:
    return {number: partition.end for number, partition in enumerate(world.log.topics[READINGS])}


def crashed_at(
    *points: CrashPoint,
    protocol: Protocol = TRUE,
    disk_seed: int = 0,
    records: int = RECORDS,
    make: Callable[[Protocol, int, int], Awaitable[World]] = fixed_world,
) -> list[Op]:
    """One life after the other, each ending at its crash point, the last one going to the end; then judge.

    Gives the operations of the first life. Raises `WrongError` and what the code under test raises.
    """

    async def main(rng: random.Random) -> list[Op]:
        world = await make(protocol, disk_seed, records)
        for number, point in enumerate((*points, None)):
            process = world.process(f"life-{number}", SMALL_BATCHES if number else world.faults, point)
            task = start(world, process, "worker", ends(world))
            await asyncio.wait([task])
            ending(task)
            del world.running[process]
        if not any(point.power for point in points):
            demand_clean(world)
        judge(world)
        return world.files["life-0"].done

    with small_thousands():
        return run(main, 0, LIMIT_S)


def demand_clean(world: World) -> None:
    """Raise `WrongError` where something lies on the disk that no entry names: a dead worker's, which nobody swept."""
    named: set[str] = set()
    for number in range(world.partitions):
        entries = read_entries(world.disk, READINGS, number)
        named |= {ref.name for entry in entries for ref in entry.files}
        named |= {ref.name for entry in entries[-2:] for ref in entry.states}
        if entries and (merged := merged_of(world.disk, entries[-1])) is not None and entries[-1].merged is not None:
            waiting = {name for retired in merged.retired for name in retired.names}
            named |= {entries[-1].merged.name, *(waiting & world.disk.visible.keys())}
    found = {name for name in world.disk.visible if not name.startswith(("manifest/", "heads/"))}
    found |= {name for name in world.disk.visible if name.endswith(".tmp")}
    demand(found == named, f"left over: {sorted(found - named)}, missing: {sorted(named - found)}")


@dataclass
class Nap:
    """When the first worker sleeps, and when the second one wakes it."""

    at: int
    """Before this file operation of the first worker."""
    until: int
    """Before this access of the second worker, reads included."""
    operations: int | None = None
    """It does so many after waking and then sleeps for ever; None: it goes on to the end."""
    asleep: asyncio.Event = field(default_factory=asyncio.Event)
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class SleepingFiles(SimFiles):
    """The first worker's files: it takes the nap."""

    def __init__(self, disk: SimDisk, process: Process, nap: Nap) -> None:
        super().__init__(disk, process)
        self._nap = nap

    async def run(self, plan: Sequence[Op]) -> None:
        for op in plan:
            number, nap = self._process.file_ops, self._nap
            if number == nap.at:
                nap.asleep.set()
                await nap.woken.wait()
            elif nap.operations is not None and number == nap.at + nap.operations:
                await asyncio.Event().wait()
            await super().run([op])


class WakingFiles(SimFiles):
    """The second worker's files: they count accesses, and wake the first worker before one of them."""

    def __init__(self, disk: SimDisk, process: Process, nap: Nap) -> None:
        super().__init__(disk, process)
        self._nap = nap
        self._accesses = 0

    def _count(self) -> None:
        if self._accesses == self._nap.until:
            self._nap.woken.set()
        self._accesses += 1

    async def run(self, plan: Sequence[Op]) -> None:
        for op in plan:
            self._count()
            await super().run([op])

    async def read(self, path: str) -> bytes:
        self._count()
        return await super().read(path)

    async def exists(self, path: str) -> bool:
        self._count()
        return await super().exists(path)


def napped(nap: Nap, point: CrashPoint | None = None, *, protocol: Protocol = TRUE, disk_seed: int = 0) -> None:
    """The first worker sleeps, the second takes over, wakes it, and dies at `point`; a third goes to the end; judge.

    Raises `WrongError` and what the code under test raises.
    """

    async def main(rng: random.Random) -> None:
        world = await fixed_world(protocol, disk_seed, RECORDS)
        sleeper, waker = world.process("sleeper", SMALL_BATCHES), world.process("waker", SMALL_BATCHES, point)
        makers = {sleeper: SleepingFiles, waker: WakingFiles}
        world.protocol = replace(
            protocol,
            files=lambda disk, process: (
                makers[process](disk, process, nap) if process in makers else protocol.files(disk, process)
            ),
        )
        first = start(world, sleeper, "sleeper", ends(world))
        napping = asyncio.create_task(nap.asleep.wait())
        await asyncio.wait([first, napping], return_when=asyncio.FIRST_COMPLETED)
        napping.cancel()
        await asyncio.sleep(2 * world.log.session_s)  # taken for dead
        second = start(world, waker, "waker", ends(world))
        await asyncio.wait([second])
        ending(second)
        await asyncio.sleep(20.0)  # the sleeper, if it is awake, goes on while nobody else works
        sleeper.kill()
        first.cancel()
        await asyncio.wait([first])
        ending(first)
        world.running.clear()
        last = start(world, world.process("last", SMALL_BATCHES), "last", ends(world))
        await asyncio.wait([last])
        ending(last)
        judge(world)

    with small_thousands():
        run(main, 0, LIMIT_S)


class FullFiles(SimFiles):
    """The disk is full at one operation, and has room again at the next."""

    def __init__(self, disk: SimDisk, process: Process, full_at: int) -> None:
        super().__init__(disk, process)
        self._full_at = full_at

    async def run(self, plan: Sequence[Op]) -> None:
        for op in plan:
            if self._process.file_ops == self._full_at and isinstance(op, Write | Fsync | SyncFolder):
                self._full_at = -1
                if isinstance(op, Write):
                    self._tear(op)
                raise StoreFullError(f"{op.path}: no space left on the simulated disk; free some")
            await super().run([op])


def full_at(number: int, *points: CrashPoint, protocol: Protocol, disk_seed: int) -> None:
    """`crashed_at`, with a disk that is full at one operation of the first life."""

    def files(disk: SimDisk, process: Process) -> SimFiles:
        first = process.name.startswith("life-0")
        return FullFiles(disk, process, number) if first else protocol.files(disk, process)

    crashed_at(*points, protocol=replace(protocol, files=files), disk_seed=disk_seed)


# --- enumerations: every case runs on the true protocol, and a mutant is caught by some


class Enumeration(ProtocolType):
    """All cases of a kind."""

    __name__: str

    def __call__(self, protocol: Protocol = TRUE) -> Iterator[Case]: ...


def fates(moment: int, count: int) -> range:
    """Seeds of what a power cut leaves of what was not fsynced: others at the next moment, however few they are."""
    return range(moment * count, (moment + 1) * count)


def every_crash(protocol: Protocol = TRUE, records: int = RECORDS, disk_seeds: int = 4) -> Iterator[Case]:
    """A kill and a power cut before, within and after every operation of every plan."""
    for number, op in enumerate(crashed_at(protocol=protocol, records=records)):
        for phase in Phase:
            if phase is Phase.TORN and not isinstance(op, Write):
                continue
            for seed in fates(number, disk_seeds):
                cut = CrashPoint(number, phase, power=True)
                yield partial(crashed_at, cut, protocol=protocol, disk_seed=seed, records=records)
            yield partial(crashed_at, CrashPoint(number, phase), protocol=protocol, records=records)


def every_crash_of_the_long_run(protocol: Protocol = TRUE, disk_seeds: int = 4) -> Iterator[Case]:
    """`every_crash` of a scenario that reaches a checkpoint and deletes outdated states."""
    yield from every_crash(protocol, LONG, disk_seeds)


def every_crash_of_twins(protocol: Protocol = TRUE, disk_seeds: int = 2) -> Iterator[Case]:
    """A kill and a power cut after every operation on two partitions that seal equal files at once."""
    for number in range(len(crashed_at(make=twin_world))):
        yield partial(crashed_at, CrashPoint(number, Phase.AFTER), protocol=protocol, make=twin_world)
        for seed in fates(number, disk_seeds):
            cut = CrashPoint(number, Phase.AFTER, power=True)
            yield partial(crashed_at, cut, protocol=protocol, disk_seed=seed, make=twin_world)


def every_second_crash(protocol: Protocol = TRUE, disk_seeds: int = 6) -> Iterator[Case]:
    """A kill around the first commit, then a power cut at every operation of the next life: each moment once before
    one has its second fate, so that who hunts soon sees them all."""
    ops = crashed_at(protocol=protocol)
    commit = commit_of(ops)
    for fate in range(disk_seeds):
        for number in range(commit - 2, commit + 3):
            for second in range(len(ops) - number):
                points = CrashPoint(number, Phase.AFTER), CrashPoint(second, Phase.AFTER, power=True)
                seed = fates(number + second, disk_seeds)[fate]
                yield partial(crashed_at, *points, protocol=protocol, disk_seed=seed)


def every_full_disk(protocol: Protocol = TRUE, disk_seeds: int = 3) -> Iterator[Case]:
    """A full disk at every operation, then a power cut soon after it."""
    for number in range(len(crashed_at(protocol=protocol))):
        for later in range(7):
            for seed in fates(number + later, disk_seeds):
                point = CrashPoint(number + later, Phase.AFTER, power=True)
                yield partial(full_at, number, point, protocol=protocol, disk_seed=seed)


def every_nap(protocol: Protocol = TRUE) -> Iterator[Case]:
    """A worker sleeps before every operation of its first seal, and goes on at every access of its successor."""
    ops = crashed_at(protocol=protocol)
    for number in range(1, commit_of(ops) + 3):
        for until in range(len(ops)):
            yield lambda number=number, until=until: napped(Nap(number, until), protocol=protocol)  # type: ignore[misc]


def every_nap_and_cut(protocol: Protocol = TRUE, disk_seeds: int = 6) -> Iterator[Case]:
    """A worker commits while its successor recovers, and sleeps before the commit is durable; then a power cut."""
    ops = crashed_at(protocol=protocol)
    commit = commit_of(ops)
    for until in range(5):
        for second in range(len(ops) - commit):
            for seed in fates(until + second, disk_seeds):
                cut = CrashPoint(second, Phase.AFTER, power=True)
                yield lambda until=until, cut=cut, seed=seed: napped(  # type: ignore[misc]
                    Nap(commit, until, operations=1), cut, protocol=protocol, disk_seed=seed
                )


def commit_of(ops: Sequence[Op]) -> int:
    """The number of the first `Link`; of the manifest's file where a mutant has none."""
    return next((number for number, op in enumerate(ops) if isinstance(op, Link)), len(ops) - 4)
