"""A serial port behind a server of RFC 2217: pyserial's own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import serial
from serial import rfc2217

from edge.protocol import Arrival, Interruption
from edge.sources.serial.lines import RawBytes
from edge.sources.serial.port import PORT_LOST, Line, why_closed
from edge.sources.serial.remote import Controlled, connection_of
from edge.sources.serial.source import SerialSource
from edge.sources.serial.starting import Step
from tests.edge.sources.collecting import Taker, until

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name)")  # pyserial's own


class Connection:
    """What a `PortManager` writes to."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer, self._lock = peer, threading.Lock()

    def write(self, data: bytes) -> None:
        with self._lock:
            self._peer.sendall(data)


new_manager: Any = rfc2217.PortManager
"""Its types are said to be others than they are."""


class Server:
    """A server whose port is a loop, which has all control lines; what comes to it is kept."""

    def __init__(self, listening: socket.socket) -> None:
        self.port = serial.serial_for_url("loop://", do_not_open=True)
        self.said = b""
        self.times = 0
        self._listening = listening
        self._manager: Any = None
        self._peer: socket.socket | None = None
        self._connection: Connection | None = None

    @property
    def address(self) -> str:
        return f"rfc2217://127.0.0.1:{self._listening.getsockname()[1]}"

    def serve(self) -> None:
        """Each connection, until the server is closed."""
        self.port.open()
        with suppress(OSError):
            while True:
                peer, _ = self._listening.accept()
                with peer, suppress(OSError):
                    self._peer, self._connection = peer, Connection(peer)
                    self._manager = new_manager(self.port, self._connection)
                    self.times += 1
                    while data := peer.recv(1024):
                        self.said += b"".join(self._manager.filter(data))

    def write(self, data: bytes) -> None:
        assert self._connection is not None
        self._connection.write(b"".join(self._manager.escape(data)))

    def hang_up(self) -> None:
        assert self._peer is not None
        self._peer.shutdown(socket.SHUT_RDWR)


@contextmanager
def serving() -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Server(listening)
        thread = threading.Thread(target=server.serve, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            with suppress(OSError):
                server.hang_up()
            thread.join()
            server.port.close()


def test_a_port_is_set_started_read_lost_and_found_again() -> None:
    with serving() as server:

        async def scenario() -> None:
            line = Line(server.address, 9600, "7E2", (Step(b"RUN\xff\r"),))
            source = SerialSource(line, RawBytes())
            taker = Taker(source)
            try:
                await asyncio.wait_for(source.open(), 60)
                await until(lambda: server.said == b"RUN\xff\r")
                server.write(b"1\xff\xff2\n")
                assert await taker.bytes_until(5) == b"1\xff\xff2\n"
                found = (server.port.baudrate, server.port.bytesize, server.port.parity, server.port.stopbits)
                assert found == (9600, 7, "E", 2)
                server.hang_up()
                await until(lambda: server.times == 2 and server.said == 2 * b"RUN\xff\r")
                server.write(b"3\n")
                await taker.bytes_until(7)
            finally:
                await source.close()
            assert [item.data for item in taker.items if isinstance(item, Arrival)] == [b"1\xff\xff2\n", b"3\n"]
            assert [item.reason for item in taker.items if isinstance(item, Interruption)] == [PORT_LOST]

        asyncio.run(scenario())


def test_a_server_that_went_away_without_a_word_is_asked_for() -> None:
    with serving() as server, Line(server.address).open() as port:
        assert isinstance(port, Controlled)
        connection = connection_of(port._port)
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert connection.gettimeout() is None


def test_a_server_that_takes_no_settings_is_told_from_one_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        line = Line(f"rfc2217://127.0.0.1:{listening.getsockname()[1]}?timeout=0.1")  # which a table may not say
        with pytest.raises(OSError, match="RFC2217") as raised:
            line.open()
    assert "try socket://" in why_closed(line, raised.value)
    with pytest.raises(OSError, match="Could not open") as raised:
        line.open()
    assert "nobody listens there" in why_closed(line, raised.value)
