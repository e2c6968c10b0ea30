"""Keeping the process small: one heap for all threads.

glibc gives each thread a heap of its own and keeps what was freed there; the threads that wait for the disk take turns
at large batches, so that an agent that drained a backlog kept a batch in each of their heaps (mallopt(3), M_ARENA_MAX).
Under Python's lock no two threads allocate at a time, so that one heap slows nothing down.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Final

_M_ARENA_MAX: Final = -8


def use_one_heap() -> None:
    """For all threads that begin from now on; nothing happens where the C library is not glibc."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
