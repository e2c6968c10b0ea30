"""Quantities as people write them: `2.56s`, `50Hz`, `2GB`, `2026-11-24T02:00:00+01:00`. Exact, or an error.

Durations and times are integer nanoseconds, rates are fractions of a hertz. Decimal text is never taken through a
binary float.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

from ingest.errors import UsageError

_NUMBER = re.compile(r"\s*([+-]?\d+(?:\.\d+)?(?:/\d+)?(?:[eE][+-]?\d+)?)\s*([A-Za-zµμ]*)\s*")
_DURATIONS = {
    "ns": Fraction(1),
    "us": Fraction(10**3),
    "µs": Fraction(10**3),
    "μs": Fraction(10**3),
    "ms": Fraction(10**6),
    "s": Fraction(10**9),
    "min": Fraction(60 * 10**9),
    "h": Fraction(3600 * 10**9),
    "d": Fraction(86400 * 10**9),
}
_RATES = {"Hz": Fraction(1), "kHz": Fraction(1000), "MHz": Fraction(10**6), "mHz": Fraction(1, 1000)}
_SIZES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_MAX_TIME_NS = 1 << 62
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?\s*(Z|z|[+-]\d\d:?\d\d)?")


def _quantity(text: str, units: dict[str, Fraction] | dict[str, int], kind: str, example: str) -> Fraction:
    match = _NUMBER.fullmatch(text)
    if match is None or match[2] not in units:
        found = f'unit "{match[2]}"' if match and match[2] else f'"{text}"'
        raise UsageError(f"{kind}: found {found}; use {', '.join(units)}, as in {example}")
    try:
        return Fraction(match[1]) * units[match[2]]
    except (ValueError, ZeroDivisionError):
        raise UsageError(f'{kind}: "{match[1]}" is no number') from None


def parse_duration(text: str) -> int:
    """Nanoseconds of `2.56s`, `500ms`, `5min`.

    Raises:
        UsageError: no duration, or not a whole number of nanoseconds.
    """
    value = _quantity(text, _DURATIONS, "duration", "2.56s")
    if value.denominator != 1:
        raise UsageError(f'duration: "{text}" is not a whole number of nanoseconds')
    return int(value)


def parse_rate(text: str) -> Fraction:
    """Hertz of `50Hz`, `12kHz`, `1/300Hz`. Raises `UsageError` where it is no positive rate."""
    value = _quantity(text, _RATES, "rate", "50Hz")
    if value <= 0:
        raise UsageError(f'rate: "{text}" is not above 0 Hz')
    return value


def parse_size(text: str) -> int:
    """Bytes of `2GB`, `32kB`, `16MiB`. Raises `UsageError`."""
    value = _quantity(text, _SIZES, "size", "2GB")
    if value < 0 or value.denominator != 1:
        raise UsageError(f'size: "{text}" is not a whole number of bytes')
    return int(value)


def parse_time(text: str, zone: timezone | None = None) -> int:
    """Nanoseconds UTC of an ISO 8601 time with a zone, or of integer nanoseconds; `zone` is for a time without one.

    Raises:
        UsageError: no time, one before 1824 or after 2116, or one that names no zone where none was given.
    """
    t_ns = _parse_time(text, zone)
    if abs(t_ns) >= _MAX_TIME_NS:
        raise UsageError(f'time: "{text}" is out of range: they go from 1824 to 2116')
    return t_ns


def _parse_time(text: str, zone: timezone | None) -> int:
    stripped = text.strip()
    if re.fullmatch(r"[+-]?\d{10,4000}|0", stripped):
        return int(stripped)
    match = _ISO.fullmatch(stripped)
    if match is None:
        raise UsageError(
            f'time: "{text}" is neither ISO 8601 with a zone nor integer nanoseconds (2026-11-24T02:00:00Z)'
        )
    day, clock, fraction, offset = match.groups()
    if offset is None and zone is None:
        raise UsageError(f'time: "{text}" names no zone; write 2026-11-24T02:00:00Z or +01:00')
    try:
        naive = datetime.fromisoformat(f"{day}T{clock}")
    except ValueError as error:
        raise UsageError(f'time: "{text}": {error}') from None
    since = naive.replace(tzinfo=_zone(offset) if offset else zone) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * 10**9 + int((fraction or "0").ljust(9, "0"))


def _zone(text: str) -> timezone:
    if text in "Zz":
        return UTC
    hours, minutes = int(text[1:3]), int(text[-2:])
    return timezone((-1 if text[0] == "-" else 1) * timedelta(hours=hours, minutes=minutes))


def format_time(t_ns: int) -> str:
    """ISO 8601 in UTC with as many decimals as the instant needs: 3, 6 or 9, or none."""
    seconds, rest = divmod(t_ns, 10**9)
    text = (datetime(1970, 1, 1) + timedelta(seconds=seconds)).isoformat()
    if rest:
        digits = f"{rest:09d}"
        text += "." + (digits[:3] if rest % 10**6 == 0 else digits[:6] if rest % 10**3 == 0 else digits)
    return text + "Z"
