"""`sensorloom marks` and `sensorloom import marks`, on a real log."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

import sensorloom
from ingest.log.protocol import MARKS, READINGS, Entry
from ingest.opening import open_log
from ingest.records import Chunk, MarkAdd, MarkEdit, MarkRetract
from ingest.units import parse_time
from ingest.wire import encode
from tests.support.logs import read_log

HEADER = "device,start,end,label,author\n"
ROWS = (
    "pump-7,2026-01-05T08:00:00Z,2026-01-05T08:01:00Z,wrong,anna\n"
    "pump-7,2026-01-05T08:02:00Z,2026-01-05T08:03:00Z,run,anna\n"
)


class Bench:
    """A folder with a log, and the command on it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.url = f"segments:{folder / 'log'}"
        self._capsys = capsys
        self.err = ""

    def __call__(self, *words: str, code: int = 0) -> str:
        assert sensorloom.main([*words, "--log", self.url]) == code
        told = self._capsys.readouterr()
        self.err = told.err
        return told.out

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json"))

    def load(self, rows: str, *words: str) -> Any:
        path = self.folder / "marks.csv"
        path.write_text(HEADER + rows)
        return self.json("import", "marks", str(path), *words)

    def marks(self, *words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.json("marks", "list", *words)["marks"]
        return found

    def labels(self, *words: str) -> list[str]:
        return [mark["label"] for mark in self.marks(*words)]


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    found = Bench(tmp_path, capsys)
    found.load(ROWS)
    return found


def test_list_shows_who_marked_what_and_when(bench: Bench) -> None:
    first, second = bench.marks()
    assert (first["device"], first["label"], first["author"], first["tool"]) == ("pump-7", "wrong", "anna", "import")
    assert (first["start"], first["start_ns"]) == ("2026-01-05T08:00:00.000000000Z", parse_time("2026-01-05T08:00:00Z"))
    assert first["marked_ns"] > first["end_ns"]
    assert bench.labels("--label", "run") == ["run"] == bench.labels("--from", "2026-01-05T08:01:00Z")
    assert bench.labels("--to", "2026-01-05T08:02:00Z", "--marked-by", "anna") == ["wrong"]
    assert bench.labels("--device", "pump-8") == []
    heading, day, *lines = bench("marks", "list").splitlines()
    assert heading.split() == ["id", "device", "when", "label", "by"]
    assert day == "2026-01-05, UTC"
    assert [line.split(maxsplit=1)[1] for line in lines] == [
        "pump-7  08:00:00.0 to 08:01:00.0  wrong  anna (import)",
        "pump-7  08:02:00.0 to 08:03:00.0  run    anna (import)",
    ]
    assert "2 marks stand" in bench.err
    short = lines[1].split()[0]
    assert second["id"].startswith(short)
    bench("marks", "edit", short, "--label", "walk", "--author", "ben")
    bench("marks", "list", "--label", "walk")
    assert "1 mark stands" in bench.err
    bench("marks", "retract", short, "--author", "ben")
    bench("marks", "list", "--retracted")
    assert "1 mark was retracted" in bench.err


def test_list_says_who_accepted_a_mark(bench: Bench) -> None:
    name = bench.marks()[1]["id"]
    accept = MarkEdit("pump-7", name, "otto", "operator", client_ns=5, accept=True)

    async def append() -> None:
        log = open_log(bench.url)
        await log.append(MARKS, [Entry(b"pump-7", encode(accept))])
        await log.close()

    asyncio.run(append())
    assert [(mark["author"], mark["reviewed_by"]) for mark in bench.marks()] == [("anna", ""), ("anna", "otto")]


def test_labels_have_one_spelling_and_an_import_its_ids_of_before(bench: Bench) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    bench.load(f"pump-7,2026-01-05T09:00:00Z,2026-01-05T09:01:00Z,{decomposed},anna\n")
    (mark,) = bench.marks("--label", decomposed)
    assert (mark["label"], mark["id"]) == (composed, "import-8c8ec5d98a80ab07981c41c8")
    assert f"label={composed}" in bench("log", "cat", "marks", "--until-idle")
    bench("marks", "edit", mark["id"], "--label", "rest", "--author", "ben")
    bench("marks", "edit", mark["id"], "--label", decomposed, "--author", "ben")
    assert bench.labels("--label", composed) == [composed]
    assert decomposed not in bench("log", "cat", "marks", "--until-idle")


def test_edit_retract_and_undo_with_author_tool_and_reason(bench: Bench) -> None:
    name = bench.marks()[0]["id"]
    end = "2026-01-05T08:00:30Z"
    words = ["marks", "edit", name[:12], "--label", "right", "--end", end, "--author", "bob", "--reason", "a slip"]
    assert bench(*words, "--dry-run").startswith(f'would edit {name} of pump-7: "wrong"')
    assert bench.labels() == ["wrong", "run"]
    bench(*words)
    changed = bench.marks()[0]
    assert (changed["label"], changed["end"][:20], changed["author"]) == ("right", "2026-01-05T08:00:30.", "bob")
    bench("marks", "retract", name, "--author", "cy", "--tool", "button", "--reason", "never was")
    assert bench.labels() == ["run"]
    assert bench.labels("--retracted") == ["right"]
    assert bench("marks", "undo", "--author", "cy") == f"undo the retract of pump-7 {name}\n"
    assert bench.labels() == ["right", "run"]
    bench("marks", "undo", "--author", "bob")
    assert bench.labels() == ["wrong", "run"]
    told = [it for it in read_log(bench.url, "marks") if isinstance(it, MarkEdit | MarkRetract)]
    assert [(it.author, it.tool, it.reason) for it in told[:2]] == [
        ("bob", "operator", "a slip"),
        ("cy", "button", "never was"),
    ]
    assert all(it.client_ns > 0 for it in told)
    assert "nothing that" in (bench("marks", "undo", "--author", "bob", code=2) or bench.err)


def test_many_marks_are_retracted_by_what_they_have_in_common(bench: Bench) -> None:
    bench.load("dev-O,2026-01-05T08:00:00Z,,typo,anna\n" * 2 + "dev-O,2026-01-05T09:00:00Z,,typo,bob\n")
    told = bench.json("marks", "retract", "--device", "dev-O", "--marked-by", "anna", "--author", "anna")
    assert told["written"] == 1
    assert bench.labels("--device", "dev-O") == ["typo"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["edit", "nope", "--label", "a", "--author", "x"], 'no mark "nope" stands'),
        (["edit", "import-", "--label", "a", "--author", "x"], '"import-" names 2 marks: import-.* of pump-7'),
        (["edit", "import-", "--author", "x"], "nothing to change"),
        (["edit", "import-", "--label", " ", "--author", "x"], "--label: is empty"),
        (["edit", "import-", "--confidence", "2", "--author", "x"], "--confidence: found"),
        (["edit", "import-", "--label", "a", "--author", " "], "--author: is empty"),
        (["edit", "import-", "--label", "a", "--author", "x", "--tool", "rule"], "people use operator, button, import"),
        (["edit", "import-", "--start", "5", "--author", "x"], "--start: time"),
        (["retract", "--author", "x"], "name marks by their ids"),
        (["retract", "--device", "none", "--author", "x"], "no mark that stands is meant"),
        (["undo", "--author", "x", "--count", "0"], "--count: found 0"),
    ],
)
def test_what_is_wrong_is_said(bench: Bench, words: list[str], message: str) -> None:
    bench("marks", *words, code=2)
    assert re.search(message, bench.err), bench.err


