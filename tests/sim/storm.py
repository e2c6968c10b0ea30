"""One seeded run: producers and workers in a storm of faults, then calm, a power cut, and the comparison.

`storm(seed)` draws everything from its seed: partitions, workers, records, seal rhythm, and which faults blow how hard
("swarm testing", Groce et al., ISSTA 2012: a run with few kinds of faults reaches what a run with all of them hides).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from unittest.mock import patch

from ingest.archive.merging import ends_an_output, newest_append_ns
from ingest.engine.continuity import known_by
from ingest.engine.keeping import Keep
from ingest.engine.merging import Merging
from ingest.engine.rhythm import Limits
from ingest.engine.store import FileStore
from ingest.engine.telling import Notice
from ingest.engine.worker import Worker
from ingest.errors import LogUnavailableError, StoreFullError
from ingest.log.protocol import MARKS, READINGS, STREAMS, Entry
from simulators.sim.faults import CALM, Chance, Crash, CrashPoint, Faults, Process
from simulators.sim.files import SimDisk, SimFiles
from simulators.sim.log import EPOCH_NS, SimBroker, SimLog, SimPartition
from simulators.sim.loop import run
from tests.sim.oracle import LogRecord, expected_rows
from tests.sim.verify import Row, WrongError, demand, read_entries, read_rows
from tests.sim.workloads import KeptArchiveWork, RuleLikeWork, Workload

GROUP = "windows"
CHECKPOINT_EVERY = 4
STORM_S = 200.0
CALM_S = 3_000.0
FAULTS_MAX = Faults(
    slow=0.5,
    zombie=0.1,
    kill=0.05,
    power_cut=0.02,
    disk_full=0.02,
    unavailable=0.02,
    lost_ack=0.2,
    duplicate=0.2,
    hole=0.1,
    small_batch=0.5,
    rebalance=0.05,
    expel=0.15,
    stale=0.8,
)


def draw_faults(rng: random.Random) -> Faults:
    """About half of the kinds, each somewhere up to its maximum."""
    share = {f.name: rng.random() * (rng.random() < 0.6) for f in fields(Faults) if f.name != "zombie_s_max"}
    return Faults(**{name: getattr(FAULTS_MAX, name) * value for name, value in share.items()}, zombie_s_max=30.0)


@dataclass(frozen=True)
class Protocol:
    """What runs in the storm: the true engine, or a mutant of it."""

    name: str = "sensorloom"
    worker: type[Worker] = Worker
    files: Callable[[SimDisk, Process], SimFiles] = SimFiles
    store: Callable[[SimFiles, str], FileStore] = FileStore
    manifests: bool = True
    """False: there are none, every file in the output folders counts."""
    work: type[Workload] = RuleLikeWork
    """What shows it best."""


TRUE = Protocol()


@dataclass
class World:
    """Everything that a run's seed made."""

    rng: random.Random
    protocol: Protocol
    work: Workload
    faults: Faults
    partitions: int
    limits: Limits
    log: SimBroker
    disk: SimDisk
    history: dict[int, list[LogRecord]] = field(default_factory=lambda: defaultdict(list))
    """Records that retention took, by partition."""
    running: dict[Process, asyncio.Task[None]] = field(default_factory=dict)
    files: dict[str, SimFiles] = field(default_factory=dict)
    """By process, without its number."""
    journal: list[str] = field(default_factory=list)
    apart: bool = False
    """Devices lie in several partitions, where there are some; else all in one."""
    merge_every: int = 0
    """After so many entries; 0: never."""
    grace_s: float = 0.0
    """So long do merged files stay."""
    seals: int = 0
    started: int = 0

    def note(self, text: str) -> None:
        self.journal.append(f"{asyncio.get_running_loop().time():10.4f} {text}")

    def process(self, name: str, faults: Faults, crash_at: CrashPoint | None = None) -> Process:
        self.started += 1
        chance = Chance(random.Random(self.rng.getrandbits(64)), faults)
        return Process(f"{name}.{self.started}", chance, crash_at=crash_at, cut_power=self.cut_power)

    def cut_power(self) -> None:
        self.note("power cut")
        for process, task in self.running.items():
            process.kill()
            task.cancel()
        self.disk.power_cut()

    def client(self, name: str, faults: Faults) -> SimLog:
        return SimLog(self.log, self.process(name, faults))

    def trim(self) -> None:
        """Retention takes the head of a partition."""
        number = self.rng.randrange(self.partitions)
        partition = self.log.topics[READINGS][number]
        before = self.rng.randint(partition.begin, partition.end)
        self.note(f"retention: {READINGS}-{number} begins at {before}")
        self.history[number] += [record for record in held(partition) if record.offset < before]
        partition.truncate(before)

    def records(self, number: int) -> list[LogRecord]:
        """All that was ever in a partition."""
        return [*self.history[number], *held(self.log.topics[READINGS][number])]


def held(partition: SimPartition) -> list[LogRecord]:
    columns = zip(partition.offsets, partition.append_ns, partition.keys, partition.values, strict=True)
    return [LogRecord(*row) for row in columns]


