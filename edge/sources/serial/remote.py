"""Ports behind a network: handed on as they are over TCP, or controlled as RFC 2217 has it, through pyserial."""

from __future__ import annotations

import os
import socket
import threading
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from serial import rfc2217

CONNECT_S: Final = 5.0
SCHEMES: Final = ("socket://", "rfc2217://")
_KEEPALIVE: Final = {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 4}
"""Seconds of silence before the first question, seconds between questions, and how many stay unanswered."""


def is_remote(port: str) -> bool:
    """Whether a port lies behind a network: `socket://host:4001`, `rfc2217://host:4001`."""
    return port.lower().startswith(SCHEMES)


def connect(port: str) -> socket.socket:
    """A connection to the server that hands on a port. Raises `OSError`.

    Not through pyserial's `socket://`, which throws away what came right behind the connection. A server that went
    away without a word is asked for by the kernel, and missed after half a minute.
    """
    parts = urlsplit(port)
    connection = socket.create_connection((parts.hostname or "", parts.port or 0), CONNECT_S)
    ask_for_peer(connection)
    return connection


def ask_for_peer(connection: socket.socket) -> None:
    """Let the kernel ask whether the other side is still there."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


def connection_of(port: rfc2217.Serial) -> socket.socket:
    """Of an open port; pyserial has no name for it that is not its own."""
    found: socket.socket = vars(port)["_socket"]
    return found


class Controlled:
    """A port of RFC 2217, set as pyserial sets it, whose bytes come through a pipe: pyserial's have no file number.

    The pipe ends with the connection. What it holds while nobody reads (64 kB) is not the server's matter any more.
    """

    def __init__(self, port: rfc2217.Serial) -> None:
        self._port = port
        connection = connection_of(port)
        connection.settimeout(None)  # that of connecting would be each write's
        ask_for_peer(connection)
        self._read_end, self._write_end = os.pipe()
        self._carrier = threading.Thread(target=self._carry, name=f"{port.name} to a pipe", daemon=True)
        self._carrier.start()

    def fileno(self) -> int:
        """Of the pipe."""
        return self._read_end

    def write(self, data: bytes) -> None:
        """To the port. Raises `OSError`."""
        self._port.write(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._read_end)  # who waits for room in the pipe waits no longer
        self._port.close()
        self._carrier.join()

    def _carry(self) -> None:
        try:
            while data := self._port.read(1):
                data += self._port.read(self._port.in_waiting)
                while data:
                    data = data[os.write(self._write_end, data) :]
        except OSError:  # the connection broke (`serial.SerialException` is one), or nobody reads any more
            pass
        finally:
            os.close(self._write_end)
