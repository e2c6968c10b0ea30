"""A serial port as the system has it: how it is set and opened, why it cannot be, and who else has it open."""

from __future__ import annotations

import errno
import fcntl
import grp
import os
import socket
import stat
import struct
import termios
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

import serial
from serial import rfc2217

from edge.sources.serial.remote import Controlled, connect, is_remote
from edge.sources.serial.starting import Step, UnansweredError, start
from edge.sources.serial.usb import UnfitError, device_of, is_usb
from ingest.errors import UsageError
from ingest.times import NS

# fmt: off
RATES: Final = (
    50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 7200, 9600, 10_400, 14_400, 19_200, 28_800, 31_250,
    38_400, 56_000, 57_600, 62_500, 74_880, 76_800, 100_000, 115_200, 125_000, 128_000, 153_600, 200_000, 230_400,
    250_000, 256_000, 307_200, 400_000, 420_000, 460_800, 500_000, 576_000, 614_400, 750_000, 800_000, 921_600,
    1_000_000, 1_152_000, 1_200_000, 1_228_800, 1_500_000, 1_843_200, 2_000_000, 2_500_000, 3_000_000, 3_500_000,
    3_686_400, 4_000_000,
)
# fmt: on
"""Bits a second that devices speak at: the system's own, and what common chips and buses have besides."""
BAUD_MAX: Final = 12_000_000
OTHERS_NS: Final = 10 * NS
"""So often it is looked whether other programs have a port open."""

PORT_LOST: Final = "port_lost"
WRITE_S: Final = 5.0
"""What is said to a device is taken within this time, or was not."""

_TIOCGICOUNT: Final = 0x545D
_MAKERS: Final = ("/dev/ptmx", "/dev/pts/ptmx")
_DATA_BITS: Final = {"7": serial.SEVENBITS, "8": serial.EIGHTBITS}
_PARITIES: Final = {"N": serial.PARITY_NONE, "E": serial.PARITY_EVEN, "O": serial.PARITY_ODD}
_STOP_BITS: Final = {"1": serial.STOPBITS_ONE, "2": serial.STOPBITS_TWO}
_GONE: Final = (errno.EIO, errno.ENXIO, errno.ENODEV, errno.EBADF)
_BUSY: Final = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EBUSY)
_REFUSED: Final = (errno.EACCES, errno.EPERM)


@dataclass(frozen=True, slots=True)
class Line:
    """How a port is set; an endpoint of `edge.sources.serial.reader`."""

    port: str
    baud: int = 115_200
    framing: str = "8N1"
    """Data bits, parity, stop bits."""
    start: tuple[Step, ...] = ()
    """What is said when it was opened."""

    loss: ClassVar[str] = PORT_LOST
    delays_s: ClassVar[tuple[float, float]] = (0.1, 5.0)
    proves_ns: ClassVar[int] = 0

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self.port

    def open(self) -> serial.Serial | socket.socket | Controlled:
        """The port, for this process alone, with nothing in it that came before, and its device started.

        Raises:
            OSError: as `serial.SerialException` is one.
            termios.error: it was hung up meanwhile, or its driver takes no such setting. This is no `OSError`.
            ValueError: the same, of a baud rate that is not the system's own.
        """
        port = self._open()
        try:
            start(port, self.start)
        except BaseException:
            with port:
                raise
        return port

    def _open(self) -> serial.Serial | socket.socket | Controlled:
        bits, parity, stop = tuple(self.framing)
        framing: dict[str, Any] = {
            "bytesize": _DATA_BITS[bits],
            "parity": _PARITIES[parity],
            "stopbits": _STOP_BITS[stop],
        }
        if not is_remote(self.port):
            return serial.Serial(device_file(self.port), self.baud, exclusive=True, write_timeout=WRITE_S, **framing)
        if self.port.lower().startswith("socket://"):
            return connect(self.port)
        return Controlled(rfc2217.Serial(self.port, self.baud, **framing))

    def why_closed(self, error: Exception) -> str:
        """What people make of an error that opening it raised, and what to do."""
        return why_closed(self, error)

    def why_lost(self, error: Exception) -> str:
        """What people make of an error that reading it raised."""
        return why_lost(error)

    def others(self, at_ns: int) -> list[str]:
        """The other programs that may take bytes away; of a port on a network nobody here knows."""
        return [] if is_remote(self.port) else who_reads(_file_of(self.port), at_ns)


