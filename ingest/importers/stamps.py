"""Time columns as integer nanoseconds UTC: ISO 8601 text, numbers with a unit, datetimes of Parquet.

Decimals are never taken through a binary float. A time without a zone needs `--timezone`; in the hour that is passed
through twice when clocks are set back, times are taken as the first pass until they step back, then as the second;
where they never do, as the pass that the rows around them go on with, and in doubt, which is told, as the first.

Numbers that lie before 1990 in the unit that was said are refused where they fit another unit; where they fit none,
they count from something else than 1970 (an uptime), and that is told. Where only differences count, numbers may be
anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.times import Times
from ingest.units import ISO_OFFSET, PLAUSIBLE_NS, TIME_UNITS, count_ns, fitting_unit, format_time, offset_ns
from ingest.wire import MAX_SPAN_NS

if TYPE_CHECKING:
    import polars as pl

_ISO = rf"^(\d{{4}}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d)?(?:[.,](\d{{1,9}}))?\s*(Z|z|{ISO_OFFSET})?$"
_NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"
_OFFSET = re.compile(ISO_OFFSET, re.ASCII)
FORMAT_CODES: Final = {
    "Y": r"\d{4}", "y": r"\d\d", "m": r"\d{1,2}", "b": "[A-Za-z]{3}", "d": r"\d{1,2}", "H": r"\d{1,2}", "I": r"\d{1,2}",
    "p": "[AaPp][Mm]", "M": r"\d{1,2}", "S": r"\d{1,2}", "f": r"\d{1,9}", "z": rf"Z|z|{ISO_OFFSET}",
}  # fmt: skip
"""What a time format may hold, as Python's strptime means it; `%f` has up to nine digits, `%b` is English."""
_MONTHS: Final = {
    "jan": "1", "feb": "2", "mar": "3", "apr": "4", "may": "5", "jun": "6",
    "jul": "7", "aug": "8", "sep": "9", "oct": "10", "nov": "11", "dec": "12",
}  # fmt: skip
_SPREADSHEET_DAYS: Final = (32_874, 80_000)
"""Days since 1899-12-30, as spreadsheets count them, from 1990 on."""


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
    """Only differences count: numbers and times without a zone may be anything."""
    format: str | None = None
    """How times are written where they are not ISO 8601, as in `%d.%m.%Y %H:%M:%S`: see `FORMAT_CODES`."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """What times are made of, as text."""

    clock: pl.Series
    """`YYYY-MM-DD HH:MM:SS`, null where a row is no time."""
    fraction: pl.Series
    """Digits behind the seconds, null for none."""
    zone: pl.Series
    """`Z` or an offset, null where none is said."""


@dataclass(frozen=True, slots=True)
class Stamps:
    """What a time column says."""

    times: Times
    """`(rows,) int64` ns UTC."""
    ambiguous: int = 0
    """Rows in an hour that the zone passes through twice."""
    doubtful: tuple[int, int] | None = None
    """The first of those that may belong to either pass, and how many they are."""


def read_stamps(column: pl.Series, how: Reading, place: Callable[[int], str]) -> Stamps:
    """The times in a column; `place` names a row in messages.

    Raises:
        UsageError: a row that is no time, a missing unit or zone, or a zone that does not exist.
    """
    import polars as pl

    if isinstance(column.dtype, pl.Datetime):
        return _read_datetimes(column, how, place)
    if how.format is not None:
        return _read_format(column.cast(pl.String).str.strip_chars(), how, place)
    if column.dtype == pl.String:
        text = column.str.strip_chars()
        if not text.str.contains(_NUMBER).head(1).all():
            return _read_iso(text, how, place)
    elif column.dtype.is_numeric():
        text = column.cast(pl.String)
    else:
        raise UsageError(f'{place(0)}: the time column "{column.name}" holds {column.dtype}, expected times or numbers')
    return Stamps(_read_numbers(text, how, place))


def read_stamp(text: str, how: Reading) -> int:
    """One time as `read_stamps` reads a column's, relative ones too. Raises `UsageError`."""
    import polars as pl

    relative = replace(how, relative=True)
    return int(read_stamps(pl.Series("", [text]), relative, lambda row: f'"{text}"').times[0])


