"""A worker of a test on a simulated log and disk, and operators that it runs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from ingest.engine.genesis import Ending
from ingest.engine.manifest import Manifest, chain_folder, decode_entry
from ingest.engine.merging import Merging
from ingest.engine.operator import Output, State
from ingest.engine.plan import Op, Write
from ingest.engine.rhythm import Limits
from ingest.engine.store import FileStore
from ingest.engine.telling import Notice
from ingest.engine.worker import Worker
from ingest.log.protocol import Entry, LogBatch
from simulators.sim.faults import CALM, Chance, Faults, Process
from simulators.sim.files import SimDisk, SimFiles
from simulators.sim.log import SimBroker, SimLog, SimPartition
from simulators.sim.loop import run
from tests.ingest.engine.counting import Summing, SumOperator

TOPIC = "readings"
SECOND_NS = 10**9


class Puffing(Summing):
    """Each record makes a hundred bytes of output, and it takes no more than three before it is sealed."""

    most = 0

    @property
    def pending_bytes(self) -> int:
        return 100 * len(self.lines)

    def feed(self, batch: LogBatch) -> int:
        if len(self.lines) >= 3:
            return 0
        taken = super().feed(batch if len(batch) <= 3 else head(batch, 3))
        Puffing.most = max(Puffing.most, len(self.lines))
        return taken


class Silent(Summing):
    """It counts, and has no output."""

    def feed(self, batch: LogBatch) -> int:
        taken = super().feed(batch)
        self.lines.clear()
        return taken

    def take(self, tag: str = "") -> Output:
        output = super().take(tag)
        output.counts.pop("lines", None)
        return output


def head(batch: LogBatch, count: int) -> LogBatch:
    return batch.before(int(batch.offsets[count]))


@dataclass(frozen=True)
class Running(SumOperator):
    kind: type[Summing] = Summing

    def start(self, saved: State | None) -> Summing:
        return self.kind(int(saved[0]) if saved else 0)


class HeavyFiles(SimFiles):
    """Every write takes a second; how many bytes are on their way at once, at most."""

    under_way = most = 0

    async def run(self, plan: Sequence[Op]) -> None:
        size = sum(sum(map(len, op.parts)) for op in plan if isinstance(op, Write))
        HeavyFiles.under_way += size
        HeavyFiles.most = max(HeavyFiles.most, HeavyFiles.under_way)
        await asyncio.sleep(1.0)
        await super().run(plan)
        HeavyFiles.under_way -= size


@dataclass
class Site:
    partitions: int = 1
    notices: list[Notice] = field(default_factory=list)
    files: type[SimFiles] = SimFiles

    def __post_init__(self) -> None:
        self.broker = SimBroker(random.Random(1), partitions=self.partitions)
        self.disk = SimDisk(random.Random(2))
        self.started = 0

    def partition(self, number: int = 0) -> SimPartition:
        return self.broker.ensure(TOPIC, None)[number]

    def fill(self, count: int, number: int = 0, *, base: int = 0, at_ns: int = 10) -> None:
        """Records `base`, `base + 1` … each appended a nanosecond after the other."""
        for index in range(count):
            self.partition(number).append(Entry(b"d", b"%d" % (base + index)), at_ns + index)
        self.broker.wake()

    def worker(
        self,
        log: SimLog | None = None,
        limits: Limits | None = None,
        kind: type[Summing] = Summing,
        after: Sequence[Ending] = (),
        disk: SimDisk | None = None,
        merging: Merging | None = None,
    ) -> Worker:
        self.started += 1
        process = Process(f"w.{self.started}", Chance(random.Random(3), CALM))
        store = FileStore(self.files(disk or self.disk, process), f"w.{self.started}")
        return Worker(
            log or SimLog(self.broker, process),
            store,
            Running(kind=kind),
            topic=TOPIC,
            group="g",
            instance="w",
            after=after,
            limits=limits or Limits(poll_seconds=0.5, retry_seconds=1.0),
            merging=merging,
            offload=process.offload,
            observe=self.notices.append,
        )

    async def drain(self, **how: object) -> None:
        ends = {number: partition.end for number, partition in enumerate(self.broker.ensure(TOPIC, None))}
        await self.worker(**how).run(ends)  # type: ignore[arg-type]

    def entries(self, number: int = 0, disk: SimDisk | None = None) -> list[Manifest]:
        folder, disk = chain_folder(TOPIC, number), disk or self.disk
        names = [name for name in disk.names(folder) if name.endswith(".json") and "check" not in name]
        return [decode_entry(disk.read(f"{folder}/{name}"), name) for name in names]

    def lines(self, disk: SimDisk | None = None) -> list[str]:
        disk = disk or self.disk
        files = [ref.name for entry in self.entries(disk=disk) for ref in entry.files]
        return [line for name in files for line in disk.read(name).decode().splitlines()]

    def ending(self) -> Ending:
        head = self.entries()[-1]
        return Ending(0, head.through, head.last)

    def texts(self, kind: str) -> list[str]:
        return [notice.text for notice in self.notices if notice.kind == kind]


def small_batches(site: Site) -> SimLog:
    return SimLog(site.broker, Process("log", Chance(random.Random(4), Faults(small_batch=1.0))))


def play(scenario: Callable[[], Awaitable[None]], limit_s: float = 10_000) -> None:
    async def main(rng: random.Random) -> None:
        await scenario()

    run(main, 0, limit_s)
