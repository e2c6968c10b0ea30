"""What a service's log says, told once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

from ingest.engine.telling import Notice
from ingest.errors import LogUnavailableError
from ingest.log.protocol import Bounds
from service.watch import LogWatch
from simulators.sim.log import SimBroker, SimLog
from simulators.sim.loop import run


class TalkingLog(SimLog):
    """Away between the 10th and the 300th second."""

    def tick(self) -> None:
        away = 10 <= asyncio.get_running_loop().time() < 300
        self.trouble = "sim: no answer, waiting: start it" if away else ""

    async def bounds(self, topic: str) -> dict[int, Bounds]:
        if self.trouble:
            raise LogUnavailableError(self.trouble)
        return await super().bounds(topic)


def test_trouble_is_told_when_it_begins_and_ends_and_remarks_once() -> None:
    async def main(rng: random.Random) -> None:
        log = TalkingLog(SimBroker(rng))
        await log.ensure("readings")
        heard: list[Notice] = []
        ends: list[Mapping[int, Bounds]] = []
        log.remarks = ("one replica only",)
        async with LogWatch(log, heard.append).watching("readings", ends.append):
            for _ in range(600):
                log.tick()
                await asyncio.sleep(1.0)
            log.remarks += ("retention is a day",)
        assert [(notice.kind, notice.text) for notice in heard] == [
            ("noted", "one replica only"),
            ("waiting", "sim: no answer, waiting: start it"),
            ("waiting", "sim:: answers again; going on"),
            ("noted", "retention is a day"),
        ]
        assert 4 <= len(ends) <= 6, "once a minute, while it answers"

    run(main, 0, 1000)
