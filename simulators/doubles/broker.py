"""An MQTT broker that does what a script says, packet by packet: for what no real broker does when a test wants it.

MQTT 5 with QoS 1, as far as an agent uses it (OASIS MQTT 5.0, section 3): CONNECT, SUBSCRIBE, PUBLISH, PUBACK, PING.
"""

from __future__ import annotations

import asyncio
import struct
from types import TracebackType
from typing import Final, Self

CONNECT, PUBACK, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 4, 8, 12, 14
"""Kinds of packets that a client sends."""
PATIENCE_S: Final = 60.0


class ScriptedBroker:
    """Answers connections as told, and sends what it is told to. An asynchronous context manager.

    Args:
        session_present: what CONNACK says, one value a connection; the last one holds on.
        granted: the reason code of every SUBACK.
        connack: the reason code of every CONNACK.
    """

    def __init__(self, *session_present: bool, granted: int = 1, connack: int = 0) -> None:
        self.url = ""
        self.client_ids: list[str] = []
        """One a connection."""
        self.acknowledged: list[int] = []
        """Packet ids of the PUBACKs, in order, of all connections."""
        self.subscriptions = 0
        """How many SUBSCRIBEs were answered."""
        self._present = list(session_present) or [False]
        self._granted, self._connack = granted, connack
        self._writer: asyncio.StreamWriter | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"mqtt://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def until(self, *, subscriptions: int = 0, acknowledged: int = 0) -> None:
        """Wait until so many SUBSCRIBEs and PUBACKs have come in all. Raises `TimeoutError`."""
        async with asyncio.timeout(PATIENCE_S):
            while self.subscriptions < subscriptions or len(self.acknowledged) < acknowledged:  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    def send(self, topic: str, payload: bytes, packet_id: int, *, duplicate: bool = False) -> None:
        """PUBLISH with QoS 1 to who is connected. Raises `BrokenPipeError` where nobody is."""
        if self._writer is None:
            raise BrokenPipeError(32, "no client is connected", self.url)
        name = topic.encode()
        body = struct.pack(">H", len(name)) + name + struct.pack(">HB", packet_id, 0) + payload
        self._writer.write(bytes([0x32 | 8 * duplicate]) + _length(len(body)) + body)

    def drop(self) -> None:
        """Cut the connection without a word."""
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                kind, body = await _packet(reader)
                self._answer(kind, body, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass  # it left
        finally:
            self._tasks.discard(task)
            if self._writer is writer:
                self._writer = None
            writer.close()

    def _answer(self, kind: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        if kind == CONNECT:
            properties = body[10]  # behind the protocol's name, its level, flags and keep-alive; below 128 here
            size = struct.unpack_from(">H", body, 11 + properties)[0]
            self.client_ids.append(body[13 + properties : 13 + properties + size].decode())
            present = self._present.pop(0) if len(self._present) > 1 else self._present[0]
            writer.write(bytes([0x20, 3, int(present and not self._connack), self._connack, 0]))
            self._writer = writer
        elif kind == SUBSCRIBE:
            writer.write(bytes([0x90, 4]) + body[:2] + bytes([0, self._granted]))
            self.subscriptions += 1
        elif kind == PUBACK:
            self.acknowledged.append(struct.unpack_from(">H", body)[0])
        elif kind == PINGREQ:
            writer.write(b"\xd0\0")
        elif kind == DISCONNECT:
            writer.close()


def _length(size: int) -> bytes:
    """A variable byte integer (section 1.5.5)."""
    found = b""
    while True:
        size, low = divmod(size, 128)
        found += bytes([low | 128 * bool(size)])
        if not size:
            return found


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The kind of the next packet, and what is in it."""
    kind = (await reader.readexactly(1))[0] >> 4
    size, shift, more = 0, 0, True
    while more:
        byte = (await reader.readexactly(1))[0]
        size |= (byte & 127) << shift
        shift, more = shift + 7, byte > 127
    return kind, await reader.readexactly(size)
