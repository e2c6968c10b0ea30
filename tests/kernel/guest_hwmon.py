"""Runs in the guest, as root: a thermometer chip on a simulated bus, a made-up battery, and an agent that reads them.

What came of it the tests read.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import sys
from pathlib import Path

from tests.kernel.inside import Agent, load, unload

ADDRESS = 0x48
SOURCES = """
[[source]]
name = "board"
type = "hwmon"
inputs = { case = "lm75.temp1" }
poll = "100ms"
stream = "board"
channels = { case = "degC" }
[[source]]
name = "battery"
type = "hwmon"
inputs = { volts = "test_battery.in0", amps = "test_battery.curr1", heat = "thermal.test_battery" }
poll = "100ms"
stream = "battery"
channels = { volts = "mV", amps = "A", heat = "K" }
[[source]]
name = "twice"
type = "hwmon"
inputs = { heat = "test_battery.temp1" }
stream = "twice"
channels = { heat = "degC" }
"""
TEMPERATURES = (25.0, 30.5, -12.5)
_I2C_SLAVE_FORCE, _I2C_SMBUS = 0x0706, 0x0720
_WRITE, _WORD_DATA = 0, 3


class _Call(ctypes.Structure):
    """`struct i2c_smbus_ioctl_data` of linux/i2c-dev.h."""

    _fields_ = [
        ("read_write", ctypes.c_uint8),
        ("command", ctypes.c_uint8),
        ("size", ctypes.c_uint32),
        ("data", ctypes.POINTER(ctypes.c_uint16)),
    ]


def warm(celsius: float) -> None:
    """Set the chip's temperature register: nine bits, the most significant byte first."""
    bits = round(celsius * 2) << 7 & 0xFFFF
    word = ctypes.c_uint16(bits >> 8 | (bits & 0xFF) << 8)
    bus = os.open("/dev/i2c-0", os.O_RDWR)
    fcntl.ioctl(bus, _I2C_SLAVE_FORCE, ADDRESS)
    fcntl.ioctl(bus, _I2C_SMBUS, _Call(_WRITE, 0, _WORD_DATA, ctypes.pointer(word)))
    os.close(bus)


def plug(is_there: bool) -> None:
    bus = Path("/sys/bus/i2c/devices/i2c-0")
    (bus / ("new_device" if is_there else "delete_device")).write_text(
        f"lm75 0x{ADDRESS:x}" if is_there else f"0x{ADDRESS:x}"
    )


def main(out: Path) -> None:
    load("i2c-dev")
    load("i2c-stub", f"chip_addr=0x{ADDRESS:x}")
    load("lm75")
    load("test_power")
    plug(is_there=True)
    warm(TEMPERATURES[0])
    agent = Agent(out, SOURCES)
    agent.wait("it is read", lambda: agent.heard("board", 3) and agent.heard("battery", 3) and agent.waits("twice"))
    early = agent.ask()
    warm(TEMPERATURES[1])
    agent.wait("it is warmer", lambda: agent.ask()["board"]["values"][0]["value"] == TEMPERATURES[1])
    plug(is_there=False)
    agent.wait("the removal is told", lambda: agent.waits("board"))
    away = agent.ask()
    plug(is_there=True)
    warm(TEMPERATURES[2])
    agent.wait("it is read again", lambda: agent.ask()["board"]["values"][0]["value"] == TEMPERATURES[2])
    state = agent.ask()
    agent.end({"early": early, "away": away, "state": state})
    plug(is_there=False)
    unload("i2c-stub")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
