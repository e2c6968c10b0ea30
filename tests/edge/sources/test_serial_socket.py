"""A serial port that a server on the network hands on over TCP."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from edge.config import load_config
from edge.protocol import Arrival, Interruption
from edge.sources.serial.port import PORT_LOST, Line, identity
from edge.sources.serial.source import SerialSource
from ingest.errors import UsageError
from tests.edge.sources.collecting import Taker, until


def test_lines_arrive_and_a_connection_that_ends_is_made_again() -> None:
    async def scenario() -> None:
        writers: list[asyncio.StreamWriter] = []
        server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
        number = server.sockets[0].getsockname()[1]
        source = SerialSource(Line(f"socket://127.0.0.1:{number}"))
        taker = Taker(source)
        try:
            async with asyncio.timeout(200):
                await source.open()
                await until(lambda: len(writers) == 1)
                writers[0].write(b"half a line\n1\n2\n")
                assert await taker.bytes_until(4) == b"1\n2\n"
                writers[0].close()
                await until(lambda: len(writers) == 2)
                writers[1].write(b"the rest\n3\n")
                await taker.bytes_until(6)
        finally:
            await source.close()
            for writer in writers:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
            server.close()
        assert [item.data for item in taker.items if isinstance(item, Arrival)] == [b"1\n2\n", b"3\n"]
        assert [item.reason for item in taker.items if isinstance(item, Interruption)] == [PORT_LOST]

    asyncio.run(scenario())


def test_what_a_server_says_at_once_is_not_thrown_away() -> None:
    times = 50
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            for _ in range(times):
                with server.accept()[0] as peer:
                    peer.sendall(b"hello")

        greeter = threading.Thread(target=greet, daemon=True)
        greeter.start()
        heard = []
        for _ in range(times):
            with Line(f"socket://127.0.0.1:{server.getsockname()[1]}").open() as port:
                poll = select.poll()
                poll.register(port.fileno(), select.POLLIN)
                assert poll.poll(60_000)
                heard.append(os.read(port.fileno(), 100))
        greeter.join()
    assert heard == [b"hello"] * times


def test_a_server_that_went_away_without_a_word_is_asked_for() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        Line(f"socket://127.0.0.1:{server.getsockname()[1]}").open() as port,
    ):
        assert isinstance(port, socket.socket)
        assert port.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle, step, count = (
            port.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
    assert idle + step * count <= 30


def test_nobody_listens_there() -> None:
    async def scenario() -> None:
        with socket.socket() as unheard:
            unheard.bind(("127.0.0.1", 0))
            source = SerialSource(Line(f"socket://127.0.0.1:{unheard.getsockname()[1]}"))
            opening = asyncio.ensure_future(source.open())
            await until(lambda: "nobody listens there" in source.waiting_for)
            opening.cancel()
            await source.close()

    asyncio.run(scenario())


def test_two_sources_of_one_address_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(
        'log = "segments:log"\n[spool]\ndir = "spool"\n'
        + "".join(
            f'[[source]]\nname = "{name}"\ntype = "serial"\nport = "{port}"\ndecoder = "csv"\nstream = "{name}"\n'
            'channels = { x = "g" }\n'
            for name, port in (("a", "socket://box:4001"), ("b", "SOCKET://box:4001"))
        )
    )
    with pytest.raises(UsageError, match=r"port .* is taken"):
        load_config(path)
    assert identity("socket://box:4001") != identity("socket://box:4002")
