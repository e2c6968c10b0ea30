"""The answer in what a serial line says (Modbus over Serial Line 1.02, section 2.5). Pure.

A line says more than answers: an adapter repeats what was asked, a driver that is switched on leaves a byte before the
answer, and there is noise. pymodbus takes the first two bytes that may begin a frame for its beginning, and throws all
of it away where that was none.
"""

from __future__ import annotations

import struct
from typing import Final

from edge.decoders.checksums import CHECKSUMS

KEPT_BYTES: Final = 1024
"""Of what is no answer, so much of the newest is looked through: four times the longest frame."""
_LEAST: Final = 5
"""Unit, function, a byte, and the checksum."""
_READS: Final = range(1, 5)
_OF_ERROR: Final = 0x80
_CRC: Final = CHECKSUMS["crc16-modbus"]


def question(unit: int, function: int, address: int, count: int) -> bytes:
    """The frame that asks for registers, coils or inputs (Modbus Application Protocol 1.1b3, sections 6.1 to 6.4)."""
    return _with_checksum(struct.pack(">BBHH", unit, function, address, count))


def answer_in(data: bytes, asked: bytes) -> bytes:
    """The first frame of the unit that was asked; empty where none has come whole. The question itself is no answer,
    and unit 0 is whoever answers."""
    unit = asked[0]
    return next((frame for frame in _frames(data, asked) if not unit or frame[0] == unit), b"")


def what_came(data: bytes, asked: bytes) -> str:
    """What there is in place of an answer, and what to do."""
    rest = data.replace(asked, b"")
    if not data:
        return "does not answer; see its wiring and power, unit_id, and answer_within"
    if not rest:
        return (
            "does not answer: what comes is the question itself, which the adapter repeats; see the wiring behind it, "
            "the unit's power, and unit_id"
        )
    others = sorted({frame[0] for frame in _frames(data, asked)} - {asked[0]})
    if others:
        return f"does not answer, but unit {others[0]} does; see unit_id, and whether another master is on the bus"
    if rest.startswith(asked[:2]) and len(rest) < _size(rest, 0):
        return f"an answer is cut: {len(rest)} of {_size(rest, 0)} bytes came; see answer_within, and the wiring"
    return (
        f"answers what is no Modbus, {len(rest)} bytes as {rest[:8].hex(' ')}; see whether baud and framing are its "
        "own, and the bus's wiring and termination"
    )


def _frames(data: bytes, asked: bytes) -> list[bytes]:
    """The whole frames of answers in it."""
    found, begin = [], 0
    while len(data) - begin >= _LEAST:
        if data.startswith(asked, begin):
            begin += len(asked)
            continue
        size = _size(data, begin)
        frame = data[begin : begin + size]
        if size and len(frame) == size and _with_checksum(frame[:-2]) == frame:
            found.append(frame)
            begin += size
        else:
            begin += 1
    return found


def _size(data: bytes, begin: int) -> int:
    """How long an answer would be that begins here; 0 where none does, or that is not known yet."""
    if len(data) - begin < 3:
        return 0
    function = data[begin + 1]
    if function & _OF_ERROR:
        return _LEAST if function & ~_OF_ERROR in _READS else 0
    return _LEAST + data[begin + 2] if function in _READS else 0


def _with_checksum(frame: bytes) -> bytes:
    return frame + _CRC.of(frame).to_bytes(2, "little")
