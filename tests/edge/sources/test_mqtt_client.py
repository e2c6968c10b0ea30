"""What is used of paho's inside, on a pair of sockets: this fails where a new version of paho has it no more."""

from __future__ import annotations

import select
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from edge.sources.mqtt import client as mqtt_client
from edge.sources.mqtt.client import BoundedClient

CONNACK = b"\x20\x03\x00\x00\x00"


def publish(payload: bytes, packet_id: int = 1) -> bytes:
    body = b"\x00\x01t" + packet_id.to_bytes(2, "big") + b"\x00" + payload
    size, length = len(body), b""
    while True:
        size, low = divmod(size, 128)
        length += bytes([low | 128 * bool(size)])
        if not size:
            return b"\x32" + length + body


@contextmanager
def connected(packet_bytes: int) -> Iterator[tuple[BoundedClient, socket.socket]]:
    """A client that believes in its broker, and the broker's end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = BoundedClient(packet_bytes, CallbackAPIVersion.VERSION2, "client", protocol=MQTTProtocolVersion.MQTTv5)
        client.manual_ack_set(True)
        client.connect("127.0.0.1", server.getsockname()[1])
        peer, _ = server.accept()
        with peer:
            peer.sendall(CONNACK)
            yield client, peer
            client.disconnect()
            own = client.socket()
            if own is not None:
                own.close()


def read(client: BoundedClient, until: int, heard: list[Any]) -> None:
    """Let it read until it has heard so much."""
    own = client.socket()
    assert own is not None
    while len(heard) < until:
        assert client.has_more or select.select([own], [], [], 10)[0], "nothing came"
        assert client.loop_read() == MQTTErrorCode.MQTT_ERR_SUCCESS


@pytest.mark.parametrize("size", [0, 994, 995, 996, 1000, 5000, 200_000])
def test_no_more_is_kept_of_a_packet_than_is_allowed_and_the_next_one_is_whole(size: int) -> None:
    heard: list[tuple[int, int, bytes]] = []
    with connected(1000) as (client, peer):
        client.on_message = lambda _, __, message: heard.append(
            (message.mid, client.packet_size, bytes(message.payload))
        )
        payload = bytes(range(256)) * (size // 256 + 1)
        sending = threading.Thread(
            target=peer.sendall, args=(publish(payload[:size], 7) + publish(b"next", 8) + publish(b"", 9),)
        )
        sending.start()
        read(client, 3, heard)
        sending.join()
    packet_id, packet_bytes, kept = heard[0]
    assert (packet_id, packet_bytes) == (7, size + 6)
    if size <= 994:
        assert kept == payload[:size]
    else:
        assert len(kept) == 995
        assert kept[:-1] == payload[:994]
    assert heard[1:] == [(8, 10, b"next"), (9, 6, b"")]


def test_a_large_message_costs_no_memory() -> None:
    heard: list[int] = []
    with connected(100_000) as (client, peer):
        client.on_message = lambda _, __, message: heard.append(client.packet_size)
        packet = publish(bytes(50_000_000))
        sending = threading.Thread(target=peer.sendall, args=(packet,))
        tracemalloc.start()
        sending.start()
        read(client, 1, heard)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        sending.join()
    assert heard == [len(packet) - 5]
    assert most < 3_000_000


def test_a_ping_and_its_answer_are_heard() -> None:
    said: list[str] = []
    with connected(1000) as (client, peer):
        client.on_pingreq = lambda: said.append("asked")
        client.on_pingresp = lambda: said.append("answered")
        heard: list[bool] = []
        client.on_connect = lambda *_: heard.append(True)
        read(client, 1, heard)
        client.ping()
        client.loop_write()
        peer.settimeout(60)
        received = b""
        while not received.endswith(b"\xc0\x00"):
            received += peer.recv(1000)
        peer.sendall(b"\xd0\x00")
        read(client, 2, said)
    assert said == ["asked", "answered"]


TOPIC_T = b"\x00\x01t"


@pytest.mark.parametrize(
    "packet",
    [
        b"\x32\x0a" + TOPIC_T + b"\x00\x07\x001,2,",
        b"\x3b\x0a" + TOPIC_T + b"\xff\xfe\x001,2,",  # DUP and retained
        b"\x30\x07" + TOPIC_T + b"\x00abc",
        b"\x30\x04" + TOPIC_T + b"\x00",
        b"\x32\x06" + TOPIC_T + b"\x00\x07\x00",
        b"\x32\x0b" + TOPIC_T + b"\x00\x07\x02\x01\x011,2",  # with a property
        b"\x32\x09\x00\x02\xff\xfe\x00\x07\x001,",  # a topic that is no UTF-8
        b"\x32\x06\x00\x00\x00\x07\x00x",  # no topic
    ],
)
def test_a_message_is_read_as_paho_reads_it(packet: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def heard() -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        with connected(1000) as (client, peer):
            client.on_message = lambda _, __, got: found.append(
                (got.mid, got._topic, got.payload, got.qos, got.dup, got.retain)
            )
            peer.sendall(packet)
            read(client, 1, found)
        return found

    quick = heard()
    monkeypatch.setattr(mqtt_client, "plain_message", lambda *_: None)
    assert quick == heard()


@pytest.mark.parametrize("cut", range(9))
def test_a_packet_that_is_too_short_is_left_to_paho(cut: int) -> None:
    body = TOPIC_T + b"\x00\x07\x00"
    found = mqtt_client.plain_message(0x32, body[:cut], True)
    assert (found is None) == (cut < len(body))


def test_only_what_it_is_sure_of_is_read_quickly() -> None:
    body = TOPIC_T + b"\x00\x07"
    assert mqtt_client.plain_message(0x34, body + b"\x00", True) is None  # QoS 2
    assert mqtt_client.plain_message(0x32, body + b"\x03\x01\x01\x00", True) is None  # properties
    found = mqtt_client.plain_message(0x32, body + b"\x03\x01", False)  # MQTT 3.1.1
    assert found is not None
    assert (found.mid, found.payload) == (7, b"\x03\x01")
