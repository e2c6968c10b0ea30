"""What a broker says when one comes to it: its CONNACK."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.sources.mqtt import failures
from edge.sources.mqtt.client import CONNECT_S, KEEPALIVE_S, new_client
from edge.sources.mqtt.settings import Settings

_TURN_S: Final = 0.1


def greet(wanted: Settings, client_id: str) -> Mapping[str, Any] | str:
    """The properties of the CONNACK that answers a connection with these settings under another name; nothing of it is
    left at the broker. A text says why it refuses.

    Raises:
        PermanentError: a file that the settings name cannot be read.
        OSError, UnicodeError: nobody is there.
    """
    client = new_client(replace(wanted, client_id=client_id, is_passing=True))
    answers: list[Mapping[str, Any] | str] = []

    def on_connect(_client: Any, _data: Any, _flags: Any, code: Any, properties: Any) -> None:
        if code.is_failure:
            answers.append(failures.refused(code.value, str(code), wanted))
        else:
            answers.append(properties.json() if properties is not None else {})

    client.on_connect = on_connect
    if wanted.version == 5:
        hello = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        hello.SessionExpiryInterval = wanted.session_expiry_s  # what the source asks for; taken back at the end
        client.connect(wanted.host, wanted.port, KEEPALIVE_S, clean_start=True, properties=hello)
    else:
        client.connect(wanted.host, wanted.port, KEEPALIVE_S)
    until_s = time.monotonic() + CONNECT_S
    while not answers and time.monotonic() < until_s:
        if client.loop(_TURN_S) and not answers:
            return failures.closed_unanswered(wanted, "the connection was closed", client.alert)
    _part(client, wanted)
    return answers[0] if answers else f"no answer in {CONNECT_S:g} s; is it an MQTT broker that listens there?"


def _part(client: Any, wanted: Settings) -> None:
    if wanted.version == 5:
        parting = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
        parting.SessionExpiryInterval = 0
        client.disconnect(properties=parting)
    else:
        client.disconnect()
