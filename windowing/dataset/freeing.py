"""What was freed, given back to the operating system."""

from __future__ import annotations

import ctypes


def return_freed() -> None:
    """Give the kernel back what glibc keeps of memory that was freed (`malloc_trim`, which other C libraries lack).

    A parsed index leaves as much free memory behind as the index itself has, and glibc would keep it for allocations
    of the same process: each of many workers that open a dataset would hold it.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
