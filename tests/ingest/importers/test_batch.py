"""Many files with one command: whole recordings, each once, none over another; what is wrong stays out and is told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import sensorloom
from ingest.log.protocol import MARKS, READINGS, Entry
from ingest.opening import open_log
from ingest.records import Chunk, MarkAdd, Record, RecordingEnd
from ingest.times import sample_times
from ingest.wire import encode
from tests.support.logs import read_log

BASE = ["--stream", "acc", "--columns", "x", "--unit", "g"]
LAID = [*BASE, "--rate", "10Hz", "--start", "2026-01-01T00:00Z", "--path", "{device}/{recording}.csv"]


class Bring:
    """Runs `import readings` on one log."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.url, self.capsys, self.err = folder, f"segments:{folder / 'log'}", capsys, ""

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def __call__(self, *words: str | Path, code: int = 0) -> Any:
        found = sensorloom.main(["import", "readings", *map(str, words), "--log", self.url, "--json"])
        captured = self.capsys.readouterr()
        self.err = captured.err
        assert found == code, captured.err
        return json.loads(captured.out) if captured.out else None

    def chunks(self) -> list[Chunk]:
        return [record for record in read_log(self.url) if isinstance(record, Chunk)]

    def marks(self) -> list[tuple[str, int, int, str]]:
        records = [record for record in read_log(self.url, MARKS) if isinstance(record, MarkAdd)]
        return [(record.device, record.start_ns, record.end_ns, record.label) for record in records]


