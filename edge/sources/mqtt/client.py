"""paho's client as the settings want it, with what it lacks: a bound on what it holds of a packet, and pings whose
answer is heard.

Everything of paho's that is private and used here is used in this class; tests/edge/sources/test_mqtt_client.py fails
where a new version of paho has it no more.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

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
        self._packet_bytes = packet_bytes

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

    def _sock_recv(self, bufsize: int) -> bytes:
        """As many bytes as may be kept. paho asks for all that is left of a packet, and keeps what it is given."""
        packet = self._in_packet
        if not packet["have_remaining"]:
            return super()._sock_recv(bufsize)
        room = self._packet_bytes - len(packet["packet"])
        if room > 0:
            return super()._sock_recv(min(bufsize, room, READ_BYTES))
        for _ in range(_READS_AT_ONCE):
            if packet["to_process"] == 1:  # what was kept goes on as if it were the whole packet
                return super()._sock_recv(1)
            gone = super()._sock_recv(min(packet["to_process"] - 1, READ_BYTES))
            if not gone:
                return gone
            packet["to_process"] -= len(gone)
        raise BlockingIOError  # let others have their turn


def new_client(settings: Settings) -> BoundedClient:
    """A client for one connection.

    Raises:
        PermanentError: a file that is named in the settings cannot be read, or does not hold what it should.
    """
    bound, version = settings.kept_bytes, CallbackAPIVersion.VERSION2
    if settings.version == 5:
        client = BoundedClient(bound, version, settings.client_id, protocol=MQTTProtocolVersion.MQTTv5)
    else:
        client = BoundedClient(bound, version, settings.client_id, False, protocol=MQTTProtocolVersion.MQTTv311)
    client.manual_ack_set(True)
    client.connect_timeout = CONNECT_S
    if settings.username:
        client.username_pw_set(settings.username, _password(settings))
    if settings.tls:
        try:
            client.tls_set_context(ssl.create_default_context(cafile=settings.ca_file or None))
        except OSError as error:
            raise PermanentError(f"{settings.ca_file}: {_of_file(error)}; {settings.url} needs it") from None
    return client


def _password(settings: Settings) -> str | None:
    file = settings.password_file
    if not file:
        return None
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise PermanentError(f"{file}: {_of_file(error)}; {settings.url} needs it") from None
    except UnicodeDecodeError as error:
        raise PermanentError(
            f"{file}: is no text: byte {error.start} is not UTF-8; write the password into it and nothing else"
        ) from None


def _of_file(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"holds no certificates in PEM ({error.reason or error})"
    return error.strerror or str(error)


def connect(settings: Settings, client: Client) -> None:
    """Connect and say hello: the session goes on, where the broker has one. Raises `OSError`, `UnicodeError`."""
    if settings.version != 5:
        client.connect(settings.host, settings.port, KEEPALIVE_S)
        return
    hello = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    hello.ReceiveMaximum = settings.window
    hello.SessionExpiryInterval = settings.session_expiry_s
    hello.MaximumPacketSize = settings.packet_bytes
    client.connect(settings.host, settings.port, KEEPALIVE_S, clean_start=False, properties=hello)


def suspicion(settings: Settings) -> str:
    """What to think of a broker that closes connections."""
    return f'another client connects as "{settings.client_id}": are there two agents of one device?'


def subscription(settings: Settings) -> tuple[str, Any]:
    """What to subscribe to. A retained message is old news with a new arrival time: none are wanted."""
    if settings.version != 5:
        return settings.topic, settings.qos
    return settings.topic, SubscribeOptions(qos=settings.qos, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
