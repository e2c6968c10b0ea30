"""Marks by the samples of a recording, or by seconds from its start; with columns of their own."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.chunker import Limits, Origin, periodic_chunks, stamped_chunks
from ingest.errors import UsageError
from ingest.importers.grids import Grids, grid_of
from ingest.importers.markrows import parse_fields, parse_label_names
from ingest.importers.marks import MarksFile, MarkTimes, load, place, summarise
from ingest.units import parse_time

START = parse_time("2026-11-24T02:00:00Z")
ORIGIN = Origin("d", "r1", "acc", b"b" * 16, b"s" * 8)
LIMITS = Limits(1_000_000_000, 400)


def even(count: int, device: str = "d", recording: str = "r1", stream: str = "acc", hertz: int = 3) -> Grids:
    origin = Origin(device, recording, stream, b"b" * 16, b"s" * 8)
    chunks = list(periodic_chunks(origin, START, (10**9, hertz), np.zeros((count, 1), "<i2"), LIMITS))
    return Grids({(device, recording): {stream: grid_of(chunks)}})


@given(st.lists(st.integers(1, 10**9), min_size=3, max_size=40), st.data())
def test_an_index_is_its_samples_time_and_the_one_behind_the_last_a_step_on(
    steps: list[int], data: st.DataObject
) -> None:
    times = START + np.cumsum(steps)
    values = np.zeros((len(times), 1), "<i2")
    chunks = list(stamped_chunks(ORIGIN, times, values, Limits(10**9, 40)))
    grid = grid_of(data.draw(st.permutations(chunks)))
    assert [grid.time_of(index) for index in range(len(times))] == times.tolist()
    assert grid.time_of(len(times)) > times[-1]


def marks(
    tmp_path: Path, text: str, how: MarkTimes, grids: Grids, *fields: str, columns: str = "", **more: bool
) -> MarksFile:
    path = tmp_path / "labels.txt"
    path.write_text(text)
    named = tuple(columns.split(",")) if columns else ()
    return place(load(path, how, parse_fields(fields, named, {})), how, grids, **more)


@pytest.mark.parametrize(("base", "inclusive"), [(0, True), (0, False), (1, True), (1, False)])
def test_samples_are_counted_from_0_or_1_and_the_last_belongs_or_not(
    tmp_path: Path, base: int, inclusive: bool
) -> None:
    how, grids = MarkTimes(index_base=base, inclusive=inclusive), even(30)
    text = f"1 {2 + base} {5 + base - inclusive} walk\n1 {5 + base} {30 + base - inclusive} run\n"
    file = marks(tmp_path, text, how, grids, "recording=r{n}", columns="n,start,end,label")
    times = [START + index * 10**9 // 3 for index in (2, 5, 30)]
    assert [(m.device, m.start_ns, m.end_ns, m.label) for m in file.marks] == [
        ("d", times[0], times[1], "walk"),
        ("d", times[1], times[2], "run"),
    ]
    told = summarise(file)
    assert (told.lines, told.marks, told.spanned) == (2, 2, 0)


def test_seconds_count_from_the_recordings_start(tmp_path: Path) -> None:
    how = MarkTimes(unit="s", from_start="2")
    text = "event;begin;stop;who\nslam;2.5;;anna\nrun;3;11.5;anna\n"
    file = marks(
        tmp_path, text, how, even(30), "recording=r1", "label={event}", "start={begin}", "end={stop}", "author={who}"
    )
    assert [(m.start_ns - START, m.end_ns - START, m.label, m.author) for m in file.marks] == [
        (5 * 10**8, 5 * 10**8, "slam", "anna"),
        (10**9, 95 * 10**8, "run", "anna"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("r1,30,31,a", 'line 2: sample 30 \\(from 0\\): acc of recording "r1" has 30 samples'),
        ("r1,5,31,a", "line 2: sample 31 \\(from 0\\)"),
        ("r1,5,5,a", "line 2: from 5 to 5 there is no sample"),
        ("r1,5.5,6,a", 'line 2: found "5.5", expected the number of a sample'),
        ("r1,-1,6,a", 'line 2: found "-1", expected the number of a sample'),
        ("r2,1,6,a", 'line 2: the log has no recording "r2"; known: r1.*--skip-unknown'),
        (",1,6,a", "of which recording"),
    ],
)
def test_a_row_that_fits_no_sample_is_refused_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        marks(tmp_path, f"recording,start,end,label\n{line}\n", MarkTimes(index_base=0), even(30))


@pytest.mark.parametrize(("text", "unit"), [("9000", "s"), ("-1", "s"), ("11", "s")])
def test_a_time_outside_of_its_recording_is_refused(tmp_path: Path, text: str, unit: str) -> None:
    with pytest.raises(UsageError, match="which is 10 s long: is the unit right"):
        marks(tmp_path, f"recording,start,end,label\nr1,{text},,a\n", MarkTimes(unit=unit, from_start="0"), even(30))


def test_rows_of_unknown_recordings_are_left_out_only_where_it_is_said_and_counted(tmp_path: Path) -> None:
    text = "recording,start,end,label\nr1,1,2,a\nr9,1,2,a\n"
    file = marks(tmp_path, text, MarkTimes(index_base=0), even(30), skip_unknown=True)
    assert (len(file.marks), file.elsewhere) == (1, 1)
    assert file.notes == ["1 rows are of recordings that the log does not have, and were left out"]
    assert summarise(file).spanned == 0
    with pytest.raises(UsageError, match="the log has none of its recordings"):
        marks(tmp_path, "recording,start,end,label\nr9,1,2,a\n", MarkTimes(index_base=0), even(30), skip_unknown=True)


def test_streams_that_differ_and_devices_that_share_a_name_must_be_told_apart(tmp_path: Path) -> None:
    grids = even(30)
    grids.recordings["d", "r1"] |= even(60, stream="gyro", hertz=6).recordings["d", "r1"]
    text = "recording,start,end,label\nr1,1,2,a\n"
    with pytest.raises(UsageError, match="lies elsewhere in acc, gyro; say whose, by --stream"):
        marks(tmp_path, text, MarkTimes(index_base=0), grids)
    (mark,) = marks(tmp_path, text, MarkTimes(index_base=0, stream="gyro"), grids).marks
    assert mark.start_ns == START + 10**9 // 6
    grids.recordings["e", "r1"] = grids.recordings["d", "r1"]
    with pytest.raises(UsageError, match='2 devices have a recording "r1"'):
        marks(tmp_path, text, MarkTimes(index_base=0, stream="gyro"), grids)


def test_where_a_device_has_one_recording_that_is_meant() -> None:
    grids = even(30)
    assert grids.find("d", "") == ("d", "r1")
    assert grids.since_ns(("d", "r1"), Fraction(10**9)) == START + 10**9
    grids.recordings["d", "r2"] = grids.recordings["d", "r1"]
    with pytest.raises(UsageError, match="d has 2 recordings; say --field recording=TEXT"):
        grids.find("d", "")


def test_codes_of_labels_are_named_by_lines_or_words() -> None:
    assert parse_label_names("1 WALKING \n2 WALKING_UP\n\n", "f") == {"1": "WALKING", "2": "WALKING_UP"}
    assert parse_label_names("1=walk,2=run fast", "f") == {"1": "walk", "2": "run fast"}
    for text in ("1", "1=a,1=b"):
        with pytest.raises(UsageError, match="use CODE=NAME"):
            parse_label_names(text, "f")


@pytest.mark.parametrize(
    ("words", "columns", "message"),
    [
        (["lable={x}"], (), 'unknown key "lable"'),
        (["label"], (), "use FIELD=TEXT"),
        (["label=a", "label=b"], (), "label is given twice"),
    ],
)
def test_a_field_that_is_none_is_refused(words: list[str], columns: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_fields(words, columns, {})


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (MarkTimes(index_base=2), "expected 0 or 1"),
        (MarkTimes(index_base=0, unit="s"), "samples are counted"),
        (MarkTimes(from_start="0"), "say --time-unit"),
    ],
)
def test_what_contradicts_itself_is_refused(how: MarkTimes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        how.check()
