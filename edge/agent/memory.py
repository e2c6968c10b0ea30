"""Keeping the process small: one heap for all threads.

glibc gives each thread a heap of its own and keeps what was freed there; the threads that wait for the disk take turns
at large batches, so that an agent that drained a backlog kept a batch in each of their heaps (mallopt(3), M_ARENA_MAX).
Under Python's lock no two threads allocate at a time, so that one heap slows nothing down.
"""

from __future__ import annotations

import asyncio
import ctypes
from contextlib import suppress
from typing import Final

GIVE_BACK_S: Final = 60.0
_M_ARENA_MAX: Final = -8


def use_one_heap() -> None:
    """For all threads that begin from now on; nothing happens where the C library is not glibc."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


async def give_back() -> None:
    """Hand what is free in the heap back to the system once a minute, until cancelled (malloc_trim(3)): what batches
    and segments left in between what lives on made a process grow by some megabytes an hour."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while True:
        await asyncio.sleep(GIVE_BACK_S)
        if trim is not None:
            await asyncio.to_thread(trim, 0)