def is_path(port: str) -> bool:
    """Whether a port is named by a file."""
    return not is_remote(port) and not is_usb(port)


def device_file(port: str) -> str:
    """The file of a port, as it is now. Raises `edge.sources.serial.usb.UnfitError`."""
    return device_of(port) if is_usb(port) else port


def _file_of(port: str) -> str:
    """As `device_file`; the name itself where nothing, or more than one thing, has it by now."""
    try:
        return device_file(port)
    except UnfitError:
        return port


def check_baud(baud: int, where: str, *, any_rate: bool) -> None:
    """Raise `UsageError` for a rate at which no device speaks; with `any_rate`, for one that no driver takes."""
    if any_rate and RATES[0] <= baud <= BAUD_MAX:
        return
    if any_rate:
        raise UsageError(f"{where}: baud: {baud} is not in {RATES[0]}..{BAUD_MAX}")
    if baud in RATES:
        return
    digits = [str(rate) for rate in RATES if _one_digit_off(str(baud), str(rate))]
    below, above = [rate for rate in RATES if rate < baud], [rate for rate in RATES if rate > baud]
    near = [str(rate) for rate in (*below[-1:], *above[:1])]
    meant = f"; did you mean {digits[-1]}?" if digits else ""
    raise UsageError(
        f"{where}: baud: {baud} is no usual rate; the nearest are {' and '.join(near)}{meant} "
        f"(any_baud = true takes it as it is)"
    )


def _one_digit_off(found: str, wanted: str) -> bool:
    """Whether a digit is wrong, missing or too many."""
    longer, shorter = sorted((found, wanted), key=len, reverse=True)
    if len(longer) == len(shorter):
        return sum(a != b for a, b in zip(longer, shorter, strict=True)) == 1
    return any(longer[:at] + longer[at + 1 :] == shorter for at in range(len(longer)))


def identity(port: str) -> str:
    """What two names of one port have in common: `/dev/serial/by-id/…` is a link to `/dev/ttyUSB0`.

    The device's number where it is there now, else the path with its links followed; a port on a network is its
    address.
    """
    if is_remote(port):
        return port.lower()
    with suppress(OSError):
        found = Path(device_file(port)).stat()
        if stat.S_ISCHR(found.st_mode):
            return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    return port if is_usb(port) else os.path.realpath(port)


def group_of(port: str) -> str:
    """The name of the group that a port belongs to. Raises `OSError`."""
    number = Path(port).stat().st_gid
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def who_has(port: str) -> list[str]:
    """The other programs that have a port open, as `gpsd (process 812)`: those that this user may see."""
    return _holders().get(os.path.realpath(port), [])


