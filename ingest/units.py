"""Quantities as people write them: `2.56s`, `50Hz`, `2GB`, `2026-11-24T02:00:00+01:00`. Exact, or an error.

Durations and times are integer nanoseconds, rates are fractions of a hertz. Decimal text is never taken through a
binary float. A number is a time only where its unit is said: seconds taken for nanoseconds lie in 1970, and nothing
that comes later can see it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Final

from ingest.errors import UsageError

TIME_UNITS: Final = {"s": 9, "ms": 6, "us": 3, "ns": 0}
"""Decimal places that turn a number of a unit into nanoseconds."""
PLAUSIBLE_NS: Final = 631_152_000 * 10**9
"""1990: a number since 1970 that is meant as today's time lies behind it in its own unit, and in no other."""
_NUMBER_CHARACTERS_MAX: Final = 400
_EXPONENT = re.compile(r"[eE][+-]?0*([\d_]*)")
_EXPONENT_DIGITS_MAX: Final = 3
_MAGNITUDE_MAX: Final = 10**100
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
_MAX_RATE_HZ = 10**9
ISO_OFFSET: Final = r"[+-]\d\d(?::?\d\d)?"
"""`+01:00`, `+0100` or `+01` (ISO 8601-1:2019, 5.3.4.1); what `offset_ns` reads."""
_OFFSET = re.compile(r"([+-])(\d\d)(?::?(\d\d))?", re.ASCII)
_ISO = re.compile(rf"(\d{{4}}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{{1,9}}))?\s*(Z|z|{ISO_OFFSET})?", re.ASCII)
_COUNT = re.compile(r"([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*(s|ms|us|ns)?", re.ASCII)


def parse_number(text: str) -> Fraction:
    """The exact value of `12`, `-0.5`, `1e-3` or `1/3`.

    Raises:
        UsageError: no number, or one beyond 1e100: an exponent of a few characters must not cost memory.
    """
    exponent = _EXPONENT.search(text)
    short = len(text) <= _NUMBER_CHARACTERS_MAX and (exponent is None or len(exponent[1]) <= _EXPONENT_DIGITS_MAX)
    if not short:
        raise UsageError(f'"{text[:40]}" is out of range; use a number up to 1e100')
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise UsageError(f'"{text[:40]}" is no number') from None
    if abs(value) > _MAGNITUDE_MAX or 0 < abs(value) < Fraction(1, _MAGNITUDE_MAX):
        raise UsageError(f'"{text[:40]}" is out of range; use a number up to 1e100')
    return value


def _quantity(text: str, units: dict[str, Fraction] | dict[str, int], kind: str, example: str) -> Fraction:
    match = _NUMBER.fullmatch(text)
    if match is None or match[2] not in units:
        found = f'unit "{match[2]}"' if match and match[2] else f'"{text}"'
        raise UsageError(f"{kind}: found {found}; use {', '.join(units)}, as in {example}")
    try:
        return parse_number(match[1]) * units[match[2]]
    except UsageError as error:
        raise UsageError(f"{kind}: {error}") from None


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
    """Hertz of `50Hz`, `12kHz`, `1/300Hz`. Raises `UsageError` where it is no rate above 0 and up to 1 GHz."""
    value = _quantity(text, _RATES, "rate", "50Hz")
    if value <= 0:
        raise UsageError(f'rate: "{text}" is not above 0 Hz')
    if value > _MAX_RATE_HZ:
        raise UsageError(f'rate: "{text}" is above 1 GHz, a sample each nanosecond')
    return value


def parse_size(text: str) -> int:
    """Bytes of `2GB`, `32kB`, `16MiB`. Raises `UsageError`."""
    value = _quantity(text, _SIZES, "size", "2GB")
    if value < 0 or value.denominator != 1:
        raise UsageError(f'size: "{text}" is not a whole number of bytes')
    return int(value)


def parse_time(text: str, zone: timezone | None = None) -> int:
    """Nanoseconds UTC of an ISO 8601 time, of a number since 1970 with its unit (`1767225600s`), or of integer
    nanoseconds; `zone` is for an ISO time without one.

    Raises:
        UsageError: no time, one before 1824 or after 2116, one that names no zone where none was given, or a number
            without its unit that is no integer nanoseconds of our days: the unit that it would fit is named.
    """
    count = _COUNT.fullmatch(text.strip())
    if count is None:
        return parse_iso(text, zone)
    number, unit = count.groups()
    return count_ns(number, unit or _unit_of(number))


