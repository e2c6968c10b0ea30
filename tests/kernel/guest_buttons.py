"""Runs in the guest, as root: buttons and a lamp on a simulated chip, pressed by hand; then a line as fast as it goes.

What came of it the tests read in /run/out.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.kernel.inside import Agent, load, wall_ahead_ns

SIMULATED = Path("/sys/kernel/config/gpio-sim/panel")
FAST, FALL, WALK, BEGIN, END, LAMP = range(6)
BOUNCE_NS = 400_000_000
BOUNCES = 6
LOOK_NS = 20_000_000
"""The lamp is looked at so often."""
EDGES = 1_000
RATES_HZ = (1000, 0)
"""Rising edges a second; 0: as fast as it goes."""
CONFIG = """
[[source]]
name = "fast"
type = "gpio"
chip = "panel"
lines = { fast = 0 }
edge = "rising"
stream = "fast"
channels = { fast = "1" }
[buttons.fall]
chip = "gpiochip0"
line = 1
press = "fall"
undo = "5s"
debounce = "400ms"
led = { chip = "panel", line = 5 }
[buttons.walk]
chip = "panel"
line = 2
hold = "walk"
bias = "as-is"
active_low = false
led = 5
[buttons.begin]
chip = "panel"
line = 3
start = "run"
led = 5
[buttons.end]
chip = "panel"
line = 4
stop = "run"
led = 5
"""


def now_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def line_folder(number: int) -> Path:
    device, chip = ((SIMULATED / name).read_text().strip() for name in ("dev_name", "bank0/chip_name"))
    return Path(f"/sys/devices/platform/{device}/{chip}/sim_gpio{number}")


def level(number: int) -> int:
    """As it is driven."""
    return int((line_folder(number) / "value").read_text())


def look_at(lamp: int) -> tuple[int, int]:
    """Its file, which is open or -1, and its level; 0 while the chip is away."""
    try:
        lamp = os.open(line_folder(LAMP) / "value", os.O_RDONLY) if lamp < 0 else lamp
        return lamp, int(os.pread(lamp, 8, 0))
    except OSError:
        if lamp >= 0:
            os.close(lamp)
        return -1, 0


def pull(number: int, *, is_down: bool) -> tuple[int, int]:
    """Press or let go; before and behind it. A request with a bias is a pull too: of the line that is held while its
    agent is killed nobody asks for one, and it is pressed to the supply."""
    before_ns = now_ns()
    (line_folder(number) / "pull").write_text("pull-down" if is_down is not (number == WALK) else "pull-up")
    return before_ns, now_ns()


def bounce(number: int) -> tuple[int, int, int]:
    """A contact that closes badly, within its debounce time; before and behind its last closing, and how often that
    failed before: each time it may have been a press."""
    for failed in itertools.count():
        begin_ns = now_ns()
        for _ in range(BOUNCES):
            pull(number, is_down=True)
            pull(number, is_down=False)
        found = pull(number, is_down=True)
        if found[1] - begin_ns < BOUNCE_NS * 3 // 4:
            return *found, failed
        pull(number, is_down=False)  # the machine was set aside meanwhile
        time.sleep(2 * BOUNCE_NS / 1e9)
    raise AssertionError


class Lamp(threading.Thread):
    """Looks at the lamp, and keeps when it changed; and when a look came late, as the machine stood still."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: list[tuple[int, int]] = []
        self.late: list[tuple[int, int]] = []
        """When, and by how much, ns."""
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        self.join()

    def run(self) -> None:
        looked_ns, lamp = now_ns(), -1
        while not self._stopped.is_set():
            late_ns = now_ns() - looked_ns - LOOK_NS
            looked_ns += late_ns + LOOK_NS
            if late_ns > LOOK_NS:
                self.late.append((looked_ns, late_ns))
            lamp, found = look_at(lamp)
            if not self.seen or self.seen[-1][1] != found:
                self.seen.append((now_ns(), found))
            time.sleep(LOOK_NS / 1e9)


