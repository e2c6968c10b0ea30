"""Runs in the guest, as root: makes the devices, runs the agent on them, and writes a book of what it did to them.

What came of it the tests read in /run/out.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path
from typing import Any

from tests.kernel.inside import Agent, load, wall_ahead_ns

SIMULATED = Path("/sys/kernel/config/gpio-sim/bench")
LINES = Path("/sys/kernel/debug/gpio")
SWITCH, FLOW, FAST, BUSY = 2, 3, 4, 5
EDGES = 100
"""So many are booked one by one, before and behind the removal."""
BURST = 1200
"""More than the kernel keeps."""
KILLS = 3
DURABLE_S = 0.5
"""Behind its first commit an agent has begun a recording: the log knows of it."""
UNHEARD = 10
"""So many edges come between a kill and the next start."""
SOURCES = """
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
chip = "CHIP"
lines = { busy = 5 }
edge = "rising"
stream = "busy"
channels = { busy = "1" }
[[source]]
name = "absent"
type = "gpio"
chip = "/dev/CHIP"
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


def requested(lines: int) -> bool:
    return LINES.read_text().count("sensorloom") >= lines


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


def main(out: Path) -> None:
    load("gpio-sim")
    make_chip()
    hold(BUSY)
    chip = (SIMULATED / "bank0/chip_name").read_text().strip()  # after another script's it need not be the first
    agent = Agent(out, SOURCES.replace("CHIP", chip))
    agent.wait("the lines are requested", lambda: requested(3) and agent.heard("switch", 1))
    switch, flow, fast = Line(SWITCH), Line(FLOW), Line(FAST)
    agent.wait("what is wrong is told", lambda: agent.waits("busy", "absent"))
    early = agent.ask()
    book = switch.toggle(EDGES)
    flow.toggle(EDGES)
    agent.wait("the booked edges are read", lambda: agent.heard("switch", 1 + EDGES))
    agent.pause()
    switch.toggle(BURST)
    flow.toggle(2 * BURST)
    fast.toggle(BURST)
    agent.resume()
    agent.wait(
        "all edges are read", lambda: agent.heard("switch", 1 + EDGES + BURST) and agent.heard("fast", BURST // 2)
    )
    for _ in range(2):  # the first ones may all be of the pause; an interval that has no end yet is no sample
        wait_for_counts(agent)
    plug(0)
    agent.wait("the removal is told, and the chip looked for anew", lambda: is_away(agent.ask()))
    away = agent.ask()
    plug(1)
    switch.level = flow.level = fast.level = 0  # the chip was made anew
    agent.wait("they are requested again", lambda: requested(3) and agent.heard("switch", 1 + EDGES + BURST + 1))
    later = switch.toggle(EDGES)
    agent.wait("what came later is read", lambda: agent.heard("switch", 1 + EDGES + BURST + 1 + EDGES))
    state = agent.ask()
    lives = killed_at_random(agent, switch, random.Random(192))
    found = {"chip": chip, "book": book, "later": later, "offset_ns": wall_ahead_ns(), "lives": lives}
    agent.end({**found, "early": early, "away": away, "state": state})


def is_away(view: dict[str, Any]) -> bool:
    """Whether each source has looked for a chip since, and found none."""
    waits = [view.get(stream, {}).get("waiting_for") or "" for stream in ("switch", "flow", "fast")]
    return all("no GPIO chip" in words for words in waits)


def wait_for_counts(agent: Agent) -> None:
    """Three more intervals are over and read."""
    counted = agent.ask()["flow"]["samples"]
    agent.wait("the counts are read", lambda: agent.heard("flow", counted + 3))


def killed_at_random(agent: Agent, line: Line, chance: random.Random) -> list[dict[str, list[tuple[int, int, int]]]]:
    """SIGKILL while edges come, and a start: of each start the edges that it could hear, and those that nobody did."""
    lives = []
    for _ in range(KILLS):
        time.sleep(DURABLE_S)
        heard = []
        for _ in range(chance.randrange(2, 8)):
            heard += line.toggle(chance.randrange(1, EDGES // 4))
            time.sleep(0.1 * chance.random())
        heard += line.toggle(2)
        agent.kill()
        lives.append({"heard": heard, "unheard": line.toggle(UNHEARD)})
        agent.begin_again()
        agent.wait("the next one is at work", lambda: requested(3) and agent.heard("switch", 1))
    last = line.toggle(EDGES)
    agent.wait("the last edges are read", lambda: agent.heard("switch", 1 + EDGES))
    return [*lives, {"heard": last, "unheard": []}]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
