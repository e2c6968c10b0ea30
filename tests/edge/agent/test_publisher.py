"""The spool forgets what the log has acknowledged, and nothing before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edge.agent.clock import Clocks
from edge.agent.publisher import Publisher
from edge.spool.entries import STATUS as STATUS_KIND
from edge.spool.entries import reading, urgent
from edge.spool.spool import Spool, SpoolLimits
from ingest.log.protocol import READINGS, STATUS, STREAMS, Entry, Position
from ingest.records import Birth, Channel, StreamDescription
from simulators.doubles.log import FlakyLog
from tests.edge.spool.spooling import chunk, entry, read_all

KERNEL = b"k" * 16
DESCRIPTION = StreamDescription("acc", (Channel("x", "g"),), "int16")
BIRTH = urgent(STATUS_KIND, "pump", Birth("pump", "agent", b"b" * 16, 1, "0"))


class WatchedLog(FlakyLog):
    """Says what the spool still had when an append was made, and when it had been made."""

    def __init__(self, spool: Spool) -> None:
        super().__init__()
        self.spool = spool
        self.backlogs: list[int] = []
        self.refused = 0

    async def append(self, topic: str, entries: Sequence[Entry]) -> list[Position]:
        if topic == READINGS:
            self.backlogs.append(self.spool.readings.backlog)
        try:
            return await super().append(topic, entries)
        except Exception:
            self.refused += 1
            raise


@asynccontextmanager
async def publishing(
    spool: Spool, log: FlakyLog, clocks: Clocks | None = None
) -> AsyncIterator[tuple[Publisher, list[str]]]:
    said: list[str] = []
    publisher = Publisher(log, spool, clocks or Clocks({}), KERNEL, said.append)
    task = asyncio.create_task(publisher.run([DESCRIPTION]))
    try:
        yield publisher, said
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(200):
        while not condition():  # noqa: ASYNC110 - it is spread over the publisher's loops
            await asyncio.sleep(0.002)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.agent.publisher.RETRY_S", (0.005, 0.01))


def test_nothing_is_acknowledged_before_the_log_has_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        spool = Spool(tmp_path / "spool", SpoolLimits())
        log = WatchedLog(spool)
        spool.readings.commit([entry(n) for n in range(5)])
        async with publishing(spool, log) as (publisher, _):
            await until(lambda: spool.readings.backlog == 0)
            assert log.backlogs == [5]
            log.away = True
            spool.readings.commit([entry(n) for n in range(5, 8)])
            publisher.notify()
            await until(lambda: log.refused >= 3)
            assert spool.readings.backlog == 3
        spool.close()
        again = Spool(tmp_path / "spool", SpoolLimits())  # as after a kill
        assert read_all(again.readings) == [chunk(n) for n in range(5, 8)]
        again.close()

    asyncio.run(scenario())


def test_an_append_that_failed_is_made_again_whole_and_in_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        spool = Spool(tmp_path / "spool", SpoolLimits())
        log = WatchedLog(spool)
        async with publishing(spool, log) as (publisher, said):
            await until(lambda: STREAMS in log.content)
            log.away = True
            for first in (0, 5, 10):
                spool.readings.commit([entry(n) for n in range(first, first + 5)])
                publisher.notify()
                await until(lambda: log.refused >= 2)
            assert publisher.waiting_for.startswith("the log: ")
            log.away = False
            await asyncio.wait_for(publisher.drained(), 60)
            assert [record.seq for record in log.chunks()] == list(range(15))
            assert publisher.figures.records == 15
            assert publisher.figures.retries == log.refused
            assert publisher.waiting_for == ""
            assert len([line for line in said if "nobody answers" in line]) == 1
        spool.close()

    asyncio.run(scenario())


def test_descriptions_come_first_and_what_is_urgent_waits_for_no_reading(tmp_path: Path) -> None:
    async def scenario() -> None:
        spool = Spool(tmp_path / "spool", SpoolLimits())
        log = FlakyLog()
        held = reading("pump", chunk(0), KERNEL)  # waits for the clock
        spool.readings.commit([held, entry(1)])
        spool.urgent.commit([BIRTH])
        clocks = Clocks({})
        async with publishing(spool, log, clocks) as (publisher, _):
            await until(lambda: bool(log.content.get(STATUS)))
            assert log.calls[0] == (STREAMS, 1)
            await until(lambda: "clock" in publisher.waiting_for)
            assert READINGS not in log.content
            assert spool.readings.backlog == 2
            clocks.offsets_ns[KERNEL] = 7
            clocks.changed.set()
            await until(lambda: len(log.chunks()) == 2)
            assert [record.seq for record in log.chunks()] == [0, 1]
            assert log.chunks()[0].t0_ns == chunk(0).t0_ns + 7
        spool.close()

    asyncio.run(scenario())


def test_the_newest_is_shown_live_only_while_the_log_is_behind(tmp_path: Path) -> None:
    async def scenario() -> None:
        spool = Spool(tmp_path / "spool", SpoolLimits())
        log = FlakyLog()
        async with publishing(spool, log) as (publisher, _):
            publisher.offer_live([chunk(0)])
            await asyncio.sleep(0.05)  # it would be there by now
            assert "live" not in log.content
            publisher.figures.lag_s = 60.0
            publisher.offer_live([chunk(1)])
            await until(lambda: publisher.figures.live == 1)
            (shown,) = log.records("live")
            assert (shown.seq, shown.count) == (1, 7)  # type: ignore[union-attr]
        spool.close()

    asyncio.run(scenario())
