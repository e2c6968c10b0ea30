"""Following a log while others write it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from ingest.log.protocol import READINGS
from ingest.opening import open_log


class Follower:
    """Reads `readings` from its beginning in a thread; `see` says how late a record is, or None. A context manager."""

    def __init__(self, url: str, see: Callable[[bytes], float | None]) -> None:
        self.lag_s = 0.0
        """Of the newest record of which it was said."""
        self._url, self._see = url, see
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._follow()), daemon=True)

    async def _follow(self) -> None:
        log = open_log(self._url)
        await log.ensure(READINGS)
        bounds = await log.bounds(READINGS)
        reader = log.reader(READINGS, {partition: found.begin for partition, found in bounds.items()})
        while not self._over.is_set():
            for batch in await reader.fetch(0.0):
                for value in batch.values:
                    lag_s = self._see(bytes(value))
                    self.lag_s = self.lag_s if lag_s is None else lag_s
            await asyncio.sleep(0.2)
        await reader.close()
        await log.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
