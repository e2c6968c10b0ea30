"""What an agent tells the service manager that started it: sd_notify(3), datagrams to `NOTIFY_SOCKET`."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from edge.agent.overview import Overview, service_line
from edge.agent.pipeline import Pipeline

LOOK_S: Final = 0.1
"""How often it is looked whether all sources are open, until they are."""
SAY_S: Final = 10.0
"""How often `systemctl status` is told how things are."""
_BITES: Final = 3
"""A watchdog that is shorter than so many commits is set to that: it is fed by each of them."""


class ServiceManager:
    """Who waits for word of this process; nothing happens where nobody does, or where it does not listen."""

    def __init__(self, address: str = "", watchdog_ns: int = 0) -> None:
        self._address = address
        self._watchdog_ns = watchdog_ns

    @classmethod
    def of(cls, environ: Mapping[str, str], pid: int) -> ServiceManager:
        """Whoever this environment names; a watchdog that is meant for another process is none of this one's."""
        named = environ.get("NOTIFY_SOCKET", "")
        usec = environ.get("WATCHDOG_USEC", "")
        is_ours = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
        return cls(named, int(usec) * 1000 if usec.isdecimal() and is_ours else 0)

    def ready(self, text: str, commit_ns: int) -> None:
        """All that was to be begun is; `commit_ns` is the time between two signs of life."""
        least_ns = _BITES * commit_ns
        longer = [f"WATCHDOG_USEC={least_ns // 1000}"] if 0 < self._watchdog_ns < least_ns else []
        self._send("READY=1", f"STATUS={text}", *longer)

    def say(self, text: str) -> None:
        """How things are, in a line."""
        self._send(f"STATUS={text}")

    def alive(self) -> None:
        """Something was made durable, or was tried to: feeds the watchdog."""
        if self._watchdog_ns:
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The process begins to end."""
        self._send("STOPPING=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # "@" stands for the NUL byte that an abstract address begins with (unix(7))
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
            link.setblocking(False)
            link.sendto("\n".join(lines).encode(), address)


FROM_NOBODY: Final = ServiceManager()


def of_environment() -> ServiceManager:
    """The service manager that started this process."""
    return ServiceManager.of(os.environ, os.getpid())


async def introduce(
    manager: ServiceManager, pipelines: Sequence[Pipeline], overview: Callable[[], Overview], commit_ns: int
) -> None:
    """Say that the agent is ready once each source is open, or said what it waits for; then how it is, until
    cancelled."""
    left = list(pipelines)
    while left:
        await asyncio.sleep(LOOK_S)
        left = [one for one in left if not (one.is_open or one.waiting_for or one.ended)]
    manager.ready(service_line(overview()), commit_ns)
    while True:
        await asyncio.sleep(SAY_S)
        manager.say(service_line(overview()))
