"""10,000 sockets at one server: bounded memory, words for those who are refused, and an operator who works on."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from collections import Counter
from pathlib import Path
from typing import Final, cast

import msgspec
import pytest
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from tests.support.processes import resident_mb
from tests.timeline.site import LIMIT_S, Served, Tab, recording, write_site
from timeline.people.accounts import People
from timeline.protocol import Accepted
from timeline.tabs.hub import TABS_MAX

CROWD: Final = 10_000
AT_ONCE: Final = 200
GROWTH_MB: Final = 150
"""What 1,000 tabs and 200 other connections may take up."""


class Stranger(asyncio.Protocol):
    """A socket that says hello, answers pings, and stays for as long as it may."""

    def __init__(self, served: Served, cookie: str, number: int) -> None:
        host = served.url.removeprefix("http://")
        self.answered = asyncio.Event()
        self.words = ""
        """What the server said to it first: "welcome", or why not."""
        self._protocol = ClientProtocol(parse_uri(f"ws://{host}/socket"), origin=served.url)  # type: ignore[arg-type]
        self._cookie = cookie
        self._number = number

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        request = self._protocol.connect()
        request.headers["Cookie"] = f"sensorloom={self._cookie}"
        self._protocol.send_request(request)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Response) and self._protocol.state is State.OPEN:
                tab = f"5ff3c1a0-0000-4000-8000-{self._number:012}"
                self._protocol.send_text(msgspec.json.encode({"type": "hello", "protocol": 1, "tab": tab}))
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT and b'"type":"welcome"' in event.data[:40]:
                self._hear("welcome")
        error = self._protocol.handshake_exc
        if isinstance(error, InvalidStatus):
            self._hear(f"{error.response.status_code}: {error.response.body.decode()}")
        if self._protocol.close_rcvd is not None:
            self._hear(f"{self._protocol.close_rcvd.code}: {self._protocol.close_rcvd.reason}")
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.receive_eof()
        self._hear(f"not a word: {exc!r}")

    def _hear(self, words: str) -> None:
        self.words = self.words or words
        self.answered.set()

    def _send(self) -> None:
        self.transport.writelines(self._protocol.data_to_send())


class Operator:
    """Marks one thing after the other, and looks at the server's memory."""

    def __init__(self, tab: Tab, served: Served) -> None:
        self.most_mb = self.first_mb = resident_mb(served.process.pid)
        self.marked = 0
        self._tab, self._served = tab, served

    async def mark(self) -> None:
        answer = await self._tab.act("add")
        assert isinstance(answer, Accepted), answer
        self._tab.seen.clear()
        self.marked += 1
        self.most_mb = max(self.most_mb, resident_mb(self._served.process.pid))

    async def go_on(self) -> None:
        while True:
            await self.mark()


async def crowd_in(served: Served, cookie: str) -> list[Stranger]:
    """All of the crowd, each answered."""
    loop, at_once = asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE)
    host, _, port = served.url.removeprefix("http://").rpartition(":")

    async def come(number: int) -> Stranger:
        async with at_once:
            _, stranger = await loop.create_connection(lambda: Stranger(served, cookie, number), host, int(port))
            await asyncio.wait_for(stranger.answered.wait(), LIMIT_S)
            return stranger

    return await asyncio.gather(*(come(number) for number in range(CROWD)))


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_an_operator_works_on_beside_10_000_sockets_each_of_which_is_told_what_becomes_of_it(tmp_path: Path) -> None:
    site = write_site(tmp_path / "site", recording(20))
    people, cookies = People(site / "people"), {}
    for role in ("annotator", "viewer"):
        people.add(role, role, "correct horse battery")
        cookies[role], _ = people.sign_in_account(people.accounts()[role], time.time_ns())

    async def work(served: Served) -> None:
        async with Tab(served.url, cookies["annotator"]) as tab:
            await tab.hello()
            operator = Operator(tab, served)
            going_on = asyncio.create_task(operator.go_on())
            crowd = await crowd_in(served, cookies["viewer"])
            going_on.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await going_on
            meanwhile = operator.marked
            tab.seen.clear()
            await operator.mark()
            words = Counter(stranger.words.partition(":")[0] for stranger in crowd)
            print(words, f"{meanwhile} marks, {operator.first_mb:.0f} to {operator.most_mb:.0f} MB")
            assert set(words) <= {"welcome", "4429", "503"}, words
            assert words["welcome"] >= TABS_MAX - 1
            assert meanwhile > 0
            assert operator.most_mb - operator.first_mb < GROWTH_MB
            for stranger in crowd:
                stranger.transport.abort()
        await comes_in(served, cookies["annotator"])

    allow_descriptors(CROWD + 1_000)
    with Served(str(site)) as served:
        asyncio.run(work(served))


async def comes_in(served: Served, cookie: str) -> None:
    """Somebody new is let in, when the crowd is gone: in a moment."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            with contextlib.suppress(OSError, InvalidStatus, ConnectionClosed, EOFError):
                async with Tab(served.url, cookie) as tab:
                    await tab.hello()
                    return
            await asyncio.sleep(0.1)


def allow_descriptors(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= wanted, f"a process may have {hard} files open; it takes {wanted}: raise `ulimit -Hn`"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