def _read_numbers(text: pl.Series, how: Reading, place: Callable[[int], str]) -> Times:
    import polars as pl

    if how.unit is None:
        fits = fitting_unit(text[0])
        found = f"; as {fits} since 1970 it is {format_time(count_ns(text[0], fits))}" if fits else ""
        raise UsageError(f'{place(0)}: the time is the number "{text[0]}"{found}; say --time-unit s, ms, us or ns')
    if how.unit not in TIME_UNITS:
        raise UsageError(f'--time-unit: unknown unit "{how.unit}"; known: {", ".join(TIME_UNITS)}')
    nanoseconds = text.str.to_decimal(scale=TIME_UNITS[how.unit]).to_physical()
    _check_rows(nanoseconds, text, f"no number of {how.unit}", place)
    bad = (nanoseconds >= MAX_SPAN_NS) | (nanoseconds <= -MAX_SPAN_NS)
    if bad.any():
        row = bad.arg_max() or 0
        raise UsageError(f'{place(row)}: time "{text[row]}" in {how.unit} is out of range; {_advice(text[row])}')
    return nanoseconds.cast(pl.Int64).to_numpy()


def check_plausible(
    column: pl.Series, times: Times, how: Reading, place: Callable[[int], str], where: Callable[[int], str]
) -> str:
    """What to say of `times`, as read from `column`, that lie before 1990; empty where none does. `place` names a row
    and its file, `where` the row alone.

    Raises:
        UsageError: they are numbers that fit another unit.
    """
    early = times < PLAUSIBLE_NS
    if not early.any():
        return ""
    newest = int(times.argmax())
    if not early[newest]:
        first = int(early.argmax())
        return (
            f"{int(early.sum())} times lie before 1990, as that of {where(first)}, {format_time(int(times[first]))}: "
            "was the clock not set?"
        )
    cell = str(column[newest]).strip()
    if re.fullmatch(_NUMBER, cell) is None:
        span = f"from {format_time(int(times.min()))} to {format_time(int(times[newest]))}"
        return f"all times lie before 1990, {span}: was the clock not set?"
    shown = f'the time "{cell}" in {how.unit} is {format_time(int(times[newest]))}'
    if fitting_unit(cell) is not None:
        raise UsageError(f"{place(newest)}: {shown}; {_advice(cell)}")
    days = f" ({_advice(cell)})" if _is_days(cell) else ""
    return f"{shown}{days}: if it counts from something else than 1970, say --origin VALUE=TIME, or --start TIME"


def _advice(number: str) -> str:
    """Which unit a number would fit."""
    unit = fitting_unit(number)
    if unit is not None:
        return f"it fits --time-unit {unit}, as {format_time(count_ns(number, unit))}"
    if _is_days(number):
        return "it fits days since 1899-12-30, as spreadsheets count: write ISO 8601 times there"
    return "is --time-unit right?"


def _is_days(number: str) -> bool:
    return _SPREADSHEET_DAYS[0] <= float(number) <= _SPREADSHEET_DAYS[1]


def _check_rows(parsed: pl.Series, text: pl.Series, problem: str, place: Callable[[int], str]) -> None:
    if parsed.null_count():
        row = parsed.is_null().arg_max() or 0
        raise UsageError(f'{place(row)}: time "{(text[row] or "")[:60]}" is {problem}')


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
    parts = text.str.extract_groups(_ISO).struct.unnest()
    day, minutes, seconds, fraction, zone = (parts.to_series(i) for i in range(5))
    clock = day + " " + minutes + seconds.fill_null(":00")
    advice = "no ISO 8601 time (2026-11-24T02:00:00Z); for numbers say --time-unit, for other times --time-format"
    return _read_parts(text, _Parts(clock, fraction, zone), advice, how, place)


def _read_format(text: pl.Series, how: Reading, place: Callable[[int], str]) -> Stamps:
    """Times that are written as `how.format` says. Raises `UsageError`, also for a format that is none."""
    import polars as pl

    assert how.format is not None
    parts = text.str.extract_groups(format_pattern(how.format)).struct.unnest()

    def part(code: str, otherwise: str) -> pl.Series:
        return (
            parts[code].fill_null(otherwise) if code in parts.columns else pl.repeat(otherwise, len(text), eager=True)
        )

    there = parts.to_series(0).is_not_null()
    if "y" in parts.columns:  # POSIX: 69 to 99 are of the 20th century
        short = parts["y"]
        year = pl.select(pl.when(short.cast(pl.Int32) >= 69).then(pl.lit("19")).otherwise(pl.lit("20")) + short)
        years = year.to_series()
    else:
        years = parts["Y"]
    if "b" in parts.columns:
        months = parts["b"].str.to_lowercase().replace_strict(_MONTHS, default=None, return_dtype=pl.String)
    else:
        months = parts["m"]
    hours = part("H", "0")
    if "p" in parts.columns:
        noon = parts["p"].str.to_lowercase().str.starts_with("p")
        hour = parts["I"].cast(pl.Int32)
        valid = hour.is_between(1, 12)
        hours = pl.select(pl.when(valid).then(hour % 12 + noon.cast(pl.Int32) * 12)).to_series().cast(pl.String)
    clock = years + "-" + months + "-" + parts["d"] + " " + hours + ":" + part("M", "0") + ":" + part("S", "0")
    fraction = part("f", "0")
    zone = parts["z"] if "z" in parts.columns else pl.repeat(None, len(text), dtype=pl.String, eager=True)
    clock = pl.select(pl.when(there).then(clock)).to_series()
    return _read_parts(text, _Parts(clock, fraction, zone), f'not as --time-format "{how.format}" says', how, place)


