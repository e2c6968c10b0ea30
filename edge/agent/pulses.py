"""Pulses of a receiver, as the kernel or gpsd hands them on, into what is made of them (`edge.recording.pulses`)."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

from edge.agent.clock import look
from edge.recording.fixes import Fixes
from edge.recording.pulses import Pulse, PulseClock, parse_assert, parse_report
from ingest.showing import counted, printable

SYSFS: Final = Path("/sys/class/pps")
POLL_S: Final = 0.5
PATIENCE_NS: Final = 8_000_000_000
"""So long it may take until the first pulses are there and agree."""
REPAIR_S: Final = 60.0
LOCKED: Final = "locked"
HELD: Final = "held"
GPSD: Final = "gpsd"
GPSD_PORT: Final = 2947
_WATCH: Final = b'?WATCH={"enable":true,"json":true,"pps":true};\n'
_LINE_BYTES: Final = 65_536


class Pulses(Protocol):
    """Where pulses come from."""

    name: str
    trouble: str
    """Why there are none, for people; empty where nothing keeps them."""

    async def next(self) -> Pulse | None:
        """The newest pulse, once, as soon as it is known; None where there is none within about `POLL_S`."""
        ...

    def close(self) -> None:
        """Nobody asks any more."""
        ...


def pulses_of(source: str) -> Pulses:
    """Of what the configuration names: a device, a folder of the kernel's, or gpsd."""
    if source.partition(":")[0] == GPSD:
        return GpsdPulses(int(source.partition(":")[2] or GPSD_PORT))
    return KernelPulses(source)


class KernelPulses:
    """A PPS device: the kernel stamps its edges in the interrupt, and says the newest in a file that all may read."""

    def __init__(self, device: str) -> None:
        self.name = device
        self.trouble = ""
        self._seen: Pulse | None = None

    async def next(self) -> Pulse | None:
        """See `Pulses`."""
        await asyncio.sleep(POLL_S)
        try:
            found = parse_assert(self._file().read_text())
        except (OSError, ValueError) as error:
            self.trouble, self._seen = self._described(error), None
            return None
        self.trouble = ""
        if found is None or found == self._seen:
            return None
        self._seen = found
        return found

    def close(self) -> None:
        """See `Pulses`: each look opens it anew."""

    def _file(self) -> Path:
        device = Path(self.name)
        if device.is_dir():
            return device / "assert"
        return SYSFS / Path(os.path.realpath(device)).name / "assert"  # a name that udev gave leads to the kernel's

    def _described(self, error: OSError | ValueError) -> str:
        if isinstance(error, OSError) and error.errno in (errno.ENOENT, errno.ENODEV):
            found = ", ".join(f"/dev/{path.name}" for path in sorted(SYSFS.glob("pps*")))
            rest = f"there are {found}" if found else "load its driver, on a Raspberry Pi dtoverlay=pps-gpio"
            return f"{self.name}: is not there, or says no rising edges; {rest}"
        return f"{self.name}: {error.strerror or error if isinstance(error, OSError) else error}"


class GpsdPulses:
    """What a gpsd of this machine reports of its receiver's pulses; it knows their seconds. On another machine they are
    stamped by another clock."""

    def __init__(self, port: int) -> None:
        self.name = GPSD if port == GPSD_PORT else f"{GPSD}:{port}"
        self.trouble = ""
        self._port = port
        self._link: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def next(self) -> Pulse | None:
        """See `Pulses`."""
        until_s = time.monotonic() + POLL_S
        try:
            reader = await self._reader()
            while (left_s := until_s - time.monotonic()) > 0:
                async with asyncio.timeout(left_s):
                    line = await reader.readline()
                if not line:
                    raise ConnectionError("it ended the connection")
                found = parse_report(line)
                if found is not None:
                    return found
        except TimeoutError:
            return None
        except (OSError, ValueError) as error:
            self.trouble = printable(f"{self.name} at 127.0.0.1:{self._port}: {_words(error)}")
            self.close()
            await asyncio.sleep(POLL_S)
        return None

    def close(self) -> None:
        """See `Pulses`."""
        if self._link is not None:
            self._link[1].close()
            self._link = None

    async def _reader(self) -> asyncio.StreamReader:
        if self._link is None:
            self._link = await asyncio.open_connection("127.0.0.1", self._port, limit=_LINE_BYTES)
            self._link[1].write(_WATCH)
        self.trouble = ""
        return self._link[0]


def _words(error: OSError | ValueError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there; is gpsd running (systemctl status gpsd.socket)?"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


class PulseWatch:
    """Feeds a clock with pulses, and tells how it is when that has changed for good."""

    def __init__(self, pulses: Pulses, report: Callable[[str], None], fixes: Fixes | None = None) -> None:
        self.clock: Final = PulseClock(fixes)
        self._pulses = pulses
        self._report = report
        self._since: tuple[str, int] = ("", 0)
        """How it is, and since when (CLOCK_BOOTTIME)."""
        self._told = ""

    async def run(self, refresh: Callable[[], Awaitable[None]]) -> None:
        """Until cancelled; `refresh` is called behind each look."""
        try:
            while True:
                try:
                    await self._look(refresh)
                except Exception as error:  # what leads times must not end what samples
                    self._report(f"pps: {error!r}; tell who wrote it")
                    self.clock.forget()  # nobody leads it now
                    await asyncio.sleep(REPAIR_S)
        finally:
            self._pulses.close()

    async def _look(self, refresh: Callable[[], Awaitable[None]]) -> None:
        pulse = await self._pulses.next()
        now = look()
        if pulse is not None:
            self.clock.take(pulse, now)
        self.clock.go_on(now)
        self._tell(now.at_ns)
        await refresh()

    @property
    def words(self) -> str:
        """How it is, for people."""
        clock = self.clock
        counts = f"{counted(clock.pulses, 'pulse')}, {clock.missed:,} missed, {clock.extra:,} between"
        return f"{self._pulses.name}: {clock.state}: {self._pulses.trouble or clock.words} ({counts})"

    @property
    def trouble(self) -> str:
        """The same where times are not led by pulses now, once that has lasted; else empty."""
        return self.words if self._told not in ("", LOCKED) else ""

    @property
    def figures(self) -> dict[str, float]:
        """As `edge.agent.figures` names them."""
        clock = self.clock
        found: dict[str, float] = {
            "pps.locked": clock.state == LOCKED,
            "pps.pulses": clock.pulses,
            "pps.missed": clock.missed,
            "pps.extra": clock.extra,
        }
        if clock.line is not None:
            found |= {"pps.error_s": clock.line.error_ns / 1e9, "pps.clock_ahead_s": (clock.ahead_ns or 0) / 1e9}
        return found

    def _tell(self, at_ns: int) -> None:
        state = self._pulses.trouble or self.clock.state
        if state != self._since[0]:
            self._since = state, at_ns
        if state != self._told and (state in (LOCKED, HELD) or at_ns - self._since[1] > PATIENCE_NS):
            self._told = state
            self._report(f"pps: {self.words}")