def parse_iso(text: str, zone: timezone | None = None) -> int:
    """Nanoseconds UTC of an ISO 8601 time; `zone` is for a time without one. Raises `UsageError` as `parse_time`."""
    match = _ISO.fullmatch(text.strip())
    if match is None:
        count = _COUNT.fullmatch(text.strip())
        raise UsageError(
            unitless(text.strip())
            if count and not count[2]
            else f'time: "{text[:60]}" is no ISO 8601 time with a zone (2026-11-24T02:00:00Z)'
        )
    day, clock, fraction, offset = match.groups()
    if offset is None and zone is None:
        raise UsageError(f'time: "{text}" names no zone; write 2026-11-24T02:00:00Z or +01:00')
    try:
        naive = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=UTC if offset else zone)
    except ValueError as error:
        raise UsageError(f'time: "{text}": {error}') from None
    since = naive - datetime(1970, 1, 1, tzinfo=UTC)
    t_ns = (since.days * 86400 + since.seconds) * 10**9 + int((fraction or "0").ljust(9, "0"))
    return _in_range(text, t_ns - (offset_ns(offset) if offset else 0))


def offset_ns(text: str) -> int:
    """How far `+01:00`, `+0100`, `+01` or `Z` lies ahead of UTC. Raises `UsageError` from `+24:00` on."""
    if text in ("Z", "z"):
        return 0
    match = _OFFSET.fullmatch(text)
    if match is None or int(match[2]) > 23 or int(match[3] or "0") > 59:
        raise UsageError(f'time: "{text}" is no offset from UTC; they go from -23:59 to +23:59')
    minutes = int(match[2]) * 60 + int(match[3] or "0")
    return (-1 if match[1] == "-" else 1) * minutes * 60 * 10**9


def count_ns(number: str, unit: str) -> int:
    """Nanoseconds since 1970 of a number of `s`, `ms`, `us` or `ns`; digits below a nanosecond are cut off.

    Raises:
        UsageError: no number, or one before 1824 or after 2116.
    """
    scaled = parse_number(number) * 10 ** TIME_UNITS[unit]
    return _in_range(f"{number} {unit}", scaled.numerator // scaled.denominator)


def _in_range(text: str, t_ns: int) -> int:
    if abs(t_ns) >= _MAX_TIME_NS:
        raise UsageError(f'time: "{text}" is out of range: they go from 1824 to 2116')
    return t_ns


def _unit_of(number: str) -> str:
    """The unit of a number that names none: 0 is 0 in each, and integer nanoseconds are what logs and marks hold."""
    if number == "0" or ("." not in number and fitting_unit(number) == "ns"):
        return "ns"
    raise UsageError(unitless(number))


def unitless(number: str) -> str:
    """What to say of a number where a time was expected."""
    unit = fitting_unit(number)
    if unit is None:
        return f'time: "{number[:40]}" is a number without a unit; write 2026-01-01T00:00:00Z, or 1767225600s'
    shown = format_time(count_ns(number, unit))
    return (
        f'time: "{number}" is a number without a unit; as {unit} since 1970 it is {shown}: '
        f"write that, or {number}{unit}"
    )


def fitting_unit(number: str) -> str | None:
    """The unit in which a number since 1970 lies between 1990 and 2116; None where there is none (never two)."""
    try:
        value = parse_number(number)
    except UsageError:
        return None
    fits = (unit for unit, places in TIME_UNITS.items() if PLAUSIBLE_NS <= value * 10**places < _MAX_TIME_NS)
    return next(fits, None)


def exact_time(t_ns: int) -> str:
    """ISO 8601 in UTC with nine decimals, always: beside a number of ns, which JavaScript and jq would round."""
    seconds, rest = divmod(t_ns, 10**9)
    return f"{(datetime(1970, 1, 1) + timedelta(seconds=seconds)).isoformat()}.{rest:09d}Z"


def format_time(t_ns: int) -> str:
    """ISO 8601 in UTC with as many decimals as the instant needs: 3, 6 or 9, or none."""
    seconds, rest = divmod(t_ns, 10**9)
    text = (datetime(1970, 1, 1) + timedelta(seconds=seconds)).isoformat()
    if rest:
        digits = f"{rest:09d}"
        text += "." + (digits[:3] if rest % 10**6 == 0 else digits[:6] if rest % 10**3 == 0 else digits)
    return text + "Z"
