"""NMEA 0183: sentences of a GPS receiver, those of one epoch joined to one fix.

An epoch is what carries one UTC time: RMC, GGA, GLL and GNS say it, VTG, GSA and the like belong to the one under way.
A fix is given when the next epoch begins: only then nothing can be added to it. A sentence without a checksum, or with
a wrong one, is a fault; so is an epoch without a position (`no_fix`). Parsing is pynmeagps'.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import reduce
from math import nan
from operator import xor
from typing import Any, ClassVar, Final, Self

import numpy as np
from pynmeagps import NMEAReader
from pynmeagps.exceptions import NMEAMessageError, NMEAParseError, NMEAStreamError, NMEATypeError

from edge.decoders.lines import Block, Lines
from edge.protocol import Fault, Frame, Key, SourceConfig
from ingest.errors import UsageError
from ingest.settings import suggest

UNITS: Final[Mapping[str, str]] = {
    "lat": "deg",
    "lon": "deg",
    "alt": "m",
    "speed": "m/s",
    "course": "deg",
    "hdop": "1",
    "vdop": "1",
    "satellites": "1",
    "quality": "1",
}
"""The channels that a fix may have: WGS 84, height above mean sea level, course from true north."""
_KNOT: Final = 1852 / 3600
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HALF_DAY_S: Final = 43_200
_WANTED: Final = frozenset((b"RMC", b"GGA", b"GLL", b"GNS", b"VTG", b"GSA", b"ZDA"))
_TIMED: Final = frozenset(("RMC", "GGA", "GLL", "GNS", "ZDA"))
_WEIGHT: Final = {"GLL": 1, "RMC": 2, "GNS": 3, "GGA": 4}
"""Whose position counts where several say one: that of the sentence with most digits in common receivers."""
_BROKEN: Final = (NMEAParseError, NMEAMessageError, NMEATypeError, NMEAStreamError, ValueError, ArithmeticError)


class NmeaDecoder:
    """Decodes a receiver's sentences into fixes with the given channels."""

    keys: ClassVar[Mapping[str, Key]] = {}

    def __init__(self, channels: list[str]) -> None:
        self._lines = Lines(1024)
        self._channels = channels
        self._date: date | None = None
        self._dated: time | None = None
        """The last epoch's time of day under `_date`."""
        self._time: time | None = None
        self._found: dict[str, float] = {}
        self._weight = 0
        self._place = (0, 0)
        """Where the epoch's first sentence begins and ends."""

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` for a channel that a fix does not have, or in another unit."""
        for name, unit in config.channels.items():
            if name not in UNITS:
                raise UsageError(f'{config.where}: channels: unknown channel "{name}"{suggest(name, UNITS)}')
            if unit != UNITS[name]:
                raise UsageError(f'{config.where}: channels: {name}: found unit "{unit}", expected "{UNITS[name]}"')
        return cls(list(config.channels))

    def feed(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        block, fault = self._lines.feed(data)
        if block is not None:
            yield from self._block(block)
        if fault is not None:
            yield Fault("too_long", fault.byte_offset, 0)

    def message(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        return self.feed(data if data.endswith(b"\n") else data + b"\n")

    def reset(self) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`: the fix that is under way is given."""
        last = self._finish()
        fault = self._lines.reset()
        self._date = self._dated = None
        return [item for item in (last, fault and Fault("torn", fault.byte_offset, 0)) if item is not None]

    def _block(self, block: Block) -> Iterator[Frame | Fault]:
        offset = block.offset
        for line in block.data[:-1].split(b"\n"):
            end = offset + len(line) + 1
            if self._lines.is_long(line):
                yield Fault("too_long", offset, 0)
            elif line.strip() and not line.startswith(b"#"):
                yield from self._line(line.strip(), offset, end)
            offset = end

    def _line(self, line: bytes, offset: int, end: int) -> Iterator[Frame | Fault]:
        start = max(line.rfind(b"$"), line.rfind(b"!"))
        if start != 0:
            yield Fault("garbage", offset, 0)
        if start < 0:
            return
        sentence = line[start:]
        reason = _fault_of(sentence)
        if reason:
            yield Fault(reason, offset, 0)
            return
        if sentence[3:6] not in _WANTED or sentence.startswith((b"$P", b"!")):
            return
        try:
            message = NMEAReader.parse(sentence + b"\r\n")
            given = _given(message)
        except _BROKEN:
            yield Fault("sentence", offset, 0)
            return
        yield from self._take(message.msgID, given, (offset, end))

    def _take(self, kind: str, given: dict[str, Any], place: tuple[int, int]) -> Iterator[Frame | Fault]:
        at = given.pop("time", None)
        if kind not in _TIMED:
            for name, value in given.items():
                self._found.setdefault(name, value)
            return
        if at is None:  # a receiver that does not know the time yet
            yield Fault("no_time", place[0], 0)
            return
        if at != self._time:
            fix = self._finish()
            if fix is not None:
                yield fix
            self._time, self._place = at, place
        day = given.pop("date", None)
        if day is not None:
            self._date, self._dated = day, self._time
        weight = _WEIGHT.get(kind, 0)
        if "lat" in given and weight < self._weight:
            del given["lat"], given["lon"]
        elif "lat" in given:
            self._weight = weight
        self._found.update(given)

    def _finish(self) -> Frame | Fault | None:
        """The epoch under way as a fix; None where there is none."""
        at, found, (offset, end) = self._time, self._found, self._place
        self._time, self._found, self._weight = None, {}, 0
        if at is None:
            return None
        if "lat" not in found:
            return Fault("no_fix", offset)
        values = np.array([[found.get(name, nan) for name in self._channels]], dtype=np.float64)
        if np.isnan(values).all():
            return Fault("missing", offset)
        times = self._utc_ns(at)
        return Frame(values, None if times is None else np.array([times], dtype=np.int64), end)

    def _utc_ns(self, at: time) -> int | None:
        """The epoch's time; None until the receiver has said a date. Midnight begins a new one."""
        if self._date is None or self._dated is None:
            return None
        back_s = _seconds(self._dated) - _seconds(at)
        try:
            if back_s > _HALF_DAY_S:
                self._date += timedelta(days=1)
            day = self._date - timedelta(days=1) if back_s < -_HALF_DAY_S else self._date
            if back_s >= -_HALF_DAY_S:
                self._dated = at
            since = datetime.combine(day, at, UTC) - _EPOCH
        except OverflowError:
            return None
        return ((since.days * 86_400 + since.seconds) * 10**6 + since.microseconds) * 1000


