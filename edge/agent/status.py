"""What the agent says of itself: its birth, that it is alive, its death; and who else speaks for its devices."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Final, NamedTuple

from edge.agent.clones import CloneWatch
from edge.agent.following import end_of, follow
from edge.agent.releases import NO_RELEASES, Releases, changes
from edge.recording.recorder import CONFIGURED
from edge.spool.entries import STATUS, urgent
from edge.spool.spool import Spool
from ingest.errors import SensorloomError
from ingest.log.protocol import STATUS as STATUS_TOPIC
from ingest.log.protocol import Entry, Log, LogBatch
from ingest.records import Birth, Death, Heartbeat
from ingest.wire import decode, encode

HEARTBEAT_S: Final = 20.0
FIGURES_BEATS: Final = 6
"""Each so many heartbeats carry the figures; those between only say that the agent is alive."""


class About(NamedTuple):
    """What runs."""

    version: str = ""
    config_hash: str = ""
    revision: str = ""
    """Of what came through the log and is laid over the local file."""


UNKNOWN: Final = About()


class Status:
    """Speaks for the devices of one agent in one boot. Births and deaths go through the spool, heartbeats do not: one
    that cannot be said is not said later."""

    def __init__(
        self,
        devices: tuple[str, ...],
        agent: str,
        boot: bytes,
        log: Log,
        releases: Releases = NO_RELEASES,
        about: About = UNKNOWN,
    ) -> None:
        self.about = about
        self._devices = list(devices)
        self._releases = releases
        self._found: list[str] = []
        """Devices that sources found, and whose birth is not said yet."""
        self._has_found = asyncio.Event()
        self._agent = agent
        self._boot = boot
        self._log = log

    def born(self, spool: Spool) -> None:
        """The agent is there. A disk that takes nothing is told by others. It may wait for the disk."""
        self._say_births(self._devices, spool)

    def found(self, device: str) -> None:
        """A source has found one more device."""
        self._devices.append(device)
        self._found.append(device)
        self._has_found.set()

    async def gone(self, devices: Collection[str], spool: Spool) -> None:
        """These devices are read no more, and the agent goes on."""
        self._devices = [device for device in self._devices if device not in devices]
        self._found = [device for device in self._found if device not in devices]
        await asyncio.to_thread(self._say_deaths, list(devices), spool, CONFIGURED)

    async def announce(self, spool: Spool) -> None:
        """Say the births of devices that are found, until cancelled."""
        while True:
            await self._has_found.wait()
            self._has_found.clear()
            found, self._found = self._found, []
            await asyncio.to_thread(self._say_births, found, spool)

    def _say_births(self, devices: Sequence[str], spool: Spool) -> None:
        now_ns = time.time_ns()
        births = [Birth(device, self._agent, self._boot, now_ns, *self.about) for device in devices]
        with suppress(SensorloomError):
            spool.urgent.commit([urgent(STATUS, birth.device, birth) for birth in births])

    def died(self, spool: Spool, reason: str) -> None:
        """The agent ends. It may wait for the disk."""
        self._say_deaths(self._devices, spool, reason)

    def _say_deaths(self, devices: Sequence[str], spool: Spool, reason: str) -> None:
        now_ns, ran = time.time_ns(), self.about[:2]
        deaths = [Death(device, self._agent, self._boot, now_ns, reason, *ran) for device in devices]
        with suppress(SensorloomError):
            spool.urgent.commit([urgent(STATUS, death.device, death) for death in deaths])

    def tell_changes(self, spool: Spool) -> None:
        """What became of upgrades since it was last told. It may wait for the disk, and is tried again with the next
        heartbeat."""
        lines, position = self._releases.news()
        told = changes(lines, self._devices, self._agent, self._boot)
        if told:
            with suppress(SensorloomError):
                spool.urgent.commit([urgent(STATUS, change.device, change) for change in told])
                self._releases.told(position)

    async def beat(self, figures: Callable[[], Mapping[str, dict[str, float]]], spool: Spool) -> None:
        """Say regularly that this agent is alive, now and then with each device's figures, until cancelled."""
        for number in count():
            await asyncio.to_thread(self.tell_changes, spool)
            now_ns, is_full = time.time_ns(), number % FIGURES_BEATS == 0
            found, ran = (figures(), self.about) if is_full else ({}, ())
            beats = [
                Heartbeat(name, self._agent, self._boot, now_ns, found.get(name, {}), *ran) for name in self._devices
            ]
            with suppress(SensorloomError):
                await self._log.append(STATUS_TOPIC, [Entry(beat.device.encode(), encode(beat)) for beat in beats])
            await asyncio.sleep(HEARTBEAT_S)

    async def watch(self, clones: CloneWatch, report: Callable[[str], None]) -> None:
        """Look for others who speak for this agent's devices, until cancelled."""

        async def see(batch: LogBatch) -> None:
            for value in batch.values:
                _see(clones, bytes(value), report)

        await follow(self._log, STATUS_TOPIC, end_of, see, report)


def _see(clones: CloneWatch, value: bytes, report: Callable[[str], None]) -> None:
    with suppress(SensorloomError):
        conflict = clones.see(decode(value))
        if conflict is not None:
            report(str(conflict))
