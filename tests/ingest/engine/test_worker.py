"""A worker on a simulated log and disk: what it holds, when it seals, what it waits for, what it counts."""

from __future__ import annotations

import asyncio

import pytest

from ingest.engine.keeping import Keep
from ingest.engine.merging import Merging, Untouched
from ingest.engine.operator import Output
from ingest.engine.partition import TOTALS_MAX, bounded
from ingest.engine.rhythm import Limits
from ingest.errors import LogUnavailableError, SensorloomError
from ingest.log.protocol import LogBatch
from simulators.sim.log import SimLog
from tests.ingest.engine.counting import Summing
from tests.ingest.engine.workers import (
    SECOND_NS,
    TOPIC,
    HeavyFiles,
    Puffing,
    Silent,
    Site,
    play,
    small_batches,
)


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
