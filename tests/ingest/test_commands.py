"""The commands `import` and `log` as a person uses them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import sensorloom
from ingest.log.protocol import Entry
from ingest.opening import open_log
from ingest.records import Gap
from ingest.wire import encode
from tests.support.data import data_dir

ACC = str(data_dir() / "hapt" / "raw" / "acc_exp01_user01.txt.gz")
MACHINE = str(data_dir() / "nab" / "data" / "realKnownCause" / "machine_temperature_system_failure.csv.gz")
HAPT = ["--device", "p-1", "--stream", "acc", "--columns", "x,y,z", "--unit", "g", "--rate", "50Hz"]
START = ["--start", "2026-11-24T02:00:00Z"]


class Command:
    """Runs `sensorloom` on one log."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.url, self.capsys, self.err = f"segments:{folder / 'log'}", capsys, ""

    def __call__(self, *words: str, code: int = 0) -> str:
        assert sensorloom.main([*words, "--log", self.url]) == code
        captured = self.capsys.readouterr()
        self.err = captured.err
        return captured.out

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json"))


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, capsys)


def test_import_and_look(command: Command) -> None:
    summary = command.json("import", "readings", ACC, *HAPT, *START, "--partitions", "3")
    assert (summary["samples"], summary["chunks"], summary["dtype"]) == (20_598, 412, "float64")
    assert 24 < summary["bytes_per_sample"] < 27
    assert {t["topic"]: (t["partitions"], t["records"]) for t in command.json("log", "topics")["topics"]} == {
        "readings": (3, 414),
        "streams": (3, 1),
    }
    stats = command.json("log", "stats", "--device", "p-1")
    assert sum(p["records"] for p in stats["partitions"] if p["topic"] == "readings") == 414
    (stream,) = stats["streams"]
    assert (stream["stream"], stream["samples"], stream["chunks"]) == ("acc", 20_598, 412)
    lines = command("log", "cat", "readings", "--device", "p-1", "--until-idle", "--limit", "2").splitlines()
    assert "recording_start" in lines[0]
    assert lines[1].endswith("x=0.851389 g, y=-0.155556 g, z=0.579167 g")
    late = ["--from", "2026-11-24T02:06:51.940Z", "--until-idle"]
    chunk, end = map(json.loads, command("log", "cat", "readings", *late, "--json").splitlines())
    assert (chunk["kind"], end["kind"], len(chunk["values"])) == ("chunk", "recording_end", chunk["count"])


def test_the_summary_and_the_figures_are_readable_as_text(command: Command) -> None:
    out = command("import", "readings", ACC, *HAPT, *START)
    assert "samples           20,598\n" in out
    assert "start             2026-11-24T02:00:00Z\n" in out
    topics = command("log", "topics").splitlines()
    assert [line.split() for line in topics][1][0] == "readings"
    assert "2026-11-24T02:06:51.940Z" in command("log", "stats", "--device", "p-1", "--group", "g")