def _seconds(at: time) -> int:
    return at.hour * 3600 + at.minute * 60 + at.second


def _fault_of(sentence: bytes) -> str:
    """Why this is no sentence; empty where its checksum is right (NMEA 0183: the XOR of what is between $ and *)."""
    star = sentence.rfind(b"*")
    if star < 0:
        return "no_checksum"
    try:
        wanted = int(sentence[star + 1 :], 16) if len(sentence) == star + 3 else -1
    except ValueError:
        wanted = -1
    return "" if wanted == reduce(xor, sentence[1:star], 0) else "checksum"


def _given(message: Any) -> dict[str, Any]:
    """What a sentence says, by channel, with `time` and `date`; a void one says its time only."""
    kind = message.msgID
    given: dict[str, Any] = {}
    at = getattr(message, "time", None)
    if isinstance(at, time):
        given["time"] = at
    if kind == "ZDA":
        given["date"] = date(message.year, message.month, message.day)
        return given
    if not _is_valid(message):
        return given
    if kind == "RMC" and isinstance(message.date, date):
        given["date"] = message.date
    for name, attribute, scale in _FIELDS[kind]:
        value = getattr(message, attribute, None)
        if isinstance(value, int | float):
            given[name] = value * scale
    if ("lat" in given) is not ("lon" in given):
        given.pop("lat", None)
        given.pop("lon", None)
    if abs(given.get("lat", 0.0)) > 90 or abs(given.get("lon", 0.0)) > 180:
        raise ValueError("no such place on Earth")
    return given


def _is_valid(message: Any) -> bool:
    kind = message.msgID
    if kind in ("RMC", "GLL"):
        return bool(message.status == "A") and getattr(message, "posMode", "A") != "N"
    if kind == "GGA":
        return isinstance(message.quality, int) and message.quality > 0
    if kind == "GNS":
        return bool(set(message.posMode) - {"N"})
    return True


_POSITION: Final = (("lat", "lat", 1.0), ("lon", "lon", 1.0))
_FIELDS: Final[Mapping[str, tuple[tuple[str, str, float], ...]]] = {
    "RMC": (*_POSITION, ("speed", "spd", _KNOT), ("course", "cog", 1.0)),
    "GLL": _POSITION,
    "GGA": (
        *_POSITION,
        ("alt", "alt", 1.0),
        ("hdop", "HDOP", 1.0),
        ("satellites", "numSV", 1.0),
        ("quality", "quality", 1.0),
    ),
    "GNS": (*_POSITION, ("alt", "alt", 1.0), ("hdop", "HDOP", 1.0), ("satellites", "numSV", 1.0)),
    "VTG": (("speed", "sogn", _KNOT), ("course", "cogt", 1.0)),
    "GSA": (("hdop", "HDOP", 1.0), ("vdop", "VDOP", 1.0)),
}