def test_an_end_before_the_start_is_refused(bench: Bench) -> None:
    bench("marks", "edit", bench.marks()[0]["id"], "--end", "2026-01-05T07:00:00Z", "--author", "x", code=2)
    assert "would lie before the start" in bench.err


def test_replace_makes_the_file_what_stands(bench: Bench) -> None:
    told = bench.load(ROWS.replace("wrong", "right"), "--replace", "--dry-run")
    assert (told["edited"], told["unchanged"], told["dry_run"]) == (1, 1, True)
    assert bench.labels() == ["wrong", "run"]
    told = bench.load(ROWS.replace("wrong", "right"), "--replace")
    assert [told[name] for name in ("added", "edited", "retracted", "unchanged", "others")] == [0, 1, 0, 1, 0]
    assert bench.labels() == ["right", "run"]
    told = bench.load(ROWS.splitlines(keepends=True)[1], "--replace")
    assert (told["retracted"], bench.labels()) == (0, ["right", "run"])
    assert any('"pump-7" keeps 1 mark of anna, the first at' in note for note in told["notes"])
    told = bench.load(ROWS.splitlines(keepends=True)[1], "--replace", "--from", "2026-01-05T00:00:00Z")
    assert (told["retracted"], bench.labels()) == (1, ["run"])
    told = bench.load("", "--replace", "--device", "pump-7", "--marked-by", "anna")
    assert (told["retracted"], bench.labels()) == (1, [])
    bench.load(ROWS, "--replace")
    assert bench.labels() == ["wrong", "run"]


