"""paho as the tests' own publisher and subscriber, on a real broker."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PATIENCE_S: Final = 60.0


def connect_session(host: str, port: int, client_id: str, *, receive_maximum: int = 60_000) -> paho.Client:
    """A client of MQTT 5 on its way into a session that outlives the connection; its loop is the caller's."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5)
    hello = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    hello.SessionExpiryInterval = 86_400
    hello.ReceiveMaximum = receive_maximum
    client.connect(host, port, clean_start=False, properties=hello)
    return client


def begin_session(host: str, port: int, client_id: str, topic: str) -> None:
    """Subscribe before `client_id` comes for the first time: the broker keeps for it what is published from now on."""
    client, granted = connect_session(host, port, client_id), threading.Event()
    client.on_subscribe = lambda *_: granted.set()
    client.loop_start()
    client.subscribe(topic, 1)
    assert granted.wait(PATIENCE_S), f"{host}:{port}: no subscription to {topic}"
    client.disconnect()
    client.loop_stop()


def has_session(host: str, port: int, client_id: str) -> bool:
    """Whether the broker keeps anything for a client of that name."""
    kept: list[bool] = []
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id, clean_session=False)
    client.on_connect = lambda _client, _data, flags, *_: kept.append(flags.session_present)
    client.connect(host, port)
    deadline = time.monotonic() + PATIENCE_S
    while not kept and time.monotonic() < deadline:
        client.loop(PATIENCE_S)
    client.disconnect()
    return kept[0]


def publish(host: str, port: int, topic: str, payloads: Iterable[bytes | str]) -> int:
    """With QoS 1, as fast as the broker takes them; how many it has acknowledged: all."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(1000)
    client.connect(host, port)
    client.loop_start()
    said = [client.publish(topic, payload, 1) for payload in payloads]
    for info in said:
        info.wait_for_publish(PATIENCE_S)
    assert all(info.is_published() for info in said), f"{host}:{port}: messages without an acknowledgement"
    client.disconnect()
    client.loop_stop()
    return len(said)
