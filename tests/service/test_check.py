"""`window check`, and a run that makes nothing: which streams were found, what is missing, and which key changes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import sensorloom
from ingest.log.protocol import MARKS, Entry
from ingest.records import MarkAdd
from ingest.wire import encode
from tests.service.test_rules_run import put

CONFIG = """name = "x"

[window]
length = "LENGTH"
hop = "1s"
rate = "50Hz"
channels = [CHANNELS]
"""


STATES = ",".join(f"{code}=s{code}" for code in range(7))


class Desk:
    """A folder with a log and a configuration, and what commands told there."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.log = f"segments:{folder}/log"
        self._capsys = capsys
        (folder / "run.csv").write_text("x,y\n" + "".join(f"{n % 7},{n % 5}\n" for n in range(600)))

    def bring(self, stream: str = "acc", columns: str = "x,y", rate: str = "50Hz", *more: str) -> None:
        words = ["import", "readings", str(self.folder / "run.csv"), "--device", "p", "--stream", stream]
        words += ["--columns", columns, "--unit", "g", "--rate", rate, "--start", "2026-01-01T00:00:00Z"]
        assert sensorloom.main([*words, "--log", self.log, *more]) == 0

    def write(self, *channels: str, length: str = "2s", more: str = "") -> None:
        listed = ", ".join(f'"{channel}"' for channel in channels)
        text = CONFIG.replace("CHANNELS", listed).replace("LENGTH", length)
        (self.folder / "dataset.toml").write_text(text + more)

    def check(self) -> tuple[int, dict[str, Any]]:
        """The exit code, and the report; the causes are on stderr as well."""
        self._capsys.readouterr()
        code = sensorloom.main(
            ["window", "check", "-c", str(self.folder / "dataset.toml"), "--log", self.log, "--json"]
        )
        told = self._capsys.readouterr()
        report: dict[str, Any] = json.loads(told.out)
        assert all(cause in told.err for cause in report["causes"])
        return code, report

    def run(self) -> tuple[int, str]:
        words = ["window", "run", "-c", str(self.folder / "dataset.toml"), "--log", self.log, "--until-idle"]
        self._capsys.readouterr()
        code = sensorloom.main([*words, "--out", str(self.folder / "dataset")])
        return code, self._capsys.readouterr().err


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capsys)


def test_a_check_counts_what_a_run_makes_and_writes_nothing(desk: Desk) -> None:
    desk.bring()
    desk.bring("gyro", "x")
    desk.write("acc.x", "acc.y")
    code, report = desk.check()
    assert (code, report["windows"]) == (0, 11)
    acc, gyro = report["streams"]
    assert (acc["stream"], acc["named"], acc["samples"], acc["rates_hz"], acc["apart_ns"]) == (
        *("acc", True, 600),
        *([50.0], 20_000_000),
    )
    assert acc["channels"] == {"x": ["g"], "y": ["g"]}
    assert (gyro["named"], "not named: the stream gyro is in no window" in report["causes"]) == (False, True)
    assert not (desk.folder / "dataset").exists()
    assert desk.run()[0] == 0
    assert len(sensorloom.open(desk.folder / "dataset")) == 11


