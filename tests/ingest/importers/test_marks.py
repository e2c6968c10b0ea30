"""Marks come from a CSV; a bad row is named and nothing is written."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ingest.errors import UsageError
from ingest.importers.marks import import_marks, mark_id, read_marks
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
        (b"\xff\xfed\0e\0", "line 1: byte 0xff is not UTF-8"),
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
    first, second = read_marks(path, "s")
    assert (first.start_ns, first.end_ns) == (1_767_225_600 * 10**9, 1_767_225_600_250_000_000)
    assert second.start_ns == first.start_ns + 2 * 10**9
    (told,) = read_marks(written(tmp_path, HEADER + "d,1767225600123ms,,a\n"))
    assert told.start_ns == 1_767_225_600_123_000_000
    with pytest.raises(UsageError, match='--time-unit: unknown unit "sec"; known: s, ms, us, ns'):
        read_marks(path, "sec")


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
