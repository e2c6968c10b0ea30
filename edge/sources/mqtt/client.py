"""paho's client as the settings want it, with what it lacks: a bound on what it holds of a packet, and pings whose
answer is heard.

Everything of paho's that is private and used here is used in this class; tests/edge/sources/test_mqtt_client.py fails
where a new version of paho has it no more.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge.sources.mqtt import failures
from edge.sources.mqtt.settings import Settings
from ingest.errors import PermanentError

KEEPALIVE_S: Final = 30
CONNECT_S: Final = 5.0
READ_BYTES: Final = 65_536
_READS_AT_ONCE: Final = 64


class BoundedClient(Client):
    """Keeps no more than `packet_bytes` of a packet: the rest of a larger one is read and thrown away."""

    def __init__(self, packet_bytes: int, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.on_pingreq: Callable[[], None] = lambda: None
        self.on_pingresp: Callable[[], None] = lambda: None
        self.alert = ""
        """What the broker's TLS said as it ended the connection (RFC 8446, section 6), as OpenSSL calls it."""
        self._packet_bytes = packet_bytes
        self._ahead = b""
        """Read at once, and handed to paho as it asks for it."""
        self._looked_at = 0
        """So much of that it was given."""

    @property
    def packet_size(self) -> int:
        """In bytes, without the fixed header: of the packet whose callback is running, whatever was kept of it."""
        return int(self._in_packet["remaining_length"])

    def ping(self) -> None:
        """Ask for an answer: `on_pingreq` is called when that is said, `on_pingresp` when the answer is there.

        paho's own keep-alives call them, too.
        """
        self._send_pingreq()

    def _send_pingreq(self) -> MQTTErrorCode:
        code = super()._send_pingreq()
        if code == MQTTErrorCode.MQTT_ERR_SUCCESS:
            self.on_pingreq()
        return code

    def _handle_pingresp(self) -> MQTTErrorCode:
        code = super()._handle_pingresp()
        self.on_pingresp()
        return code

    @property
    def has_more(self) -> bool:
        """Whether bytes wait of which the socket knows nothing: here, or inside of TLS."""
        if self._looked_at < len(self._ahead):
            return True
        socket = self.socket()
        return isinstance(socket, ssl.SSLSocket) and socket.pending() > 0

    def _handle_publish(self) -> MQTTErrorCode:
        """paho's own makes an object of a message's properties, which costs more than all the rest of it, also where
        there are none."""
        packet = self._in_packet
        message = plain_message(packet["command"], packet["packet"], self._protocol == MQTTProtocolVersion.MQTTv5)
        if message is None or self.on_message is None:
            return super()._handle_publish()
        with self._in_callback_mutex:
            self.on_message(self, None, message)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _sock_close(self) -> None:
        """What TLS said last is read before: since TLS 1.3 a client's certificate is refused behind the handshake,
        where paho sees no more than the end of a connection."""
        if isinstance(self._sock, ssl.SSLSocket):
            with suppress(OSError, ValueError):
                self._sock.setblocking(False)
                self._hear(lambda: super(BoundedClient, self)._sock_recv(1))
        super()._sock_close()

    def _hear(self, receive: Callable[[], bytes]) -> bytes:
        try:
            return receive()
        except ssl.SSLError as error:
            if "ALERT" in (error.reason or ""):
                self.alert = error.reason
            raise

    def _sock_recv(self, bufsize: int) -> bytes:
        """As many bytes as may be kept. paho asks for all that is left of a packet, and keeps what it is given."""
        packet = self._in_packet
        if not packet["have_remaining"]:
            return self._receive(bufsize)
        room = self._packet_bytes - len(packet["packet"])
        if room > 0:
            return self._receive(min(bufsize, room))
        for _ in range(_READS_AT_ONCE):
            if packet["to_process"] == 1:  # what was kept goes on as if it were the whole packet
                return self._receive(1)
            gone = self._receive(packet["to_process"] - 1)
            if not gone:
                return gone
            packet["to_process"] -= len(gone)
        raise BlockingIOError  # let others have their turn

    def _receive(self, size: int) -> bytes:
        """At most so many bytes, and at least one but at the connection's end. Of many messages they are read at once:
        paho asks three times for each."""
        if self._looked_at >= len(self._ahead):
            self._ahead, self._looked_at = self._hear(lambda: super(BoundedClient, self)._sock_recv(READ_BYTES)), 0
        begin = self._looked_at
        self._looked_at = begin + size
        return self._ahead[begin : begin + size]