def draw_world(rng: random.Random, protocol: Protocol, work: Workload) -> World:
    partitions = rng.randint(1, 3)
    limits = Limits(
        seal_bytes=rng.choice((1, 1, 100, 400, 2000)),
        seal_seconds=rng.choice((0.5, 2.0, 10.0)),
        poll_seconds=rng.choice((0.5, 3.0)),
        retry_seconds=1.0,
        held_bytes=rng.choice((200, 10_000)),
        quiet_seconds=rng.choice((0.0, 5.0, 30.0)),
    )
    log = SimBroker(random.Random(rng.getrandbits(64)), partitions=partitions)
    disk = SimDisk(random.Random(rng.getrandbits(64)))
    return World(rng, protocol, work, draw_faults(rng), partitions, limits, log, disk)


async def describe_streams(world: World) -> None:
    """The schemas, acknowledged before any record needs them."""
    log = world.client("setup", CALM)
    await log.ensure(READINGS)
    await log.append(STREAMS, world.work.descriptions())


async def produce(world: World, device: str, count: int) -> None:
    """A device's records in batches; one that was not acknowledged is sent again, perhaps after later ones."""
    rng = random.Random(world.rng.getrandbits(64))
    log = world.client(device, world.faults)
    records = world.work.records(device, count, rng)
    waiting: list[list[Entry]] = []
    more = True
    while more or waiting:
        if more and (not waiting or rng.random() < 0.3):
            batch = list(islice(records, rng.randint(1, 6)))
            more = bool(batch)
            waiting += [batch] if batch else []
            continue
        try:
            await log.append(READINGS, waiting[0])
            waiting.pop(0)
        except LogUnavailableError:
            waiting.append(waiting.pop(0))
        await asyncio.sleep(rng.random() * STORM_S / count)


async def supervise(world: World, slot: int) -> None:
    """A worker, started again whenever it dies."""
    rng = random.Random(world.rng.getrandbits(64))
    while True:
        # Sleepers are dangerous where others are awake.
        faults = replace(world.faults, zombie=world.faults.zombie * rng.choice((0.0, 1.0)))
        process = world.process(f"worker-{slot}", faults)
        task = start(world, process, f"worker-{slot}")
        await asyncio.wait([task])
        world.note(f"{process.name} ended: {ending(task)!r}")
        del world.running[process]
        process.kill()
        await asyncio.sleep(rng.random() * 3.0)


def start(world: World, process: Process, instance: str, until: dict[int, int] | None = None) -> asyncio.Task[None]:
    task = asyncio.create_task(work(world, process, instance, until))
    task.add_done_callback(lambda task: task.cancelled() or task.exception())  # a dead one's last word may go unheard
    world.running[process] = task
    return task


def ending(task: asyncio.Task[None]) -> BaseException | None:
    """How a worker ended; what it may not end with is raised."""
    if task.cancelled():
        return asyncio.CancelledError()
    error = task.exception()
    if error is not None and not isinstance(error, Crash | LogUnavailableError | StoreFullError):
        raise error
    return error


async def work(world: World, process: Process, instance: str, until: dict[int, int] | None = None) -> None:
    """One life of a worker."""

    def observe(notice: Notice) -> None:
        world.seals += notice.kind == "sealed"
        world.note(f"{process.name} {notice.kind} {notice.partition} at {notice.position} {notice.text}")

    protocol = world.protocol
    merging = None
    if world.merge_every:
        keep = None
        if isinstance(world.work, KeptArchiveWork):
            age_ns = int(world.work.keep_s * 1e9)
            keep = Keep(age_ns, lambda: EPOCH_NS + now_ns(), ends_an_output, newest_append_ns, step_ns=10**9)
        grace_ns = int(world.grace_s * 1e9)
        merging = Merging(world.work.merger(), now_ns, world.merge_every, grace_ns=grace_ns, keep=keep)
    files = world.files[process.name.partition(".")[0]] = protocol.files(world.disk, process)
    worker = protocol.worker(
        SimLog(world.log, process),
        protocol.store(files, process.name),
        world.work.operator(),
        topic=READINGS,
        group=GROUP,
        instance=instance,
        limits=world.limits,
        merging=merging,
        offload=process.offload,
        observe=observe,
    )
    await worker.run(until)


def now_ns() -> int:
    """The simulated clock."""
    return int(asyncio.get_running_loop().time() * 1e9)


async def disturb(world: World) -> None:
    """What comes from outside: kills and power cuts between any two awaits, retention."""
    rng = random.Random(world.rng.getrandbits(64))
    trims, kills = rng.random() < 0.15, rng.random() < 0.4
    while True:
        await asyncio.sleep(rng.random() * 12.0)
        if rng.random() < 0.2:
            for partition in world.log.topics[STREAMS]:
                partition.compact()
        if trims and rng.random() < 0.5:
            world.trim()
        if kills and world.running and rng.random() < 0.5:
            process = rng.choice(list(world.running))
            if rng.random() < 0.3:
                world.cut_power()
            else:
                world.note(f"kill {process.name}")
                process.kill()
                world.running[process].cancel()


