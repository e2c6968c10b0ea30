"""A real Mosquitto on loopback for tests, with its own defaults: what does not fit its queues it drops.

Each broker has its own port, configuration and data folder; it can be killed and restarted on the same data.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
from typing import Final

from tests.support.server import Server, ServerError, free_ports

_SYSTEM_FOLDERS: Final = "/usr/sbin:/usr/local/sbin:/sbin:/opt/homebrew/sbin"
"""Where a server may be that is not on a user's PATH."""
_HINT: Final = "install it (Debian: sudo deploy/setup.sh servers, or apt-get install mosquitto)"


def mosquitto_binary() -> str:
    """The server's path. Raises `ServerError` where it is not installed."""
    path = shutil.which("mosquitto") or shutil.which("mosquitto", path=_SYSTEM_FOLDERS)
    if path is None:
        raise ServerError(f"mosquitto: not found; {_HINT}")
    return path


class Mosquitto(Server):
    """One broker process. A context manager: `with Mosquitto() as broker: ... broker.url ...`.

    `settings` are further lines of its configuration; it listens at `host`, loopback but for tests of links.
    """

    start_s = 60.0

    def __init__(self, *settings: str, host: str = "127.0.0.1") -> None:
        self._binary = mosquitto_binary()
        super().__init__("mosquitto")
        self._data = self._folder / "data"
        self._data.mkdir()
        self.host: Final = host
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

    def _command(self) -> list[str]:
        return [self._binary, "-c", str(self._config)]

    def _serves(self, said: str) -> bool:
        try:
            socket.create_connection((self.host, self.port), timeout=1.0).close()
        except OSError:
            return False
        return self.running

    def forget(self) -> None:
        """Lose sessions, subscriptions and queues; only while it is not running."""
        for file in self._data.iterdir():
            file.unlink()

    def save(self) -> None:
        """Let it write sessions and queues to its disk now; a kill then loses nothing of them."""
        file = self._data / "mosquitto.db"
        file.unlink(missing_ok=True)
        os.kill(self.pid, signal.SIGUSR1)
        deadline = time.monotonic() + self.start_s
        while not file.exists():  # it is renamed to this name when it is whole
            if time.monotonic() > deadline:
                raise ServerError(f"{file}: not written in {self.start_s:g} s")
            time.sleep(0.005)
