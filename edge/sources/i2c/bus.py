"""A part on an I2C bus, through smbus2: found, set up, read, and what to do where that fails."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, NamedTuple, Protocol, Self

from smbus2 import SMBus

from edge.protocol import Values
from edge.sources.access import way_in
from edge.sources.clock import now
from edge.sources.i2c.part import Part, Write, known_parts, load_part
from edge.sources.i2c.registers import kept, layout, planned, reads, samples_of, wait_s
from edge.sources.i2c.settings import Settings

PART_LOST: Final = "part_lost"
DEVICES: Final = Path("/dev")
_NO_ANSWER: Final = (errno.ENXIO, errno.EREMOTEIO, errno.EIO, errno.ENODEV)
"""What drivers say of an address that nobody acknowledges."""
_ADDRESSES: Final = range(0x08, 0x78)
_READ_ONLY: Final = (range(0x30, 0x38), range(0x50, 0x60))
"""Addresses of memories, which a write without data could change: these are read, as i2cdetect does."""
_ENABLE: Final = "sudo raspi-config nonint do_i2c 0 enables it on a Raspberry Pi; elsewhere sudo modprobe i2c-dev"
_RULES: Final = "install.sh's udev rules to the group i2c"


class UnfitError(OSError):
    """A bus or part is not as the configuration says; the text says what to do."""


class Bus(Protocol):
    """What is used of `smbus2.SMBus`."""

    def read_byte(self, i2c_addr: int) -> int: ...  # noqa: D102
    def write_quick(self, i2c_addr: int) -> None: ...  # noqa: D102
    def read_byte_data(self, i2c_addr: int, register: int) -> int: ...  # noqa: D102
    def write_byte_data(self, i2c_addr: int, register: int, value: int) -> None: ...  # noqa: D102
    def read_i2c_block_data(self, i2c_addr: int, register: int, length: int) -> list[int]: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


class Found(NamedTuple):
    """What one look at a FIFO brought."""

    values: Values
    """`(samples, channels)` counts."""
    monotonic_ns: int
    """When they were there, the newest one by less than a period (CLOCK_BOOTTIME)."""
    wall_ns: int
    has_overrun: bool
    """Before them, samples were dropped."""


@dataclass(frozen=True, slots=True)
class Place:
    """A part at its place; an endpoint of `edge.sources.i2c.reader`."""

    settings: Settings
    open_bus: Callable[[str], Bus] = SMBus
    devices: Path = DEVICES

    loss: ClassVar[str] = PART_LOST
    delays_s: ClassVar[tuple[float, float]] = (0.1, 10.0)
    proves_ns: ClassVar[int] = 0

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"{self.settings.part.name} on {self._path}"

    @property
    def _path(self) -> str:
        return str(self.devices / f"i2c-{self.settings.bus}")

    def open(self) -> Running:
        """Find the part, and set it up. Raises `OSError`."""
        bus = self.open_bus(self._path)
        try:
            running = Running(bus, self._find(bus), self.settings)
            running.set_up()
        except BaseException:
            bus.close()
            raise
        return running

    def _find(self, bus: Bus) -> int:
        """The address at which the part is. Raises `OSError`."""
        part, answered = self.settings.part, dict[int, int]()
        for address in self.settings.addresses:
            said = _ask(bus, address, part.identity.register)
            if said == part.identity.value:
                return address
            if said is not None:
                answered[address] = said
        if not answered:
            raise UnfitError(self._nobody(bus))
        address, said = answered.popitem()
        asked = ((other, _ask(bus, address, other.identity.register)) for other in _others(part))
        others = " or ".join(other.name for other, own in asked if own == other.identity.value)
        meant = f"it answers as {others} does" if others else "see which part it is, and its wiring"
        raise UnfitError(
            f"0x{address:02x} answers, but not as this part: register 0x{part.identity.register:02X} is 0x{said:02X}, "
            f"not 0x{part.identity.value:02X}; {meant}"
        )

    def _nobody(self, bus: Bus) -> str:
        wanted = " or ".join(f"0x{address:02x}" for address in self.settings.addresses)
        there = [f"0x{address:02x}" for address in _present(bus)]
        if not there:
            return f"nothing answers at {wanted}, nor at any other address: see SDA, SCL, ground and its supply"
        return (
            f"nothing answers at {wanted}; on this bus {', '.join(there)} do: see address, and the part's address pin"
        )

    def why_closed(self, error: Exception) -> str:
        """What people make of an error that opening raised, and what to do."""
        if isinstance(error, UnfitError) or not isinstance(error, OSError):
            return str(error)
        if error.errno == errno.ENOENT:
            there = sorted(self.devices.glob("i2c-*"), key=lambda path: (len(path.name), path.name))
            names = ", ".join(path.name for path in there)
            return "no such bus; " + (f"there are {names}" if there else f"there is no I2C bus at all: {_ENABLE}")
        if error.errno in (errno.EACCES, errno.EPERM):
            return f"may not be opened by this user; {way_in(self._path, _RULES)}"
        if error.errno in (errno.ENOTTY, errno.EINVAL):
            return "is no I2C bus; i2cdetect -l lists those of this machine"
        return _failed(error)

    def why_lost(self, error: Exception) -> str:
        """What people make of an error that reading raised."""
        if isinstance(error, UnfitError) or not isinstance(error, OSError):
            return str(error)
        return f"{_failed(error)}; it is set up anew"

    def others(self, at_ns: int) -> list[str]:
        """Nobody that could be seen."""
        return []


class Running:
    """A part that is set up; an `Opened` of `edge.sources.serial.reader`."""

    def __init__(self, bus: Bus, address: int, settings: Settings) -> None:
        part, self._bus, self._address = settings.part, bus, address
        self._part = part
        self._writes = planned(part.writes, settings.bits)
        self._kept = kept(self._writes)
        self._layout = layout(part, settings.groups, settings.channels)
        self._unit = self._layout.size if part.fifo.unit == "bytes" else 1
        self.capacity = part.fifo.size // self._unit
        """In samples."""
        self.wait_s = wait_s(self.capacity, float(settings.rate_hz))
        self.span_ns = float(10**9 / settings.rate_hz)
        """Of a sample, by the data sheet."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bus.close()

    def fileno(self) -> int:
        """None that says when there is something."""
        return -1

    def set_up(self) -> None:
        """Write what is to be written, and read it back. Raises `OSError`."""
        self._write(*self._writes)
        for register, value in self._kept.items():
            found = self._bus.read_byte_data(self._address, register)
            if found != value:
                raise UnfitError(
                    f"register 0x{register:02X} is 0x{found:02X} after 0x{value:02X} was written; see its supply and "
                    "wiring, and that this is such a part"
                )

    def look(self) -> Found:
        """What waits in the FIFO. Raises `OSError`."""
        fifo = self._part.fifo
        is_full = self._says_overrun()
        count = self._count()
        monotonic_ns, wall_ns = now()
        if count > self.capacity + 1:
            raise UnfitError(f"says that {count} samples wait in {self.capacity}; see its wiring, and the bus's speed")
        is_full |= count >= self.capacity > 1
        if is_full and fifo.overrun and fifo.overrun.clear:
            self._write(*fifo.overrun.clear)
            count = 0
        data = b"".join(
            bytes(self._bus.read_i2c_block_data(self._address, read.register, read.size))
            for read in reads(fifo.data, self._layout.size, count, fifo.burst)
        )
        self._check()
        return Found(self._layout.decode(data), monotonic_ns, wall_ns, is_full)

    def _says_overrun(self) -> bool:
        overrun = self._part.fifo.overrun
        return overrun is not None and bool(self._bus.read_byte_data(self._address, overrun.register) & overrun.mask)

    def _count(self) -> int:
        """How many whole samples wait."""
        count = self._part.fifo.count
        data = self._bus.read_i2c_block_data(self._address, count.register, count.bytes)
        return samples_of(count, bytes(data), is_big=self._part.endian == "big") // self._unit

    def _check(self) -> None:
        """Raise `UnfitError` where the part is not as it was set up: what was just read may mean something else."""
        check = self._part.check
        found = self._bus.read_byte_data(self._address, check)
        if found != self._kept[check]:
            raise UnfitError(
                f"was reset: its register 0x{check:02X} is 0x{found:02X}, not 0x{self._kept[check]:02X}; is its supply "
                "steady? It is set up anew"
            )

    def _write(self, *writes: Write) -> None:
        for write in writes:
            self._bus.write_byte_data(self._address, write.register, write.value)
            if write.wait_ms:
                time.sleep(write.wait_ms / 1000)


