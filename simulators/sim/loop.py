"""An asyncio event loop on virtual time: a minute of sleeping takes microseconds, and every run is the same run.

Nothing in it touches the operating system: no selector, no sockets, no threads. When nothing is ready, time jumps to
the next timer; when there is no timer either, the run is stuck and says so.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

LIMIT_S = 1e6
TURNS_MAX = 1_000_000
"""Turns of the loop in which time may stand still."""


class StuckError(AssertionError):
    """Nothing is ready and no timer is set, or virtual time ran past its limit: the code under test hangs."""


class _Clock:
    """Stands where asyncio has its selector: asked to wait, it moves time on instead."""

    def __init__(self, limit_s: float) -> None:
        self.now_s = 0.0
        self._limit_s = limit_s
        self._turns = 0

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise StuckError(f"deadlock at {self.now_s:.6f} s of virtual time: nothing is ready and no timer is set")
        self._turns += 1
        if timeout > 0:
            self._turns = 0
            self.now_s += timeout
            if self.now_s > self._limit_s:
                raise StuckError(f"virtual time ran past {self._limit_s:g} s: the run does not come to an end")
        if self._turns > TURNS_MAX:
            raise StuckError(f"{TURNS_MAX:,} turns of the loop at {self.now_s:.6f} s of virtual time: a busy loop")
        return []


class SimLoop(asyncio.BaseEventLoop):
    """An event loop whose `time()` starts at 0 s and moves only when every task waits."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        super().__init__()
        self._selector = _Clock(limit_s)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._selector.now_s

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none: the clock gives no I/O events."""

    def _write_to_self(self) -> None:
        raise RuntimeError("the simulation runs in one thread; call_soon_threadsafe has no place in it")

    def cancel_all(self) -> None:
        """Cancel whatever still runs, in the order in which it was created, and let it end."""
        left = sorted(asyncio.all_tasks(self), key=_task_number)
        for task in left:
            task.cancel()
        if left:
            self.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.run_until_complete(asyncio.sleep(0))  # the last callbacks of what ended before


def _task_number(task: asyncio.Task[Any]) -> tuple[int, str]:
    name = task.get_name()
    return len(name), name


def run(main: Callable[[random.Random], Coroutine[Any, Any, T]], seed: int, limit_s: float = LIMIT_S) -> T:
    """The result of `main(random source of this seed)` on virtual time.

    Raises:
        StuckError: deadlock, or more than `limit_s` of virtual time.
    """
    loop = SimLoop(limit_s)
    try:
        return loop.run_until_complete(main(random.Random(seed)))
    finally:
        try:
            loop.cancel_all()
        finally:
            loop.close()