async def blow(world: World) -> None:
    """The storm: it lasts until every producer is through."""
    rng = world.rng
    counts = [rng.randint(5, 60) for _ in range(rng.randint(1, 4))]
    around = [asyncio.create_task(supervise(world, slot)) for slot in range(rng.choice((1, 2, 2, 3)))]
    around.append(asyncio.create_task(disturb(world)))
    kind = "sensor" if world.apart else "device"
    producers = [asyncio.create_task(produce(world, f"{kind}-{i}", count)) for i, count in enumerate(counts)]
    waiting: set[asyncio.Task[None]] = set(producers)
    while waiting:
        done, _ = await asyncio.wait([*waiting, *around], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        waiting -= done
    for task in around:
        task.cancel()
    await asyncio.wait(around)


async def settle(world: World) -> None:
    """The calm after it: old workers die, or go on as zombies without faults of their own; new ones reach the end."""
    world.note("calm")
    world.disk.full_until_s = 0.0
    fate = world.rng.choice(("power", "kill", "live"))
    if fate == "power":
        world.cut_power()
    for process, task in world.running.items():
        process.chance.faults = CALM
        if fate == "kill":
            process.kill()
            task.cancel()
    ends = {number: p.end for number, p in enumerate(world.log.topics[READINGS])}
    names = [f"calm-{slot}" for slot in range(world.rng.randint(1, 2))]
    fresh = [start(world, world.process(name, CALM), name, ends) for name in names]
    await asyncio.gather(*fresh)
    for task in world.running.values():
        if task.done():
            ending(task)


def judge(world: World) -> None:
    """Cut the power once more, and compare what is on the disk with the oracle. Raises `WrongError`."""
    world.cut_power()
    if world.protocol.manifests:
        for number in range(world.partitions):
            judge_chain(world, number)
    else:
        judge_files(world)


def judge_chain(world: World, number: int) -> None:
    where = f"{READINGS}-{number}"
    entries = read_entries(world.disk, READINGS, number)
    partition = world.log.topics[READINGS][number]
    lost = [hole for entry in entries for hole in entry.lost]
    for start, stop in lost:
        demand(stop <= partition.begin, f"{where}: {start} to {stop} is recorded as lost, and is not")
    if not entries:
        demand(not partition.offsets, f"{where}: no entries")
        return
    demand(entries[-1].through == partition.end, f"{where}: sealed to {entries[-1].through} of {partition.end}")
    records = [record for record in world.records(number) if record.offset >= entries[0].begin]
    known = {record.offset: known_by(record.offset, record.append_ns, record.value) for record in records}
    for entry in entries:
        last = max((offset for offset in known if offset < entry.through), default=None)
        if entry.last is not None or not (last is None or lost):
            demand(entry.last in known.values(), f"{where}: entry {entry.seq} has read {entry.last}, which never was")
            demand(bool(lost) or entry.last == known[last or 0], f"{where}: {entry.last} is not the last one read")
    published = {value for p in world.log.topics.get(MARKS, ()) for value in p.values}
    world.work.check(where, world.disk, entries, lost, world.records(number), published)


def judge_files(world: World) -> None:
    """The same for a protocol without manifests: whatever lies in the output folders counts, in any order."""
    if any(world.history.values()):
        return  # nothing says what was lost to retention
    names = [f"{folder}/{name}" for folder in ("flips", "windows") for name in world.disk.names(folder)]
    work = RuleLikeWork()
    try:
        found = Counter(read_rows(world.disk, [name for name in names if not name.endswith(".tmp")]))
    except ValueError as error:
        raise WrongError(f"torn output: {error}") from None
    expected = Counter[Row]()
    for number in range(world.partitions):
        expected.update(expected_rows(world.records(number), work.factors, 0, ()))
    demand(found == expected, f"surplus {found - expected}, missing {expected - found}")


async def play(world: World) -> None:
    await describe_streams(world)
    await blow(world)
    await settle(world)


def storm(seed: int, protocol: Protocol = TRUE, work: type[Workload] | None = None) -> World:
    """Run one seed and judge it, with the protocol's own work where none is named.

    Raises `WrongError`, or whatever the code under test ends with.
    """
    chosen = work or protocol.work

    async def main(rng: random.Random) -> World:
        world = draw_world(rng, protocol, chosen())
        world.apart = seed % 2 == 1
        drawn = random.Random(f"merging {seed}")
        if seed % 4 != 2:
            world.merge_every, world.grace_s = drawn.choice((2, 3, 5)), drawn.choice((0.0, 20.0))
        try:
            await play(world)
            judge(world)
        except BaseException as error:
            error.add_note(f"to see it again: python -m tests.sim {seed} {chosen.__name__}")
            error.journal = world.journal  # type: ignore[attr-defined]
            raise
        return world

    with small_thousands():
        return run(main, seed, STORM_S + CALM_S)


@contextlib.contextmanager
def small_thousands() -> Iterator[None]:
    """Checkpoints every few entries, so that short runs have some."""
    with (
        patch("ingest.engine.partition.CHECKPOINT_EVERY", CHECKPOINT_EVERY),
        patch("ingest.engine.chain.CHECKPOINT_EVERY", CHECKPOINT_EVERY),
    ):
        yield
