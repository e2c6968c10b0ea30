"""Sparkplug B payloads for tests: an edge node of one's own, written by protobuf's wire format."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple


class Said(NamedTuple):
    """A metric as it is sent."""

    name: str = ""
    alias: int | None = None
    value: float | int | bool | str | None = None
    datatype: int = 10
    at_ms: int | None = None
    is_historical: bool = False


def payload(seq: int | None, metrics: Sequence[Said] = (), at_ms: int | None = 1_750_000_000_000) -> bytes:
    found = b"" if at_ms is None else whole(1, at_ms)
    found += b"".join(text(2, metric(one)) for one in metrics)
    return found if seq is None else found + whole(3, seq)


def metric(said: Said) -> bytes:
    found = text(1, said.name.encode()) if said.name else b""
    found += b"" if said.alias is None else whole(2, said.alias)
    found += b"" if said.at_ms is None else whole(3, said.at_ms)
    found += whole(4, said.datatype) if said.datatype else b""
    found += whole(5, 1) if said.is_historical else b""
    return found + value(said.value)


def value(said: Any) -> bytes:
    match said:
        case None:
            return whole(7, 1)
        case bool():
            return whole(14, said)
        case int():
            return whole(11, said & (2**64 - 1))
        case float():
            return bytes([13 << 3 | 1]) + struct.pack("<d", said)
        case str():
            return text(15, said.encode())
    raise AssertionError(said)


def whole(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def text(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    found = b""
    while value >= 0x80:
        found += bytes([value & 0x7F | 0x80])
        value >>= 7
    return found + bytes([value])
