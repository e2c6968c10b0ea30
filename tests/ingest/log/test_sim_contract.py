"""The simulated log passes the suite of the real ones, on virtual time and on a real event loop."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

import pytest

from ingest.log.protocol import Log
from simulators.sim.faults import Chance, Process
from simulators.sim.log import SimBroker, SimLog
from simulators.sim.loop import run
from tests.ingest.log.contract import LogContract
from tests.ingest.log.world import World

T = TypeVar("T")


class SimWorld:
    """One broker; every client is a process of its own."""

    patience_s = 30.0

    def __init__(self, *, virtual: bool) -> None:
        self._virtual = virtual
        self._broker = SimBroker(random.Random(1), session_s=6.0 if virtual else 0.3)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        return run(lambda rng: main, seed=1) if self._virtual else asyncio.run(main)

    def open(self, partitions: int | None = None) -> Log:
        return SimLog(self._broker, Process("client", Chance(random.Random(2))), partitions=partitions)

    def topic(self, name: str) -> str:
        return name

    async def trim(self, log: Log, topic: str, partition: int, before: int) -> None:
        self._broker.topics[topic][partition].truncate(before)

    async def crash(self, log: Log) -> None:
        cast(SimLog, log).process.kill()


class TestSimLog(LogContract):
    @pytest.fixture(params=["virtual", "real"])
    def world(self, request: pytest.FixtureRequest) -> World:
        return SimWorld(virtual=request.param == "virtual")
