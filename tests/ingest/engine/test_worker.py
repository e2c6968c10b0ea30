"""A worker on a simulated log and disk: what it holds, when it seals, what it waits for, and which log it refuses."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from ingest.engine.genesis import Ending
from ingest.engine.keeping import Keep
from ingest.engine.manifest import Manifest, chain_folder, decode_entry, encode_document
from ingest.engine.merging import Merging, Untouched
from ingest.engine.operator import Output, State
from ingest.engine.partition import TOTALS_MAX, bounded
from ingest.engine.plan import Op, Write
from ingest.engine.rhythm import Limits
from ingest.engine.store import FileStore
from ingest.engine.telling import Notice
from ingest.engine.worker import Worker
from ingest.errors import CorruptLogError, LogUnavailableError, ReplacedLogError, SensorloomError, TruncatedLogError
from ingest.log.protocol import Assigned, Entry, Event, LogBatch
from simulators.sim.faults import CALM, Chance, Faults, Process
from simulators.sim.files import SimDisk, SimFiles
from simulators.sim.log import SimBroker, SimLog, SimMember, SimPartition
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


def test_output_is_bounded_while_one_batch_is_fed() -> None:
    async def scenario() -> None:
        Puffing.most = 0
        site = Site()
        site.fill(100)
        await site.drain(kind=Puffing)
        assert Puffing.most == 3
        assert [(entry.begin, entry.through) for entry in site.entries()[:3]] == [(0, 3), (3, 6), (6, 9)]
        assert site.entries()[-1].totals == {"lines": 100, "records": 100}

    play(scenario)


def test_all_partitions_together_hold_so_much_and_the_fullest_are_sealed_first() -> None:
    async def scenario() -> None:
        HeavyFiles.under_way = HeavyFiles.most = 0
        site = Site(partitions=8, files=HeavyFiles)
        for number in range(8):
            site.fill(400 + 10 * number, number)
        limits = Limits(seal_bytes=1 << 20, held_bytes=4000, poll_seconds=0.5)
        await site.drain(limits=limits, log=small_batches(site))
        sealed = [notice.partition for notice in site.notices if notice.kind == "sealed"]
        assert sorted(set(sealed)) == [*range(8)]
        assert HeavyFiles.most < 3 * 4000

    play(scenario)


def test_a_slow_disk_holds_up_feeding() -> None:
    """No partition has more than twice `seal_bytes` of output while its seal is on its way."""

    async def scenario() -> None:
        site = Site(files=HeavyFiles)
        worker = site.worker(small_batches(site), limits=Limits(seal_bytes=400, poll_seconds=0.5, seal_seconds=1e6))
        site.fill(1000)
        running = asyncio.create_task(worker.run())
        most = 0
        while len(site.texts("sealed")) < 10:
            await asyncio.sleep(0.1)
            most = max([most, *(part.running.pending_bytes for part in worker._parts.values())])
        worker.stop()
        await running
        assert 400 <= most <= 2 * 400 + 7 * 12

    play(scenario)


class Awaited(Summing):
    """Somebody waits for whatever it makes of an odd number."""

    def feed(self, batch: LogBatch) -> int:
        self.urgent |= any(int(value) % 2 for value in batch.values)
        return super().feed(batch)

    def take(self, tag: str = "") -> Output:
        self.urgent = False
        return super().take(tag)


@pytest.mark.parametrize(("first", "entries"), [(1, (60, 125)), (0, (6, 12))])
def test_what_people_wait_for_is_sealed_at_once_and_a_flood_of_it_in_a_rhythm(
    first: int, entries: tuple[int, int]
) -> None:
    """A minute of 20 records a second, each awaited or none; the first one finds the worker idle."""

    async def scenario() -> None:
        site = Site()
        limits = Limits(seal_seconds=10, prompt=True, urgent_seconds=0.5, poll_seconds=0.25)
        worker = site.worker(kind=Awaited, limits=limits)
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(100)
        site.fill(1, base=first)
        await asyncio.sleep(0.25)
        assert site.texts("sealed"), "it had nothing else to do"
        for number in range(1, 1200):
            site.fill(1, base=first + 2 * number, at_ns=number)
            await asyncio.sleep(0.05)
        await asyncio.sleep(30)
        assert entries[0] <= len(site.entries()) <= entries[1]
        assert site.entries()[-1].through == 1200
        worker.stop()
        await running

    play(scenario)


def test_nothing_but_numbers_is_told_rarely() -> None:
    async def scenario() -> None:
        site = Site()
        worker = site.worker(kind=Silent, limits=Limits(seal_seconds=60, quiet_seconds=900))
        running = asyncio.create_task(worker.run())
        for second in range(3600):
            site.fill(1, at_ns=second)
            await asyncio.sleep(1.0)
        worker.stop()
        await running
        assert 3 <= len(site.entries()) <= 4, "an entry a quarter of an hour"
        assert site.entries()[-1].totals == {"records": site.entries()[-1].through}
        assert site.broker.group(TOPIC, "g").committed[0] > site.entries()[-1].through, "who watches the lag sees it"
        await site.drain(kind=Silent)
        assert site.entries()[-1].totals == {"records": 3600}

    play(scenario)


def test_what_is_old_goes_though_nothing_comes_any_more_and_is_read_when_it_may_be_old() -> None:
    """An output a second, kept for a minute, and then silence."""
    looked = list[bytes]()

    def newest_ns(output: bytes) -> int:
        looked.append(output)
        return int(output.split()[-2]) * SECOND_NS  # a record's offset is the second at which it came

    async def scenario() -> None:
        loop, site = asyncio.get_running_loop(), Site()
        began = loop.time()

        def now_ns() -> int:
            return int((loop.time() - began) * SECOND_NS)

        keep = Keep(60 * SECOND_NS, now_ns, lambda ref: True, newest_ns, step_ns=10 * SECOND_NS)
        merging = Merging(Untouched(), now_ns, grace_ns=20 * SECOND_NS, keep=keep)
        limits = Limits(poll_seconds=0.5, seal_seconds=0.1)
        running = asyncio.create_task((worker := site.worker(limits=limits, merging=merging)).run())
        for second in range(20):
            site.fill(1, base=second, at_ns=second)
            await asyncio.sleep(1.0)
        assert [entry.through for entry in site.entries()] == list(range(1, 21)), "a seal a second"
        assert len(looked) == 1, "the oldest output is known"
        await asyncio.sleep(100.0)
        assert site.entries()[-1].totals["expired.records"] == 20
        assert not site.disk.names("lines"), "the files are deleted too"
        assert len(looked) <= 20 + 3, "each once, and what stayed each time"
        worker.stop()
        await running

    play(scenario)


# Which log it is.


def test_entries_say_what_they_read_last() -> None:
    async def scenario() -> None:
        site = Site()
        site.fill(5)
        site.partition().end += 3  # a hole at the end, as transaction markers leave one
        await site.drain()
        last = site.entries()[-1].last
        assert last is not None
        assert (site.entries()[-1].through, last.offset, last.append_ns) == (8, 4, 14)
        site.fill(1, base=7, at_ns=99)
        await site.drain()
        assert site.entries()[-1].last != last

    play(scenario)


@pytest.mark.parametrize("length", [0, 1, 4, 5, 6, 50])
def test_a_topic_made_anew_is_refused(length: int) -> None:
    async def scenario() -> None:
        site = Site()
        site.fill(5)
        await site.drain()
        site.broker.topics[TOPIC] = [SimPartition()]
        site.fill(length, base=100, at_ns=1_000_000)
        before = site.entries()
        with pytest.raises(ReplacedLogError, match="made anew, or restored from an older backup"):
            await site.drain()
        assert site.entries() == before

    play(scenario)


class SlowGroup(SimLog):
    """It gives nobody a partition for now: a group takes its time to settle."""

    async def join(self, topic: str, group: str, instance: str, *, owner: str = "") -> SimMember:
        member = await super().join(topic, group, instance, owner=owner)
        poll = member.poll

        async def without_partitions(timeout_s: float) -> list[Event]:
            return [event for event in await poll(timeout_s) if not isinstance(event, Assigned | LogBatch)]

        member.poll = without_partitions  # type: ignore[method-assign]
        return member


@pytest.mark.parametrize("length", [0, 1, 4, 5])
def test_a_topic_made_anew_is_refused_before_any_partition_is_given(length: int) -> None:
    """It is no longer than what was sealed, so that nothing seemed to be left to read."""

    async def scenario() -> None:
        site = Site()
        site.fill(5)
        await site.drain()
        await site.worker(SlowGroup(site.broker)).run({0: 5})
        site.broker.topics[TOPIC] = [SimPartition()]
        site.fill(length, base=100, at_ns=1_000_000)
        with pytest.raises(ReplacedLogError, match="made anew, or restored from an older backup"):
            await site.worker(SlowGroup(site.broker)).run({0: length})

    play(scenario)


@pytest.mark.parametrize("kept", [0, 3, 4])
@pytest.mark.parametrize("more", [0, 1, 2, 5, 40])
def test_a_log_restored_from_an_older_backup_is_refused(kept: int, more: int) -> None:
    """Its first records are those that were read, also the values of the others may be: they came at another time."""

    async def scenario() -> None:
        site = Site()
        site.fill(5)
        await site.drain()
        site.broker.topics[TOPIC] = [SimPartition()]
        site.fill(kept)
        site.fill(more, base=kept, at_ns=1_000_000)
        with pytest.raises(ReplacedLogError):
            await site.drain()

    play(scenario)


def test_the_same_values_at_the_same_times_are_the_same_log() -> None:
    async def scenario() -> None:
        site = Site()
        site.fill(5)
        await site.drain()
        site.broker.topics[TOPIC] = [SimPartition()]
        site.fill(9)
        await site.drain()
        assert site.entries()[-1].through == 9

    play(scenario)


@pytest.mark.parametrize("begin", [4, 5, 7])
def test_where_retention_took_the_record_only_the_hole_is_told(begin: int) -> None:
    async def scenario() -> None:
        site = Site()
        site.fill(5)
        await site.drain()
        site.fill(4, base=5, at_ns=100)
        site.partition().truncate(begin)
        await site.drain()
        assert [hole for entry in site.entries() for hole in entry.lost] == ([(5, 7)] if begin == 7 else [])
        assert site.entries()[-1].through == 9

    play(scenario)


def test_who_begins_behind_what_was_says_so() -> None:
    async def scenario() -> None:
        site = Site(partitions=2)
        site.fill(5)
        site.fill(5, 1)
        site.partition(1).truncate(3)
        await site.drain()
        await site.drain()
        assert site.texts("noted") == [
            "this begins where the log does: readings-1 at offset 3; what was before, retention has taken"
        ]

    play(scenario)


def test_an_entry_of_an_older_version_goes_on_and_gains_the_proof() -> None:
    async def scenario() -> None:
        site = Site()
        site.fill(5)
        await site.drain()
        old = site.entries()[0]
        body = encode_document(Manifest(**{**{f: getattr(old, f) for f in old.__struct_fields__}, "last": None}))
        site.disk.write(f"{chain_folder(TOPIC, 0)}/000000000000.json", body)
        site.fill(1, base=5, at_ns=100)
        await site.drain()
        assert [entry.last is None for entry in site.entries()] == [True, False]

    play(scenario)


def test_a_log_that_is_shorter_for_a_moment_is_asked_again() -> None:
    async def scenario() -> None:
        site = Site()
        site.fill(5)
        await site.drain()
        site.partition().end = 3  # a new leader in Kafka has not heard yet how far its followers were

        async def hear() -> None:
            await asyncio.sleep(1.5)
            site.partition().end = 5

        hearing = asyncio.create_task(hear())
        await site.worker().run({0: 5})
        await hearing

    play(scenario)


class RottenLog(SimLog):
    """Its records from 3 on cannot be read; what comes next is said to be at `next_offset`."""

    next_offset = 0

    async def join(self, topic: str, group: str, instance: str, *, owner: str = "") -> SimMember:
        member = await super().join(topic, group, instance, owner=owner)
        poll = member.poll

        async def rotten(timeout_s: float) -> list[Event]:
            events = await poll(timeout_s)
            if any(isinstance(event, LogBatch) and event.offsets[0] == 0 for event in events):
                raise CorruptLogError("rot", partition=0, offset=3, next_offset=self.next_offset)
            return events

        member.poll = rotten  # type: ignore[method-assign]
        return member


@pytest.mark.parametrize("next_offset", [6, 2**31])
def test_no_hole_beyond_the_log_is_sealed(next_offset: int) -> None:
    async def scenario() -> None:
        site = Site()
        site.fill(5)
        log = RottenLog(site.broker)
        log.next_offset = next_offset
        with pytest.raises(TruncatedLogError, match="but the log ends at 5; nothing of this was sealed"):
            await site.drain(log=log)
        assert site.entries() == []

    play(scenario)


# A chain that goes on where another one ended.


@pytest.mark.parametrize("kind", [Summing, Puffing])
@pytest.mark.parametrize("more", [0, 1, 30])
def test_a_chain_goes_on_after_another_with_the_state_that_it_would_have(kind: type[Summing], more: int) -> None:
    async def scenario() -> None:
        site, new = Site(), SimDisk(random.Random(5))
        site.fill(20)
        await site.drain(kind=kind)
        after = site.ending()
        site.fill(more, base=20, at_ns=1000)
        for _ in range(2):  # and again from its own entries
            await site.drain(kind=kind, after=[after], disk=new)
        sums = [sum(range(number + 1)) for number in range(20, 20 + more)]
        assert site.lines(new) == [f"{20 + at} {total}" for at, total in enumerate(sums)]
        assert [entry.begin for entry in site.entries(disk=new)][:1] == ([20] if more else [])
        if more:
            assert site.entries(disk=new)[-1].totals == {"lines": more, "records": more}

    play(scenario)


@pytest.mark.parametrize(("begin", "lost"), [(15, []), (20, []), (25, [(20, 25)])])
def test_what_the_log_has_lost_before_the_end_is_no_loss(begin: int, lost: list[tuple[int, int]]) -> None:
    async def scenario() -> None:
        site, new = Site(), SimDisk(random.Random(5))
        site.fill(20)
        await site.drain()
        site.fill(10, base=20, at_ns=1000)
        site.partition().truncate(begin)
        await site.drain(after=[site.ending()], disk=new)
        assert [hole for entry in site.entries(disk=new) for hole in entry.lost] == lost
        assert site.entries(disk=new)[-1].through == 30
        assert [int(line.split()[0]) for line in site.lines(new) if "lost" not in line] == [*range(max(20, begin), 30)]

    play(scenario)


def test_nobody_goes_on_after_a_chain_of_another_log() -> None:
    async def scenario() -> None:
        site, new = Site(), SimDisk(random.Random(5))
        site.fill(20)
        await site.drain()
        site.broker.topics[TOPIC] = [SimPartition()]
        site.fill(40, base=7, at_ns=1000)
        with pytest.raises(ReplacedLogError):
            await site.drain(after=[site.ending()], disk=new)

    play(scenario)


# What it waits for.


class AwayLog(SimLog):
    """Nobody answers until the 1,000th second, whatever is asked."""

    async def call(self, what: str) -> None:
        await super().call(what)
        if asyncio.get_running_loop().time() < 1000:
            raise LogUnavailableError(f"sim: no answer to {what}")


def test_a_service_outlasts_its_log() -> None:
    async def scenario() -> None:
        site = Site()
        site.fill(5)
        worker = site.worker(AwayLog(site.broker))
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(1200)
        worker.stop()
        await running
        assert site.notices[-1].position == 5
        assert site.texts("waiting") == ["sim: no answer to ensure"]

    play(scenario)


def test_a_service_whose_log_goes_away_joins_anew() -> None:
    async def scenario() -> None:
        site = Site()
        site.fill(5)
        log = SimLog(site.broker)
        worker = site.worker(log)
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(100)
        call = log.call

        async def away(what: str) -> None:
            raise LogUnavailableError(f"sim: no answer to {what}")

        log.call = away  # type: ignore[method-assign]
        await asyncio.sleep(500)
        log.call = call  # type: ignore[method-assign]
        site.fill(4, base=5, at_ns=100)
        await asyncio.sleep(100)
        worker.stop()
        await running
        assert [entry.through for entry in site.entries()][-1] == 9
        assert len(site.texts("waiting")) == 2, "once that it cannot be read, once that it cannot be joined"

    play(scenario)


def test_a_run_with_an_end_does_not_wait_for_its_log() -> None:
    async def scenario() -> None:
        site = Site()
        site.fill(5)
        with pytest.raises(SensorloomError, match="no answer to ensure"):
            await site.drain(log=AwayLog(site.broker))

    play(scenario)


# What it counts.


def test_reasons_that_others_make_up_are_bounded() -> None:
    known = {f"gap.samples.{number}": 1 for number in range(TOTALS_MAX)}
    new = {"gap.samples.a": 2, "gap.samples.b.c": 3, "gap.samples.7": 1, "samples": 9, "drop.coverage": 1, "late": 0}
    assert bounded(new, known) == {"gap.samples.other": 5, "gap.samples.7": 1, "samples": 9, "drop.coverage": 1}
    assert bounded(new, {}) == {reason: count for reason, count in new.items() if count}
