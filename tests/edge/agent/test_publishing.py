"""The spool into the log: nothing is acknowledged before the log has it, and nothing stops for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edge.agent import publisher as publisher_module
from edge.agent.clock import Clocks
from edge.agent.publisher import Publisher
from edge.spool.entries import MARK, urgent
from edge.spool.spool import Spool, SpoolLimits
from ingest.errors import RecordTooLargeError
from ingest.log.protocol import MARKS, READINGS, STREAMS, Entry, Position
from ingest.records import Channel, Chunk, Gap, MarkAdd, StreamDescription
from simulators.doubles.log import FlakyLog
from tests.edge.spool.spooling import chunk, entry, read_all

TIMEOUT_S = 60.0
DESCRIBED = StreamDescription("acc", (Channel("x", "g"),), "int16")


class Log(FlakyLog):
    """Shows what the spool has not forgotten while an append is under way, and takes only what is small enough."""

    def __init__(self) -> None:
        super().__init__()
        self.spool: Spool | None = None
        self.backlogs: list[int] = []
        """Of `readings`, when one of its appends was about to be acknowledged."""
        self.holds: asyncio.Event | None = None
        self.bytes_max = 1 << 30

    async def append(self, topic: str, entries: Sequence[Entry]) -> list[Position]:
        size = max(len(found.key) + len(found.value) for found in entries)
        if size > self.bytes_max:
            raise RecordTooLargeError(f"a record of {size} bytes, the topic takes less", bytes_max=self.bytes_max)
        if self.holds is not None:
            await self.holds.wait()
        if topic == READINGS and self.spool is not None:
            self.backlogs.append(self.spool.readings.backlog)
        return await super().append(topic, entries)


class Running:
    """A publisher at work on a spool."""

    def __init__(self, spool: Spool, log: Log, publisher: Publisher, said: list[str]) -> None:
        self.spool, self.log, self.publisher, self.said = spool, log, publisher, said

    def commit(self, *entries: Entry) -> None:
        self.spool.readings.commit(entries)
        self.publisher.notify()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():  # noqa: ASYNC110 - what is waited for is spread over the publisher's tasks
                await asyncio.sleep(0.005)


@asynccontextmanager
async def publishing(folder: Path, log: Log) -> AsyncIterator[Running]:
    spool, said = Spool(folder / "spool", SpoolLimits()), list[str]()
    log.spool = spool
    publisher = Publisher(log, spool, Clocks({}), b"k" * 16, said.append)
    task = asyncio.create_task(publisher.run([DESCRIBED]))
    try:
        yield Running(spool, log, publisher, said)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        spool.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_module, "RETRY_S", (0.01, 0.05))


def test_the_spool_forgets_only_what_the_log_has_acknowledged(tmp_path: Path) -> None:
    async def main() -> None:
        log = Log()
        async with publishing(tmp_path, log) as running:
            for seq in range(3):
                running.commit(entry(seq))
                await running.until(lambda: running.spool.readings.backlog == 0)
            assert log.backlogs == [1, 1, 1]
            log.away = True
            running.commit(entry(3))
            await running.until(lambda: running.publisher.figures.retries > 3)
            assert running.spool.readings.backlog == 1
        again = Spool(tmp_path / "spool", SpoolLimits())
        assert read_all(again.readings) == [chunk(3)]
        again.close()
        log.away = False
        async with publishing(tmp_path, log) as running:
            await running.until(lambda: running.spool.readings.backlog == 0)
        assert log.chunks() == [chunk(seq) for seq in range(4)]

    asyncio.run(main())


def test_an_append_that_is_cut_off_is_made_again(tmp_path: Path) -> None:
    async def main() -> None:
        log = Log()
        async with publishing(tmp_path, log) as running:
            log.holds = asyncio.Event()
            running.commit(entry(0))
            await asyncio.sleep(0.05)
            assert running.spool.readings.backlog == 1
        log.holds = None
        async with publishing(tmp_path, log) as running:
            await running.until(lambda: running.spool.readings.backlog == 0)
        assert log.chunks() == [chunk(0)]

    asyncio.run(main())


def test_descriptions_go_before_readings_and_marks_do_not_wait_behind_a_backlog(tmp_path: Path) -> None:
    async def main() -> None:
        log = Log()
        log.away = True
        async with publishing(tmp_path, log) as running:
            running.commit(*(entry(seq) for seq in range(50)))
            mark = MarkAdd("pump", "id", 1, 2, "bad", "me", "button")
            running.spool.urgent.commit([urgent(MARK, "pump", mark)])
            running.publisher.notify()
            log.away = False
            await running.until(lambda: running.spool.readings.backlog + running.spool.urgent.backlog == 0)
        topics = [topic for topic, _ in log.calls]
        assert topics[0] == STREAMS
        assert log.records(MARKS) == [mark]

    asyncio.run(main())


def test_a_log_that_does_not_answer_is_told_while_the_append_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "QUIET_S", 0.05)

    async def main() -> None:
        log = Log()
        async with publishing(tmp_path, log) as running:
            await running.until(lambda: bool(log.records(STREAMS)))
            log.holds = asyncio.Event()
            running.commit(entry(0))
            await running.until(lambda: bool(running.publisher.waiting_for))
            assert running.publisher.waiting_for == "the log: no acknowledgement for 0.05 s"
            log.holds.set()
            await running.until(lambda: running.spool.readings.backlog == 0)
            assert not running.publisher.waiting_for
            assert running.publisher.figures.retries == 0
        assert log.chunks() == [chunk(0)]

    asyncio.run(main())


def test_a_record_that_the_log_does_not_take_stops_nothing_behind_it(tmp_path: Path) -> None:
    async def main() -> None:
        log = Log()
        log.bytes_max = 1_000
        async with publishing(tmp_path, log) as running:
            running.commit(entry(0), entry(1, 5_000), Entry(b"rpump", b"\xff" * 2_000), entry(2))
            await running.until(lambda: running.spool.readings.backlog == 0)
            assert running.publisher.figures.too_large == 2
            (said,) = [line for line in running.said if "left out for ever" in line]
            assert said.startswith("2 records left out for ever")
            running.commit(entry(3, 5_000))
            await running.until(lambda: running.publisher.figures.too_large == 3)
            await running.until(lambda: running.spool.readings.backlog == 0)
            assert sum("left out for ever" in line for line in running.said) == 1  # again when they have doubled
        first, gap, last, _ = log.records()
        assert [record.seq for record in (first, last) if isinstance(record, Chunk)] == [0, 2]
        assert isinstance(gap, Gap)
        assert (gap.samples, gap.reason, gap.start_ns) == (5_000, "record_too_large", chunk(1).t0_ns)

    asyncio.run(main())
