"""Quantities as people write them, exactly."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import UsageError
from ingest.units import (
    exact_time,
    fitting_unit,
    format_time,
    offset_ns,
    parse_duration,
    parse_iso,
    parse_number,
    parse_rate,
    parse_size,
    parse_time,
)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2.56s", 2_560_000_000),
        ("500ms", 5 * 10**8),
        ("5min", 300 * 10**9),
        ("1ns", 1),
        (" 3 us ", 3000),
        ("1e-3s", 10**6),
    ],
)
def test_durations(text: str, ns: int) -> None:
    assert parse_duration(text) == ns


@pytest.mark.parametrize("text", ["", "5", "5 parsecs", "0.1ns", "s", "1/0s", "1.2.3s", "--1s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="duration"):
        parse_duration(text)


def test_rates_are_exact() -> None:
    assert parse_rate("12kHz") == 12_000
    assert parse_rate("51.2Hz") == Fraction(512, 10)
    assert parse_rate("1/300Hz") == Fraction(1, 300)
    for text in ("0Hz", "-1Hz", "50", "50hz"):
        with pytest.raises(UsageError, match="rate"):
            parse_rate(text)


def test_sizes() -> None:
    assert parse_size("2GB") == 2 * 10**9
    assert parse_size("16MiB") == 16 << 20
    for text in ("-1B", "0.5B", "2gb"):
        with pytest.raises(UsageError, match="size"):
            parse_size(text)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2026-11-24T02:00:00Z", 1_795_485_600 * 10**9),
        ("2026-11-24T03:00:00+01:00", 1_795_485_600 * 10**9),
        ("2026-11-24 02:00:00.123456789z", 1_795_485_600_123_456_789),
        ("1969-12-31T23:59:59.5Z", -(5 * 10**8)),
        ("1795485600123456789", 1_795_485_600_123_456_789),
        ("0", 0),
        ("1767225600s", 1_767_225_600 * 10**9),
        ("1767225600.5 s", 1_767_225_600_500_000_000),
        ("1767225600123ms", 1_767_225_600_123_000_000),
        ("5s", 5 * 10**9),
        ("2026-01-05 02:00:00.5+01", 1_767_574_800_500_000_000),
        ("2026-01-05T02:00:00+0130", 1_767_573_000 * 10**9),
    ],
)
def test_times(text: str, ns: int) -> None:
    assert parse_time(text) == ns


def test_a_time_needs_a_zone() -> None:
    with pytest.raises(UsageError, match="names no zone"):
        parse_time("2026-11-24T02:00:00")
    assert parse_time("2026-11-24T02:00:00", UTC) == 1_795_485_600 * 10**9
    assert parse_time("2026-11-24T03:00", timezone(timedelta(hours=1))) == 1_795_485_600 * 10**9


@pytest.mark.parametrize(
    "text", ["yesterday", "24:00", "2026-13-01T00:00:00Z", "2026-02-30T00:00Z", "12", "2026-11-24"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="time"):
        parse_time(text)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("1767225600", "as s since 1970 it is 2026-01-01T00:00:00Z: write that, or 1767225600s"),
        ("1767225600.25", "as s since 1970 it is 2026-01-01T00:00:00.250Z"),
        ("1767225600123", "as ms since 1970 it is 2026-01-01T00:00:00.123Z"),
        ("1767225600123456", "as us since 1970"),
        ("1767225600123456789.5", "as ns since 1970"),
        ("631152000", "as s since 1970 it is 1990-01-01T00:00:00Z"),
        *((str(n), "a number without a unit; write") for n in (1, 46023, 631_151_999, 5 * 10**12, 10**17, 10**19)),
        ("-1767225600", "a number without a unit; write"),
    ],
)
def test_a_number_without_its_unit_is_refused_with_the_unit_that_it_would_fit(text: str, fits: str) -> None:
    for parse in (parse_time, parse_iso):
        with pytest.raises(UsageError, match=f'time: "{re.escape(text)}" is a number without a unit') as caught:
            parse(text)
        assert fits in str(caught.value)


@given(st.integers(9, 19), st.integers(0, 10**19))
def test_no_count_of_seconds_or_milliseconds_becomes_nanoseconds(digits: int, number: int) -> None:
    text = str(number)[:digits]
    if fitting_unit(text) == "ns" or text == "0":
        assert parse_time(text) == int(text)
        assert int(text) == 0 or int(text) > 20 * 365 * 86_400 * 10**9
    else:
        with pytest.raises(UsageError):
            parse_time(text)


def test_nanoseconds_without_a_unit_are_no_iso_time() -> None:
    with pytest.raises(UsageError, match="as ns since 1970"):
        parse_iso("1795485600123456789")
    with pytest.raises(UsageError, match="no ISO 8601 time"):
        parse_iso("5s")


@pytest.mark.parametrize("offset", ["+25:00", "-24", "+99:99", "+01:60", "+2400"])
def test_an_offset_beyond_a_day_is_refused(offset: str) -> None:
    for parse in (parse_time, parse_iso):
        with pytest.raises(UsageError, match="offsets? from UTC"):
            parse(f"2026-01-01T00:00:00{offset}")
    with pytest.raises(UsageError, match="no offset"):
        offset_ns(offset)


@pytest.mark.parametrize(
    "text", ["1e999999999", "1e9_999_999_9", "-1E+00999999", "1e-99999999", "9" * 500, "1e101", "1/0", "1.2.3", ""]
)
def test_a_number_of_few_characters_never_costs_memory(text: str) -> None:
    with pytest.raises(UsageError):
        parse_number(text)
    for parse, unit in ((parse_duration, "s"), (parse_rate, "Hz"), (parse_size, "GB"), (parse_time, "s")):
        with pytest.raises(UsageError):
            parse(text + unit)


def test_a_rate_beyond_a_sample_each_nanosecond_is_refused() -> None:
    assert parse_rate("1000MHz") == 10**9
    with pytest.raises(UsageError, match="above 1 GHz"):
        parse_rate("1e50Hz")


_PIECES = [
    "2026",
    "-01",
    "-31",
    "T",
    " ",
    "24",
    ":00",
    ":60",
    ".5",
    "Z",
    "+01",
    "+25:00",
    "1e9",
    "-",
    "s",
    "\x00",
    "٣",
    ",",
]


@given(st.lists(st.sampled_from(_PIECES), max_size=10).map("".join) | st.text(max_size=30))
def test_no_text_is_a_traceback(text: str) -> None:
    for parse in (parse_time, parse_iso, parse_duration, parse_rate, parse_size, parse_number, offset_ns):
        with contextlib.suppress(UsageError):
            parse(text)


@given(st.integers(-(2**61), 2**61))
def test_a_formatted_time_is_read_back(t_ns: int) -> None:
    assert parse_time(format_time(t_ns)) == t_ns


@pytest.mark.parametrize(
    ("t_ns", "text"),
    [
        (1_764_178_600_000_000_001, "2025-11-26T17:36:40.000000001Z"),
        (1_764_178_600_000_000_000, "2025-11-26T17:36:40.000000000Z"),
        (0, "1970-01-01T00:00:00.000000000Z"),
    ],
)
def test_an_exact_time_has_all_its_digits(t_ns: int, text: str) -> None:
    assert exact_time(t_ns) == text
    assert parse_time(text) == t_ns