def test_a_file_without_rows_must_say_what_it_replaces(bench: Bench) -> None:
    path = bench.folder / "empty.csv"
    path.write_text(HEADER)
    bench("import", "marks", str(path), "--replace", code=2)
    assert "has no rows: say what it replaces, by --device" in bench.err
    bench("import", "marks", str(path), "--device", "d", code=2)
    assert "say --replace" in bench.err
    bench("import", "marks", str(path), "--end", "open", code=2)
    assert '--end: found "open", expected exclusive or inclusive' in bench.err


def test_a_plain_import_does_not_bring_back_what_was_corrected(bench: Bench) -> None:
    bench("marks", "retract", bench.marks()[0]["id"], "--author", "bob")
    told = bench.load(ROWS)
    assert told["notes"][-1].startswith("1 of the marks were imported before, and edited or retracted since")
    assert bench.labels() == ["run"]
    assert bench.load(ROWS, "--replace")["others"] == 1
    bench("marks", "undo", "--author", "bob")
    assert bench.labels() == ["wrong", "run"]


def test_what_fits_nothing_in_the_log_is_told(bench: Bench) -> None:
    assert "the log has no readings yet" in bench.load(ROWS)["notes"][0]
    start = parse_time("2026-01-05T08:00:00Z")
    chunk = Chunk("pump-7", "r", "s", b"b" * 16, 0, b"s" * 16, start, 10**9, 1, 0, 0, b"", 300, bytes(1200))

    async def put() -> None:
        log = open_log(bench.url)
        await log.ensure(READINGS)
        await log.append(READINGS, [Entry(b"pump-7", encode(chunk))])
        await log.close()

    asyncio.run(put())
    assert bench.load(ROWS)["notes"] == []
    notes = bench.load(
        "Pump-7,2026-01-05T08:00:00Z,,run,anna\npump-7,2016-01-05T08:00:00Z,,run,anna\n"
        "pump-7,2026-01-05T08:00:00Z,,wronk,anna\n"
    )["notes"]
    assert notes[0] == '"Pump-7": 1 mark, but no samples of such a device; did you mean "pump-7"?'
    assert notes[1].startswith(
        '"pump-7": 1 mark where it has no samples, as run at 2016-01-05T08:00:00Z; its samples go'
    )
    assert notes[2] == 'the label "wronk" (1 mark) is new in this log, which has "wrong": is it that?'
    assert bench.load("Q,2026-01-05T08:00:00Z,,run,anna\n", "--unchecked")["notes"] == []


def test_import_takes_inclusive_ends_zones_and_origins(bench: Bench) -> None:
    bench.load("d,0,1.5,a,anna\n", "--time-unit", "s", "--origin", "0=2026-01-05T08:00:00Z", "--end", "inclusive")
    bench.load("d,2026-07-05T08:00:00,,b,anna\n", "--timezone", "Europe/Brussels")
    first, second = bench.marks("--device", "d")
    assert first["end_ns"] - first["start_ns"] == 1_500_000_001
    assert second["start"] == "2026-07-05T06:00:00.000000000Z"


def test_every_place_where_an_end_is_written_says_that_it_is_exclusive(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in (["import", "marks"], ["marks", "edit"], ["marks", "list"]):
        with pytest.raises(SystemExit):
            sensorloom.main([*words, "--help"])
        assert "exclusive" in capsys.readouterr().out, words


def test_added_marks_are_those_of_the_file(bench: Bench) -> None:
    marks = [it for it in read_log(bench.url, "marks") if isinstance(it, MarkAdd)]
    assert [(it.label, it.author, it.tool) for it in marks] == [("wrong", "anna", "import"), ("run", "anna", "import")]
