"""An agent in a test: a source that is fed by hand, a log that can be made to fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar, Self

import pytest

from edge.agent.agent import Agent
from edge.config import load_config
from edge.protocol import Arrival, Interruption, Key, SourceConfig
from edge.sources import SOURCES
from ingest.errors import LogUnavailableError
from ingest.log.protocol import READINGS, Entry, Position
from ingest.records import Chunk, Gap, Record
from ingest.wire import decode
from tests.ingest.list_log import ListLog

S = 1_000_000_000
WALL = 1_700_000_000 * S
TIMEOUT_S = 20.0


class FedSource:
    """Gives what the test puts in; the instances are in `opened`, by stream."""

    keys: ClassVar[Mapping[str, Key]] = {}
    opened: ClassVar[dict[str, FedSource]] = {}

    def __init__(self) -> None:
        self.items: asyncio.Queue[Arrival | Interruption | Exception | None] = asyncio.Queue()
        self.acknowledged: list[Hashable] = []
        self.waiting_for = ""
        self.trouble = ""
        self.missing = ""
        self.heard_ns: int | None = None
        self.asked_again = 0
        self.closed = 0

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        source = cls()
        cls.opened[config.stream] = source
        return source

    async def open(self) -> None:
        return None

    async def arrivals(self) -> AsyncIterator[Arrival | Interruption]:
        while (item := await self.items.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    def ack(self, token: Hashable) -> None:
        self.acknowledged.append(token)

    def again(self) -> None:
        self.asked_again += 1

    async def close(self) -> None:
        self.closed += 1

    def feed(self, data: bytes, second: float, token: Hashable = None, **more: object) -> None:
        at = int(second * S)
        self.items.put_nowait(Arrival(data, at, WALL + at, token, **more))  # type: ignore[arg-type]


class FlakyLog(ListLog):
    """A log that can be away."""

    def __init__(self) -> None:
        super().__init__(1)
        self.away = False

    async def append(self, topic: str, entries: Sequence[Entry]) -> list[Position]:
        if self.away:
            raise LogUnavailableError("list: nobody answers at this address")
        return await super().append(topic, entries)

    def records(self, topic: str = READINGS) -> list[Record]:
        return [decode(entry.value) for part in self.content.get(topic, []) for entry in part]

    def chunks(self) -> list[Chunk]:
        return [record for record in self.records() if isinstance(record, Chunk)]

    def values(self) -> list[float]:
        """Every sample once: chunks by identity."""
        import numpy as np

        once = {(chunk.boot, chunk.seq): chunk for chunk in self.chunks()}
        return [value for chunk in once.values() for value in np.frombuffer(chunk.values, "<f4").tolist()]

    def gaps(self) -> list[Gap]:
        return [record for record in self.records() if isinstance(record, Gap)]


def fed_config(folder: Path, spool: str = "", more: str = "") -> Path:
    path = folder / "agent.toml"
    path.write_text(
        f"""device = "pump"
agent = "test"
log = "segments:log"
[spool]
dir = "spool"
fsync_interval = "20ms"
{spool}
{more}
[[source]]
name = "fed"
type = "fed"
decoder = "csv"
stream = "acc"
channels = {{ x = "g" }}
"""
    )
    return path


@pytest.fixture
def fed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The source type `fed` exists."""
    monkeypatch.setitem(SOURCES, "fed", "tests.edge.feeding:FedSource")
    monkeypatch.setattr("edge.agent.publisher.RETRY_S", (0.01, 0.05))


class Running:
    """An agent that runs, and what it said."""

    def __init__(self, agent: Agent, log: FlakyLog, said: list[str]) -> None:
        self.agent = agent
        self.log = log
        self.said = said
        self.stop = asyncio.Event()
        self.source = FedSource.opened["acc"]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():  # noqa: ASYNC110 - what is waited for is spread over the agent's tasks
                await asyncio.sleep(0.005)


@asynccontextmanager
async def running(config: Path, log: FlakyLog, boot: int = 1, *, killed: bool = False) -> AsyncIterator[Running]:
    """Run an agent in the block; then it is stopped, or dies without a word."""
    said: list[str] = []
    agent = Agent(load_config(config), log, bytes([boot]) * 16, "0", said.append)
    found = Running(agent, log, said)
    task = asyncio.create_task(agent.run(found.stop))
    try:
        await asyncio.sleep(0)
        yield found
        if task.done():
            task.result()
        if not killed:
            found.stop.set()
            async with asyncio.timeout(TIMEOUT_S):
                await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
