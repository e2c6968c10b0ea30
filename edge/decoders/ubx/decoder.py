"""Fixes of u-blox receivers: the message UBX-NAV-PVT (class 01, id 07), which says all of a fix at once."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import ClassVar, Final, NamedTuple, Self

import numpy as np

from edge.decoders.lines import fault
from edge.decoders.ubx.frames import UbxFrame, UbxFrames
from edge.protocol import Fault, Frame, Key, SourceConfig
from ingest.errors import UsageError
from ingest.settings import suggest
from ingest.times import NS

NAV_PVT: Final = (0x01, 0x07)
LEAST_BYTES: Final = 84
"""Of its payload in protocol version 14; later ones append to it."""
_LAYOUT: Final = struct.Struct("<xxxxHBBBBBB4xiBBxBiiiiIIiiiiiI4xHB")
_TIME_VALID: Final = 0b111
"""Date, time of day, and no doubt about its second."""
_FIX_OK: Final = 1
_INVALID_POSITION: Final = 1
_FIXES: Final = range(1, 5)
"""Dead reckoning, 2D, 3D, and both together; 5 is the time alone."""
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
UNITS: Final[Mapping[str, str]] = {
    "lat": "deg",
    "lon": "deg",
    "alt": "m",
    "height": "m",
    "speed": "m/s",
    "course": "deg",
    "vel_north": "m/s",
    "vel_east": "m/s",
    "vel_down": "m/s",
    "h_acc": "m",
    "v_acc": "m",
    "speed_acc": "m/s",
    "pdop": "1",
    "satellites": "1",
    "fix": "1",
    "carrier": "1",
}
"""The channels that a fix may have."""


class _Pvt(NamedTuple):
    """The fields that are read, as they are sent."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    valid: int
    nano: int
    fix_type: int
    flags: int
    satellites: int
    lon: int
    lat: int
    height_mm: int
    alt_mm: int
    h_acc_mm: int
    v_acc_mm: int
    north_mm_s: int
    east_mm_s: int
    down_mm_s: int
    speed_mm_s: int
    course: int
    speed_acc_mm_s: int
    pdop: int
    flags3: int

    @property
    def values(self) -> dict[str, float]:
        """By channel."""
        return {
            "lat": self.lat / 1e7,
            "lon": self.lon / 1e7,
            "alt": self.alt_mm / 1e3,
            "height": self.height_mm / 1e3,
            "speed": self.speed_mm_s / 1e3,
            "course": self.course / 1e5,
            "vel_north": self.north_mm_s / 1e3,
            "vel_east": self.east_mm_s / 1e3,
            "vel_down": self.down_mm_s / 1e3,
            "h_acc": self.h_acc_mm / 1e3,
            "v_acc": self.v_acc_mm / 1e3,
            "speed_acc": self.speed_acc_mm_s / 1e3,
            "pdop": self.pdop / 100,
            "satellites": float(self.satellites),
            "fix": float(self.fix_type),
            "carrier": float(self.flags >> 6),
        }

    @property
    def time_ns(self) -> int | None:
        """UTC; None until the receiver knows it. Raises `ValueError` for a time that cannot be."""
        if self.valid & _TIME_VALID != _TIME_VALID:
            return None
        days = date(self.year, self.month, self.day).toordinal() - _EPOCH_DAY
        if self.hour > 23 or self.minute > 59 or self.second > 60 or abs(self.nano) > NS:
            raise ValueError("no such time of day")
        return ((days * 24 + self.hour) * 60 + self.minute) * 60 * NS + self.second * NS + self.nano


class UbxDecoder:
    """Decodes a receiver's fixes, with the given channels."""

    keys: ClassVar[Mapping[str, Key]] = {}

    def __init__(self, channels: list[str]) -> None:
        self._channels = channels
        self._frames = UbxFrames()

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` for a channel that a fix does not have, or in another unit."""
        if config.type == "replay":
            raise UsageError(f"{config.where}: decoder: {config.decoder} reads no lines, and a replay has nothing else")
        for name, unit in config.channels.items():
            if name not in UNITS:
                raise UsageError(f'{config.where}: channels: unknown channel "{name}"{suggest(name, UNITS)}')
            if unit != UNITS[name]:
                raise UsageError(f'{config.where}: channels: {name}: found unit "{unit}", expected "{UNITS[name]}"')
        return cls(list(config.channels))

    def feed(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        return self._read(self._frames.feed(data))

    def message(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`: one frame, or several."""
        frames = UbxFrames(self._frames.fed)
        self._frames.fed += len(data) + (not data.endswith(b"\n"))
        yield from self._read(frames.feed(data))
        yield from self._read(frames.end())

    def reset(self) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        left = list(self._read(self._frames.end()))
        self._frames = UbxFrames()
        return left

    def _read(self, items: Iterable[UbxFrame | Fault]) -> Iterator[Frame | Fault]:
        for item in items:
            if isinstance(item, Fault):
                yield item
            elif item.kind == NAV_PVT:
                yield self._fix(item)

    def _fix(self, frame: UbxFrame) -> Frame | Fault:
        raw = frame.payload
        if len(raw) < LEAST_BYTES:
            return fault("length", frame.offset, 1, raw)
        said = _Pvt(*_LAYOUT.unpack_from(raw))
        if not said.flags & _FIX_OK or said.fix_type not in _FIXES or said.flags3 & _INVALID_POSITION:
            return fault("no_fix", frame.offset, 0, raw)
        try:
            time_ns = said.time_ns
        except ValueError:
            return fault("time", frame.offset, 1, raw)
        if abs(said.lat) > 90 * 10**7 or abs(said.lon) > 180 * 10**7:
            return fault("position", frame.offset, 1, raw)
        found = said.values
        values = np.array([[found[name] for name in self._channels]], dtype=np.float64)
        return Frame(values, None if time_ns is None else np.array([time_ns], dtype=np.int64), frame.end)
