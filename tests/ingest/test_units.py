"""Quantities as people write them, exactly."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import UsageError
from ingest.units import format_time, parse_duration, parse_rate, parse_size, parse_time


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
    ],
)
def test_times(text: str, ns: int) -> None:
    assert parse_time(text) == ns


def test_a_time_needs_a_zone() -> None:
    with pytest.raises(UsageError, match="names no zone"):
        parse_time("2026-11-24T02:00:00")
    assert parse_time("2026-11-24T02:00:00", UTC) == 1_795_485_600 * 10**9
    assert parse_time("2026-11-24T03:00", timezone(timedelta(hours=1))) == 1_795_485_600 * 10**9


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01T00:00:00Z", "2026-02-30T00:00Z", "12", "2026-11-24"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="time"):
        parse_time(text)


@given(st.integers(-(2**61), 2**61))
def test_a_formatted_time_is_read_back(t_ns: int) -> None:
    assert parse_time(format_time(t_ns)) == t_ns