class Bench:
    """The agent, and what it says of its marks."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent

    def figure(self, name: str) -> int:
        return int(self.agent.overview().get("figures", {}).get(f"marks.{name}", 0))

    def wait_for(self, what: str, name: str, count: int) -> None:
        self.agent.wait(what, lambda: self.figure(name) >= count)

    def wait_open(self, *labels: str) -> None:
        self.agent.wait(f"open is {labels}", lambda: sorted(self.open()) == sorted(labels))

    def open(self) -> list[str]:
        return [
            opened["label"] for opened in self.agent.overview().get("open", ()) if opened["kind"] in ("hold", "range")
        ]

    def wait_ready(self) -> None:
        def is_ready() -> bool:
            view = self.agent.overview()
            names = [*view.get("sources", ()), *view.get("buttons", ())]
            return len(names) == 5 and not any(one["waiting_for"] for one in names) and self.requested() == 6

        self.agent.wait("all lines are requested", is_ready)

    @staticmethod
    def requested() -> int:
        return Path("/sys/kernel/debug/gpio").read_text().count("sensorloom")


def press_all(bench: Bench, book: dict[str, Any]) -> None:
    book["bounced"] = bounce(FALL)
    time.sleep(2 * BOUNCE_NS / 1e9)
    pull(FALL, is_down=False)
    bench.wait_for("a press that bounces", "made", 1)
    time.sleep(2 * BOUNCE_NS / 1e9)
    book["fallen"] = bench.figure("made")
    pull(FALL, is_down=True)
    bench.wait_for("a long press", "retracted", 1)
    pull(FALL, is_down=False)
    time.sleep(1)  # the lamp says so
    book["held"] = pull(WALK, is_down=True)
    bench.wait_open("walk")
    book["lit"] = now_ns()
    time.sleep(1)
    book["let_go"] = pull(WALK, is_down=False)
    bench.wait_for("a range", "made", book["fallen"] + 1)
    book["begun"] = pull(BEGIN, is_down=True)
    bench.wait_open("run")
    pull(BEGIN, is_down=False)


def die_and_go_on(bench: Bench, book: dict[str, Any]) -> None:
    book["held_on"] = pull(WALK, is_down=True)
    bench.wait_open("run", "walk")
    bench.agent.kill()
    bench.agent.begin_again()
    bench.wait_ready()
    bench.wait_open("run", "walk")
    book["let_go_later"] = pull(WALK, is_down=False)
    bench.wait_for("what was held over a kill", "made", 1)
    book["ended"] = pull(END, is_down=True)
    bench.wait_for("what was begun before a kill", "made", 2)
    pull(END, is_down=False)


def vanish(bench: Bench, book: dict[str, Any]) -> None:
    """The chip goes while one button is held and a range is open, and comes back under its old number: nobody may keep
    that, not even a lamp that has nothing to say."""
    pull(BEGIN, is_down=True)
    bench.wait_open("run")
    pull(BEGIN, is_down=False)
    pull(WALK, is_down=True)
    bench.wait_open("run", "walk")
    (SIMULATED / "live").write_text("0")
    bench.agent.wait(
        "the removal is told", lambda: all(one["waiting_for"] for one in bench.agent.overview()["buttons"])
    )
    book["gone"] = now_ns()
    bench.agent.wait("all lines are let go", lambda: not bench.agent.files("gpio"))
    (SIMULATED / "live").write_text("1")
    bench.wait_for("what was held as the chip went", "made", 3)
    bench.wait_ready()
    bench.agent.wait("the lamp says again that a range is open", lambda: level(LAMP) == 1)
    book["back"] = now_ns()
    book["again"] = pull(FALL, is_down=True)
    time.sleep(2 * BOUNCE_NS / 1e9)
    pull(FALL, is_down=False)
    bench.wait_for("a press on the chip that came back", "made", 4)
    pull(END, is_down=True)
    bench.wait_for("what was begun before the chip went", "made", 5)
    pull(END, is_down=False)


def race(bench: Bench, rate_hz: int) -> dict[str, float]:
    """How many edges get through to the end, of a line that is toggled so fast; 0: as it goes."""
    before = bench.agent.ask()["fast"]
    pulled = os.open(line_folder(FAST) / "pull", os.O_WRONLY)
    begin_s = time.monotonic()
    for number in range(EDGES):
        os.pwrite(pulled, b"pull-up", 0)
        os.pwrite(pulled, b"pull-down", 0)
        if rate_hz:
            time.sleep(max(0.0, begin_s + (number + 1) / rate_hz - time.monotonic()))
    seconds = time.monotonic() - begin_s
    os.close(pulled)
    heard = before["samples"] + before["lost"].get("missed", 0)
    bench.agent.wait("all edges are read", lambda: bench.agent.heard("fast", heard + EDGES))
    after = bench.agent.ask()["fast"]
    missed = after["lost"].get("missed", 0) - before["lost"].get("missed", 0)
    return {"edges": EDGES, "seconds": seconds, "samples": after["samples"] - before["samples"], "missed": missed}


def main(out: Path) -> None:
    load("gpio-sim")
    (SIMULATED / "bank0").mkdir(parents=True)
    (SIMULATED / "bank0/num_lines").write_text("6")
    (SIMULATED / "bank0/label").write_text("panel")
    (SIMULATED / "live").write_text("1")
    bench, lamp = Bench(Agent(out, CONFIG)), Lamp()
    lamp.start()
    bench.wait_ready()
    book: dict[str, Any] = {}
    press_all(bench, book)
    die_and_go_on(bench, book)
    vanish(bench, book)
    races = [race(bench, rate_hz) for rate_hz in RATES_HZ]
    lamp.stop()
    seen = {"lamp": lamp.seen, "late": lamp.late}
    bench.agent.end({"book": book, "races": races, **seen, "offset_ns": wall_ahead_ns()})
    (SIMULATED / "live").write_text("0")  # its name in the simulation is free for the next script's
    (SIMULATED / "bank0").rmdir()
    SIMULATED.rmdir()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
