"""A real gpsd on loopback for tests, with a receiver on a pseudo-terminal."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from typing import Final

from tests.support.server import Server, ServerError, free_ports

_SYSTEM_FOLDERS: Final = "/usr/sbin:/usr/local/sbin:/sbin"
_HINT: Final = "install it (Debian: sudo deploy/setup.sh servers, or apt-get install gpsd)"


class Gpsd(Server):
    """One daemon that reads the device file `receiver`. A context manager."""

    start_s = 60.0

    def __init__(self, receiver: Path) -> None:
        binary = shutil.which("gpsd") or shutil.which("gpsd", path=_SYSTEM_FOLDERS)
        if binary is None:
            raise ServerError(f"gpsd: not found; {_HINT}")
        self._binary = binary
        self._receiver = os.path.realpath(receiver)  # gpsd names it so in what it reports
        super().__init__("gpsd")
        self.port: Final = free_ports(1)[0]
        try:
            self.restart()
        except BaseException:
            self.stop()
            raise

    def _command(self) -> list[str]:
        return [self._binary, "-N", "-n", "-S", str(self.port), self._receiver]

    def _serves(self, said: str) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True
