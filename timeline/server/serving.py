"""The server as a process: where it listens, what it refuses to do, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import resource
import signal
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn

from ingest.commandline import say_aside
from ingest.errors import UsageError
from ingest.opening import open_log
from timeline.people.accounts import People
from timeline.protocol import MESSAGE_BYTES
from timeline.server.app import App, Entrance
from timeline.server.guard import CONNECTIONS_MAX, GuardedProtocol
from timeline.site import Settings, Timeline
from timeline.tabs.hub import Hub

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_DESCRIPTORS: Final = 2 * CONNECTIONS_MAX
_ENDING_S: Final = 5
_REPORT_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Serving:
    """How a timeline is served."""

    settings: Settings
    host: str
    port: int
    people: Path | None
    """The folder of accounts and sessions; None: sessions last as long as the server."""
    guest: str
    """Whose the marks are of who comes by the one-time link."""
    tls: tuple[Path, Path] | None = None
    """Certificate and key."""
    behind_proxy: bool = False

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check(serving: Serving, people: People) -> None:
    """Raise `UsageError` where what people type, or their marks, could be read or made by strangers."""
    if serving.behind_proxy and not people.accounts():
        raise UsageError(f"--behind-proxy: there are no accounts yet; make one first: {_HOW_TO_ADD}")
    if serving.is_local:
        return
    where = f"--listen {serving.host}: others can reach this address"
    if not people.accounts():
        raise UsageError(f"{where}, and there are no accounts: make one first: {_HOW_TO_ADD}")
    if serving.tls is None and not serving.behind_proxy:
        raise UsageError(
            f"{where}, and passwords would be sent in the clear: give --tls-cert FILE --tls-key FILE, or put a proxy "
            "with TLS in front and say --behind-proxy"
        )


_HOW_TO_ADD: Final = "sensorloom label user add NAME --role admin --people DIR"


async def serve(serving: Serving) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        UsageError: it would not be safe, or the address is taken.
        SensorloomError: the archive cannot be read.
    """
    with contextlib.ExitStack() as stack:
        folder = serving.people or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sensorloom-")))
        people = People(folder)
        check(serving, people)
        people.sweep(time.time_ns())
        _allow_descriptors()
        listening = stack.enter_context(listen(serving))
        log = open_log(serving.settings.log)
        timeline = Timeline(serving.settings, log)
        try:
            await timeline.open()
            await _run(serving, people, timeline, listening)
        finally:
            await timeline.close()
            await log.close()


async def _run(serving: Serving, people: People, timeline: Timeline, listening: socket.socket) -> None:
    secure = serving.tls is not None or serving.behind_proxy
    hosts = _LOOPBACK if serving.is_local and not serving.behind_proxy else frozenset()
    entrance = Entrance(people, secure=secure, hosts=hosts, guest=serving.guest)
    if people.accounts():
        entrance.secret = ""
    hub = Hub(timeline, people.folder)
    server = _Server(_config(serving, App(hub, entrance)))
    address = listening.getsockname()
    url = f"{'https' if serving.tls else 'http'}://{_shown(address[0])}:{address[1]}"
    print(
        f"timeline of {serving.settings.name}: {url}{'/open/' + entrance.secret if entrance.secret else '/'}",
        flush=True,
    )
    if entrance.secret:
        print("the link opens once; Ctrl-C ends the server", file=sys.stderr)
    tasks = [asyncio.create_task(it) for it in (timeline.run(), hub.run(), _report(timeline))]
    serve = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        done, _ = await asyncio.wait([*tasks, serve], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        server.should_exit = True
        await asyncio.gather(serve, return_exceptions=True)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _report(timeline: Timeline) -> None:
    """Tell whoever started the server what a tab is told: how far the log has been read, and what is wrong with it."""
    told = ""
    while True:
        await asyncio.sleep(_REPORT_S)
        words = timeline.state
        if words != told:
            say_aside(f"sensorloom: {words or 'the log is read, and all is well'}")
        told = words
        while timeline.lost:
            say_aside(f"sensorloom: {timeline.lost.popleft()}")


def _config(serving: Serving, app: App) -> uvicorn.Config:
    certificate, key = serving.tls or (None, None)
    return uvicorn.Config(
        app.routes(),
        http=GuardedProtocol,
        ws="websockets-sansio",
        ws_max_size=MESSAGE_BYTES,
        ws_per_message_deflate=False,
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=serving.behind_proxy,
        timeout_graceful_shutdown=_ENDING_S,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )


class _Server(uvicorn.Server):
    """Ends at SIGINT and SIGTERM as a service does: done, with exit code 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """See `uvicorn.Server`."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._end)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _end(self) -> None:
        self.should_exit = True


def listen(serving: Serving) -> socket.socket:
    """A socket at the address, which sends each part of an answer at once: asyncio turns Nagle's algorithm off for
    sockets that say their protocol, and else the second part waits 40 ms for the first one's acknowledgement.

    Raises `UsageError` where the address is taken, or none of this machine's.
    """
    family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((serving.host, serving.port))
        found.listen(512)
    except OSError as error:
        found.close()
        raise UsageError(f"--listen {serving.host}:{serving.port}: {error.strerror}; use another port") from None
    return found


def check_tls(certificate: Path, key: Path) -> tuple[Path, Path]:
    """The pair, which fits together. Raises `UsageError`."""
    asked: list[str] = []

    def password() -> str:
        """OpenSSL asks for one at the terminal else, and a service would wait there for ever."""
        asked.append("a password")
        return ""

    for option, path in (("--tls-cert", certificate), ("--tls-key", key)):
        if not path.is_file():
            raise UsageError(f"{option} {path}: no such file")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password)
    except ssl.SSLError as error:
        if asked:
            raise UsageError(f"--tls-key {key}: the key wants a password; give one without") from None
        why = f" ({error.reason})" if error.reason else ""
        raise UsageError(
            f"--tls-cert {certificate} --tls-key {key}: found no certificate and key in PEM that belong together{why}"
        ) from None
    except OSError as error:
        raise UsageError(f"--tls-cert {certificate} --tls-key {key}: {error.strerror or error}") from None
    return certificate, key


def _allow_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
