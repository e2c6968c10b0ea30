"""An agent in a test: it runs in a block, in this process, between doubles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from edge.agent.agent import Agent
from edge.agent.remote.kept import last_good
from simulators.doubles.log import FlakyLog
from simulators.doubles.source import FedSource

TIMEOUT_S: Final = 60.0


def fed_config(folder: Path, spool: str = "", more: str = "") -> Path:
    """Write `folder/agent.toml`: one source of type `fed` whose CSV lines are `acc.x`; lines for `[spool]`, and more
    tables."""
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


class Running:
    """An agent that runs, and what it said."""

    def __init__(self, agent: Agent, log: FlakyLog, said: list[str]) -> None:
        self.agent = agent
        self.log = log
        self.said = said
        self.stop = asyncio.Event()
        self.source = FedSource.opened["acc"]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let it run until this is so. Raises `TimeoutError`."""
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():  # noqa: ASYNC110 - what is waited for is spread over the agent's tasks
                await asyncio.sleep(0.005)


@asynccontextmanager
async def running(config: Path, log: FlakyLog, boot: int = 1, *, killed: bool = False) -> AsyncIterator[Running]:
    """Run an agent in the block; then it is stopped, or dies without a word. What ended it is raised."""
    said: list[str] = []
    agent = Agent(last_good(config)[0], log, bytes([boot]) * 16, "0", said.append)
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