@pytest.fixture
def bring(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bring:
    return Bring(tmp_path, capsys)


async def _write(url: str, records: list[Record]) -> None:
    log = open_log(url)
    try:
        await log.ensure(READINGS)
        await log.append(READINGS, [Entry(b"a", encode(record)) for record in records])
    finally:
        await log.close()


def rows(count: int, first: int = 0) -> str:
    return "x\n" + "".join(f"{first + number}\n" for number in range(count))


def test_a_file_that_comes_later_is_laid_behind_and_all_others_keep_their_places(bring: Bring) -> None:
    for name, count in (("a/r1", 25), ("a/r3", 5), ("b/r1", 40)):
        bring.write(f"in/{name}.csv", rows(count))
    first = bring(bring.folder / "in", *LAID)
    before = {(it["device"], it["recording"]): it["start_ns"] for it in first["recordings"]}
    assert before["a", "r1"] == before["b", "r1"] == 1_767_225_600 * 10**9
    assert before["a", "r3"] - before["a", "r1"] == 4 * 10**9  # 2.5 s, a second's pause, a whole second
    bring.write("in/a/r2.csv", rows(10))
    second = bring(bring.folder / "in", *LAID)
    after = {(it["device"], it["recording"]): it["start_ns"] for it in second["recordings"]}
    assert {key: after[key] for key in before} == before
    assert after["a", "r2"] == before["a", "r3"] + 2 * 10**9
    assert (second["imported"], second["there_already"]) == (1, 3)
    chunks = bring.chunks()
    assert len({(chunk.boot, chunk.seq) for chunk in chunks}) == len(chunks)


def test_what_was_cut_short_is_completed_where_it_lies(bring: Bring, tmp_path: Path) -> None:
    bring.write("in/a/r1.csv", rows(50))
    bring.write("in/a/r2.csv", rows(50, 100))
    whole = bring(bring.folder / "in", *LAID, "--chunk", "1s")["recordings"]
    short = f"segments:{tmp_path / 'short'}"
    records = read_log(bring.url)
    cut = next(place for place, record in enumerate(records) if isinstance(record, Chunk) and record.seq == 2)
    asyncio.run(_write(short, records[: cut + 1]))
    bring.url = short
    told = bring(bring.folder / "in", *LAID, "--chunk", "1s")
    assert told["recordings"] == whole
    assert (told["imported"], told["there_already"]) == (2, 0)


def test_a_bad_file_keeps_its_recording_out_and_no_other(bring: Bring) -> None:
    path = "{device}-{recording}-{stream}.csv"
    words = ["--columns", "x", "--unit", "g", "--rate", "10Hz", "--start", "2026-01-01T00:00Z", "--path", path]
    for name in ("p-r1-acc", "p-r1-gyro", "p-r2-acc", "p-r2-gyro"):
        bring.write(f"in/{name}.csv", rows(5) if name != "p-r1-gyro" else "x\n1\nbad\n")
    told = bring(bring.folder / "in", *words, code=1)
    assert [Path(it["file"]).stem for it in told["failed"]] == ["p-r1-acc", "p-r1-gyro"]
    assert "is not whole without" in told["failed"][0]["reason"]
    assert 'line 3: "bad" is no number' in told["failed"][1]["reason"]
    assert 'line 3: "bad" is no number' in bring.err
    assert {(chunk.recording, chunk.stream) for chunk in bring.chunks()} == {("r2", "acc"), ("r2", "gyro")}
    ends = [record for record in read_log(bring.url) if isinstance(record, RecordingEnd)]
    assert [end.recording for end in ends] == ["r2"]
    bring.write("in/p-r1-gyro.csv", rows(5))
    assert bring(bring.folder / "in", *words)["imported"] == 2


@pytest.mark.parametrize(
    ("rate", "samples"), [("50Hz", 50), ("32Hz", 32), ("2Hz", 32), ("1/60Hz", 32), ("1/300Hz", 12)]
)
def test_a_slow_stream_has_chunks_of_some_samples(bring: Bring, rate: str, samples: int) -> None:
    """A sample a minute is 45 chunks a day; none spans more than an hour."""
    bring.write("in/a/r1.csv", rows(5 * samples))
    words = [rate if word == "10Hz" else word for word in LAID]
    assert bring(bring.folder / "in", *words)["imported"] == 1
    assert [chunk.count for chunk in bring.chunks()] == [samples] * 5
    assert bring(bring.folder / "in", *words)["there_already"] == 1
    assert len(bring.chunks()) == 5
    assert bring(bring.folder / "in", *words, "--chunk", "10min")["imported"] == 1, "cut otherwise: another boot"


def test_streams_of_one_clock_keep_their_offset_and_others_begin_together(bring: Bring) -> None:
    bring.write("in/p-r1-acc.csv", "t,x\n5.25,1\n5.35,2\n")
    bring.write("in/p-r1-gyro.csv", "t,x\n5.00,1\n5.10,2\n5.20,3\n")
    bring(
        bring.folder / "in", "--columns", "x", "--unit", "g", "--time-column", "t", "--time-unit", "s",
        "--start", "2026-01-01T00:00Z", "--path", "{device}-{recording}-{stream}.csv",
    )  # fmt: skip
    times = {chunk.stream: sample_times(chunk).tolist() for chunk in bring.chunks()}
    start = 1_767_225_600 * 10**9
    assert times["gyro"][0] == start
    assert times["acc"] == [start + 250_000_000, start + 350_000_000]


def test_two_files_of_one_stream_and_recording_never_lie_over_one_another(
    bring: Bring,
) -> None:
    for name in ("a", "b"):
        bring.write(f"in/{name}.csv", rows(5))
        bring.write(f"timed/{name}.csv", "t,x\n1767225600,1\n1767225601,2\n")
    words = [*BASE, "--device", "d", "--recording", "r"]
    bring(bring.folder / "in", *words, "--rate", "1Hz", "--start", "2026-01-01T00:00Z", code=2)
    assert 'is the stream "acc" of recording "r"' in bring.err
    bring(bring.folder / "timed", *words, "--time-column", "t", "--time-unit", "s", code=2)
    assert "begins before" in bring.err
    assert bring.chunks() == []


def test_recordings_that_count_from_their_own_start_are_not_laid_over_one_another(bring: Bring) -> None:
    for name in ("walk/a", "run/b"):
        bring.write(f"in/{name}.csv", "t,x\n" + "".join(f"{number / 10},{number}{len(name)}\n" for number in range(20)))
    words = [*BASE, "--device", "d", "--time-column", "t", "--time-unit", "s", "--path", "{label}/{recording}.csv"]
    told = bring(bring.folder / "in", *words, code=1)
    assert told["imported"] == 1
    assert '"a" would lie over "b" of d' in told["failed"][0]["reason"]
    assert [label for *_, label in bring.marks()] == ["run"]
    bring(bring.folder / "in/walk", *words, code=2)  # the log remembers
    assert '"a" would lie over "b" of d' in bring.err
    assert bring(bring.folder / "in/run", *words)["there_already"] == 1
    laid = bring(bring.folder / "in/walk", *words, "--start", "2026-01-01T00:00Z")
    assert laid["imported"] == 1
    two = bring.write("two.csv", "ep,t,x\n0,0.0,1\n0,0.1,2\n1,0.0,3\n1,0.1,4\n")
    apart = [*BASE, "--device", "e", "--time-column", "t", "--time-unit", "s", "--recording-column", "ep"]
    count = len(bring.chunks())
    bring(two, *apart, code=2)
    assert len(bring.chunks()) == count, "nothing of a file that is refused"
    told = bring(two, *apart, "--start", "2026-01-01T00:00Z")
    assert len({it["start_ns"] for it in told["recordings"]}) == 2


def test_equal_files_are_told_and_those_without_a_name_come_once(bring: Bring) -> None:
    for name in ("a", "b"):
        bring.write(f"in/{name}.csv", rows(5))
    told = bring(bring.folder / "in", *BASE, "--device", "d", "--rate", "1Hz", "--start", "2026-01-01T00:00Z")
    assert (told["imported"], told["there_already"]) == (1, 1)
    assert any("byte for byte" in note for note in told["notes"])
    alone = bring(bring.folder / "in/a.csv", *BASE, "--device", "d", "--rate", "1Hz", "--start", "2026-01-01T00:00Z")
    assert alone["recordings"] == [told["recordings"][0]["recording"]]  # one file or many: it is the same import


def test_devices_and_labels_of_columns_and_what_a_path_says(bring: Bring) -> None:
    times = [1_767_225_600 + second for second in range(6)]
    frame = pl.DataFrame(
        {
            "t": [t for t in times for _ in range(2)],
            "who": ["a", "b"] * 6,
            "x": [float(i) for i in range(12)],
            "state": ["", "on"] * 3 + ["off", "on"] * 3,
        }
    )
    path = bring.write("in/B/run.csv", frame.write_csv())
    told = bring(
        path, *BASE, "--device-column", "who", "--time-column", "t", "--time-unit", "s",
        "--label-column", "state", "--path", "{site}/{recording}.csv", "--author", "anna",
    )  # fmt: skip
    assert told["devices"] == ["a", "b"]
    values = {chunk.device: np.frombuffer(chunk.values, "<i2").tolist() for chunk in bring.chunks() if chunk.seq == 0}
    assert (values["a"][0], values["b"][0]) == (0, 1)
    ns = [t * 10**9 for t in times]
    assert bring.marks() == [("a", ns[3], ns[5] + 10**9, "off"), ("b", ns[0], ns[5] + 10**9, "on")]
    assert {record.attributes["site"] for record in read_log(bring.url) if hasattr(record, "attributes")} == {"B"}
    bring.write("in/B/run.csv", frame.with_columns(pl.lit("").alias("who")).write_csv())
    bring(path, *BASE, "--device-column", "who", "--time-column", "t", "--time-unit", "s", code=2)
    assert 'line 2: "who" is empty: whose row is it?' in bring.err


def test_a_dry_run_shows_and_writes_nothing(bring: Bring) -> None:
    bring.write("in/a/r1.csv", "x;y;note\n1,5;1;a\n2,5;1;b\n3,5;1;c\n")
    bring.write("in/a/r2.csv", "x;y;note\n1,5;1;a\n")
    told = bring(
        bring.folder / "in", "--stream", "acc", "--columns", "*", "--unit", "x=g", "--unit", "1", "--decimal", "comma",
        "--rate", "10Hz", "--start", "2026-01-01T00:00Z", "--path", "{device}/{recording}.csv", "--dry-run",
    )  # fmt: skip
    assert not (bring.folder / "log").exists()
    first = told["first"]
    assert (first["separator"], first["channels"], first["rate_hz"]) == ("semicolon", {"x": "g", "y": "1"}, 10.0)
    assert first["rows"][1] == {"time": "2026-01-01T00:00:00.100Z", "x": 2.5, "y": 1.0, "labels": []}
    assert first["doubts"] == ["r1: y is always 1"]
    assert (told["dry_run"], told["files"], told["samples"]) == (True, 2, 4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--columns", "q*"], 'no column fits "q*" of --columns'),
        (["--columns", "y..x"], '"x" comes before "y"; write x..y'),
        (["--columns", "*", "--unit", "z=g", "--unit", "1"], 'there is no "z"'),
        (["--columns", "x,y", "--unit", "x=g"], '"y" has no unit; say --unit U for all, --unit y=U, or --units-row'),
        (["--columns", "x", "--unit", "g", "--skip-rows", "9"], "--skip-rows 9 leaves nothing of it"),
        (["--unit", "g"], "--columns is missing"),
        (["--columns", "x", "--unit", "g", "--label-column", "nobody"], 'no column "nobody"'),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(bring: Bring, words: list[str], message: str) -> None:
    path = bring.write("f.csv", "x,y\n1,2\n")
    bring(path, "--device", "d", "--stream", "s", "--rate", "1Hz", "--start", "2026-01-01T00:00Z", *words, code=2)
    assert message in bring.err
    assert bring.err.count("\n") == 1


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("colums = 'x'", 'unknown key "colums"'),
        ("log = 'segments:x'", 'unknown key "log"'),
        ("open = 'yes'", "open: found 'yes', expected true or false"),
        ("skip-rows = 'a'", "skip-rows: found 'a', expected a whole number"),
        ("thousands = 'dot'", '--thousands: found "dot"'),
        ("columns = [true]", "columns: found True, expected a text or a number"),
    ],
)
def test_a_preset_that_is_none_is_refused(bring: Bring, toml: str, message: str) -> None:
    preset = bring.write("p.toml", toml)
    path = bring.write("f.csv", rows(2))
    bring(path, "--device", "d", "--preset", preset, code=2)
    assert message in bring.err


def test_the_command_line_goes_before_the_preset(bring: Bring) -> None:
    preset = bring.write(
        "p.toml",
        'device = "a"\nstream = "s"\ncolumns = ["x"]\nrate = "1Hz"\nstart = 2026-01-01T00:00:00Z\n[unit]\nx = "g"\n',
    )
    told = bring(bring.write("f.csv", rows(2)), "--preset", preset, "--device", "b")
    assert (told["device"], told["start_ns"]) == ("b", 1_767_225_600 * 10**9)
