"""The table of an MQTT source: what is refused, with what to write instead."""

from __future__ import annotations

from typing import Any

import pytest

from edge.sources.mqtt.settings import settings
from ingest.errors import UsageError
from tests.edge.sources.test_mqtt import config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"topic": "$share/g/plant/acc"},
            r'shares its messages with other clients.*; write the topic alone, as in "plant/acc"',
        ),
        ({"topic": "$SHARE/g/plant/acc"}, r"shares its messages"),
        ({"topic": "$queue/plant/acc"}, r'as in "plant/acc"'),
        ({"topic": "$share/g"}, r'as in "a/b"'),
        (
            {"topic": "plant/+/acc"},
            r'topic: "plant/\+/acc" may bring several sensors.*"plant/{device}/acc".*say its device',
        ),
        ({"topic": "plant/{a}-{b}/acc"}, r"a named part is a whole level"),
        ({"topic": "plant/{a}/{a}"}, r"a named part is a whole level, each with another name"),
        ({"topic": "plant/{line}/acc"}, r'device: found none; .* names line: write device = "{line}"'),
        ({"topic": "plant/{line/acc"}, r"a named part is a whole level"),
        ({"topic": "plant/#"}, r"may bring several sensors"),
        ({"topic": "#"}, r"may bring several sensors"),
        ({"topic": "a\x00b"}, r"is no topic"),
        ({"topic": "a" * 65_536}, r"is no topic"),
        (
            {"broker": "mqtt://plant..example:1883"},
            r'no host has the name "plant..example" \(label empty or too long\)',
        ),
        ({"broker": "mqtt://.example"}, r"no host has the name"),
        ({"broker": f"mqtt://{'a' * 64}.example"}, r"no host has the name"),
        ({"broker": "mqtt://my broker"}, r"no host has the name"),
        ({"broker": "mqtt://h:0"}, r"write mqtt://host:1883"),
        ({"broker": "mqtt://h:99999"}, r"broker: "),
        ({"broker": "mqtt://h#x"}, r"write mqtt://host:1883"),
        ({"broker": "mqtt://me:secret@h:port"}, r"broker: "),
        ({"broker": "mqtt://:secret@h"}, r"holds a user's name"),
        ({"client_id": ""}, r"client_id: found ''"),
        ({"max_message": "0B"}, r'max_message: found "0B", expected 1B to 256MB'),
        ({"max_message": "1GB"}, r"max_message: found"),
        ({"max_message": "lots"}, r"source\[0\]: max_message: "),
        ({"session_expiry": "long"}, r"source\[0\]: session_expiry: "),
        ({"password_file": "secret"}, r"password_file: a password needs a username"),
        ({"ca_file": "ca.pem"}, r'ca_file: "mqtt://broker" is without TLS; write mqtts://'),
        ({"cert_file": "me.pem"}, r'cert_file: "mqtt://broker" is without TLS; write mqtts://'),
        ({"broker": "mqtts://broker", "key_file": "me.key"}, r"key_file: a key needs its certificate; say cert_file"),
    ],
)
def test_what_would_not_work_is_refused_with_what_to_write(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        settings(config(**{"broker": "mqtt://broker", **options}))
    assert "secret@" not in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("topic", ["plant/+/acc", "plant/#", "$SYS/broker/load", "anlage/größe/ü", "/", "a//b"])
def test_a_topic_filter_is_taken_where_the_device_stands_beside_it(topic: str) -> None:
    assert settings(config("mqtt://broker", topic=topic, device_named=True)).topic == topic


@pytest.mark.parametrize("host", ["localhost", "broker.local.", "bröker.example", "a_b-c.example", "10.0.0.7"])
def test_hosts_that_a_resolver_takes_are_taken(host: str) -> None:
    assert settings(config(f"mqtt://{host}")).host == host


def test_the_bounds_follow_from_the_largest_message() -> None:
    found = settings(config("mqtt://h"))
    assert (found.max_message, found.kept_bytes, found.packet_bytes) == (1_000_000, 1_131_072, 16_131_072)
    assert settings(config("mqtt://h", max_message="256MB")).packet_bytes == 0xFFFFFFF