def who_reads(port: str, at_ns: int) -> list[str]:
    """Those of `who_has` that may take bytes away, as of the last `OTHERS_NS`: all ports are looked for at once.

    The one that made a pseudo-terminal, and keeps both its ends, is not suspected.
    """
    holders = _recent_holders(at_ns // OTHERS_NS)
    real = os.path.realpath(port)
    makers = [name for end in _MAKERS for name in holders.get(end, ())] if real.startswith("/dev/pts/") else []
    return [name for name in holders.get(real, ()) if name not in makers]


@lru_cache(maxsize=1)
def _recent_holders(turn: int) -> Mapping[str, list[str]]:
    return _holders()


def _holders() -> dict[str, list[str]]:
    """Which other programs have which device files open; one look at all of them costs some ms."""
    found: dict[str, list[str]] = {}
    for process in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - of thousands, and no paths
        if int(process) == os.getpid():
            continue
        for path in set(_open_devices(f"/proc/{process}/fd")):
            found.setdefault(path, []).append(f"{_name_of(process)} (process {process})")
    return found


def _open_devices(folder: str) -> Iterator[str]:
    with suppress(OSError):  # it ended, or is another user's
        for file in os.listdir(folder):  # noqa: PTH208
            with suppress(OSError):
                path = os.readlink(f"{folder}/{file}")  # noqa: PTH115
                if path.startswith("/dev/"):
                    yield path


def _name_of(process: str) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text().strip() or "?"
    except OSError:
        return "?"


class DriverCounts(NamedTuple):
    """What a port's chip and driver have counted so far."""

    dropped: int
    """Bytes for which there was no room."""
    damaged: int
    """Bytes with a wrong parity or stop bit, and breaks: what they say is not what was sent."""


def driver_counts(port: int) -> DriverCounts | None:
    """What a port's driver has counted; None where it does not count, as of a pseudo-terminal.

    ioctl TIOCGICOUNT (linux/serial.h): cts, dsr, rng, dcd, rx, tx, frame, overrun, parity, brk, buf_overrun.
    """
    try:
        counts = struct.unpack_from("11i", fcntl.ioctl(port, _TIOCGICOUNT, bytes(80)))
    except OSError:
        return None
    *_, frame, overrun, parity, breaks, buffer_overrun = counts
    return DriverCounts(overrun + buffer_overrun, frame + parity + breaks)


def why_closed(line: Line, error: Exception) -> str:
    """What people make of an error that opening a port raised, and what to do."""
    number = _number_of(error)
    if isinstance(error, UnansweredError):
        return str(error)
    if is_remote(line.port):
        return why_unreached(error)
    if isinstance(error, UnfitError):
        return str(error)
    if number == errno.ENOENT:
        return "no such port; is it plugged in?"
    if number in _REFUSED:
        return why_refused(_file_of(line.port))
    if number in _BUSY:
        others = " and ".join(who_has(_file_of(line.port)))
        return f"another program has it open: {others or 'of another user (sudo fuser -v PORT names it)'}"
    if number in (errno.ENOTTY, errno.EISDIR):
        return "is no serial port; sensorloom agent ports lists those of this machine"
    if number in _GONE:
        return "does not answer as a serial port; is there a device behind it?"
    if isinstance(error, ValueError) or number == errno.EINVAL:
        return f'its driver does not take baud = {line.baud} with framing = "{line.framing}"'
    return why_lost(error)


def why_unreached(error: Exception) -> str:
    """What people make of an error that connecting to an address raised."""
    number, cause = _number_of(error), error.__context__ or error
    if isinstance(cause, socket.gaierror):
        return "no host of that name; write its address, or see the network's name server"
    if number == errno.ECONNREFUSED:
        return "nobody listens there; is the adapter's program running, is the number behind the colon right?"
    if isinstance(cause, TimeoutError) or number in (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH):
        return "does not answer; is it on, is the network there?"
    if "RFC2217" in str(error):
        return "does not take what RFC 2217 sets; is it a server of it, does it take this baud? Else try socket://"
    return why_lost(error)


def why_lost(error: Exception) -> str:
    """What people make of an error that reading a port raised."""
    number = _number_of(error)
    if number in _GONE or (isinstance(error, OSError) and number is None):
        return "vanished; waiting for it to come back"
    if isinstance(error, OSError | termios.error) and number is not None:
        return os.strerror(number)
    return f"{type(error).__name__}: {error}"


def _number_of(error: BaseException | None) -> int | None:
    """The system's error number; pyserial hides some in what it raises from."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno
        if isinstance(error, termios.error) and error.args and isinstance(error.args[0], int):
            return error.args[0]
        error = error.__cause__ or error.__context__
    return None


def why_refused(port: str) -> str:
    """Why this user may not read a port, and what to do."""
    try:
        group, mode = group_of(port), Path(port).stat().st_mode
    except OSError:  # a folder above it is closed
        return "not permitted to look at it"
    if mode & stat.S_IRGRP and mode & stat.S_IWGRP and group != "root":
        return f"not permitted; join the group {group} (sudo usermod -aG {group} $USER) and log in again"
    return f"not permitted; its mode is {stat.filemode(mode)[1:]} {group}: a udev rule can give it to a group"
