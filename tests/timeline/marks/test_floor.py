"""What must be known before an act: the log is asked where it ends while nobody waits for it, and once for many."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from ingest.errors import LogUnavailableError
from ingest.log.protocol import MARKS, Bounds, Entry, Position
from ingest.records import schema_id
from simulators.doubles.log import ListLog
from tests.timeline.site import ACC, START_NS, S, act_of
from timeline import protocol
from timeline.marks.acts import Who
from timeline.marks.floor import Floor
from timeline.site import Settings, Timeline

MARK, OTHER = ("pump", "m1"), ("pump", "m2")


class CountedLog(ListLog):
    """A log that counts how often it is asked where a topic ends, and answers when it is let."""

    def __init__(self) -> None:
        super().__init__(partitions=1)
        self.asked = 0
        self.lets = asyncio.Event()
        self.lets.set()
        self.away = False

    async def bounds(self, topic: str) -> dict[int, Bounds]:
        """As it was when it was asked. Raises `LogUnavailableError` while it is away."""
        self.asked += 1
        if self.away:
            raise LogUnavailableError("list: nobody answers at this address")
        found = await super().bounds(topic)
        await self.lets.wait()
        return found


async def settled() -> None:
    """Until all that runs can only wait."""
    for _ in range(30):
        await asyncio.sleep(0)


async def log_of(marks: int) -> CountedLog:
    log = CountedLog()
    await log.append(MARKS, [Entry(b"pump", b"mark")] * marks)
    return log


def test_one_question_answers_all_who_doubted_before_it() -> None:
    async def run() -> None:
        log = await log_of(3)
        floor = Floor(log, MARKS)
        log.lets.clear()
        first = asyncio.create_task(floor.look())
        await settled()
        crowd = []
        for _ in range(1_000):
            floor.doubt()
            crowd.append(asyncio.create_task(floor.look()))
        await log.append(MARKS, [Entry(b"pump", b"mark")])
        log.lets.set()
        await asyncio.gather(first, *crowd)
        assert (log.asked, floor.of(0, MARK)) == (2, 4)
        await floor.look()
        assert log.asked == 2

    asyncio.run(run())


def test_what_is_written_meanwhile_is_below_it_for_who_changes_the_same_mark() -> None:
    async def run() -> None:
        log = await log_of(3)
        floor = Floor(log, MARKS)
        log.lets.clear()
        looking = asyncio.create_task(floor.look())
        await settled()
        (position,) = await log.append(MARKS, [Entry(b"pump", b"mark")])
        floor.wrote(MARK, position, {0: 3})
        log.lets.set()
        await looking
        assert floor.of(0, MARK) == 4
        assert floor.of(0, OTHER) == 3

    asyncio.run(run())


def test_what_was_read_is_not_kept() -> None:
    floor = Floor(ListLog(partitions=2), MARKS)
    floor.wrote(MARK, Position(0, 7), {0: 7})
    floor.wrote(OTHER, Position(0, 8), {0: 7})
    assert (floor.of(0, MARK), floor.of(0, OTHER)) == (8, 9)
    floor.wrote(MARK, Position(0, 9), {0: 9})  # changed again: the last word counts
    assert (floor.of(0, MARK), floor.of(0, OTHER)) == (10, 0)


def test_a_log_that_was_away_is_asked_again() -> None:
    async def run() -> None:
        log = await log_of(3)
        floor = Floor(log, MARKS)
        log.away = True
        with pytest.raises(LogUnavailableError):
            await floor.look()
        log.away = False
        await floor.look()
        assert floor.of(0, MARK) == 3

    asyncio.run(run())


def test_a_first_mark_asks_the_log_for_nothing_but_to_take_it() -> None:
    """It waited for six questions, one after the other, while a person looked on: ten times as long as the next one."""

    async def run() -> tuple[int, int, protocol.Accepted | protocol.Rejected]:
        log = CountedLog()
        timeline = Timeline(Settings("site", "list:"), log)
        timeline.catalog.samples("pump-7", "r1", "acc", schema_id(ACC), START_NS, START_NS + 9 * S, 900)
        timeline.expect()
        await settled()
        before = log.asked
        answer = await timeline.act(msgspec.convert(act_of("add"), protocol.Act), Who("anna", "annotator"))
        return before, log.asked, answer

    before, after, answer = asyncio.run(run())
    assert isinstance(answer, protocol.Accepted), answer
    assert (before, after) == (1, 1)
