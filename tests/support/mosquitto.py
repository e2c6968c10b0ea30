"""A real Mosquitto on loopback for tests, with its own defaults: what does not fit its queues it drops.

Each broker has its own port, configuration and data folder; it can be killed and restarted on the same data.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Final

from tests.support.kafka import free_ports

START_S: Final = 20.0
_SYSTEM_FOLDERS: Final = "/usr/sbin:/usr/local/sbin:/sbin:/opt/homebrew/sbin"
"""Where a server may be that is not on a user's PATH."""
_HINT: Final = "install it (Debian: sudo deploy/setup.sh servers, or apt-get install mosquitto)"
# Ends the broker when the process that the tests belong to is gone: its end of the pipe closes then.
_GUARD: Final = 'read -r _; kill -9 "$1" 2>/dev/null; rm -rf "$2"'


class MosquittoError(RuntimeError):
    """Mosquitto is missing or did not do what the tests need; the message says what to do."""


def mosquitto_binary() -> str:
    """The server's path. Raises `MosquittoError` where it is not installed."""
    path = shutil.which("mosquitto") or shutil.which("mosquitto", path=_SYSTEM_FOLDERS)
    if path is None:
        raise MosquittoError(f"mosquitto: not found; {_HINT}")
    return path


class Mosquitto:
    """One broker process. A context manager: `with Mosquitto() as broker: ... broker.url ...`.

    `settings` are further lines of its configuration.
    """

    def __init__(self, *settings: str) -> None:
        self._binary = mosquitto_binary()
        self._folder = Path(tempfile.mkdtemp(prefix="wavemark-mosquitto-"))
        self._data = self._folder / "data"
        self._data.mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self.log_path: Final = self._folder / "mosquitto.log"
        self.host: Final = "127.0.0.1"
        self.port: Final = free_ports(1)[0]
        self.url: Final = f"mqtt://{self.host}:{self.port}"
        self._config = self._folder / "mosquitto.conf"
        self._config.write_text("\n".join([*self._settings(), *settings]) + "\n")
        try:
            self.restart()
        except BaseException:
            self.stop()
            raise

    def _settings(self) -> list[str]:
        return [
            f"listener {self.port} {self.host}",
            "allow_anonymous true",
            "persistence true",
            f"persistence_location {self._data}/",
            "autosave_interval 0",  # `save` says when: nothing of it is a matter of luck
            *(["user root"] if os.getuid() == 0 else []),
        ]

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The broker's process id."""
        if self._process is None:
            raise MosquittoError("the broker does not run")
        return self._process.pid

    def restart(self) -> None:
        """Start (again) on the same data and port, and wait until it serves."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [self._binary, "-c", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        guard = ["sh", "-c", _GUARD, "mosquitto-guard", str(self._process.pid), str(self._folder)]
        self._guard = subprocess.Popen(guard, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
        self._await_ready(self._process)

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), timeout=1.0):
                return
            if process.poll() is not None or time.monotonic() > deadline:
                told = self.log_path.read_text(errors="replace")[-2000:]
                raise MosquittoError(f"mosquitto: exit code {process.poll()}, not ready; it says:\n{told}")
            time.sleep(0.01)

    def save(self) -> None:
        """Let it write sessions and queues to its disk now; a kill then loses nothing of them."""
        file = self._data / "mosquitto.db"
        file.unlink(missing_ok=True)
        os.kill(self.pid, signal.SIGUSR1)
        deadline = time.monotonic() + START_S
        while not file.exists():  # it is renamed to this name when it is whole
            if time.monotonic() > deadline:
                raise MosquittoError(f"{file}: not written in {START_S:g} s")
            time.sleep(0.005)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone; what it had saved stays."""
        for process in (self._guard, self._process):
            if process is not None:
                process.kill()
                process.wait()
                if process.stdin is not None:
                    process.stdin.close()
        self._guard = self._process = None

    def stop(self) -> None:
        """End it for good and remove its data."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Mosquitto:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
