"""Device times, and rows of samples as frames: what the text decoders share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from fractions import Fraction
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from edge.protocol import Fault, Frame, Key, SourceConfig
from ingest.errors import UsageError
from ingest.settings import suggest
from ingest.units import parse_iso, parse_size

Row = tuple[list[float], int | None, int] | tuple[list[float], int | None, int, str]
"""Values, the device's time, and the offset behind the line; the device, where the decoder tells several apart."""
_SCALES: Final[Mapping[str, int]] = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
TIME_UNIT: Final = Key(
    "one of iso, s, ms, us, ns",
    "How the device's time is written: ISO 8601, or a number since 1970. A number is a time only where this says its "
    "unit.",
    '"ms"',
    "iso",
    ("time_format", "timeunit", "unit"),
)
TIMEZONE: Final = Key(
    "a zone's name, UTC, or an offset",
    "Which zone's time the device says, where its ISO times name none. One in an hour that clocks there pass twice, "
    "or leap over, is refused.",
    '"Europe/Berlin"',
    "none: such times are refused",
    ("time_zone", "tz", "zone", "utc_offset", "offset"),
)
MAX_MESSAGE: Final = Key(
    "size",
    "How long a message, or a text on a serial line, may be; a longer one is left out and counted.",
    '"4MB"',
    "1MB",
    ("max_size", "max_packet", "max_bytes", "message_size", "max_document"),
)
_MESSAGE_BYTES: Final = (1000, 256 * 2**20)
_TIME_MAX_NS: Final = 1 << 62
_NUMBER: Final = re.compile(r"([+-]?)(?=\.?\d)(\d{0,30})(?:\.(\d{0,30}))?([eE][+-]?\d{1,2})?", re.ASCII)
_OFFSET: Final = re.compile(r"([+-])(\d\d)(?::?(\d\d))?")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DeviceTime:
    """How a device writes its times."""

    scale: int | None
    """Nanoseconds in its unit; None: ISO 8601."""
    zone: tzinfo | None = None
    """Of texts that name none."""

    @classmethod
    def from_config(cls, config: SourceConfig) -> DeviceTime:
        """As the keys `time_unit` and `timezone` say. Raises `UsageError`."""
        unit, zone = config.option("time_unit", str, "iso"), config.option("timezone", str, "")
        if unit not in _SCALES and unit != "iso":
            raise UsageError(f'{config.where}: time_unit: unknown unit "{unit}"{suggest(unit, [*_SCALES, "iso"])}')
        if zone and unit != "iso":
            raise UsageError(f'{config.where}: timezone: times in {unit} since 1970 are UTC; take "timezone" out')
        return cls(_SCALES.get(unit), _zone(zone, config.where) if zone else None)

    def of_text(self, text: str) -> int:
        """Nanoseconds UTC; decimals keep every digit. Raises `ValueError` for what is no such time."""
        if self.scale is not None:
            return _bounded(_scaled(text, self.scale))
        try:
            return parse_iso(text)
        except UsageError as error:
            if self.zone is None:
                raise ValueError(str(error)) from None
        try:
            return _of_zone(parse_iso(text, UTC), self.zone)
        except UsageError as error:
            raise ValueError(str(error)) from None

    def of_json(self, value: Any) -> int:
        """The same of a JSON or CBOR value: numbers keep what their shortest decimal form says."""
        if isinstance(value, datetime) and value.tzinfo is not None:
            return _bounded((value - _EPOCH) // timedelta(microseconds=1) * 1000)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError("no time")
        return self.of_text(str(value))


def _bounded(time_ns: int) -> int:
    if abs(time_ns) >= _TIME_MAX_NS:
        raise ValueError("out of range")
    return time_ns


def _scaled(text: str, scale: int) -> int:
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError("no number")
    sign, whole, decimals, exponent = match.groups()
    if exponent:
        return int(Fraction(text) * scale)
    found: int = int(whole or "0") * scale + int(decimals or "0") * scale // 10 ** len(decimals or "")
    return -found if sign == "-" else found


def _of_zone(local_ns: int, zone: tzinfo) -> int:
    naive = _EPOCH.replace(tzinfo=zone) + timedelta(seconds=local_ns // 10**9)
    offset, other = naive.utcoffset(), naive.replace(fold=1).utcoffset()
    if offset is None or offset != other:
        raise ValueError("the clocks there are set in this hour")
    return local_ns - (offset.days * 86_400 + offset.seconds) * 10**9


def _zone(text: str, where: str) -> tzinfo:
    match = _OFFSET.fullmatch(text)
    if match is not None and int(match[2]) < 24 and int(match[3] or 0) < 60:
        offset = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        return timezone(-offset if match[1] == "-" else offset)
    try:
        return UTC if text.upper() in ("UTC", "Z") else ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(
            f'{where}: timezone: found "{text}", expected a name (Europe/Berlin), UTC, or an offset (+01:00); '
            "a name needs the system's time zones (package tzdata)"
        ) from None


def max_message_of(config: SourceConfig) -> int:
    """As the key `max_message` says, bytes. Raises `UsageError`."""
    text, (least, most) = config.option("max_message", str, "1MB"), _MESSAGE_BYTES
    try:
        size = parse_size(text)
    except UsageError as error:
        raise UsageError(f"{config.where}: max_message: {error}") from None
    if not least <= size <= most:
        raise UsageError(f'{config.where}: max_message: found "{text}", expected 1kB to 256MiB')
    return size


def frames_of(items: Iterable[Row | Fault]) -> Iterator[Frame | Fault]:
    """Rows of one device joined to frames, faults in their places. Either all of its rows have a time, or none."""
    rows: list[Row] = []
    for item in items:
        if rows and (isinstance(item, Fault) or item[3:] != rows[-1][3:]):
            yield _frame(rows)
            rows = []
        if isinstance(item, Fault):
            yield item
        else:
            rows.append(item)
    if rows:
        yield _frame(rows)


def _frame(rows: list[Row]) -> Frame:
    values = np.array([row[0] for row in rows], dtype=np.float64)
    times = [row[1] for row in rows if row[1] is not None]
    return Frame(values, np.array(times, dtype=np.int64) if times else None, rows[-1][2], *rows[-1][3:])