def test_a_check_is_readable(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.bring()
    desk.write("acc.x")
    capsys.readouterr()
    assert sensorloom.main(["window", "check", "-c", str(desk.folder / "dataset.toml"), "--log", desk.log]) == 0
    out = capsys.readouterr().out
    assert "stream acc: 1 device, 1 recording, 600 samples, 50 Hz, 20ms apart: x in g, y in g" in out
    assert "windows: 11" in out


def both(desk: Desk, said: str) -> None:
    """Check and run end with 1, and with the same words."""
    code, report = desk.check()
    assert (code, report["windows"]) == (1, 0)
    (cause,) = [cause for cause in report["causes"] if said in cause]
    code, err = desk.run()
    assert code == 1
    assert "no window was made" in err
    assert cause in err


def test_a_typo_in_a_stream_names_the_nearest(desk: Desk) -> None:
    desk.bring()
    desk.write("ac.x")
    both(desk, 'no device in the log has a stream "ac"; known: acc. Did you mean "acc"?')


def test_a_typo_in_a_channel_names_the_nearest(desk: Desk) -> None:
    desk.bring("imu", "x,y", "50Hz", "--channel-names", "temperature,pressure")
    desk.write("imu.temperatur")
    both(desk, 'the stream imu has no channel "temperatur"; known: pressure, temperature. Did you mean "temperature"?')


def test_streams_of_two_recordings_are_named_with_what_joins_them(desk: Desk) -> None:
    desk.bring("acc", "x")
    desk.bring("gyro", "y")
    desk.write("acc.x", "gyro.y")
    both(desk, "import them with one --recording NAME, all but the last with --open")


def test_a_recording_that_waits_for_a_stream_is_named(desk: Desk) -> None:
    desk.bring("acc", "x", "50Hz", "--recording", "r", "--open")
    desk.write("acc.x", "gyro.y")
    both(desk, 'no device in the log has a stream "gyro"')
    desk.bring("gyro", "y", "50Hz", "--recording", "other", "--open")
    both(desk, "recordings without a stream: other of p has gyro, and no acc, which is in recording r")


def test_a_window_longer_than_every_recording_is_named(desk: Desk) -> None:
    desk.bring()
    desk.write("acc.x", length="20s")
    both(desk, "length: the longest recording has 11.98s, a window 20s")


def test_an_anchor_without_marks_is_named(desk: Desk) -> None:
    desk.bring()
    desk.write("acc.x", more='anchor = "mark"\n')
    both(desk, "the log has no marks to begin windows at; import marks")
    mark = MarkAdd("p", "m", 0, 1, "run", "rules.yaml", "rule", revision="of another dataset")
    put(desk.log, MARKS, Entry(b"p", encode(mark)))
    both(desk, "the log has no marks to begin windows at but 1 of rules that are not named")


def test_slow_data_under_a_short_gap_name_the_key(desk: Desk) -> None:
    desk.bring("acc", "x,y", "1Hz")
    desk.write("acc.x", more='max_gap = "500ms"\n')
    code, report = desk.check()
    assert code == 1
    (cause,) = [cause for cause in report["causes"] if cause.startswith("gap: ")]
    assert "the samples of acc lie 1s apart, max_gap is 500ms" in cause
    assert 'max_gap = "5s" in [window.streams.acc]' in cause


def test_an_empty_log_is_named(desk: Desk) -> None:
    desk.bring()
    empty = f"segments:{desk.folder}/empty"
    (desk.folder / "empty").mkdir()
    desk.write("acc.x")
    assert sensorloom.main(["window", "check", "-c", str(desk.folder / "dataset.toml"), "--log", empty]) == 1
    assert sensorloom.main(["window", "check", "-c", str(desk.folder / "dataset.toml"), "--log", empty + "x"]) == 2


def test_a_grid_much_finer_than_a_stream_is_told(desk: Desk) -> None:
    desk.bring("acc", "x,y", "5Hz")
    desk.write("acc.x", more='max_gap = "1s"\n')
    code, report = desk.check()
    assert code == 0
    (cause,) = [cause for cause in report["causes"] if cause.startswith("rate: ")]
    assert "10 values for each sample of acc (5 Hz): what lies between is made up" in cause
    for more in ('interpolation = "hold"\n', '[window.streams.acc]\ninterpolation = "none"\n'):
        desk.write("acc.x", more='max_gap = "1s"\n' + more)
        assert not [cause for cause in desk.check()[1]["causes"] if cause.startswith("rate: ")]


@pytest.mark.parametrize(("rate", "states", "told"), [("6Hz", [], False), ("1Hz", ["--values", STATES], False)])
def test_a_grid_that_makes_up_little_or_nothing_is_not_told(
    desk: Desk, rate: str, states: list[str], told: bool
) -> None:
    desk.bring("acc", "x", rate, *states)
    desk.write("acc.x", more='max_gap = "5s"\n')
    assert any(cause.startswith("rate: ") for cause in desk.check()[1]["causes"]) is told
