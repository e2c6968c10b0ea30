"""What the scripts that run in the guest share: its modules, and an agent that they watch.

Of the standard library alone, as everything starts slowly there.
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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PATIENCE_S = 600.0


def load(module: str, *parameters: str) -> None:
    """Load a module of those in `build.GIVEN` and `modules.mk`, and what it needs."""
    subprocess.run(["modprobe", module, *parameters], check=True, timeout=PATIENCE_S)


def unload(module: str) -> None:
    """Take one out again: the next script may want it with other parameters."""
    subprocess.run(["modprobe", "-r", module], check=True, timeout=PATIENCE_S)


def wait(what: str, condition: Callable[[], bool], also: Callable[[], str] = str) -> None:
    """Until a condition holds. Ends the script where it never does; `also` says how things stand then."""
    print(f"{time.monotonic():.1f} s: until {what}", flush=True)
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end_s:
            sys.exit(f"{what}: not in {PATIENCE_S:g} s\n{also()}")
        time.sleep(0.2)


class Agent:
    """An agent of these sources, with spool and log in memory below /run."""

    def __init__(self, out: Path, sources: str) -> None:
        self._out = out
        self._place = Path("/run") / out.name
        self._place.mkdir()
        configuration = out / "agent.toml"
        configuration.write_text(
            f'device = "bench"\nlog = "segments:{self._place}/log"\n'
            f'[spool]\ndir = "{self._place}/spool"\nfsync_interval = "200ms"\n{sources}'
        )
        command = [sys.executable, "-m", "sensorloom", "agent", "run", "-c", str(configuration)]
        with (out / "agent.txt").open("wb") as text:
            self._process = subprocess.Popen(command, stdout=text, stderr=text)

    def said(self) -> str:
        """What it wrote so far."""
        return (self._out / "agent.txt").read_text()

    def ask(self) -> dict[str, Any]:
        """What it says of its sources, by name; nothing while it does not answer."""
        return {source["name"]: source for source in self.overview().get("sources", ())}

    def overview(self) -> dict[str, Any]:
        """What it says of itself; nothing while it does not answer."""
        while True:
            received = b""
            with socket.socket(socket.AF_UNIX) as link:
                try:
                    link.connect(f"{self._place}/spool/agent.sock")
                    while data := link.recv(65_536):
                        received += data
                except OSError:
                    return {}
            if received:  # it says nothing where it was too busy to
                found: dict[str, Any] = json.loads(received)
                return found
            time.sleep(0.2)

    def heard(self, name: str, samples: int) -> bool:
        """Whether it has that many samples of a source, or knows that they are lost."""
        source = self.ask().get(name)
        return source is not None and source["samples"] + source["lost"].get("missed", 0) >= samples

    def waits(self, *names: str) -> bool:
        """Whether it says of all of these sources what they wait for."""
        said = self.ask()
        return all(said.get(name, {}).get("waiting_for") for name in names)

    def wait(self, what: str, condition: Callable[[], bool]) -> None:
        """Until a condition holds. Ends the script where it never does, or the agent has ended."""

        def ended_or_holds() -> bool:
            if self._process.poll() is not None:
                sys.exit(f"{what}: the agent has ended\n{self.said()[-4000:]}")
            return condition()

        wait(what, ended_or_holds, lambda: f"{self.said()[-4000:]}\n{self.ask()}")

    def pause(self) -> None:
        """Stop the process, as SIGSTOP does."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self._process.pid, signal.SIGCONT)

    def end(self, book: Mapping[str, Any]) -> None:
        """End it as `systemctl stop` does; keep its log, and the book that the tests read, with its exit code."""
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(PATIENCE_S)
        shutil.copytree(self._place / "log", self._out / "log")
        (self._out / "book.json").write_text(json.dumps({**book, "code": code}))


def wall_ahead_ns() -> int:
    """How far CLOCK_REALTIME is ahead of CLOCK_BOOTTIME: of twenty looks the one that took the shortest time."""
    return min(_look() for _ in range(20))[1]


def _look() -> tuple[int, int]:
    before_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    wall_ns = time.time_ns()
    behind_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return behind_ns - before_ns, wall_ns - behind_ns