@pytest.mark.parametrize("words", [["stats"], ["cat", "readings", "--until-idle"]])
def test_a_device_that_is_not_there_is_told_with_the_nearest(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = f"segments:{tmp_path}/log"

    async def write() -> None:
        to = open_log(log)
        gap = Gap("pump-7", "r", "acc", b"b" * 16, 0, 10, 40, "torn")
        await to.append("readings", [Entry(b"pump-7", encode(gap)), Entry(b"pump-7", encode(gap))])
        odd = Gap("pump\x1b]0;pwned\x07", "r", "acc", b"b" * 16, 0, 10, -1, "torn")
        await to.append("readings", [Entry(odd.device.encode(), encode(odd))])
        await to.close()

    asyncio.run(write())
    assert sensorloom.main(["log", *words, "--device", "Pump7", "--log", log]) == 2
    error = capsys.readouterr().err
    assert '"readings" has no record of a device "Pump7"; there are: pump-7. Did you mean "pump-7"?' in error
    assert sensorloom.main(["log", *words, "--device", "pump-7", "--log", log]) == 0
    shown = capsys.readouterr().out
    assert "torn" in shown if words[0] == "cat" else "acc     0       0        2     80" in shown
    assert sensorloom.main(["log", *words, "--log", log]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert ("pump\\x1b]0;pwned\\x07" in shown) is (words[0] == "cat")


def test_a_clock_step_is_said_on_stderr(command: Command) -> None:
    given = ["--device", "m", "--stream", "temp", "--columns", "value", "--unit", "degF", "--time-column", "timestamp"]
    summary = command.json(
        "import", "readings", MACHINE, *given, "--timezone", "UTC", "--recording", "m", "--chunk", "1d"
    )
    assert 'line 10151: the clock steps back by 3300 s: recording "m-2" begins' in command.err
    assert summary["clock_steps"] == [{"at": "line 10151", "back_ns": 3_300_000_000_000, "recording": "m-2"}]


def test_missing_values_are_null_in_json(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("x,y\n1,\n")
    given = ["--device", "d", "--stream", "s", "--columns", "x,y", "--unit", "g,V", "--scale", "1/4,2", "--rate", "1Hz"]
    command("import", "readings", str(path), *given, *START)
    lines = command("log", "cat", "readings", "--until-idle", "--json").splitlines()
    chunk = next(told for told in map(json.loads, lines) if told["kind"] == "chunk")
    assert chunk["values"] == [[0.25, None]]
    assert chunk["channels"] == [{"name": "x", "unit": "g"}, {"name": "y", "unit": "V"}]


def test_named_states_are_brought_in_and_shown(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "door.csv"
    path.write_text("x,y\n0,1\n1,\n")
    given = ["--device", "d", "--stream", "door", "--columns", "x,y", "--unit", "1", "--rate", "2Hz"]
    command("import", "readings", str(path), *given, *START, "--values", "x:0=raised,1=down")
    shown = command("log", "cat", "readings", "--until-idle")
    assert "x=raised (0), y=1 1 … 2026-11-24T02:00:00.500Z x=down (1), y=nan 1" in shown
    assert "channels=x[0=raised,1=down],y[1]" in command("log", "cat", "streams", "--until-idle")


def test_marks(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "marks.csv"
    path.write_text("device,start,end,label\np-1,2026-11-24T02:00:00Z,2026-11-24T02:00:01Z,walking\n")
    summary = command.json("import", "marks", str(path))
    assert (summary["marks"], summary["labels"]) == (1, {"walking": 1})
    assert "labels    walking 1" in command("import", "marks", str(path))
    first, second = command("log", "cat", "marks", "--until-idle").splitlines()
    assert first.split(" ", 1)[1] == second.split(" ", 1)[1]
    assert "p-1 mark_add id=import-" in first
    assert "label=walking tool=import confidence=1.0" in first


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["import", "readings", ACC, *HAPT], "--rate needs --start"),
        (["import", "readings", ACC, *HAPT[:-1], "50", *START], 'rate: found "50"'),
        (["import", "readings", ACC, *HAPT, *START, "--values", "0=up"], '--values: found "0=up"; say which channel'),
        (["import", "readings", ACC, *HAPT, *START, "--scale", "0"], '--scale: found "0"'),
        (["import", "readings", ACC, *HAPT, *START, "--scale", "1/0"], '--scale: found "1/0"'),
        (["import", "readings", ACC, *HAPT, *START, "--chunk", "0s"], "--chunk: found 0s"),
        (["import", "readings", ACC, *HAPT, *START, "--partitions", "0"], "--partitions: found 0"),
        (["import", "readings", ACC, *HAPT, *START, "--channel-names", "a,,b"], '--channel-names: found "a,,b"'),
        (["import", "readings", "nowhere.csv", *HAPT, *START], "nowhere.csv: no such file"),
        (["log", "topics"], "there is no log"),
        (["log", "cat", "readings", "--limit", "0"], "--limit: found 0"),
    ],
)
def test_wrong_usage_ends_with_2_and_one_line(command: Command, words: list[str], message: str) -> None:
    command(*words, code=2)
    assert message in command.err
    assert command.err.count("\n") == 1


@pytest.mark.parametrize(
    "words", [["import", "readings"], ["import", "marks"], ["log", "topics"], ["log", "cat"], ["log", "stats"]]
)
def test_help_has_an_example(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        sensorloom.main([*words, "--help"])
    assert ended.value.code == 0
    assert f"sensorloom {' '.join(words)} " in capsys.readouterr().out.partition("example")[2]
