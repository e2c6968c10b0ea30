"""A link that goes half open: packets are lost on their way, and nobody is told.

As root, the agent runs in a network namespace of its own, whose packets to us go to a hardware address that nobody has
while the link is cut. Elsewhere they pass through a relay in this process, which then takes bytes and forwards none.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Protocol, Self

NOBODY: Final = "02:00:00:00:00:fe"


class Link(Protocol):
    """Between the agent and a server of ours. A context manager."""

    @property
    def prefix(self) -> Sequence[str]:
        """Words before a command that is to run at the far end."""
        ...

    @property
    def host(self) -> str:
        """Where our servers must listen."""
        ...

    def port_to(self, port: int) -> int:
        """The port at which the far end finds a server's port."""
        ...

    def cut(self) -> None:
        """What the far end sends from now on never arrives."""
        ...

    def mend(self) -> None:
        """Packets pass again."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def new_link() -> Link:
    """The best that this user may have."""
    return Namespace() if os.getuid() == 0 else Relay()


class Namespace:
    """A network namespace with one wire to us."""

    def __init__(self) -> None:
        number = os.getpid() % 16_000
        self._name = f"sensorloom-{number}"
        self._near, self._far = f"sl{number}a", f"sl{number}b"
        net = f"10.213.{number * 4 // 256}.{{}}"
        self.host = net.format(number * 4 % 256 + 1)
        self._far_host = net.format(number * 4 % 256 + 2)
        self.prefix = ["ip", "netns", "exec", self._name]

    def port_to(self, port: int) -> int:
        return port

    def cut(self) -> None:
        self._there("neigh", "replace", self.host, "lladdr", NOBODY, "dev", self._far, "nud", "permanent")

    def mend(self) -> None:
        self._there("neigh", "del", self.host, "dev", self._far)

    def __enter__(self) -> Self:
        _ip("netns", "add", self._name)
        try:
            _ip("link", "add", self._near, "type", "veth", "peer", "name", self._far, "netns", self._name)
            _ip("addr", "add", f"{self.host}/30", "dev", self._near)
            _ip("link", "set", self._near, "up")
            self._there("addr", "add", f"{self._far_host}/30", "dev", self._far)
            self._there("link", "set", self._far, "up")
            self._there("link", "set", "lo", "up")
        except BaseException:
            _ip("netns", "del", self._name)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _ip("netns", "del", self._name)  # and the wire with it
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("link", "del", self._near)

    def _there(self, *words: str) -> None:
        _ip("-n", self._name, *words)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Relay:
    """Forwards connections to one server, or takes their bytes and forwards none."""

    prefix: Sequence[str] = ()
    host = "127.0.0.1"

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self._over = False
        self._sockets: list[socket.socket] = []

    def port_to(self, port: int) -> int:
        listener = socket.create_server((self.host, 0))
        self._sockets.append(listener)
        threading.Thread(target=self._accept, args=(listener, port), daemon=True).start()
        found: int = listener.getsockname()[1]
        return found

    def cut(self) -> None:
        self._open.clear()

    def mend(self) -> None:
        self._open.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._open.set()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self, listener: socket.socket, port: int) -> None:
        with contextlib.suppress(OSError):
            while not self._over:
                far, _ = listener.accept()
                self._open.wait()
                near = socket.create_connection((self.host, port))
                self._sockets += [far, near]
                for source, target in ((far, near), (near, far)):
                    threading.Thread(target=self._forward, args=(source, target), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                self._open.wait()
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)
