"""An accelerometer on /dev/uhid: a HID sensor hub (HID Usage Tables, section 22.3) whose reports this program writes.

The kernel's own driver, hid-sensor-accel-3d, makes an IIO device `accel_3d` of it. Of the standard library alone.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from pathlib import Path

from tests.kernel.inside import load, wait

SCALE_EXPONENT = -2
"""Of the descriptor's values: hundredths of a g (unit exponent 0xE)."""
_DESTROY, _CREATE2, _INPUT2, _GET_REPORT, _GET_REPLY, _SET_REPORT, _SET_REPLY = 1, 11, 12, 9, 10, 13, 14
_EVENT_BYTES = 4380
_ONE_OF = "a102 {} {} c0"


def _choice(usage: str, first: int, count: int, kind: str) -> str:
    """A field that has one of a few numbers: `kind` is b1 of a feature, 81 of an input."""
    choices = " ".join(f"0a{first + number:02x}08" for number in range(count))
    return f"0a{usage} 1500 25{count - 1:02x} 7508 9501 a102 {choices} {kind}00 c0"


def _axis(usage: str) -> str:
    return f"0a{usage} 1700000080 27ffffff7f 7520 9501 550e 8102"


DESCRIPTOR = bytes.fromhex(
    "0520 0973 a100 8501"  # a physical collection: a three-axis accelerometer; report 1
    + _choice("1603", 0x40, 6, "b1")  # reporting state
    + _choice("1903", 0x50, 6, "b1")  # power state
    + "0a0e03 1500 27ffffff7f 7520 9501 5500 b102"  # report interval, ms
    + "0a5204 1500 26ff7f 7510 9501 550e b102"  # change sensitivity
    + _choice("0102", 0x00, 7, "81")  # sensor state
    + _choice("0202", 0x10, 6, "81")  # sensor event
    + _axis("5304")
    + _axis("5404")
    + _axis("5504")
    + "c0"
)


class Accelerometer:
    """Plugged in when it is made."""

    def __init__(self) -> None:
        for module in ("uhid", "hid-sensor-hub", "hid-sensor-accel-3d"):
            load(module)
        self._features = bytearray(struct.pack("<BBBIH", 1, 1, 1, 10, 1))
        self._file = os.open("/dev/uhid", os.O_RDWR)
        head = struct.pack("<I128s64s64sHHIIII", _CREATE2, b"bench", b"", b"", len(DESCRIPTOR), 3, 0x1234, 0x5678, 1, 0)
        self._write(head + DESCRIPTOR)
        self._server = threading.Thread(target=self._serve, daemon=True)
        self._server.start()
        wait("the accelerometer is there", lambda: self.folder() is not None)

    @staticmethod
    def folder() -> Path | None:
        """Its folder in sysfs."""
        for path in Path("/sys/bus/iio/devices").glob("iio:device*"):
            if (path / "name").read_text().strip() == "accel_3d":
                return path
        return None

    def say(self, x: int, y: int, z: int) -> tuple[int, int]:
        """Write a report; CLOCK_BOOTTIME before and behind it."""
        report = struct.pack("<BBBiii", 1, 3, 3, x, y, z)
        before_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        os.write(self._file, struct.pack("<IH", _INPUT2, len(report)) + report)
        return before_ns, time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def unplug(self) -> None:
        """Take it away."""
        self._write(struct.pack("<I", _DESTROY))
        os.close(self._file)

    def _write(self, event: bytes) -> None:
        os.write(self._file, event.ljust(_EVENT_BYTES, b"\0"))

    def _serve(self) -> None:
        """Answer what the driver asks of its features."""
        while True:
            try:
                event = os.read(self._file, _EVENT_BYTES)
            except OSError:
                return
            kind, number = struct.unpack_from("<II", event)
            if kind == _GET_REPORT:
                features = bytes(self._features)
                self._write(struct.pack("<IIHH", _GET_REPLY, number, 0, len(features)) + features)
            elif kind == _SET_REPORT:
                (size,) = struct.unpack_from("<H", event, 10)
                self._features[:size] = event[12 : 12 + size]
                self._write(struct.pack("<IIH", _SET_REPLY, number, 0))