def format_pattern(text: str) -> str:
    """The regular expression of a time format, with a group for each code.

    Raises:
        UsageError: an unknown code, one that comes twice, or a day that is not said in full.
    """
    pieces, codes = ["^"], []
    at = 0
    while at < len(text):
        if text[at] != "%":
            pieces.append(r"\s+" if text[at].isspace() else re.escape(text[at]))
            at += 1
            continue
        code = text[at + 1 : at + 2]
        at += 2
        if code == "%":
            pieces.append("%")
        elif code not in FORMAT_CODES or code in codes:
            known = " ".join(f"%{name}" for name in FORMAT_CODES)
            raise UsageError(
                f'--time-format: found "%{code}" in "{text}", expected each of these once at most: {known}'
            )
        else:
            codes.append(code)
            pieces.append(f"(?P<{code}>{FORMAT_CODES[code]})")
    if not ({"Y", "y"} & {*codes} and {"m", "b"} & {*codes} and "d" in codes):
        raise UsageError(f'--time-format: "{text}" does not say year (%Y), month (%m) and day (%d)')
    if (
        len({"Y", "y"} & {*codes}) + len({"m", "b"} & {*codes}) > 2
        or ("I" in codes) != ("p" in codes)
        or ("I" in codes and "H" in codes)
    ):
        raise UsageError(f'--time-format: "{text}" says a thing twice, or %I without %p')
    return "".join(pieces) + "$"


def _read_parts(text: pl.Series, parts: _Parts, problem: str, how: Reading, place: Callable[[int], str]) -> Stamps:
    import polars as pl

    clock = parts.clock.str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", strict=False)
    _check_rows(clock, text, problem, place)
    microseconds = clock.cast(pl.Int64)
    far = microseconds.abs() >= MAX_SPAN_NS // 1000
    if far.any():
        row = far.arg_max() or 0
        raise UsageError(
            f'{place(row)}: time "{text[row]}" is out of range: times before 1824 or after 2116 do not fit'
        )
    times: Times = microseconds.to_numpy() * 1000
    times = times + parts.fraction.fill_null("0").str.pad_end(9, "0").cast(pl.Int64).to_numpy()
    zone = parts.zone
    naive = zone.is_null().to_numpy()
    for name in zone.drop_nulls().unique():
        at = (zone == name).fill_null(False)
        try:
            times[at.to_numpy()] -= offset_ns(name)
        except UsageError as error:
            raise UsageError(f"{place(at.arg_max() or 0)}: {error}") from None
    return _localize(times, naive, how, place) if naive.any() else Stamps(times)


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
        return Stamps(np.where(naive, times - offset_ns(how.timezone), times))
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
    times, doubtful = early.copy(), []
    closer = np.abs(late[1:] - early[:-1] - usual) < np.abs(steps - usual)
    edges = np.flatnonzero(np.diff(ambiguous.astype(np.int8), prepend=0, append=0))
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        turns = np.flatnonzero(closer[start : stop - 1])
        if len(turns):
            row = start + int(turns[0]) + 1
            times[row:stop] = late[row:stop]
            continue
        off = [_off(it, times, start, stop, usual) for it in (early, late)]
        if off[1] < off[0]:
            times[start:stop] = late[start:stop]
        elif off[0] == off[1]:
            doubtful.append((start, stop - start))
    told = (doubtful[0][0], sum(count for _, count in doubtful)) if doubtful else None
    return Stamps(times, int(ambiguous.sum()), told)


def _off(taken: Times, times: Times, start: int, stop: int, usual: int) -> int:
    """How far the steps at both ends of some rows are from the usual one, if they are taken so."""
    before = abs(int(taken[start] - times[start - 1]) - usual) if start else 0
    return before + (abs(int(times[stop] - taken[stop - 1]) - usual) if stop < len(times) else 0)
