"""Times of every written form, exact to the nanosecond; nothing is guessed about zones and units."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import UsageError
from ingest.importers.stamps import Reading, Stamps, check_plausible, read_stamp, read_stamps
from ingest.units import format_time, parse_time

NS = 10**9


def place(row: int) -> str:
    return f"f.csv: line {row + 2}"


def read(values: list[object], **how: object) -> list[int]:
    return [int(t) for t in stamps(pl.Series("t", values), **how).times]


def stamps(column: pl.Series, **how: object) -> Stamps:
    return read_stamps(column, Reading(**how), place)  # type: ignore[arg-type]


ISO = [
    "2026-11-24T02:00:00Z",
    "2026-11-24 03:00:00.5+01:00",
    " 2026-11-24T02:00+0000 ",
    "2026-11-24 02:00:00,000000001z",
]


def test_iso_times_are_read_as_units_reads_them() -> None:
    assert read(list(ISO)) == [parse_time(text) for text in ISO]


@given(st.lists(st.integers(0, 4 * 10**18), min_size=1, max_size=20))
def test_written_times_come_back_exactly(times: list[int]) -> None:
    assert read([format_time(t) for t in times]) == times
    assert read([str(t) for t in times], unit="ns") == times
    assert read(list(times), unit="ns") == times
    assert read([f"{t // NS}.{t % NS:09d}" for t in times], unit="s") == times


@pytest.mark.parametrize(
    ("values", "unit", "expected"),
    [
        (["1494300133.25", "+1e3", "-0.5"], "s", [1494300133_250000000, 1000 * NS, -NS // 2]),
        ([".5", "-.25", "2."], "ms", [500_000, -250_000, 2_000_000]),
        (["1.5", "2"], "us", [1500, 2000]),
        ([1_700_000_000.1, 1_700_000_000.2], "s", [1_700_000_000_100_000_000, 1_700_000_000_200_000_000]),
        ([1_700_000_000_123, 5], "ms", [1_700_000_000_123_000_000, 5_000_000]),
    ],
    ids=["seconds", "milliseconds", "microseconds", "floats as they are written", "integers"],
)
def test_numbers_need_only_their_unit(values: list[object], unit: str, expected: list[int]) -> None:
    assert read(values, unit=unit) == expected


@pytest.mark.parametrize(
    ("values", "how", "message"),
    [
        (["1", "2"], {}, 'line 2: the time is the number "1"; say --time-unit s, ms, us or ns'),
        (["1", "x"], {"unit": "s"}, 'line 3: time "x" is no number of s'),
        (["1", None], {"unit": "s"}, 'line 3: time "" is no number of s'),
        (["1", "2"], {"unit": "m"}, '--time-unit: unknown unit "m"; known: s, ms, us, ns'),
        (["1", "1700000000000"], {"unit": "s"}, 'line 3: time "1700000000000" in s is out of range'),
        ([ISO[0], "24/11/2026 02:00"], {}, 'line 3: time "24/11/2026 02:00" is no ISO 8601 time'),
        ([ISO[0], "2026-02-30T00:00:00Z"], {}, 'line 3: time "2026-02-30T00:00:00Z" is no ISO 8601 time'),
        ([ISO[0], "2026-11-24 02:00:00"], {}, "line 3: time 2026-11-24T02:00:00.000000000 names no zone"),
        (["2026-11-24 02:00:00"], {"timezone": "Mars/Base"}, '--timezone: "Mars/Base" is no zone'),
        (["2026-03-29 02:30:00"], {"timezone": "Europe/Brussels"}, "does not exist in Europe/Brussels"),
        ([True], {}, 'the time column "t" holds Boolean'),
        ([datetime(2026, 1, 1), None], {"utc": True}, 'line 3: time "" is missing'),
        ([datetime(2200, 1, 1)], {"utc": True}, "times after 2116 cannot be imported"),
        ([datetime(2026, 1, 1)], {}, "names no zone; say --timezone"),
    ],
)
def test_what_is_no_time_is_an_error_with_its_line(values: list[object], how: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(values, **how)
    assert message in str(caught.value)


def test_a_zone_is_only_for_times_that_name_none() -> None:
    mixed: list[object] = ["2026-07-01 12:00:00", "2026-07-01 12:00:00Z"]
    hour = 3600 * NS
    noon = parse_time("2026-07-01T12:00:00Z")
    assert read(mixed, timezone="Europe/Brussels") == [noon - 2 * hour, noon]
    assert read(mixed, timezone="+05:30") == [noon - 5 * hour - hour // 2, noon]
    assert read(mixed, relative=True) == [noon, noon]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_parquets_datetimes(unit: str) -> None:
    when = datetime(2026, 7, 1, 12)
    naive = pl.Series("t", [when]).cast(pl.Datetime(unit))  # type: ignore[arg-type]
    expected = [parse_time("2026-07-01T12:00:00Z")]
    assert stamps(naive, utc=True).times.tolist() == expected
    assert stamps(naive.dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo")).times.tolist() == expected
    assert stamps(naive, timezone="Europe/Brussels").times.tolist() == [expected[0] - 7200 * NS]


@pytest.mark.parametrize("minutes", [1, 5, 45])
def test_the_hour_that_clocks_pass_through_twice(minutes: int) -> None:
    zone = ZoneInfo("Europe/Brussels")
    start = datetime(2026, 10, 24, 22, tzinfo=UTC)
    instants = [start + timedelta(minutes=minutes * i) for i in range(8 * 60 // minutes)]
    written: list[object] = [t.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S") for t in instants]
    got = stamps(pl.Series("t", written), timezone="Europe/Brussels")
    assert got.times.tolist() == [int(t.timestamp()) * NS for t in instants]
    assert got.ambiguous == len([t for t in instants if t.hour in (0, 1) and t.day == 25])


@pytest.mark.parametrize(
    ("hours", "first", "doubtful"),
    [
        ("2 3", "2026-10-25T01:00:00Z", None),  # goes on to 03:00 without a gap: it is the second pass
        ("1 2", "2026-10-24T23:00:00Z", None),
        ("1 2 3", "2026-10-24T23:00:00Z", (6, 6)),
        ("2", "2026-10-25T00:00:00Z", (0, 6)),
    ],
)
def test_that_hour_once_is_the_pass_that_the_rows_around_it_tell_or_doubtful(
    hours: str, first: str, doubtful: tuple[int, int] | None
) -> None:
    written: list[object] = [
        f"2026-10-25 0{hour}:{minute:02}:00" for hour in hours.split() for minute in range(0, 60, 10)
    ]
    got = stamps(pl.Series("t", written), timezone="Europe/Berlin")
    assert (got.times[0], got.doubtful) == (parse_time(first), doubtful)
    assert got.times[5] - got.times[0] == 50 * 60 * NS


def test_jitter_in_that_hour_is_no_second_pass() -> None:
    written: list[object] = [f"2026-10-25 02:30:00.{ms:03d}" for ms in (0, 20, 40, 39, 60)]
    first = parse_time("2026-10-25T00:30:00Z")
    assert read(written, timezone="Europe/Brussels") == [first + ms * 10**6 for ms in (0, 20, 40, 39, 60)]


@pytest.mark.parametrize("offset", ["+25:00", "+99:99", "-24", "+0160"])
def test_an_offset_beyond_a_day_is_refused_with_its_line(offset: str) -> None:
    with pytest.raises(UsageError, match="line 3: .*offset"):
        read([ISO[0], f"2026-01-01T00:00:00{offset}"])
    with pytest.raises(UsageError, match="offset"):
        read(["2026-01-01T00:00:00"], timezone=offset)


def test_an_offset_of_hours_alone_is_one() -> None:
    assert read(["2026-01-05 02:00:00.5+01", "2026-01-05 02:00:00.5-0130"]) == [
        parse_time("2026-01-05T01:00:00.5Z"),
        parse_time("2026-01-05T03:30:00.5Z"),
    ]


def plausible(values: list[object], unit: str | None = "s") -> str:
    column, how = pl.Series("t", values), Reading(unit, utc=True)
    return check_plausible(column, read_stamps(column, how, place).times, how, place, str)


@pytest.mark.parametrize(
    ("values", "unit", "fits"),
    [
        (
            ["1767225600", "1767225602"],
            "ms",
            'line 3: the time "1767225602" in ms is 1970-01-21.*fits --time-unit s, as 2026',
        ),
        ([1767225600123], "us", "fits --time-unit ms, as 2026-01-01T00:00:00.123Z"),
        ([1767225600123456], "ns", "fits --time-unit us"),
        ([1.7672256e9], "us", "fits --time-unit s"),
    ],
)
def test_numbers_that_lie_in_1970_are_refused_where_they_fit_another_unit(
    values: list[object], unit: str, fits: str
) -> None:
    with pytest.raises(UsageError, match=fits):
        plausible(values, unit)


def test_times_before_1990_that_fit_no_other_unit_are_told() -> None:
    assert "if it counts from something else than 1970, say --origin" in plausible(["10", "11.5"])
    assert "(it fits days since 1899-12-30, as spreadsheets count" in plausible(["46023.5", "46023.500011574"])
    assert "2 times lie before 1990, as that of 1, 1970-01-01T00:00:01Z" in plausible(["1767225600", "1", "2"])
    assert "all times lie before 1990" in plausible(["1970-01-01T00:00:01Z"], None)
    assert "all times lie before 1990" in plausible([datetime(1970, 1, 1)], None)
    early: list[object] = ["1965-01-01T00:00:00Z", "1969-01-01T00:00:00Z"]
    assert "from 1965-01-01T00:00:00Z to 1969-01-01T00:00:00Z" in plausible(early, None)
    assert plausible(["1767225600"]) == plausible([datetime(2026, 1, 1)], None) == ""


def test_one_stamp_is_read_as_its_column() -> None:
    assert read_stamp("100.25", Reading("s")) == 100_250_000_000
    assert read_stamp("2026-01-01T00:00:00", Reading()) == parse_time("2026-01-01T00:00:00Z")
    with pytest.raises(UsageError, match='"x"'):
        read_stamp("x", Reading("s"))


TIMES = [
    "2026-01-01T00:00:00Z",
    "2026-01-01 00:00:00+01",
    "1767225600",
    "1e3",
    "-5.5",
    "",
    "x",
    "+99",
    "24:00",
    "٣",
    "\0",
]


@given(
    st.lists(st.sampled_from(TIMES) | st.text(max_size=12), min_size=1, max_size=4), st.sampled_from([None, "s", "ns"])
)
def test_no_column_of_text_is_a_traceback(values: list[str], unit: str | None) -> None:
    column, how = pl.Series("t", values), Reading(unit, timezone="UTC")
    with contextlib.suppress(UsageError):
        check_plausible(column, read_stamps(column, how, place).times, how, place, str)


@given(
    st.datetimes(min_value=datetime(1969, 1, 1), max_value=datetime(2068, 12, 31)),
    st.sampled_from(
        [
            ("%d.%m.%Y %H:%M:%S.%f", "%d.%m.%Y %H:%M:%S.%f"),
            ("%Y%m%d %H%M%S,%f", "%Y%m%d %H%M%S,%f"),
            ("%b %d %y %I:%M:%S %p %f", "%b %d %y %I:%M:%S %p %f"),
            ("%m/%d/%Y, %I:%M:%S%p.%f %%", "%m/%d/%Y, %I:%M:%S%p.%f %%"),
        ]
    ),
)
def test_a_format_reads_what_strptime_would(moment: datetime, formats: tuple[str, str]) -> None:
    told, python = formats
    written = moment.strftime(python)
    wanted = datetime.strptime(written, python).replace(tzinfo=UTC)
    (t_ns,) = read([written], format=told, timezone="UTC")
    assert t_ns == int((wanted - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1000


def test_a_format_may_leave_out_the_clock_and_name_a_zone_and_nanoseconds() -> None:
    assert read(["3/1/2013 7", "12/11/2013 23"], format="%d/%m/%Y %H", timezone="UTC") == [
        parse_time("2013-01-03T07:00:00Z"),
        parse_time("2013-11-12T23:00:00Z"),
    ]
    assert read(["2026-01-02 03:04:05.000000006 +01:00"], format="%Y-%m-%d %H:%M:%S.%f %z") == [
        parse_time("2026-01-02T02:04:05Z") + 6
    ]
    assert stamps(pl.Series([20130301]), format="%Y%m%d", timezone="UTC").times.tolist() == [
        parse_time("2013-03-01T00:00:00Z")
    ]


@pytest.mark.parametrize(
    ("value", "told", "message"),
    [
        ("31.02.2026 10", "%d.%m.%Y %H", r'line 2: time "31.02.2026 10" is not as --time-format "%d.%m.%Y %H" says'),
        ("13:61 1.1.2026", "%H:%M %d.%m.%Y", "is not as --time-format"),
        ("13 1.1.2026 PM", "%I %d.%m.%Y %p", "is not as --time-format"),
        ("2026", "%Y", "does not say year"),
        ("1.1.2026", "%d.%m.%q", 'found "%q"'),
        ("1.1.2026", "%d.%d.%Y", 'found "%d"'),
        ("1.1.2026 1", "%d.%m.%Y %I", "%I without %p"),
    ],
)
def test_what_a_format_does_not_read_is_refused(value: str, told: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read([value], format=told, timezone="UTC")
