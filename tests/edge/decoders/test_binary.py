"""What cases beside the decoder do not say of binary: refused options, types, and that many records are one frame."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

from edge.decoders.binary.decoder import BinaryDecoder
from edge.decoders.binary.fields import read_fields
from edge.protocol import Frame
from edge.sources.serial.lines import RawBytes
from edge.sources.serial.source import SerialSource
from ingest.errors import UsageError
from tests.edge.configs import source_config

FIELDS = [{"name": "x", "type": "i16"}]
FIXED: dict[str, Any] = {"fields": FIELDS, "frame": "fixed", "sync": "AA 55"}


def new(kind: str = "serial", **options: Any) -> BinaryDecoder:
    return BinaryDecoder.from_config(source_config("binary", ("x",), kind=kind, **options))


def test_records_become_one_frame_of_as_many_bytes() -> None:
    data = b"".join(b"\xaa\x55" + struct.pack("<h", number) for number in range(-50, 50))
    (frame,) = new(**FIXED).feed(data + b"\xaa\x55")
    assert isinstance(frame, Frame)
    np.testing.assert_array_equal(frame.values[:, 0], range(-50, 50))
    assert (frame.times_ns, frame.offset) == (None, 400)


@pytest.mark.parametrize("endian", ["little", "big"])
@pytest.mark.parametrize("kind", ["u8", "u16", "u24", "u32", "i8", "i16", "i24", "i32", "i64"])
def test_integers_are_what_python_says(endian: Any, kind: str) -> None:
    (field,), size = read_fields([{"name": "x", "type": kind}], "here")
    numbers = [0, 1, 127, (1 << (8 * size - 1)) - 1, *((-1, -(1 << (8 * size - 1))) if kind[0] == "i" else ())]
    data = b"".join(number.to_bytes(size, endian, signed=kind[0] == "i") for number in numbers)
    rows = np.frombuffer(data, dtype=np.uint8).reshape(-1, size)
    assert field.raw(rows, endian).tolist() == numbers


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, '"fields" is missing'),
        ({"fields": FIELDS}, "frame is missing"),
        (FIXED | {"frame": "hdlc"}, 'unknown value "hdlc"'),
        (FIXED | {"sync": "AA"}, "nobody knows else"),
        (FIXED | {"sync": "0x55"}, "hexadecimal"),
        (FIXED | {"checksum": "crc16"}, "unknown checksum"),
        (FIXED | {"checksum_skips": 99}, "not in 0..64"),
        (FIXED | {"checksum_endian": "middle"}, '"little" or "big"'),
        (FIXED | {"frame": "cobs"}, "has no sync word"),
        (FIXED | {"frame": "length", "length_type": "u24"}, 'unknown value "u24"'),
        (FIXED | {"frame": "length", "max_frame": 0}, "not in 8.."),
        (FIXED | {"counter": "n"}, 'none has the name "n"'),
        (FIXED | {"time_field": "x", "time_unit": "min"}, "unknown unit"),
        (FIXED | {"fields": [{"name": "y", "type": "i16"}]}, 'none has the name "x"'),
        (FIXED | {"fields": [{"name": "x", "type": "int"}]}, "expected one of u8"),
        (FIXED | {"fields": [*FIELDS, *FIELDS]}, "is there twice"),
        (FIXED | {"fields": ["x"]}, "expected a table"),
        (FIXED | {"fields": []}, "a record of 0 bytes"),
        (FIXED | {"fields": [{"name": "x", "type": "i16", "bits": "4-16"}]}, "are not bits of i16"),
        (FIXED | {"fields": [{"name": "x", "type": "f32", "bits": 1}]}, "expected bits of an integer"),
        (FIXED | {"fields": [{"name": "x", "type": "i16", "scale": 0}]}, "all values the same"),
        (FIXED | {"fields": [{"name": "x", "type": "i16", "at": -1}]}, "is not in 0..4095"),
        (FIXED | {"fields": [{"name": "x", "type": "i16", "unit": "g"}]}, 'unknown key "unit"'),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        new(**options)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [("replay", FIXED, "a replay has nothing else"), ("mqtt", {"fields": FIELDS, "sync": "AA 55"}, "say frame")],
)
def test_other_sources(kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        new(kind, **options)


def test_a_port_hands_frames_on_as_they_come() -> None:
    source = SerialSource.from_config(source_config("binary", ("x",), port="tty", **FIXED))
    assert isinstance(source._lines, RawBytes)
    with pytest.raises(UsageError, match="says where frames end"):
        SerialSource.from_config(source_config("binary", ("x",), port="tty", line_end="lf", **FIXED))
