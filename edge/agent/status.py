"""What the agent says of itself: its birth, that it is alive, its death; and who else speaks for its devices."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Final

from edge.agent.clones import CloneWatch
from edge.agent.releases import NO_RELEASES, Releases, changes
from edge.sources.backoff import Backoff
from edge.spool.entries import STATUS, urgent
from edge.spool.spool import Spool
from ingest.errors import SensorloomError
from ingest.log.protocol import STATUS as STATUS_TOPIC
from ingest.log.protocol import Entry, Log
from ingest.records import Birth, Death, Heartbeat
from ingest.wire import decode, encode

HEARTBEAT_S: Final = 20.0
FIGURES_BEATS: Final = 6
"""Each so many heartbeats carry the figures; those between only say that the agent is alive."""
LOOK_S: Final = 1.0
"""How often it is looked who else speaks for a device."""
_RETRY_S: Final = (1.0, 60.0)


class Status:
    """Speaks for the devices of one agent in one boot. Births and deaths go through the spool, heartbeats do not: one
    that cannot be said is not said later."""

    def __init__(
        self, devices: tuple[str, ...], agent: str, boot: bytes, log: Log, releases: Releases = NO_RELEASES
    ) -> None:
        self._devices = list(devices)
        self._releases = releases
        self._found: list[str] = []
        """Devices that sources found, and whose birth is not said yet."""
        self._has_found = asyncio.Event()
        self._agent = agent
        self._boot = boot
        self._log = log

    def born(self, spool: Spool, version: str, digest: str) -> None:
        """The agent is there. A disk that takes nothing is told by others. It may wait for the disk."""
        self._say_births(self._devices, spool, version, digest)

    def found(self, device: str) -> None:
        """A source has found one more device."""
        self._devices.append(device)
        self._found.append(device)
        self._has_found.set()

    async def announce(self, spool: Spool, version: str, digest: str) -> None:
        """Say the births of devices that are found, until cancelled."""
        while True:
            await self._has_found.wait()
            self._has_found.clear()
            found, self._found = self._found, []
            await asyncio.to_thread(self._say_births, found, spool, version, digest)

    def _say_births(self, devices: Sequence[str], spool: Spool, version: str, digest: str) -> None:
        now_ns = time.time_ns()
        births = [Birth(device, self._agent, self._boot, now_ns, version, digest) for device in devices]
        with suppress(SensorloomError):
            spool.urgent.commit([urgent(STATUS, birth.device, birth) for birth in births])

    def died(self, spool: Spool, reason: str) -> None:
        """The agent ends. It may wait for the disk."""
        now_ns = time.time_ns()
        deaths = [Death(device, self._agent, self._boot, now_ns, reason) for device in self._devices]
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
            now_ns, found = time.time_ns(), {} if number % FIGURES_BEATS else figures()
            beats = [Heartbeat(name, self._agent, self._boot, now_ns, found.get(name, {})) for name in self._devices]
            with suppress(SensorloomError):
                await self._log.append(STATUS_TOPIC, [Entry(beat.device.encode(), encode(beat)) for beat in beats])
            await asyncio.sleep(HEARTBEAT_S)

    async def watch(self, clones: CloneWatch, report: Callable[[str], None]) -> None:
        """Look for others who speak for this agent's devices, until cancelled."""
        backoff = Backoff(*_RETRY_S)
        while True:
            try:
                await self._log.ensure(STATUS_TOPIC)
                bounds = await self._log.bounds(STATUS_TOPIC)
                reader = self._log.reader(STATUS_TOPIC, {partition: found.end for partition, found in bounds.items()})
                try:
                    while True:
                        batches = await reader.fetch(0.0)  # to wait in it costs a hundred looks a second
                        backoff.reset()
                        for batch in batches:
                            for value in batch.values:
                                _see(clones, bytes(value), report)
                        if not batches:
                            await asyncio.sleep(LOOK_S)
                finally:
                    await reader.close()
            except SensorloomError:
                await asyncio.sleep(backoff.next_s())


def _see(clones: CloneWatch, value: bytes, report: Callable[[str], None]) -> None:
    with suppress(SensorloomError):
        conflict = clones.see(decode(value))
        if conflict is not None:
            report(str(conflict))
