"""Patterns of devices' names, and what decoders make of objects that say whose they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edge.assembling import SourceTable
from edge.decoders import decoder_type
from edge.devices import BAD_DEVICE, NAMELESS, NO_DEVICE, Pattern, why_no_device
from edge.protocol import Fault, Frame
from edge.sourcetables import read_sources
from ingest.errors import UsageError
from tests.edge.configs import source_config


@pytest.mark.parametrize(
    ("text", "values", "wanted"),
    [
        ("{device}", {"device": "p-1"}, "p-1"),
        ("{a}-{b}", {"a": "x", "b": 7, "c": 1}, "x-7"),
        ("n-{info.eui}", {"info.eui": "{a}"}, "n-{a}"),
        ("{a}{a}", {"a": "x"}, "xx"),
        ("{a}-{b}", {"a": "x"}, ""),
        ("{a}", {"a": ""}, ""),
        ("{a}", {"a": True}, ""),
        ("{a}", {"a": 1.5}, ""),
        ("{a}", {"a": {"b": 1}}, ""),
    ],
)
def test_a_pattern_is_filled_with_texts_and_whole_numbers(text: str, values: dict[str, Any], wanted: str) -> None:
    assert Pattern.of(text).fill(values) == wanted


@pytest.mark.parametrize("text", ["{", "}", "{}", "{{a}}", "a}{b"])
def test_braces_that_hold_nothing_are_no_pattern(text: str) -> None:
    with pytest.raises(ValueError, match="braces"):
        Pattern.of(text)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("p-1", ""),
        ("Pumpe ä", ""),
        ("", NO_DEVICE),
        (NAMELESS, NO_DEVICE),
        ("a/b", BAD_DEVICE),
        (" a", BAD_DEVICE),
        ("a\n", BAD_DEVICE),
        ("$a", BAD_DEVICE),
        ("{a}", BAD_DEVICE),
        ("a" * 201, BAD_DEVICE),
    ],
)
def test_names_of_devices(name: str, reason: str) -> None:
    assert why_no_device(name) == reason


@pytest.mark.parametrize(
    ("decoder", "data"),
    [
        (
            "json",
            b'[{"d":{"id":1},"n":1,"x":1},{"d":{"id":2},"n":1,"x":2},{"d":{"id":2},"n":1,"x":3},{"x":4},'
            b'{"d":{"id":1},"x":"a"}]',
        ),
        (
            "cbor",
            b"\x85\xa3ad\xa1bid\1an\1ax\1\xa3ad\xa1bid\2an\1ax\2\xa3ad\xa1bid\2an\1ax\3\xa1ax\4\xa2ad\xa1bid\1axaa",
        ),
    ],
)
def test_objects_say_whose_they_are(decoder: str, data: bytes) -> None:
    config = replace(source_config(decoder, ("x",), unique=["n"], kind="fed"), device="n-{d.id}")
    found = list(decoder_type(decoder, "").from_config(config).message(data))
    assert [(item.device, item.values.tolist()) for item in found if isinstance(item, Frame)] == [
        ("n-1", [[1.0]]),
        ("n-2", [[2.0]]),
    ]
    assert [(item.device, item.reason) for item in found if isinstance(item, Fault)] == [
        ("n-2", "repeated"),
        ("", NO_DEVICE),
        ("n-1", "text"),
    ]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"device": "a{"}, r'device: "a\{": braces hold the name of what tells devices apart'),
        ({"device": "{x}"}, r'a named part of an MQTT topic.*, or a field that json or cbor reads; "csv" has none'),
        ({"max_devices": 0}, "max_devices: found 0, expected a whole number from 1 to 10000"),
        ({"max_devices": True}, "max_devices: found true"),
    ],
)
def test_what_would_not_work_is_refused(more: dict[str, Any], message: str) -> None:
    table = {
        "name": "a",
        "type": "serial",
        "port": "p",
        "decoder": "csv",
        "stream": "s",
        "channels": {"x": "g"},
        **more,
    }
    with pytest.raises(UsageError, match=message):
        read_sources([SourceTable(table, "agent.toml: source[0]", "source[0]", ".")], "agent.toml", "pump")
