"""The system's clocks: whether the wall clock is set, and what CLOCK_MONOTONIC lacked to it in each kernel boot."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path
from typing import Final, Literal

import msgspec

from edge.recorder import ClockState
from edge.spool import PLAUSIBLE_NS
from ingest.log.segments.files import put

_TIME_ERROR: Final = 5
"""What adjtimex(2) returns while the clock is not synchronised."""
_TIMEX_BYTES: Final = 512
"""More than a `struct timex` has."""
_KEPT: Final = 8
"""Kernel boots whose offset is remembered."""


def system_clock(trust: Literal["system", "ntp"]) -> ClockState:
    """Whether the wall clock is to be believed: see `edge.config.ClockConfig`."""
    plausible = time.time_ns() >= PLAUSIBLE_NS
    if trust == "system":
        return ClockState(plausible, "system")
    return ClockState(plausible and _is_synchronised(), "ntp")


def _is_synchronised() -> bool:
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)  # modes = 0: ask, change nothing
    return bool(ctypes.CDLL(None, use_errno=True).adjtimex(timex) not in (-1, _TIME_ERROR))


def offset_ns() -> int:
    """What CLOCK_MONOTONIC lacks to the wall clock now, read as closely together as can be."""
    before = time.monotonic_ns()
    wall = time.time_ns()
    return wall - (before + time.monotonic_ns()) // 2


def load_offsets(folder: Path) -> dict[bytes, int]:
    """What was known in earlier runs, by kernel boot; nothing where the file is not there or damaged."""
    try:
        found = msgspec.msgpack.decode((folder / "clocks").read_bytes(), type=dict[bytes, int])
    except (OSError, msgspec.MsgspecError):
        return {}
    return found


def save_offset(folder: Path, kernel_boot: bytes, offset: int) -> dict[bytes, int]:
    """Remember this kernel boot's offset durably; returns what is known now. Raises `OSError`."""
    known = load_offsets(folder)
    known.pop(kernel_boot, None)
    known[kernel_boot] = offset
    kept = dict(list(known.items())[-_KEPT:])
    put(folder / "clocks", msgspec.msgpack.encode(kept))
    return kept
