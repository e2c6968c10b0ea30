"""What an agent answers to what came through the log: records in `status`, by way of the spool, so that none is lost
with the link."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from edge.spool.entries import STATUS, urgent
from edge.spool.spool import Spool
from ingest.errors import SensorloomError
from ingest.records import Change, Command, CommandResult

CONFIGURATION: Final = "configuration"
_TEXT: Final = 500
"""A reason has at most."""


class Answers:
    """Speaks for an agent's own device."""

    def __init__(self, device: str, agent: str, boot: bytes, spool: Spool, durable: Callable[[], None]) -> None:
        """`durable` hears that something new lies in the spool."""
        self._device = device
        self._agent = agent
        self._boot = boot
        self._spool = spool
        self._durable = durable

    async def configuration(self, old: str, new: str, outcome: str, reason: str) -> None:
        """What became of a configuration: see `ingest.records.Change`."""
        said = CONFIGURATION, old, new, outcome, reason[:_TEXT]
        await self._say(Change(self._device, self._agent, self._boot, time.time_ns(), *said))

    async def command(self, command: Command, outcome: str, reason: str) -> None:
        """What became of a command."""
        said = command.id, command.source, command.name, outcome, reason[:_TEXT]
        await self._say(CommandResult(self._device, self._agent, self._boot, time.time_ns(), *said))

    async def _say(self, record: Change | CommandResult) -> None:
        with suppress(SensorloomError):  # a disk that takes nothing is told by the readings
            await asyncio.to_thread(self._spool.urgent.commit, [urgent(STATUS, self._device, record)])
        self._durable()
