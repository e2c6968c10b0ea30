"""Time columns as integer nanoseconds UTC: ISO 8601 text, numbers with a unit, datetimes of Parquet.

Decimals are never taken through a binary float. A time without a zone needs `--timezone`; in the hour that is passed
through twice when clocks are set back, times are taken as the first pass until they step back, then as the second.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.times import NS, Times
from ingest.wire import MAX_SPAN_NS

if TYPE_CHECKING:
    import polars as pl

UNITS: Final = {"s": 9, "ms": 6, "us": 3, "ns": 0}
"""Decimal places that turn a unit into nanoseconds."""
_ISO = r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d)?(?:[.,](\d{1,9}))?\s*(Z|z|[+-]\d\d:?\d\d)?$"
_NUMBER = r"^[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$"
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")


@dataclass(frozen=True, slots=True)
class Reading:
    """How a time column is to be read."""

    unit: str | None = None
    """"s", "ms", "us" or "ns" for numbers."""
    timezone: str | None = None
    """For times without a zone: an IANA name, or an offset as in +01:00."""
    utc: bool = False
    """Times without a zone are known to be UTC."""
    relative: bool = False
    """Only differences count (the first row's time is given): numbers and times without a zone may be anything."""


@dataclass(frozen=True, slots=True)
class Stamps:
    """What a time column says."""

    times: Times
    """`(rows,) int64` ns UTC."""
    ambiguous: int = 0
    """Rows in an hour that the zone passes through twice."""


def read_stamps(column: pl.Series, how: Reading, place: Callable[[int], str]) -> Stamps:
    """The times in a column; `place` names a row in messages.

    Raises:
        UsageError: a row that is no time, a missing unit or zone, or a zone that does not exist.
    """
    import polars as pl

    if isinstance(column.dtype, pl.Datetime):
        return _read_datetimes(column, how, place)
    if column.dtype == pl.String:
        text = column.str.strip_chars()
        if not text.str.contains(_NUMBER).head(1).all():
            return _read_iso(text, how, place)
    elif column.dtype.is_numeric():
        text = column.cast(pl.String)
    else:
        raise UsageError(f'{place(0)}: the time column "{column.name}" holds {column.dtype}, expected times or numbers')
    return Stamps(_read_numbers(text, how, place))


def _read_numbers(text: pl.Series, how: Reading, place: Callable[[int], str]) -> Times:
    import polars as pl

    if how.unit is None:
        raise UsageError(f'{place(0)}: the time is the number "{text[0]}"; say --time-unit s, ms, us or ns')
    if how.unit not in UNITS:
        raise UsageError(f'--time-unit: unknown unit "{how.unit}"; known: {", ".join(UNITS)}')
    nanoseconds = text.str.to_decimal(scale=UNITS[how.unit]).to_physical()
    _check_rows(nanoseconds, text, f"no number of {how.unit}", place)
    bad = (nanoseconds >= MAX_SPAN_NS) | (nanoseconds <= -MAX_SPAN_NS)
    if bad.any():
        row = bad.arg_max() or 0
        raise UsageError(f'{place(row)}: time "{text[row]}" in {how.unit} is out of range; is --time-unit right?')
    return nanoseconds.cast(pl.Int64).to_numpy()


def _check_rows(parsed: pl.Series, text: pl.Series, problem: str, place: Callable[[int], str]) -> None:
    if parsed.null_count():
        row = parsed.is_null().arg_max() or 0
        raise UsageError(f'{place(row)}: time "{text[row] or ""}" is {problem}')


def _read_datetimes(column: pl.Series, how: Reading, place: Callable[[int], str]) -> Stamps:
    import polars as pl

    assert isinstance(column.dtype, pl.Datetime)
    scale = {"ns": 1, "us": 10**3, "ms": 10**6}[column.dtype.time_unit]
    stamps = column.cast(pl.Int64)
    _check_rows(stamps, column.cast(pl.String), "missing", place)
    if int(stamps.abs().max() or 0) * scale >= MAX_SPAN_NS:  # type: ignore[arg-type]
        raise UsageError(f'{place(0)}: column "{column.name}": times after 2116 cannot be imported')
    times: Times = stamps.to_numpy() * scale
    if column.dtype.time_zone is not None or how.utc:
        return Stamps(times)
    return _localize(times, np.ones(len(times), dtype=bool), how, place)


def _read_iso(text: pl.Series, how: Reading, place: Callable[[int], str]) -> Stamps:
    import polars as pl

    parts = text.str.extract_groups(_ISO).struct.unnest()
    day, minutes, seconds, fraction, zone = (parts.to_series(i) for i in range(5))
    clock = (day + " " + minutes + seconds.fill_null(":00")).str.to_datetime(
        "%Y-%m-%d %H:%M:%S", time_unit="us", strict=False
    )
    _check_rows(clock, text, "no ISO 8601 time (2026-11-24T02:00:00Z); for numbers say --time-unit", place)
    microseconds = clock.cast(pl.Int64)
    far = microseconds.abs() >= MAX_SPAN_NS // 1000
    if far.any():
        row = far.arg_max() or 0
        raise UsageError(
            f'{place(row)}: time "{text[row]}" is out of range: times before 1824 or after 2116 do not fit'
        )
    times: Times = microseconds.to_numpy() * 1000
    times = times + fraction.fill_null("0").str.pad_end(9, "0").cast(pl.Int64).to_numpy()
    naive = zone.is_null().to_numpy()
    for name in zone.drop_nulls().unique():
        times[(zone == name).fill_null(False).to_numpy()] -= _offset_ns(name)
    return _localize(times, naive, how, place) if naive.any() else Stamps(times)


def _offset_ns(zone: str) -> int:
    match = _OFFSET.fullmatch(zone)
    if match is None:
        return 0
    sign, hours, minutes = match.groups()
    return (-1 if sign == "-" else 1) * (int(hours) * 3600 + int(minutes) * 60) * NS


def _localize(times: Times, naive: NDArray[np.bool_], how: Reading, place: Callable[[int], str]) -> Stamps:
    """Turn the local times among `times` into UTC."""
    import polars as pl

    if how.timezone is None:
        if how.relative:
            return Stamps(times)
        row = int(naive.argmax())
        shown = np.datetime64(int(times[row]), "ns")
        raise UsageError(f"{place(row)}: time {shown} names no zone; say --timezone, as in Europe/Brussels or UTC")
    if _OFFSET.fullmatch(how.timezone):
        return Stamps(np.where(naive, times - _offset_ns(how.timezone), times))
    local = pl.Series(times).cast(pl.Datetime("ns"))
    try:
        first = local.dt.replace_time_zone(how.timezone, ambiguous="earliest", non_existent="null")
        second = local.dt.replace_time_zone(how.timezone, ambiguous="latest", non_existent="null")
    except pl.exceptions.PolarsError:
        raise UsageError(
            f'--timezone: "{how.timezone}" is no zone; use an IANA name (Europe/Brussels), UTC or an offset (+01:00)'
        ) from None
    missing = first.is_null().to_numpy() & naive
    if missing.any():
        row = int(missing.argmax())
        raise UsageError(
            f"{place(row)}: time {np.datetime64(int(times[row]), 'ns')} does not exist in {how.timezone}: "
            "its clocks were set forward over it; is --timezone right?"
        )
    early, late = (np.where(naive, s.cast(pl.Int64).fill_null(0).to_numpy(), times) for s in (first, second))
    return _passes(early, late)


def _passes(early: Times, late: Times) -> Stamps:
    """Choose between both passes through an hour: the second from the row on where local time steps back in it."""
    ambiguous = early != late
    if not ambiguous.any():
        return Stamps(early)
    steps = np.diff(early)
    rising = steps[steps > 0]
    usual = int(np.median(rising)) if len(rising) else 1
    times = early.copy()
    closer = np.abs(late[1:] - early[:-1] - usual) < np.abs(steps - usual)
    for row in np.flatnonzero(ambiguous[1:] & ambiguous[:-1] & closer) + 1:
        rest = ~ambiguous[row:]
        stop = row + int(rest.argmax()) if rest.any() else len(times)
        times[row:stop] = late[row:stop]
    return Stamps(times, int(ambiguous.sum()))
