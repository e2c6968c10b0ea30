"""What NMEA 0183 sentences say: those that bear on a fix, field by field, of versions 1.5 to 4.11. Pure.

Nothing is guessed: a position without its hemispheres, 60 minutes, an hour 24, a 31st of June make a sentence invalid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import reduce
from operator import xor
from typing import Final

KNOT_M_S: Final = 1852 / 3600
_CHECKSUM: Final = re.compile(rb"[0-9A-Fa-f]{2}")
_CLOCK: Final = re.compile(rb"(\d\d)(\d\d)(\d\d)(?:\.(\d*))?")
_DATE: Final = re.compile(rb"(\d\d)(\d\d)(\d\d)")
_ANGLE: Final = re.compile(rb"(\d{0,3})(\d\d(?:\.\d*)?)")
_NUMBER: Final = re.compile(rb"-?(?=\.?\d)\d{0,12}(?:\.\d{0,18})?")
_FIRST_YEAR: Final = 1980
"""GPS time begins in it: two digits of a year mean 1980 to 2079."""
_GSA_NO_FIX: Final = b"1"

Fields = list[bytes]


@dataclass(slots=True)
class Said:
    """What a sentence says."""

    kind: str
    clock_ns: int | None = None
    """UTC, since midnight; 23:59:60 is the whole day."""
    day: date | None = None
    values: dict[str, float] = field(default_factory=dict)
    """By channel; a position is whole or not there."""


def fault_of(sentence: bytes) -> str:
    """Why this is no sentence; empty where its checksum is right (the XOR of what is between $ and *)."""
    star = sentence.rfind(b"*")
    if star < 0:
        return "no_checksum"
    if _CHECKSUM.fullmatch(sentence, star + 1) is None:
        return "checksum"
    return "" if int(sentence[star + 1 :], 16) == reduce(xor, sentence[1:star], 0) else "checksum"


def kind_of(sentence: bytes) -> str:
    """`RMC` … of a sentence that is understood, by any talker; empty for others, a maker's own (`$P…`) among them."""
    address = sentence[1 : sentence.find(b",")]
    kind = address[2:].decode("latin-1")
    return kind if kind in _READERS and len(address) == 5 and not address.startswith(b"P") else ""


def read(sentence: bytes, kind: str) -> Said:
    """What a sentence with a right checksum says; a void one says its time only.

    Raises:
        ValueError: it says what cannot be.
    """
    fields = sentence[1 : sentence.rfind(b"*")].split(b",")
    return _READERS[kind](fields + [b""] * (18 - len(fields)))


def _rmc(fields: Fields) -> Said:
    said = Said("RMC", _clock(fields[1]))
    if fields[2] != b"A" or fields[12] == b"N":
        return said
    said.day = _date(fields[9])
    said.values = _position(fields[3:7])
    _put(said.values, "speed", fields[7], KNOT_M_S)
    _put(said.values, "course", fields[8])
    return said


def _gga(fields: Fields) -> Said:
    said = Said("GGA", _clock(fields[1]))
    quality = _number(fields[6]) or 0.0
    if not quality:
        return said
    said.values = _position(fields[2:6])
    said.values["quality"] = quality
    _put(said.values, "satellites", fields[7])
    _put(said.values, "hdop", fields[8])
    _put_altitude(said.values, fields[9], fields[10])
    return said


def _gns(fields: Fields) -> Said:
    said = Said("GNS", _clock(fields[1]))
    if not fields[6].strip(b"N"):
        return said
    said.values = _position(fields[2:6])
    _put(said.values, "satellites", fields[7])
    _put(said.values, "hdop", fields[8])
    _put_altitude(said.values, fields[9], b"M")
    return said


def _gll(fields: Fields) -> Said:
    said = Said("GLL", _clock(fields[5]))
    if fields[6] == b"A" and fields[7] != b"N":
        said.values = _position(fields[1:5])
    return said


def _zda(fields: Fields) -> Said:
    said = Said("ZDA", _clock(fields[1]))
    if said.clock_ns is not None and fields[2]:
        said.day = date(*(_whole(digits) for digits in (fields[4], fields[3], fields[2])))
        if not _FIRST_YEAR <= said.day.year < _FIRST_YEAR + 100:
            raise ValueError("no year of GPS time")
    return said


def _vtg(fields: Fields) -> Said:
    said = Said("VTG")
    if fields[9] == b"N":
        return said
    course, knots = (fields[1], fields[5]) if fields[2] == b"T" else (fields[1], fields[3])  # 1.5 has no letters
    _put(said.values, "speed", knots, KNOT_M_S)
    _put(said.values, "course", course)
    return said


def _gsa(fields: Fields) -> Said:
    said = Said("GSA")
    if fields[2] != _GSA_NO_FIX:
        _put(said.values, "hdop", fields[16])
        _put(said.values, "vdop", fields[17])
    return said


_READERS: Final[Mapping[str, Callable[[Fields], Said]]] = {
    "RMC": _rmc,
    "GGA": _gga,
    "GNS": _gns,
    "GLL": _gll,
    "ZDA": _zda,
    "VTG": _vtg,
    "GSA": _gsa,
}


def _number(text: bytes) -> float | None:
    if not text:
        return None
    if _NUMBER.fullmatch(text) is None:
        raise ValueError("no number")
    return float(text)


def _whole(text: bytes) -> int:
    if not text.isdigit() or len(text) > 4:
        raise ValueError("no whole number")
    return int(text)


def _put(values: dict[str, float], channel: str, text: bytes, scale: float = 1.0) -> None:
    value = _number(text)
    if value is not None:
        if value < 0:
            raise ValueError(f"{channel} below 0")
        values[channel] = value * scale


def _put_altitude(values: dict[str, float], text: bytes, unit: bytes) -> None:
    value = _number(text)
    if value is not None:
        if unit not in (b"M", b""):
            raise ValueError("an altitude that is not in metres")
        values["alt"] = value


def _clock(text: bytes) -> int | None:
    if not text:
        return None
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise ValueError("no time of day")
    hours, minutes, seconds = int(match[1]), int(match[2]), int(match[3])
    is_leap = (hours, minutes, seconds) == (23, 59, 60)
    if hours > 23 or minutes > 59 or (seconds > 59 and not is_leap):
        raise ValueError("no such time of day")
    return ((hours * 60 + minutes) * 60 + seconds) * 10**9 + int((match[4] or b"").ljust(9, b"0")[:9])


def _date(text: bytes) -> date | None:
    if not text:
        return None
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError("no date")
    year = 1900 + int(match[3])
    return date(year if year >= _FIRST_YEAR else year + 100, int(match[2]), int(match[1]))


def _position(fields: Fields) -> dict[str, float]:
    """Of latitude, N or S, longitude, E or W; empty where nothing of it is given."""
    latitude, north, longitude, east = fields
    if not latitude and not longitude:
        return {}
    return {
        "lat": _angle(latitude, 90) * _side(north, b"NS"),
        "lon": _angle(longitude, 180) * _side(east, b"EW"),
    }


def _angle(text: bytes, most: int) -> float:
    match = _ANGLE.fullmatch(text)
    if match is None:
        raise ValueError("no angle")
    minutes = float(match[2])
    degrees = int(match[1] or b"0") + minutes / 60
    if minutes >= 60 or degrees > most:
        raise ValueError("no such angle")
    return degrees


def _side(letter: bytes, sides: bytes) -> float:
    if len(letter) != 1 or letter not in sides:
        raise ValueError("no hemisphere")
    return 1.0 if letter == sides[:1] else -1.0
