"""A server process on loopback that belongs to the tests: started, killed, restarted on its data, never left behind."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import itertools
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

PROJECT: Final = Path(__file__).resolve().parents[2]

# Ends the server when the process that the tests belong to is gone, however that came about.
_GUARD: Final = 'while kill -0 "$1" 2>/dev/null; do sleep 1; done; kill -9 "$2" 2>/dev/null; sleep 1; rm -rf "$3"'


class ServerError(RuntimeError):
    """A server, or what it needs, did not do what the tests need; the message says how to get it."""


@functools.cache
def _ports() -> Iterator[int]:
    """Ports that the kernel gives to nobody who asks for just any: this worker's share of them, for ever."""
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    ports = [port for port in range(10_000, 65_536) if not low <= port <= high]
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    share = ports[int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) :: workers]
    begin = random.randrange(len(share))  # two runs on one machine begin apart
    return itertools.cycle(share[begin:] + share[:begin])


def free_ports(count: int) -> list[int]:
    """Loopback ports on which nobody listens now, and which nobody is given before a server is there or is back."""
    found: list[int] = []
    while len(found) < count:
        port = next(_ports())
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            found.append(port)
    return found


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """No other process is within; `path` is a file that shows it, in a folder that need not be there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Server(ABC):
    """One process with a folder of its own; `owner` is the process whose end also ends it (default: this one).

    A context manager; a subclass starts itself in `__init__`.
    """

    start_s: float
    """How long it may take until it serves."""

    def __init__(self, name: str, *, owner: int | None = None) -> None:
        self._name = name
        self._owner = owner or os.getpid()
        self._folder = Path(tempfile.mkdtemp(prefix=f"sensorloom-{name}-"))
        self.log_path: Final = self._folder / "server.log"
        self._launched_at = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """What runs it."""

    @abstractmethod
    def _serves(self, said: str) -> bool:
        """Whether it is ready; `said` is what it has logged since it was started."""

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        if self._process is None:
            raise ServerError(f"{self._name} does not run")
        return self._process.pid

    def restart(self) -> None:
        """Start (again) on the same data and ports, and wait until it serves."""
        self.launch()
        self.await_service()

    def launch(self) -> None:
        """Start (again) on the same data and ports."""
        with self.log_path.open("ab") as log:
            self._launched_at = log.tell()
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        guard = ["sh", "-c", _GUARD, f"{self._name}-guard", str(self._owner), str(self.pid), str(self._folder)]
        self._guard = subprocess.Popen(
            guard, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )

    def await_service(self) -> None:
        """Wait until it serves."""
        deadline = time.monotonic() + self.start_s
        while not self._serves(self._said_since(self._launched_at)):
            if not self.running or time.monotonic() > deadline:
                ended = self._process is not None and not self.running
                state = f"exit code {self._process.returncode}" if ended else f"not ready in {self.start_s:g} s"  # type: ignore[union-attr]
                said = self._said_since(self._launched_at)[-3000:]
                raise ServerError(f"{self._name}: {state}; the end of {self.log_path}:\n{said}")
            time.sleep(0.02)

    def _said_since(self, begin: int) -> str:
        return self.log_path.read_bytes()[begin:].decode(errors="replace")

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone; its data stay."""
        for process in (self._guard, self._process):
            if process is not None:
                process.kill()
                process.wait()
        self._guard = self._process = None

    def release(self) -> None:
        """Leave it to run until its owner ends, when this process may be gone already."""
        for process in (self._guard, self._process):
            if process is not None:
                process.returncode = 0  # Popen need not warn that nobody waits for it
        self._guard = self._process = None

    def stop(self) -> None:
        """End it for good and remove its data."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
