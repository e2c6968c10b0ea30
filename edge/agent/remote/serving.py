"""The pipelines at work: each in a task of its own, which may come and go while the others go on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from edge.agent.pipeline import Pipeline


class Serving:
    """Runs pipelines."""

    def __init__(self) -> None:
        self._tasks: dict[Pipeline, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._changing = 0

    def start(self, pipelines: Iterable[Pipeline]) -> None:
        """Serve these, too."""
        for pipeline in pipelines:
            self._tasks[pipeline] = asyncio.create_task(pipeline.serve())
        self._changed.set()

    def hold(self) -> None:
        """That none is left is not the end: others come. Until `let_go`."""
        self._changing += 1

    def let_go(self) -> None:
        """See `hold`."""
        self._changing -= 1
        self._changed.set()

    async def stop(self, pipelines: Iterable[Pipeline]) -> None:
        """Serve these no more; their sources are closed when this returns."""
        known = [one for one in pipelines if one in self._tasks]
        await end_all([self._tasks[one] for one in known])
        for one in known:
            del self._tasks[one]
        self._changed.set()

    async def run(self) -> None:
        """Until all have come to their end. When it is cancelled, all are stopped."""
        changing = asyncio.create_task(self._change())
        try:
            while self._changing or not all(task.done() for task in self._tasks.values()):
                self._changed.clear()
                if changing.done():
                    changing = asyncio.create_task(self._change())
                left = [task for task in self._tasks.values() if not task.done()]
                done, _ = await asyncio.wait([*left, changing], return_when=asyncio.FIRST_COMPLETED)
                for task in done - {changing}:
                    if not task.cancelled():
                        task.result()
        finally:
            await end_all([changing, *self._tasks.values()])

    async def _change(self) -> None:
        await self._changed.wait()


async def end_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks until they end: `asyncio.wait_for` of Python 3.11 may swallow a cancellation.

    Whoever is cancelled while they end, which may take longer than their own caller waits, still sees them end: one
    that was left alone would go on for ever.
    """
    known, is_cancelled = list(tasks), False
    while left := [task for task in known if not task.done()]:
        for task in left:
            task.cancel()
        try:
            await asyncio.wait(left, timeout=0.5)
        except asyncio.CancelledError:
            is_cancelled = True
    await asyncio.gather(*known, return_exceptions=True)
    if is_cancelled:
        raise asyncio.CancelledError