def plain_message(command: int, packet: bytes | bytearray, has_properties: bool) -> MQTTMessage | None:
    """A PUBLISH packet (MQTT 5.0, section 3.3) of QoS 0 or 1 with a topic and without properties; None for any other.

    Args:
        command: its first byte.
        packet: what is behind its length.
        has_properties: it is of MQTT 5, and says how many bytes of properties it has.
    """
    qos, size = command >> 1 & 3, len(packet)
    if size < 3 or qos > 1:
        return None
    end = at = 2 + (packet[0] << 8 | packet[1])
    at += 2 * qos
    if end == 2 or size < at + has_properties or (has_properties and packet[at]):
        return None
    message = MQTTMessage(packet[end] << 8 | packet[end + 1] if qos else 0, bytes(packet[2:end]))
    message.qos, message.dup, message.retain = qos, bool(command & 8), bool(command & 1)
    message.payload = bytes(packet[at + has_properties :])
    return message


def new_client(settings: Settings) -> BoundedClient:
    """A client for one connection.

    Raises:
        PermanentError: a file that is named in the settings cannot be read, or does not hold what it should.
    """
    bound, version = settings.kept_bytes, CallbackAPIVersion.VERSION2
    if settings.version == 5:
        client = BoundedClient(bound, version, settings.client_id, protocol=MQTTProtocolVersion.MQTTv5)
    else:
        client = BoundedClient(
            bound, version, settings.client_id, settings.is_passing, protocol=MQTTProtocolVersion.MQTTv311
        )
    client.manual_ack_set(True)
    client.connect_timeout = CONNECT_S
    if settings.username:
        client.username_pw_set(settings.username, _password(settings))
    if settings.tls:
        client.tls_set_context(_tls(settings))
    return client


def _tls(settings: Settings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
    except OSError as error:
        raise PermanentError(failures.unreadable("ca_file", settings.ca_file, error)) from None
    if settings.cert_file:
        _prove(context, settings)
    return context


def _prove(context: ssl.SSLContext, settings: Settings) -> None:
    """Show a certificate of one's own."""
    named = {key: file for key in ("cert_file", "key_file") if (file := getattr(settings, key))}
    files = list(named.values())
    for key, file in named.items():  # OpenSSL names none of them
        try:
            Path(file).open("rb").close()
        except OSError as error:
            raise PermanentError(failures.unreadable(key, file, error)) from None
    try:
        context.load_cert_chain(settings.cert_file, settings.key_file or None, password=_no_passphrase)
    except ssl.SSLError as error:
        why = "are not of one another" if error.reason == "KEY_VALUES_MISMATCH" else "hold no certificate and its key"
        raise PermanentError(f"{' and '.join(files)}: {why} in PEM") from None
    except ValueError:
        raise PermanentError(f"{files[-1]}: the key has a passphrase; write it without one (openssl pkey)") from None


def _no_passphrase() -> str:
    """Else OpenSSL would ask at a terminal."""
    raise ValueError("a passphrase")


def _password(settings: Settings) -> str | None:
    file = settings.password_file
    if not file:
        return None
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise PermanentError(failures.unreadable("password_file", file, error)) from None
    except UnicodeDecodeError as error:
        raise PermanentError(
            f"{file}: is no text: byte {error.start} is not UTF-8; write the password into it and nothing else"
        ) from None


def connect(settings: Settings, client: Client) -> None:
    """Connect and say hello: the session goes on, where the broker has one. Raises `OSError`, `UnicodeError`."""
    if settings.version != 5:
        client.connect(settings.host, settings.port, KEEPALIVE_S)
        return
    hello = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    hello.ReceiveMaximum = settings.window
    hello.SessionExpiryInterval = 0 if settings.is_passing else settings.session_expiry_s
    hello.MaximumPacketSize = settings.packet_bytes
    client.connect(settings.host, settings.port, KEEPALIVE_S, clean_start=settings.is_passing, properties=hello)


def suspicion(settings: Settings) -> str:
    """What to think of a broker that closes connections."""
    return f'another client connects as "{settings.client_id}": are there two agents of one device?'


def subscription(settings: Settings) -> tuple[str, Any]:
    """What to subscribe to. A retained message is old news with a new arrival time: none are wanted."""
    if settings.version != 5:
        return settings.topic, settings.qos
    return settings.topic, SubscribeOptions(qos=settings.qos, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
