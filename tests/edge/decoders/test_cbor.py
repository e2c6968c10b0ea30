"""What cases beside the decoder do not say of cbor: bounds, and refused options."""

from __future__ import annotations

from typing import Any

import pytest

from edge.decoders.cbor.decoder import MAX_DEPTH, CborDecoder
from edge.protocol import Fault
from ingest.errors import UsageError
from tests.edge.configs import source_config


def new(kind: str = "mqtt", **options: Any) -> CborDecoder:
    return CborDecoder.from_config(source_config("cbor", ("x",), kind=kind, **options))


@pytest.mark.parametrize(
    "data",
    [
        b"\x81" * (MAX_DEPTH + 1) + b"\x01",
        b"\x9b" + b"\xff" * 8,
        b"\x5b" + b"\x7f" * 8,
        bytes.fromhex("c5821a7fffffff01"),
        b"\x81\xd8\x1c",
    ],
    ids=["deep", "a long array", "long bytes", "a large power", "a tag and nothing"],
)
def test_what_would_need_much_is_a_fault(data: bytes) -> None:
    assert [item.reason for item in new().message(data) if isinstance(item, Fault)] == ["cbor"]


def test_a_message_that_is_too_long() -> None:
    (found,) = new(max_message="1kB").message(b"\x82\x01\x02" * 400)
    assert isinstance(found, Fault)
    assert (found.reason, found.byte_offset) == ("too_long", 0)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("serial", {}, "frame is missing"),
        ("serial", {"frame": "fixed", "sync": "AA 55"}, "is for the decoder binary"),
        ("replay", {}, "a replay has nothing else"),
        ("mqtt", {"fields": {"y": "x"}}, 'expected one of x = "its path"'),
        ("mqtt", {"unique": [1]}, "expected texts"),
        ("mqtt", {"max_message": "1B"}, "expected 1kB to 256MiB"),
    ],
)
def test_wrong_options_are_refused(kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        new(kind, **options)
