"""One connection to an MQTT broker, on the event loop: paho speaks the protocol, this says when it may.

paho's own thread is not used: everything but the connecting itself happens on the loop, so that no acknowledgement
can slip from one connection into the next, where its packet id may name another message.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge.errors import SourceUnavailableError
from ingest.errors import PermanentError

T = TypeVar("T")
KEEPALIVE_S: Final = 30
CONNECT_S: Final = 5.0
ANSWER_S: Final = 10.0
SETTLE_S: Final = 2.0
HOUSEKEEPING_S: Final = 1.0
MESSAGES_AT_ONCE: Final = 100
_TAKEN_OVER: Final = 142
_UNSUPPORTED: Final = 132
_UNSPECIFIED: Final = 128


@dataclass(frozen=True, slots=True)
class Settings:
    """A broker, and what is wanted of it."""

    url: str
    """Without secrets: for people."""
    host: str
    port: int
    tls: bool
    topic: str
    qos: int
    client_id: str
    version: int
    """5, or 3 for 3.1.1."""
    window: int
    """How many messages the broker sends before it waits for an acknowledgement."""
    session_expiry_s: int
    username: str = ""
    password_file: str = ""
    ca_file: str = ""

    def client(self) -> Client:
        """A client for one connection.

        Raises:
            PermanentError: a file that is named here cannot be read.
        """
        if self.version == 5:
            client = Client(CallbackAPIVersion.VERSION2, self.client_id, protocol=MQTTProtocolVersion.MQTTv5)
        else:
            client = Client(CallbackAPIVersion.VERSION2, self.client_id, False, protocol=MQTTProtocolVersion.MQTTv311)
        client.manual_ack_set(True)
        client.connect_timeout = CONNECT_S
        try:
            if self.username:
                secret = Path(self.password_file).read_text().strip() if self.password_file else None
                client.username_pw_set(self.username, secret)
            if self.tls:
                client.tls_set_context(ssl.create_default_context(cafile=self.ca_file or None))
        except OSError as error:
            name = error.filename or self.ca_file
            raise PermanentError(f"{name}: {error.strerror or error}; {self.url} needs it") from None
        return client

    def connect(self, client: Client) -> None:
        """Connect and say hello: the session goes on, where the broker has one. Raises `OSError`."""
        if self.version != 5:
            client.connect(self.host, self.port, KEEPALIVE_S)
            return
        hello = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        hello.ReceiveMaximum = self.window
        hello.SessionExpiryInterval = self.session_expiry_s
        client.connect(self.host, self.port, KEEPALIVE_S, clean_start=False, properties=hello)

    def suspicion(self) -> str:
        """What to think of a broker that closes connections."""
        return f'another client connects as "{self.client_id}": are there two agents of one device?'

    def subscription(self) -> tuple[str, Any]:
        """What to subscribe to. A retained message is old news with a new arrival time: none are wanted."""
        if self.version != 5:
            return self.topic, self.qos
        return self.topic, SubscribeOptions(qos=self.qos, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)


class Link:
    """One connection, from `open` and `subscribe` until `lost` is done; `deliver` is called with each message.

    A broker that kept the session sends what waits in it before it answers a subscription: after `open`, messages may
    come, and must be taken for that answer to come.
    """

    def __init__(self, settings: Settings, deliver: Callable[[Link, MQTTMessage], None]) -> None:
        self.settings: Final = settings
        self.unacknowledged: Final[set[int]] = set()
        """Packet ids that the broker waits for."""
        self._deliver = deliver
        self._client = settings.client()
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.on_socket_close = self._on_socket_close
        self._loop = asyncio.get_running_loop()
        self._session_kept: asyncio.Future[bool] = self._loop.create_future()
        self._granted: asyncio.Future[int] = self._loop.create_future()
        self.lost: Final[asyncio.Future[str]] = self._loop.create_future()
        """Done when the connection is over, with what people should know about it."""
        self._messages = 0
        self._paused = False
        self._housekeeping: asyncio.TimerHandle | None = None

    async def open(self) -> bool:
        """Connect; whether the broker still had the session, and with it the subscription.

        Raises:
            SourceUnavailableError, OSError: it did not work out this time.
        """
        await asyncio.to_thread(self.settings.connect, self._client)
        socket = self._client.socket()
        if socket is None:
            raise SourceUnavailableError("the connection closed at once")
        # Set only now: connecting writes from a thread of its own, where the loop must not be touched.
        self._client.on_socket_register_write = self._on_socket_register_write
        self._client.on_socket_unregister_write = self._on_socket_unregister_write
        if self._client.want_write():
            self._loop.add_writer(socket, self._client.loop_write)
        self._loop.add_reader(socket, self._readable)
        self._housekeep()
        return await self._answer(self._session_kept, ANSWER_S)

    async def subscribe(self) -> None:
        """Subscribe, also in a session that was kept: it may have begun with another topic.

        Raises:
            SourceUnavailableError: the broker does not answer, or grants less than what loses nothing.
        """
        granted = await self._subscribe(ANSWER_S, behind_messages=True)
        if granted < self.settings.qos:
            raise SourceUnavailableError(f"grants QoS {granted}, wanted is {self.settings.qos}: it would lose messages")

    async def settle(self) -> None:
        """Return when the broker has seen every acknowledgement so far, or will not answer.

        Mosquitto reads a packet a turn, and drops what it has not read of a connection that a newer one of the same
        client replaces: who starts again quickly would be sent again what it had acknowledged. Packets are answered in
        order, so an answer to a second, idle subscription tells that all before it was read.
        """
        if not self._session_kept.done() or self.lost.done():
            return
        with contextlib.suppress(SourceUnavailableError):
            await self._answer(self._granted, SETTLE_S)  # of the first one, which may still be under way
            self._granted = self._loop.create_future()
            await self._subscribe(SETTLE_S)

    async def _subscribe(self, timeout_s: float, *, behind_messages: bool = False) -> int:
        """The granted quality of service."""
        self._client.subscribe([self.settings.subscription()])
        return await self._answer(self._granted, timeout_s, behind_messages=behind_messages)

    async def _answer(self, answer: asyncio.Future[T], timeout_s: float, *, behind_messages: bool = False) -> T:
        """The answer, in this time; `behind_messages`: without such a silence before it."""
        while True:
            heard, was_paused = self._messages, self._paused
            await asyncio.wait((answer, self.lost), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            if self.lost.done():
                raise SourceUnavailableError(self.lost.result())
            if not (behind_messages and (was_paused or self._paused or self._messages != heard)):
                raise SourceUnavailableError(f"no answer in {timeout_s:g} s")

    def leave(self, reason: str) -> None:
        """The connection is over; its owner closes it."""
        self._end(reason)

    def close(self) -> None:
        """Say goodbye, so far as that can be said, and let go."""
        self._end("closed")
        self._client.disconnect()
        self._client.loop_write()
        socket = self._client.socket()
        if socket is not None:
            self._on_socket_close(self._client, None, socket)
            socket.close()

    def pause(self, on: bool) -> None:
        """Read no more for now, or read again: what the broker then holds back is its own queue's matter."""
        socket = self._client.socket()
        if on is self._paused or socket is None or self.lost.done():
            return
        self._paused = on
        if on:
            self._loop.remove_reader(socket)
        else:
            self._loop.add_reader(socket, self._readable)

    def acknowledge(self, packet_id: int) -> None:
        """PUBACK a message; nothing happens where the connection is over, or the broker does not wait for it."""
        if packet_id in self.unacknowledged and not self.lost.done():
            self.unacknowledged.discard(packet_id)
            self._client.ack(packet_id, 1)

    def _readable(self) -> None:
        """Read messages until there are none, or the loop's other work should have its turn."""
        try:
            for _ in range(MESSAGES_AT_ONCE):
                before = self._messages
                self._client.loop_read()
                if self._paused or self.lost.done() or (self._messages == before and not self._decrypted()):
                    break
        except Exception as error:  # what bytes that are no MQTT make paho raise is of many kinds
            self._end(f"it sends what cannot be understood: {error!r}")

    def _decrypted(self) -> bool:
        """Whether bytes wait inside of TLS, of which the event loop knows nothing."""
        socket = self._client.socket()
        return isinstance(socket, ssl.SSLSocket) and socket.pending() > 0

    def _housekeep(self) -> None:
        """Keep-alives, and noticing that the other side is gone."""
        if not self.lost.done():
            self._client.loop_misc()
            self._housekeeping = self._loop.call_later(HOUSEKEEPING_S, self._housekeep)

    def _end(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)
        if self._housekeeping is not None:
            self._housekeeping.cancel()

    def _on_connect(
        self, client: Client, userdata: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if not reason.is_failure:
            self._session_kept.set_result(flags.session_present)
        elif reason.value == _UNSUPPORTED:
            self._end('does not speak MQTT 5; say protocol = "3.1.1"')
        else:
            self._end(f"refused: {reason}")

    def _on_subscribe(
        self, client: Client, userdata: Any, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        if reasons[0].is_failure:
            self._end(f'topic "{self.settings.topic}": {reasons[0]}')
        elif not self._granted.done():
            self._granted.set_result(int(reasons[0].value))

    def _on_disconnect(
        self, client: Client, userdata: Any, flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.value == _TAKEN_OVER:
            self._end(self.settings.suspicion())
        else:
            self._end("connection lost" if reason.value == _UNSPECIFIED else f"connection lost: {reason}")

    def _on_message(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        self._messages += 1
        if message.qos:
            self.unacknowledged.add(message.mid)
        self._deliver(self, message)

    def _on_socket_register_write(self, client: Client, userdata: Any, socket: Any) -> None:
        """paho has something to say: it is written when the loop comes to it, however many acknowledgements it is."""
        self._loop.add_writer(socket, client.loop_write)

    def _on_socket_unregister_write(self, client: Client, userdata: Any, socket: Any) -> None:
        self._loop.remove_writer(socket)

    def _on_socket_close(self, client: Client, userdata: Any, socket: Any) -> None:
        self._loop.remove_reader(socket)
        self._loop.remove_writer(socket)


def describe(error: OSError) -> str:
    """What people make of a failed attempt to connect."""
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, TimeoutError):
        return f"no connection within {CONNECT_S:g} s"
    return error.strerror or str(error) or type(error).__name__
