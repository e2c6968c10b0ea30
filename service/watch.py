"""What a service's log has to say while the service runs: why it is away, what is remarkable, where it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

from ingest.engine.telling import Notice
from ingest.errors import SensorloomError
from ingest.log.protocol import Bounds, Log

LOOK_S: Final = 1.0
"""How often a log is asked for its trouble and its remarks: both lie in memory."""
ENDS_S: Final = 60.0
"""How often it is asked where its topics end."""


class LogWatch:
    """Looks at a log; `tell` hears each trouble when it begins and ends, and each remark once."""

    def __init__(self, log: Log, tell: Callable[[Notice], None]) -> None:
        self._log = log
        self._tell = tell
        self._trouble = ""
        self._remarks: set[str] = set()

    def look(self) -> None:
        """Tell what is new."""
        trouble = self._log.trouble
        if trouble != self._trouble:
            self._trouble = trouble
            self._tell(Notice("waiting", -1, 0, trouble or f"{self._log.url}: answers again; going on"))
        for text in self._log.remarks:
            if text not in self._remarks:
                self._remarks.add(text)
                self._tell(Notice("noted", -1, 0, text))

    @contextlib.asynccontextmanager
    async def watching(self, topic: str, ends: Callable[[Mapping[int, Bounds]], None]) -> AsyncIterator[None]:
        """Look now and then until the block ends, and once more then; `ends` hears where `topic` ends."""
        tasks = [asyncio.create_task(self._keep_looking()), asyncio.create_task(self._keep_asking(topic, ends))]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.look()

    async def _keep_looking(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    async def _keep_asking(self, topic: str, ends: Callable[[Mapping[int, Bounds]], None]) -> None:
        while True:
            await asyncio.sleep(ENDS_S)
            with contextlib.suppress(SensorloomError):  # who reads the topic says so
                ends(await self._log.bounds(topic))