def _ask(bus: Bus, address: int, register: int) -> int | None:
    """What a register says; None where nobody answers at the address. Raises `OSError`."""
    try:
        return bus.read_byte_data(address, register)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise UnfitError(
                f"0x{address:02x} is a kernel driver's already: read it by type iio, or take its overlay out"
            ) from None
        if error.errno in _NO_ANSWER:
            return None
        raise


def _present(bus: Bus) -> Iterator[int]:
    """The addresses that answer."""
    for address in _ADDRESSES:
        try:
            if any(address in span for span in _READ_ONLY):
                bus.read_byte(address)
            else:
                bus.write_quick(address)
        except OSError as error:
            if error.errno != errno.EBUSY:  # a driver of the kernel has it, so it is there
                continue
        yield address


def _others(part: Part) -> Iterator[Part]:
    """The other parts that are known."""
    for name in known_parts():
        other = load_part(name, "", "")
        if other.name != part.name:
            yield other


def _failed(error: OSError) -> str:
    if error.errno == errno.ETIMEDOUT:
        return "the bus hangs: SDA or SCL is held low; see the wiring, and take the part's supply off once"
    if error.errno in _NO_ANSWER:
        return "does not answer any more; see its wiring and supply"
    return f"the bus fails: {os.strerror(error.errno) if error.errno else error}"
