"""What the scripts that run in the guest share: its modules, commands of sensorloom's, and an agent that they watch."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import sensorloom

PATIENCE_S = 300.0
LOOK_S = 0.2


def load(module: str, *parameters: str) -> None:
    """Load a module of those in `build.GIVEN` and `modules.mk`, and what it needs."""
    subprocess.run(["modprobe", module, *parameters], check=True, timeout=PATIENCE_S)


def unload(module: str) -> None:
    """Take one out again: the next script may want it with other parameters."""
    subprocess.run(["modprobe", "-r", module], check=True, timeout=PATIENCE_S)


def wait(what: str, condition: Callable[[], bool], also: Callable[[], str] = str) -> None:
    """Until a condition holds. Ends the script where it never does; `also` says how things stand then."""
    print(f"{spent()}: until {what}", flush=True)
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end_s:
            sys.exit(f"{what}: not in {PATIENCE_S:g} s\n{also()}")
        time.sleep(LOOK_S)


def spent() -> str:
    """How long the guest has run, and for how long of that it had something to do: what it costs the host.

    Both begin with the boot of the guest that is kept: only differences count.
    """
    busy = [int(ticks) for ticks in Path("/proc/stat").read_text().split()[1:8]]
    idle = sum(busy[3:5])  # proc(5): idle, iowait
    return f"{time.monotonic():.1f} s ({(sum(busy) - idle) / os.sysconf('SC_CLK_TCK'):.1f} s at work)"


class Command:
    """A `sensorloom` command in a fork of this process, which has its modules; what it says is appended to a file."""

    def __init__(self, words: Sequence[str], text: Path) -> None:
        sys.stdout.flush()
        self.pid = os.fork()
        self._code: int | None = None
        if not self.pid:
            _become(words, text)

    def poll(self) -> int | None:
        """Its exit code once it has ended, -N by signal N."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def wait(self) -> int:
        """Until it has ended; its exit code. Ends the script where it does not."""
        end_s = time.monotonic() + PATIENCE_S
        while (code := self.poll()) is None:
            if time.monotonic() > end_s:
                sys.exit(f"process {self.pid} does not end")
            time.sleep(LOOK_S)
        return code

    def send(self, number: int) -> None:
        """A signal."""
        os.kill(self.pid, number)


def _become(words: Sequence[str], text: Path) -> NoReturn:
    """Be the command, with nothing open of what the script has."""
    code = 1
    try:
        said = os.open(text, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        faulthandler.enable()
        code = sensorloom.main(words)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Agent:
    """An agent of these sources, with spool and log in memory below /run, or in the folder `place`."""

    def __init__(self, out: Path, sources: str, place: Path | None = None, fsync: str = "200ms") -> None:
        self._out = out
        self._place = place or Path("/run") / out.name
        self._place.mkdir(exist_ok=True)
        configuration = out / "agent.toml"
        configuration.write_text(
            f'device = "bench"\nlog = "segments:{self._place}/log"\n'
            f'[spool]\ndir = "{self._place}/spool"\nfsync_interval = "{fsync}"\n{sources}'
        )
        self._process = self._begun()

    def _begun(self) -> Command:
        return Command(["agent", "run", "-c", str(self._out / "agent.toml")], self._out / "agent.txt")

    def kill(self) -> None:
        """As SIGKILL does."""
        self._process.send(signal.SIGKILL)
        self._process.wait()

    def begin_again(self) -> None:
        """Another one on the same spool."""
        self._process = self._begun()

    def files(self, kind: str) -> list[str]:
        """What it has open of that kind, as the kernel names it."""
        names = []
        for file in Path(f"/proc/{self._process.pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                names.append(str(file.readlink()))
        return [name for name in names if kind in name]

    def said(self) -> str:
        """What it wrote so far."""
        return (self._out / "agent.txt").read_text()

    def ask(self) -> dict[str, Any]:
        """What it says of its sources, by name; nothing while it does not answer."""
        return {source["name"]: source for source in self.overview().get("sources", [])}

    def overview(self) -> dict[str, Any]:
        """All that it says of itself; nothing while it does not answer."""
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
            time.sleep(LOOK_S)

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
        """Stop the process, as SIGSTOP does, and wait until each of its threads stands still."""
        self._process.send(signal.SIGSTOP)
        threads = Path(f"/proc/{self._process.pid}/task")
        wait("the agent stands still", lambda: all(_state(thread) == "T" for thread in threads.iterdir()))

    def resume(self) -> None:
        """Let it go on."""
        self._process.send(signal.SIGCONT)

    def end(self, book: Mapping[str, Any]) -> None:
        """End it as `systemctl stop` does; keep its log, and the book that the tests read, with its exit code."""
        self._process.send(signal.SIGTERM)
        code = self._process.wait()
        shutil.copytree(self._place / "log", self._out / "log")
        (self._out / "book.json").write_text(json.dumps({**book, "code": code}))


def _state(thread: Path) -> str:
    """Its letter (proc(5), /proc/pid/stat)."""
    return (thread / "stat").read_text().rpartition(")")[2].split()[0]


def wall_ahead_ns() -> int:
    """How far CLOCK_REALTIME is ahead of CLOCK_BOOTTIME: of twenty looks the one that took the shortest time."""
    return min(_look() for _ in range(20))[1]


def _look() -> tuple[int, int]:
    before_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    wall_ns = time.time_ns()
    behind_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return behind_ns - before_ns, wall_ns - behind_ns
