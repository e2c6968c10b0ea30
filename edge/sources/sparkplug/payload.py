"""Sparkplug B payloads (Eclipse Sparkplug 3.0, section 6.4): protobuf's wire format, read field by field. Pure.

Of the schema a dozen fields are needed, and a reader of one's own never builds more than these: data sets, templates,
properties and metadata are passed over. A payload is bounded by the largest message that is taken.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

VARINT_BYTES: Final = 10
METRICS_MOST: Final = 20_000
"""A payload with more of them is none."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIGNED: Final = {1: 8, 2: 16, 3: 32, 4: 64}
"""Int8 … Int64 by their datatype: how many bits count of what is sent as an unsigned number."""
BOOLEAN: Final = 11
Number = float | int


@dataclass(slots=True)
class Metric:
    """One value of a payload."""

    name: str = ""
    alias: int | None = None
    timestamp_ms: int | None = None
    datatype: int = 0
    """0 where it is not said: then it is what the birth said."""
    is_historical: bool = False
    is_null: bool = False
    bits: int | None = None
    """Of an integer as it was sent: two's complement where its type is signed."""
    value: Number | None = None
    """A number of another kind."""
    is_number: bool = True
    """Its value is no text, no bytes, no data set and no template."""

    def number(self, born_as: int) -> Number | None:
        """Its value; None where it has none. `born_as` is its datatype at birth."""
        if self.is_null or self.bits is None:
            return None if self.is_null else self.value
        width = _SIGNED.get(self.datatype or born_as)
        if width is None:
            return self.bits
        low = self.bits & ((1 << width) - 1)
        return low - (1 << width) if low >> (width - 1) else low


@dataclass(slots=True)
class Payload:
    """A message of an edge node."""

    timestamp_ms: int | None = None
    seq: int | None = None
    metrics: list[Metric] = field(default_factory=list)


def read_payload(data: bytes) -> Payload:
    """Raises `ValueError` for what is no payload."""
    found = Payload()
    for number, kind, value, body in fields(memoryview(data)):
        if number == 1 and kind == _VARINT:
            found.timestamp_ms = value
        elif number == 2 and kind == _BYTES:
            if len(found.metrics) == METRICS_MOST:
                raise ValueError(f"more than {METRICS_MOST:,} metrics")
            found.metrics.append(_metric(body))
        elif number == 3 and kind == _VARINT:
            found.seq = value
    if found.seq is not None and found.seq > 255:
        raise ValueError(f"seq {found.seq} is not in 0..255")
    return found


def _metric(data: memoryview) -> Metric:
    found = Metric()
    for number, kind, value, body in fields(data):
        if kind == _VARINT:
            _whole(found, number, value)
        elif number == 1 and kind == _BYTES:
            found.name = str(body, "utf-8")
        elif number == 12 and kind == _FIXED32:
            (found.value,) = struct.unpack("<f", body)
        elif number == 13 and kind == _FIXED64:
            (found.value,) = struct.unpack("<d", body)
        elif number in (15, 16, 17, 18, 19):
            found.is_number = False
    return found


def _whole(metric: Metric, number: int, value: int) -> None:
    match number:
        case 2:
            metric.alias = value
        case 3:
            metric.timestamp_ms = value
        case 4:
            metric.datatype = value
        case 5:
            metric.is_historical = bool(value)
        case 7:
            metric.is_null = bool(value)
        case 10 | 11:
            metric.bits = value
        case 14:
            metric.value = bool(value)


def fields(data: memoryview) -> Iterator[tuple[int, int, int, memoryview]]:
    """Each field's number, wire type, and its value where that is a number of type 0, else the bytes that it has.

    Raises:
        ValueError: these are no fields.
    """
    at, size = 0, len(data)
    while at < size:
        tag, at = varint(data, at)
        number, kind = tag >> 3, tag & 7
        if not number:
            raise ValueError("a field without a number")
        if kind == _VARINT:
            value, at = varint(data, at)
            yield number, kind, value, data[:0]
            continue
        if kind == _BYTES:
            length, at = varint(data, at)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind}")
        if length > size - at:
            raise ValueError("a field that is not whole")
        yield number, kind, 0, data[at : at + length]
        at += length


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of up to 64 bits, and where it ends. Raises `ValueError`."""
    found = 0
    for shift in range(0, 7 * VARINT_BYTES, 7):
        if at >= len(data):
            raise ValueError("a number that is not whole")
        byte = data[at]
        at += 1
        found |= (byte & 0x7F) << shift
        if byte < 0x80:
            return found & 0xFFFF_FFFF_FFFF_FFFF, at
    raise ValueError("a number of more than 10 bytes")


def rebirth_command(now_ms: int) -> bytes:
    """What asks an edge node to be born again (section 6.4.20): `Node Control/Rebirth` is true."""
    name = b"Node Control/Rebirth"
    metric = b"\x0a" + bytes([len(name)]) + name + b"\x18" + _as_varint(now_ms) + b"\x20\x0b\x70\x01"
    return b"\x08" + _as_varint(now_ms) + b"\x12" + _as_varint(len(metric)) + metric


def _as_varint(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
