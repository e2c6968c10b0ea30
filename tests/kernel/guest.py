"""Runs in the guest, as root: makes the devices, runs the agent on them, and writes a book of what it did to them.

Of the standard library alone, as everything starts slowly there. What came of it the tests read in /run/out.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

OUT = Path("/run/out")
SIMULATED = Path("/sys/kernel/config/gpio-sim/bench")
LINES = Path("/sys/kernel/debug/gpio")
SWITCH, FLOW, FAST, BUSY = 2, 3, 4, 5
EDGES = 300
"""So many are booked one by one, before and behind the removal."""
BURST = 2000
"""More than the kernel keeps."""
PATIENCE_S = 600.0
CONFIG = """
device = "bench"
log = "segments:/run/log"
[spool]
dir = "/run/spool"
fsync_interval = "200ms"
[[source]]
name = "switch"
type = "gpio"
lines = { switch = "switch" }
stream = "switch"
channels = { switch = "1" }
values = { 0 = "open", 1 = "closed" }
[[source]]
name = "flow"
type = "gpio"
chip = "gpio-sim.0-node0"
lines = { flow = 3 }
every = "100ms"
stream = "flow"
channels = { flow = "1" }
dtype = "int32"
[[source]]
name = "fast"
type = "gpio"
chip = "gpio-sim.0-node0"
lines = { fast = 4 }
edge = "rising"
stream = "fast"
channels = { fast = "1" }
[[source]]
name = "busy"
type = "gpio"
chip = "gpiochip0"
lines = { busy = 5 }
edge = "rising"
stream = "busy"
channels = { busy = "1" }
[[source]]
name = "absent"
type = "gpio"
chip = "/dev/gpiochip0"
lines = { absent = 99 }
edge = "rising"
stream = "absent"
channels = { absent = "1" }
"""


def make_chip() -> None:
    bank = SIMULATED / "bank0"
    (bank / f"line{SWITCH}").mkdir(parents=True)
    (bank / "num_lines").write_text("8")
    (bank / f"line{SWITCH}/name").write_text("switch")
    plug(1)


def hold(number: int) -> None:
    """Let somebody else have a line."""
    first = int(LINES.read_text().partition("GPIOs ")[2].partition("-")[0])
    Path("/sys/class/gpio/export").write_text(str(first + number))


def plug(is_live: int) -> None:
    (SIMULATED / "live").write_text(str(is_live))


def wait(agent: subprocess.Popen[bytes], what: str, condition: Callable[[], bool]) -> None:
    """Until a condition holds. Ends the guest where it never does, or the agent has ended."""
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        if agent.poll() is not None or time.monotonic() > end_s:
            sys.exit(f"guest: {what}: not in {PATIENCE_S:g} s\n{said()[-4000:]}\n{LINES.read_text()}\n{ask()}")
        time.sleep(0.2)


def said() -> str:
    return (OUT / "agent.txt").read_text()


def requested(lines: int) -> bool:
    return LINES.read_text().count("sensorloom") >= lines


def ask() -> dict[str, Any]:
    """What the agent says of itself, its sources by name; nothing while it does not answer."""
    received = b""
    with socket.socket(socket.AF_UNIX) as link:
        try:
            link.connect("/run/spool/agent.sock")
            while data := link.recv(65_536):
                received += data
        except OSError:
            return {}
    return {source["name"]: source for source in json.loads(received)["sources"]}


class Line:
    """Toggles one line, and counts."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.level = 0
        self.toggles = 0

    def toggle(self, times: int) -> list[tuple[int, int, int]]:
        """For each: CLOCK_BOOTTIME before and behind it, and the level from then on."""
        device, chip = ((SIMULATED / name).read_text().strip() for name in ("dev_name", "bank0/chip_name"))
        pull = os.open(f"/sys/devices/platform/{device}/{chip}/sim_gpio{self._number}/pull", os.O_WRONLY)
        book = []
        for _ in range(times):
            self.level = 1 - self.level
            before_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            os.pwrite(pull, b"pull-up" if self.level else b"pull-down", 0)
            book.append((before_ns, time.clock_gettime_ns(time.CLOCK_BOOTTIME), self.level))
        os.close(pull)
        self.toggles += times
        return book


def wall_clock() -> tuple[int, int]:
    """How long the reads took, and how far CLOCK_REALTIME is ahead of CLOCK_BOOTTIME."""
    before_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    wall_ns = time.time_ns()
    behind_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return behind_ns - before_ns, wall_ns - behind_ns


def heard(name: str, edges: int) -> bool:
    """Whether the agent has that many edges of a source, or knows that they are lost."""
    source = ask().get(name)
    return source is not None and source["samples"] + source["lost"].get("missed", 0) >= edges


def main() -> None:
    make_chip()
    hold(BUSY)
    (OUT / "agent.toml").write_text(CONFIG)
    with (OUT / "agent.txt").open("wb") as text:
        command = [sys.executable, "-m", "sensorloom", "agent", "run", "-c", str(OUT / "agent.toml")]
        agent = subprocess.Popen(command, stdout=text, stderr=text)
    wait(agent, "the lines are requested", lambda: requested(3) and heard("switch", 1))
    switch, flow, fast = Line(SWITCH), Line(FLOW), Line(FAST)
    wait(agent, "what is wrong is told", lambda: all(ask()[name]["waiting_for"] for name in ("busy", "absent")))
    early = ask()
    book = switch.toggle(EDGES)
    flow.toggle(EDGES)
    wait(agent, "the booked edges are read", lambda: heard("switch", 1 + EDGES))
    os.kill(agent.pid, signal.SIGSTOP)
    switch.toggle(BURST)
    flow.toggle(2 * BURST)
    fast.toggle(BURST)
    os.kill(agent.pid, signal.SIGCONT)
    wait(agent, "all edges are read", lambda: heard("switch", 1 + EDGES + BURST) and heard("fast", BURST // 2))
    plug(0)
    wait(agent, "the removal is told", lambda: all(ask()[name]["waiting_for"] for name in ("switch", "flow", "fast")))
    away = ask()
    plug(1)
    switch.level = flow.level = fast.level = 0  # the chip was made anew
    wait(agent, "they are requested again", lambda: requested(3) and heard("switch", 1 + EDGES + BURST + 1))
    later = switch.toggle(EDGES)
    wait(agent, "what came later is read", lambda: heard("switch", 1 + EDGES + BURST + 1 + EDGES))
    state = ask()
    agent.send_signal(signal.SIGTERM)
    code = agent.wait(PATIENCE_S)
    _, offset_ns = min(wall_clock() for _ in range(20))
    found = {"book": book, "later": later, "code": code, "offset_ns": offset_ns}
    found |= {"early": early, "away": away, "state": state}
    shutil.copytree("/run/log", OUT / "log")
    (OUT / "book.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
