"""Marks come from a CSV; a bad row is named and nothing is written."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest

from ingest.errors import UsageError
from ingest.importers.marks import MarkTimes, import_marks, mark_id, read_file, read_marks
from ingest.log.protocol import partition_of
from ingest.records import MarkAdd
from ingest.units import parse_time
from ingest.wire import decode
from simulators.doubles.log import ListLog

HEADER = "device,start,end,label\n"
START = parse_time("2026-11-24T02:00:00Z")


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "marks.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_times_are_iso_or_nanoseconds_and_no_end_is_an_instant(tmp_path: Path) -> None:
    rows = f"pump-7,2026-11-24T02:00:00Z,{START + 10},slam\npump-8, 2026-11-24T03:00:00.5+01:00 ,, on\n"
    first, second = read_marks(written(tmp_path, "\ufeff" + HEADER + rows))
    known = mark_id("pump-7", START, START + 10, "slam", "")
    assert first == MarkAdd("pump-7", known, START, START + 10, "slam", "", "import")
    assert (second.device, second.start_ns, second.end_ns, second.label) == (
        "pump-8",
        START + 5 * 10**8,
        START + 5 * 10**8,
        "on",
    )


def test_author_and_confidence_are_optional_and_columns_in_any_order(tmp_path: Path) -> None:
    (mark,) = read_marks(written(tmp_path, f'label,confidence,author,end,start,device\n"a, b",0.25,anna,,{START},d\n'))
    assert (mark.label, mark.confidence, mark.author, mark.tool) == ("a, b", 0.25, "anna", "import")


def test_a_mark_is_named_by_its_content_for_ever() -> None:
    ids = {
        mark_id(*args)
        for args in [("d", 1, 2, "a", ""), ("e", 1, 2, "a", ""), ("d", 0, 2, "a", ""), ("d", 1, 3, "a", "")]
    }
    ids |= {mark_id("d", 1, 2, "b", ""), mark_id("d", 1, 2, "a", "x"), mark_id("d", 1, 2, "a", "")}
    assert len(ids) == 6
    assert mark_id("d", 1, 2, "a", "") == "import-72cb121c8239a36f01b95981"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", 'line 1: column "device" is missing; the header is device,start,end,label'),
        ("device,start,label\n", 'line 1: column "end" is missing'),
        ("device,start,end,lable\n", 'line 1: unknown column "lable".*Did you mean "label"'),
        ("device,start,end,label,end\n", 'line 1: column "end" occurs twice'),
        (
            HEADER + "d,2026-11-24T02:00:00Z,,a\nd,2026-11-24T02:00:00,,a\n",
            'line 3: time: "2026-11-24T02:00:00" names no zone',
        ),
        (HEADER + "\n , ,\t,\nd,yesterday,,a\n", 'line 4: time: "yesterday" is no ISO'),
        (HEADER + "d,2026-11-24T02:00:00Z,a\n", "line 2: found 3 columns, expected 4"),
        (HEADER + ",2026-11-24T02:00:00Z,,a\n", 'line 2: "device" is empty'),
        (HEADER + "d,,,a\n", 'line 2: "start" is empty'),
        (HEADER + "d,2026-11-24T02:00:00Z,,\n", 'line 2: "label" is empty'),
        (HEADER + "d,2026-11-24T02:00:00Z,2026-11-24T01:00:00Z,a\n", "line 2: the end 2026.* lies before the start"),
        (HEADER + "d,9000000000000000000,,a\n", 'line 2: time: "9000000000000000000" is a number without a unit'),
        (HEADER + "d,1767225600,1767225605,a\n", "line 2: time: .* as s since 1970 it is 2026-01-01T00:00:00Z"),
        (HEADER + "d,1767225600000,,a\n", "line 2: time: .* as ms since 1970 it is 2026-01-01T00:00:00Z"),
        (HEADER + "d,46023.5,,a\n", "line 2: time: .* is a number without a unit"),
        (HEADER + "d,2026-01-01T00:00:00+25:00,,a\n", "line 2: time: .* no offset from UTC"),
        (HEADER + 'd,2026-01-01T00:00:00Z,,a\n"d\x07",2026-01-01T00:00:00Z,,a\n', 'line 3: "device" holds .*x07'),
        (HEADER + "d,2026-01-01T00:00:00Z,,a\u200b\n", 'line 2: "label" holds the character .*u200b'),
        (HEADER.encode() + b"d,2026-01-01T00:00:00Z,,a\nd,2026-01-01T00:00:00Z,,gel\xe9\n", "line 3: byte 0xe9 is not"),
        (b"\xff\xfed\0e\0v", "line 1: is not utf-16"),
        (HEADER + f"d,2026-01-01T00:00:00Z,,{'a' * 200_000}\n", "line 2: field larger than"),
        (HEADER[:-1] + ",confidence\nd,2026-11-24T02:00:00Z,,a,2\n", 'line 2: confidence: found "2"'),
        (HEADER[:-1] + ",confidence\nd,2026-11-24T02:00:00Z,,a,high\n", 'line 2: confidence: found "high"'),
        (HEADER + 'd,"2026\n', "line 2: "),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_written(tmp_path: Path, content: str | bytes, message: str) -> None:
    log = ListLog()
    with pytest.raises(UsageError, match=f"marks.csv: {message}"):
        asyncio.run(import_marks(log, written(tmp_path, content)))
    assert log.content == {}


def test_times_may_be_numbers_of_a_unit_that_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + "d,1767225600,1767225600.25,a\nd,2026-01-01T00:00:02Z,,a\n")
    first, second = read_marks(path, MarkTimes("s"))
    assert (first.start_ns, first.end_ns) == (1_767_225_600 * 10**9, 1_767_225_600_250_000_000)
    assert second.start_ns == first.start_ns + 2 * 10**9
    (told,) = read_marks(written(tmp_path, HEADER + "d,1767225600123ms,,a\n"))
    assert told.start_ns == 1_767_225_600_123_000_000
    with pytest.raises(UsageError, match='--time-unit: unknown unit "sec"; known: s, ms, us, ns'):
        read_marks(path, MarkTimes("sec"))


def test_a_file_of_carriage_returns_is_read_line_by_line(tmp_path: Path) -> None:
    (mark,) = read_marks(written(tmp_path, HEADER.replace("\n", "\r") + "d,2026-01-01T00:00:00Z,,a\r"))
    assert (mark.device, mark.label) == ("d", "a")


def test_marks_go_to_their_devices_partition_once_each(tmp_path: Path) -> None:
    rows = [f"d-{i % 3},{START + i},,{'ab'[i % 2]}\n" for i in range(30)]
    log = ListLog(partitions=4)
    summary = asyncio.run(import_marks(log, written(tmp_path, HEADER + "".join(rows + rows[:5]))))
    assert (summary.marks, summary.repeated, summary.devices, summary.labels) == (30, 5, 3, {"a": 15, "b": 15})
    assert (summary.start_ns, summary.end_ns) == (START, START + 29)
    for partition, entries in enumerate(log.content["marks"]):
        for entry in entries:
            mark = decode(entry.value)
            assert isinstance(mark, MarkAdd)
            assert entry.key == mark.device.encode()
            assert partition == partition_of(entry.key, 4)
    assert sum(len(entries) for entries in log.content["marks"]) == 30


def test_what_became_of_every_line_is_in_the_summary(tmp_path: Path) -> None:
    rows = f'd,{START},,a,"two\nlines"\n\nd,{START},,a,x\nd,{START},,a,x'
    summary = asyncio.run(import_marks(ListLog(), written(tmp_path, HEADER[:-1] + ",author\n" + rows)))
    assert (summary.lines, summary.marks, summary.repeated) == (6, 2, 1)
    assert (summary.blank, summary.spanned) == (1, 1)
    assert summary.notes == ["the last line has no line feed: if the file was cut off, its label is not whole"]
    whole = asyncio.run(import_marks(ListLog(), written(tmp_path, HEADER + f"d,{START},,a\r\n")))
    assert (whole.lines, whole.spanned, whole.notes) == (2, 0, [])


def test_a_file_without_rows_brings_no_marks(tmp_path: Path) -> None:
    summary = asyncio.run(import_marks(ListLog(), written(tmp_path, HEADER)))
    assert (summary.marks, summary.labels) == (0, {})


def test_an_end_is_exclusive_unless_it_is_said_otherwise(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + "d,2026-01-01T00:00:00Z,2026-01-01T00:00:05Z,a\nd,2026-01-01T00:00:00Z,,b\n")
    assert [mark.end_ns - mark.start_ns for mark in read_marks(path)] == [5 * 10**9, 0]
    ranged, instant = read_marks(path, MarkTimes(inclusive=True))
    assert (ranged.end_ns - ranged.start_ns, instant.end_ns - instant.start_ns) == (5 * 10**9 + 1, 0)
    assert ranged.id == mark_id("d", ranged.start_ns, ranged.end_ns, "a", "")


def test_numbers_count_from_an_origin_that_is_said(tmp_path: Path) -> None:
    start = parse_time("2026-01-01T00:00:00Z")
    path = written(tmp_path, HEADER + "d,12.5,13.000000001,a\nd,-1,2026-01-01T00:00:01Z,b\n")
    first, second = read_marks(path, MarkTimes("s", origin=("12.5", start)))
    assert (first.start_ns, first.end_ns) == (start, start + 500_000_001)
    assert (second.start_ns, second.end_ns) == (start - 13_500_000_000, start + 10**9)
    with pytest.raises(UsageError, match="--origin: say --time-unit s, ms, us or ns as well"):
        read_marks(path, MarkTimes(origin=("0", start)))
    with pytest.raises(UsageError, match='"x" is no number'):
        read_marks(path, MarkTimes("s", origin=("x", start)))
    with pytest.raises(UsageError, match='line 2: time: "9e18" is out of range'):
        read_marks(written(tmp_path, HEADER + "d,9e18,,a\n"), MarkTimes("s", origin=("0", start)))


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_sheet_of_a_country_with_decimal_commas_is_read(tmp_path: Path, separator: str) -> None:
    text = "device;start;end;label;confidence\nd;1,5;2,25;a, b;0,5\nd;3;;c;1\n"
    path, how = written(tmp_path, text.replace(";", separator)), MarkTimes("s", origin=("0", START))
    with pytest.raises(UsageError, match='line 2: start: "1,5" has a comma: say --decimal comma'):
        read_marks(path, how)
    first, second = read_marks(path, dataclasses.replace(how, decimal_comma=True))
    assert (first.start_ns - START, first.end_ns - START) == (1_500_000_000, 2_250_000_000)
    assert (first.label, first.confidence, second.start_ns - START) == ("a, b", 0.5, 3 * 10**9)
    path = written(tmp_path, "device;start;end;label\nd;1.500;2,25;a\n")
    with pytest.raises(UsageError, match='start: "1.500" has a point: say --decimal point'):
        read_marks(path, dataclasses.replace(how, decimal_comma=True))


def test_times_without_a_zone_are_read_in_the_one_that_is_said(tmp_path: Path) -> None:
    rows = "d,2026-07-01T02:00:00,2026-07-01 02:00:01.5,a\nd,2026-01-01T02:00:00Z,2026-01-01T04:00:00+01:00,b\n"
    first, second = read_marks(written(tmp_path, HEADER + rows), MarkTimes(timezone="Europe/Brussels"))
    assert first.start_ns == parse_time("2026-07-01T00:00:00Z")
    assert first.end_ns == first.start_ns + 1_500_000_000
    assert second.end_ns - second.start_ns == 3600 * 10**9
    (shifted,) = read_marks(written(tmp_path, HEADER + "d,2026-07-01T02:00:00,,a\n"), MarkTimes(timezone="-02:30"))
    assert shifted.start_ns == parse_time("2026-07-01T04:30:00Z")
    assert read_marks(written(tmp_path, HEADER + f"d,{START},,a\n"), MarkTimes(timezone="UTC"))[0].start_ns == START


@pytest.mark.parametrize(
    ("time", "message"),
    [
        ("2026-03-29T02:30:00", 'line 2: time: ".*" does not exist in Europe/Brussels'),
        (
            "2026-10-25T02:30:00",
            "line 2: .* comes twice in .*, as 2026-10-25T02:30:00.02:00 and as .*.01:00: write",
        ),
        ("2026-13-01T02:30:00", "line 2: time: .*month"),
        ("2026-01-01", "line 2: time: .* is no ISO 8601 time"),
    ],
)
def test_a_local_time_that_clocks_never_or_twice_showed_is_refused(tmp_path: Path, time: str, message: str) -> None:
    path = written(tmp_path, HEADER + f"d,{time},,a\n")
    with pytest.raises(UsageError, match=message):
        read_marks(path, MarkTimes(timezone="Europe/Brussels"))
    with pytest.raises(UsageError, match='--timezone: "Europe/Atlantis" is no zone'):
        read_marks(path, MarkTimes(timezone="Europe/Atlantis"))


def test_a_mark_is_found_again_by_its_line(tmp_path: Path) -> None:
    file = read_file(written(tmp_path, HEADER + f"d,{START},,a\n\ne,{START},,b\nd,{START},,a\n"))
    assert [file.line_of[mark.device, mark.id] for mark in file.marks] == [2, 4]
