"""The system's clocks: whether the wall clock is set, and what CLOCK_BOOTTIME lacked to it in each kernel boot."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from edge.recording.pulses import Look, PulseClock
from edge.recording.recorder import Recorder
from edge.recording.terms import ClockState
from edge.sources.clock import boottime_ns
from edge.spool.spool import PLAUSIBLE_NS
from ingest.files import put

Trust: TypeAlias = Literal["system", "ntp"]
_TIME_ERROR: Final = 5
"""What adjtimex(2) returns while the clock is not synchronised."""
_UNSYNCHRONISED: Final = 0x40
"""STA_UNSYNC, of its `status`."""
_KEPT: Final = 8
"""Kernel boots whose offset is remembered."""
_SAME_NS: Final = 1_000_000
"""What an offset that is remembered may be off: it is not written again for less."""
_LOOKS: Final = 10
PPS, PPS_LOST = "pps", "pps_lost"
"""What `Clock.source` says of times that a pulse leads, or has led."""


class _Timex(ctypes.Structure):
    """The beginning of `struct timex` (adjtimex(2))."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 480),
    )


def system_clock(trust: Trust) -> ClockState:
    """Whether the wall clock is to be believed: see `edge.config.ClockConfig`."""
    plausible = time.time_ns() >= PLAUSIBLE_NS
    if trust == "system":
        return ClockState(plausible, "system")
    return ClockState(plausible and _is_synchronised(), "ntp")


def _is_synchronised() -> bool:
    return _ask()[0] not in (-1, _TIME_ERROR)


def _ask() -> tuple[int, _Timex]:
    """What adjtimex(2) returns, and what it says."""
    timex = _Timex()  # modes = 0: ask, change nothing
    return int(ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))), timex


def why_unasked() -> str:
    """Why the kernel does not say how its clock is; empty where it does."""
    if _ask()[0] != -1:
        return ""
    return (
        f"the kernel does not say whether the clock is synchronised (adjtimex: {os.strerror(ctypes.get_errno())}): it "
        "counts as not; in a systemd unit ProtectClock and SystemCallFilter forbid to ask, in a container seccomp does"
    )


def bound_ns() -> int | None:
    """How far CLOCK_REALTIME can be off, as whoever sets it told the kernel; None where nobody did."""
    state, timex = _ask()
    return None if state in (-1, _TIME_ERROR) or timex.status & _UNSYNCHRONISED else int(timex.maxerror) * 1000


def look() -> Look:
    """The clocks, read as closely together as can be."""
    apart_ns, at_ns, lacks_ns = _closest()
    return Look(at_ns, lacks_ns, apart_ns, bound_ns())


def offset_ns() -> int:
    """What CLOCK_BOOTTIME lacks to the wall clock now, read as closely together as can be."""
    return _closest()[2]


def _closest() -> tuple[int, int, int]:
    """Of some looks the shortest, as the process may be set aside within one: how long it took, when it was, and what
    CLOCK_BOOTTIME lacked to the wall clock, ns."""
    found = []
    for _ in range(_LOOKS):
        before_ns = boottime_ns()
        wall_ns = time.time_ns()
        behind_ns = boottime_ns()
        found.append((behind_ns - before_ns, behind_ns, wall_ns - (before_ns + behind_ns) // 2))
    return min(found)


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
    """Looks whether the clock was set, or lost: the system's, or what a pulse per second makes of it."""

    def __init__(
        self,
        trust: Trust,
        folder: Path,
        kernel_boot: bytes,
        report: Callable[[str], None],
        pulses: PulseClock | None = None,
    ) -> None:
        self._trust: Trust = trust
        self._folder = folder
        self._kernel_boot = kernel_boot
        self._report = report
        self._pulses = pulses
        self.now = self._found()
        """As it was at the last look."""
        self.clocks: Final = Clocks(load_offsets(folder))
        why = why_unasked() if trust == "ntp" or pulses is not None else ""
        if why:
            report(why)
        if self.now.is_set:
            self.clocks.offsets_ns[kernel_boot] = self.offset_ns(boottime_ns())
            self._save()

    def offset_ns(self, monotonic_ns: int) -> int:
        """What CLOCK_BOOTTIME lacks to UTC at a time, as far as is known."""
        line = self.now.line
        return offset_ns() if line is None else line.lacks_ns(monotonic_ns)

    async def refresh(self, recorders: Iterable[Recorder]) -> None:
        """Look; where something is new, recorders and who waits for the clock hear it."""
        found = self._found()
        if found == self.now:
            return
        was_set, self.now = self.now.is_set, found
        if found.is_set != was_set:
            self._report(f"the system's clock is {'set' if found.is_set else 'no longer to be believed'}")
        now_ns = boottime_ns()
        for recorder in recorders:
            recorder.set_clock(found, now_ns)
        if not found.is_set:
            return
        offset, known = self.offset_ns(now_ns), self.clocks.offsets_ns.get(self._kernel_boot)
        if was_set and known is not None and abs(offset - known) <= _SAME_NS:
            return
        self.clocks.offsets_ns[self._kernel_boot] = offset
        await asyncio.to_thread(self._save)
        self.clocks.changed.set()

    def _found(self) -> ClockState:
        line = None if self._pulses is None else self._pulses.line
        if self._pulses is None or line is None:
            return system_clock(self._trust)
        return ClockState(True, PPS_LOST if self._pulses.state == "held" else PPS, line)

    def _save(self) -> None:
        with suppress(OSError):  # a later start knows less then
            save_offset(self._folder, self._kernel_boot, self.clocks.offsets_ns[self._kernel_boot])
