"""Descriptions of streams stay in the log, also where their topic is deleted, made anew or cut off."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from edge.agent import describing
from edge.agent.describing import Described, keep_described
from ingest.errors import LogUnavailableError
from ingest.log.protocol import STREAMS, Bounds, Entry, Position
from ingest.opening import open_log
from ingest.schemas import SchemaRegistry
from simulators.doubles.log import FlakyLog, ListLog
from tests.edge.feeding import fed, fed_config, running

__all__ = ["fed"]
ENTRY = Entry(b"k", b"v")


@pytest.mark.parametrize(
    ("bounds", "are_there"),
    [
        ({0: Bounds(0, 4), 1: Bounds(0, 8)}, True),
        ({0: Bounds(3, 9), 1: Bounds(7, 8)}, True),
        ({0: Bounds(4, 9), 1: Bounds(0, 8)}, False),  # expired
        ({0: Bounds(0, 4), 1: Bounds(0, 7)}, False),  # made anew, with less in it
        ({0: Bounds(0, 0), 1: Bounds(0, 0)}, False),
        ({0: Bounds(0, 4)}, False),
        ({}, False),
    ],
)
def test_bounds_tell_whether_what_was_published_can_be_there(bounds: dict[int, Bounds], *, are_there: bool) -> None:
    assert Described([Position(0, 3), Position(1, 7)]).are_there(bounds) is are_there


def test_a_topic_that_ends_before_where_it_ended_is_another_one() -> None:
    described = Described([Position(0, 3)])
    assert described.are_there({0: Bounds(0, 100)})
    assert not described.are_there({0: Bounds(0, 99)})


async def kept(log: ListLog, said: list[str]) -> asyncio.Task[None]:
    """A task that keeps `ENTRY` there."""

    async def again() -> list[Position]:
        return await log.append(STREAMS, [ENTRY])

    return asyncio.create_task(keep_described(log, await again(), again, said.append))


async def until_appended(log: ListLog, times: int) -> None:
    async with asyncio.timeout(200):
        while len(log.calls) < times:
            log.appended.clear()
            await log.appended.wait()


def test_what_is_lost_is_published_again_and_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        log, said = FlakyLog(), list[str]()
        keeping = await kept(log, said)
        await asyncio.sleep(0.1)
        assert len(log.calls) == 1, "nothing was lost"
        log.content[STREAMS][0].clear()
        await until_appended(log, 2)
        del log.content[STREAMS]
        await until_appended(log, 3)
        await asyncio.sleep(0.1)
        assert (len(log.calls), len(said)) == (3, 2)
        assert "streams has lost" in said[0]
        keeping.cancel()

    monkeypatch.setattr(describing, "LOOK_S", 0.01)
    asyncio.run(main())


def test_once_an_hour_they_are_published_anyway(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        log, said = FlakyLog(), list[str]()
        keeping = await kept(log, said)
        await until_appended(log, 3)
        assert not said
        keeping.cancel()

    monkeypatch.setattr(describing, "LOOK_S", 0.01)
    monkeypatch.setattr(describing, "AGAIN_S", 0.05)
    asyncio.run(main())


def test_a_log_that_is_away_has_lost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Away(FlakyLog):
        looks = 0

        async def bounds(self, topic: str) -> dict[int, Bounds]:
            self.looks += 1
            raise LogUnavailableError("away")

    async def main() -> None:
        log, said = Away(), list[str]()
        keeping = await kept(log, said)
        async with asyncio.timeout(200):
            while log.looks < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert (len(log.calls), said) == (1, [])
        keeping.cancel()

    monkeypatch.setattr(describing, "LOOK_S", 0.01)
    asyncio.run(main())


@pytest.mark.usefixtures("fed")
def test_a_worker_beside_an_agent_learns_its_streams_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a real log: the topic's folder is deleted under agent and worker."""

    async def main() -> None:
        url = f"segments:{tmp_path / 'log'}"
        log, reading = open_log(url), open_log(url)
        registry = SchemaRegistry(reading)
        try:
            async with running(fed_config(tmp_path), log) as agent:  # type: ignore[arg-type]
                agent.source.feed(b"1\n", 1, "t1")
                await agent.until(lambda: agent.source.acknowledged == ["t1"])
                spool = agent.agent.spool
                assert spool is not None
                await agent.until(lambda: not spool.readings.backlog)
                assert await registry.refresh() == 1
                async with asyncio.timeout(200):
                    shutil.rmtree(tmp_path / "log" / "topics" / STREAMS)
                    later = SchemaRegistry(reading)  # a worker that had not met the schema
                    while not await later.refresh():  # noqa: ASYNC110 - an agent's append is no event here
                        await asyncio.sleep(0.05)
                assert later.descriptions == registry.descriptions
                assert any("published again" in text for text in agent.said)
        finally:
            await log.close()
            await reading.close()

    monkeypatch.setattr(describing, "LOOK_S", 0.1)
    asyncio.run(main())
