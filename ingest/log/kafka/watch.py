"""Looks after a cluster while it is in use: whether it answers, and whether its topics stay set up as they must be."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

from ingest.errors import SensorloomError
from ingest.log.kafka.cluster import Cluster
from ingest.log.kafka.contact import why_silent

LISTEN_S: Final = 1.0
LOOK_S: Final = 30.0
"""How often settings are asked for: a change is told within a minute."""
_LOOK_MAX_S: Final = 10.0
_ANSWERS: Final = (
    "though the broker answers: has each partition a leader, and enough replicas in sync? Does a quota hold clients "
    "back (kafka-configs.sh --describe --entity-type clients --entity-default)?"
)


class Watch:
    """Keeps `trouble` and the cluster's remarks, from `begin` to `close`."""

    def __init__(self, cluster: Cluster, url: str) -> None:
        self.trouble = ""
        """Why the cluster gives no answer just now; empty when all is well."""
        self._is_away = False
        """Of all addresses none answers."""
        self._cluster = cluster
        self._url = url
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Watch from now on, wherever the running loop leads; again is no harm."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._look())]

    async def close(self) -> None:
        """Watch no longer."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.trouble = ""

    async def _listen(self) -> None:
        while True:
            await asyncio.sleep(LISTEN_S)
            question = self._cluster.silence.longest(time.monotonic())
            if question is None:
                self.trouble, self._is_away = "", False
            elif not self.trouble:  # said once: what changes with each second would be told each second
                fault = await why_silent(self._cluster.bootstrap)
                self._is_away = bool(fault)
                if not fault:
                    await self._look_once()
                    fault = self._cluster.fault
                lasted_s = time.monotonic() - question.since_s
                self.trouble = f"{self._url}: no answer for {lasted_s:.0f} s ({question.what}), waiting: " + (
                    fault or _ANSWERS
                )

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            if not self._is_away:
                await self._look_once()

    async def _look_once(self) -> None:
        with contextlib.suppress(SensorloomError, TimeoutError):
            async with asyncio.timeout(_LOOK_MAX_S):
                await self._cluster.look_again()
