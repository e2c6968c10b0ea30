"""The system's clocks: whether the wall clock is set, and what CLOCK_BOOTTIME lacked to it in each kernel boot."""

from __future__ import annotations

import asyncio
import ctypes
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from edge.recording.recorder import ClockState
from edge.sources.clock import boottime_ns
from edge.spool.spool import PLAUSIBLE_NS
from ingest.files import put

Trust: TypeAlias = Literal["system", "ntp"]
_TIME_ERROR: Final = 5
"""What adjtimex(2) returns while the clock is not synchronised."""
_TIMEX_BYTES: Final = 512
"""More than a `struct timex` has."""
_KEPT: Final = 8
"""Kernel boots whose offset is remembered."""


def system_clock(trust: Trust) -> ClockState:
    """Whether the wall clock is to be believed: see `edge.config.ClockConfig`."""
    plausible = time.time_ns() >= PLAUSIBLE_NS
    if trust == "system":
        return ClockState(plausible, "system")
    return ClockState(plausible and _is_synchronised(), "ntp")


def _is_synchronised() -> bool:
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)  # modes = 0: ask, change nothing
    return bool(ctypes.CDLL(None, use_errno=True).adjtimex(timex) not in (-1, _TIME_ERROR))


def offset_ns() -> int:
    """What CLOCK_BOOTTIME lacks to the wall clock now, read as closely together as can be."""
    before = boottime_ns()
    wall = time.time_ns()
    return wall - (before + boottime_ns()) // 2


def load_offsets(folder: Path) -> dict[bytes, int]:
    """What was known in earlier runs, by kernel boot; nothing where the file is not there or damaged."""
    try:
        found = msgspec.msgpack.decode((folder / "clocks").read_bytes(), type=dict[bytes, int])
    except (OSError, msgspec.MsgspecError):
        return {}
    return found


def save_offset(folder: Path, kernel_boot: bytes, offset: int) -> None:
    """Remember this kernel boot's offset durably. Raises `OSError`."""
    known = load_offsets(folder)
    known.pop(kernel_boot, None)
    known[kernel_boot] = offset
    kept = dict(list(known.items())[-_KEPT:])
    put(folder / "clocks", msgspec.msgpack.encode(kept))


class Clocks:
    """What CLOCK_BOOTTIME lacks to UTC, by kernel boot; `changed` is set when one becomes known."""

    def __init__(self, offsets_ns: dict[bytes, int]) -> None:
        self.offsets_ns = offsets_ns
        self.changed = asyncio.Event()


class ClockWatch:
    """Looks whether the system's clock was set, or lost."""

    def __init__(self, trust: Trust, folder: Path, kernel_boot: bytes, report: Callable[[str], None]) -> None:
        self.now = system_clock(trust)
        """As it was at the last look."""
        self.clocks: Final = Clocks(load_offsets(folder))
        self._trust = trust
        self._folder = folder
        self._kernel_boot = kernel_boot
        self._report = report
        if self.now.is_set:
            self._remember(offset_ns())

    def look(self) -> ClockState | None:
        """The clock's state, if it is another one than before."""
        found = system_clock(self._trust)
        if found == self.now:
            return None
        self.now = found
        self._report("the system's clock is set" if found.is_set else "the system's clock is no longer to be believed")
        return found

    async def tell(self) -> None:
        """Who waits for the clock may go on, if it is set."""
        if self.now.is_set:
            await asyncio.to_thread(self._remember, offset_ns())
            self.clocks.changed.set()

    def _remember(self, offset: int) -> None:
        self.clocks.offsets_ns[self._kernel_boot] = offset
        with suppress(OSError):  # a later start knows less then
            save_offset(self._folder, self._kernel_boot, offset)
