"""Runs in the guest, as root: sensors of the Industrial I/O subsystem, and an agent that reads them.

What came of it the tests read.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from tests.kernel.inside import Agent, load, wait, wall_ahead_ns
from tests.kernel.uhid import Accelerometer

SAMPLES = 500
BUFFER = 512
BURST = 900
"""More than the buffer keeps."""
LATER = 250
AGAIN = 50
PERIOD_S = 0.005
FREQUENCY_HZ = 50
SOURCES = f"""
[[source]]
name = "acc"
type = "iio"
chip = "accel_3d"
buffer = {BUFFER}
frequency = "100Hz"
stream = "acc"
channels = {{ x = "g", y = "g", z = "m/s2" }}
[[source]]
name = "adc"
type = "iio"
chip = "dummy0"
trigger = "clock0"
frequency = "{FREQUENCY_HZ}Hz"
elements = {{ u = "voltage0", d = "voltage1-voltage2", x = "accel_x" }}
stream = "adc"
channels = {{ u = "V", d = "mV", x = "m/s2" }}
[[source]]
name = "single"
type = "iio"
chip = "dummy1"
poll = "200ms"
elements = {{ u = "voltage0", x = "accel_x" }}
stream = "single"
channels = {{ u = "mV", x = "m/s2" }}
[[source]]
name = "absent"
type = "iio"
chip = "adxl345"
stream = "absent"
channels = {{ x = "g" }}
[[source]]
name = "busy"
type = "iio"
chip = "dummy2"
trigger = "clock0"
elements = {{ x = "accel_x" }}
stream = "busy"
channels = {{ x = "m/s2" }}
[[source]]
name = "untriggered"
type = "iio"
chip = "dummy1"
elements = {{ x = "accel_x" }}
stream = "untriggered"
channels = {{ x = "m/s2" }}
[[source]]
name = "volts"
type = "iio"
chip = "dummy1"
elements = {{ x = "accel_x" }}
poll = "1s"
stream = "volts"
channels = {{ x = "V" }}
"""
CONFIGFS = Path("/sys/kernel/config/iio")
DEVICES = Path("/sys/bus/iio/devices")


def wave(number: int) -> tuple[int, int, int]:
    """Hundredths of a g."""
    angle = number / 25 * math.tau
    return round(100 * math.sin(angle)), round(100 * math.cos(angle)), number % 1000 - 500


def make_dummies() -> None:
    load("iio_dummy")
    load("iio-trig-hrtimer")
    for number in range(3):
        (CONFIGFS / f"devices/dummy/dummy{number}").mkdir()
    (CONFIGFS / "triggers/hrtimer/clock0").mkdir()


def path_of(name: str) -> Path:
    return next(path for path in DEVICES.glob("iio:device*") if (path / "name").read_text().strip() == name)


def feed(sensor: Accelerometer, numbers: Iterable[int], period_s: float) -> list[tuple[int, int]]:
    """Reports of the wave at an even pace; when each was written."""
    book, due_s = [], time.monotonic()
    for number in numbers:
        book.append(sensor.say(*wave(number)))
        due_s += period_s
        time.sleep(max(0.0, due_s - time.monotonic()))
    return book


def is_settled(agent: Agent) -> bool:
    """Whether nothing comes any more, and what was missing is told."""
    before = agent.ask()["acc"]
    time.sleep(2.0)
    return before["samples"] == agent.ask()["acc"]["samples"] and "missed" in before["lost"]


def main(out: Path) -> None:
    make_dummies()
    holder = os.open(f"/dev/{path_of('dummy2').name}", os.O_RDONLY)
    sensor = Accelerometer()
    agent = Agent(out, SOURCES)
    names = ("absent", "busy", "untriggered", "volts")
    agent.wait("what is wrong is told", lambda: agent.waits(*names) and agent.heard("adc", 1))
    early = agent.ask()
    agent.wait("the buffer is enabled", lambda: (path_of("accel_3d") / "buffer/enable").read_text().strip() == "1")
    asked = {
        "clock": (path_of("accel_3d") / "current_timestamp_clock").read_text().strip("\0\n"),
        "length": (path_of("accel_3d") / "buffer/length").read_text().strip(),
        "frequency": (path_of("accel_3d") / "in_accel_sampling_frequency").read_text().strip(),
    }
    book = feed(sensor, range(SAMPLES), PERIOD_S)
    agent.wait("the wave is read", lambda: agent.heard("acc", SAMPLES))
    agent.pause()
    feed(sensor, range(SAMPLES, SAMPLES + BURST), PERIOD_S)
    agent.resume()
    feed(sensor, range(SAMPLES + BURST, SAMPLES + BURST + LATER), PERIOD_S)  # behind which some may be missing
    agent.wait("what the buffer kept is read", lambda: is_settled(agent))
    burst = agent.ask()
    sensor.unplug()
    agent.wait("the removal is told", lambda: agent.waits("acc"))
    away = agent.ask()
    sensor = Accelerometer()
    agent.wait("it is read again", lambda: not agent.waits("acc"))
    wait("the buffer is enabled", lambda: (path_of("accel_3d") / "buffer/enable").read_text().strip() == "1")
    feed(sensor, range(AGAIN), PERIOD_S)
    agent.wait("what came later is read", lambda: agent.ask()["acc"]["samples"] == burst["acc"]["samples"] + AGAIN)
    os.close(holder)
    agent.wait("the busy one is read", lambda: agent.heard("busy", 1))
    agent.wait("single values came", lambda: agent.heard("single", 10))
    state = agent.ask()
    found = {"book": book, "asked": asked, "offset_ns": wall_ahead_ns()}
    agent.end({**found, "early": early, "burst": burst, "away": away, "state": state})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
