"""paho's client with what it lacks: a bound on what it holds of a packet, and pings whose answer is heard.

Everything of paho's that is private and used here is used in this class; tests/edge/sources/test_mqtt_client.py fails
where a new version of paho has it no more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode

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
