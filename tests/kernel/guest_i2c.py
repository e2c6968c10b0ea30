"""Runs in the guest, as root: chips that are memory on a bus of `i2c-stub`, the agent on them, and what befalls them.

What it does to a chip's registers is what an ADXL345 and an MPU-6050 would show there, but for the FIFO: each look
finds the same sample, until it is another one.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import sys
import time
from pathlib import Path
from typing import Any

from tests.kernel.inside import Agent, load, wait, wall_ahead_ns

ADAPTERS = Path("/sys/bus/i2c/devices")
ACC, IMU, DRIVEN = 0x53, 0x68, 0x48
PHASES = [(100, -200, 300), (-32768, 32767, 0), (5, 6, 7)]
"""What the accelerometer shows, one behind the other."""
TURNING = (0x0168, 2, -3, 131, -262, 0)
"""What the other one shows; its second byte is its identity, which lies among the FIFO's bytes here."""
EACH = 10
"""So many samples at least are taken of each."""
SOURCES = """
[[source]]
name = "acc"
type = "i2c"
part = "adxl345"
bus = BUS
range = "4g"
stream = "acc"
channels = { x = "g", y = "g", z = "g" }
rate = "50Hz"
[[source]]
name = "imu"
type = "i2c"
part = "mpu6050"
bus = BUS
stream = "imu"
channels = { x = "g", gx = "deg/s", gy = "deg/s" }
[[source]]
name = "no_bus"
type = "i2c"
part = "adxl345"
bus = 77
stream = "no_bus"
channels = { x = "g" }
[[source]]
name = "absent"
type = "i2c"
part = "lis3dh"
bus = BUS
stream = "absent"
channels = { x = "g" }
[[source]]
name = "other"
type = "i2c"
part = "lis3dh"
bus = BUS
address = 0x53
stream = "other"
channels = { x = "g" }
[[source]]
name = "driven"
type = "i2c"
part = "lis3dh"
bus = BUS
address = 0x48
stream = "driven"
channels = { x = "g" }
"""


class _Data(ctypes.Union):
    _fields_ = (("byte", ctypes.c_uint8), ("block", ctypes.c_uint8 * 34))


class _Smbus(ctypes.Structure):
    _fields_ = (
        ("read_write", ctypes.c_uint8),
        ("command", ctypes.c_uint8),
        ("size", ctypes.c_uint32),
        ("data", ctypes.POINTER(_Data)),
    )


class Chip:
    """The memory of one address, through `/dev/i2c-N` (linux/i2c-dev.h); a block is written at once."""

    def __init__(self, bus: int, address: int) -> None:
        self._file = os.open(f"/dev/i2c-{bus}", os.O_RDWR)
        fcntl.ioctl(self._file, 0x0703, address)

    def _ask(self, read: int, register: int, size: int, data: _Data) -> _Data:
        fcntl.ioctl(self._file, 0x0720, _Smbus(read, register, size, ctypes.pointer(data)))
        return data

    def read(self, register: int) -> int:
        return int(self._ask(1, register, 2, _Data()).byte)

    def write(self, register: int, *values: int) -> None:
        data = _Data()
        data.block[: len(values) + 1] = [len(values), *values]
        self._ask(0, register, 8, data)


def show(chip: Chip, register: int, order: str, values: tuple[int, ...]) -> None:
    """Put a sample where it is read."""
    chip.write(register, *(byte for value in values for byte in (value & 0xFFFF).to_bytes(2, order)))  # type: ignore[arg-type]


def make_bus() -> int:
    """The number of a bus with three chips, one of which a driver of the kernel has."""
    load("i2c-dev")
    load("i2c-stub", f"chip_addr={ACC},{IMU},{DRIVEN}")
    (adapter,) = [path for path in ADAPTERS.glob("i2c-*") if "stub" in (path / "name").read_text()]
    load("lm75")
    (adapter / "new_device").write_text(f"lm75 {DRIVEN:#x}")
    number = int(adapter.name.removeprefix("i2c-"))
    wait("the bus has a file", Path(f"/dev/i2c-{number}").exists)
    return number


def taken(agent: Agent, name: str) -> int:
    return int(agent.ask().get(name, {}).get("samples", 0))


def lost(agent: Agent, reason: str) -> int:
    return int(agent.ask().get("acc", {}).get("lost", {}).get(reason, 0))


def main(out: Path) -> None:
    number = make_bus()
    acc, imu = Chip(number, ACC), Chip(number, IMU)
    acc.write(0x00, 0xE5)
    imu.write(0x75, 0x68)
    agent = Agent(out, SOURCES.replace("BUS", str(number)))
    agent.wait("what is wrong is told", lambda: agent.waits("no_bus", "absent", "other", "driven"))
    agent.wait("both are set up", lambda: acc.read(0x2D) == 0x08 and imu.read(0x6A) == 0x40)
    early = agent.ask()
    set_up = {str(register): acc.read(register) for register in (0x2C, 0x31, 0x38)}
    set_up |= {str(register): imu.read(register) for register in (0x19, 0x1A, 0x23)}
    book = []
    for values in PHASES:
        before_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        show(acc, 0x32, "little", values)
        acc.write(0x39, 1)
        behind_ns, samples = time.clock_gettime_ns(time.CLOCK_BOOTTIME), taken(agent, "acc")
        book.append((before_ns, behind_ns))
        agent.wait("a phase is read", lambda samples=samples: taken(agent, "acc") >= samples + EACH)  # type: ignore[misc]
    show(imu, 0x74, "big", TURNING)
    imu.write(0x72, 0, 12)
    agent.wait("the other one is read", lambda: taken(agent, "imu") >= EACH)
    imu.write(0x72, 0, 0)
    acc.write(0x30, 0x01)
    agent.wait("an overrun is told", lambda: lost(agent, "overrun") > 0)
    acc.write(0x30, 0x00)
    acc.write(0x00, 0x00)
    acc.write(0x2D, 0x00)
    agent.wait("a part that is another one is told", lambda: "not as this part" in told(agent))
    away = agent.ask()
    acc.write(0x00, 0xE5)
    agent.wait("it is set up anew", lambda: acc.read(0x2D) == 0x08 and not told(agent))
    samples = taken(agent, "acc")
    agent.wait("it is read again", lambda: taken(agent, "acc") > samples and lost(agent, "part_lost") > 0)
    found: dict[str, Any] = {"book": book, "set_up": set_up, "bus": number, "offset_ns": wall_ahead_ns()}
    agent.end({**found, "early": early, "away": away, "state": agent.ask()})


def told(agent: Agent) -> str:
    return str(agent.ask().get("acc", {}).get("waiting_for", ""))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
