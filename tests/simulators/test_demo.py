"""The demo as a user runs it: its claims are worked out again from the truth, its words and exit codes are seen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sensorloom
from edge.agent.agent import Agent
from ingest.errors import LogUnavailableError, PermanentError
from ingest.importers.marks import read_marks
from ingest.inspection import records
from ingest.log.protocol import MARKS, READINGS
from ingest.log.segments import SegmentLog
from ingest.opening import open_log
from ingest.records import Chunk, MarkAdd
from ingest.times import sample_times
from labeling.rulefile import read_rules
from labeling.rules.state import RuleState
from simulators.closing import closing_report
from simulators.demo import Lived, run_demo
from simulators.recording import Recording
from simulators.report import Report
from simulators.scenario import load_scenario
from simulators.site import FILES, Site
from simulators.watching import Watch

PROJECT = Path(__file__).resolve().parents[2]
SECONDS = "3"
LONG = "120"
"""Of a demo that is ended before: what its sensors will sense is worked out first, for 600 s in 5 s of a core."""

pytestmark = pytest.mark.xdist_group("demo")


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, Lived]:
    folder = tmp_path_factory.mktemp("demo") / "out"
    with Watch(4.0) as watch:
        return run_demo(folder, f"segments:{folder / 'log'}", 4.0, 2, watch)


@pytest.fixture(scope="module")
def report(lived: tuple[Site, Lived]) -> Report:
    return closing_report(*lived, elapsed_s=6.0)


@pytest.fixture(scope="module")
def truth(lived: tuple[Site, Lived]) -> dict[str, Recording]:
    """What every sensor sensed, by device."""
    scenario = load_scenario(lived[0].scenario)
    assert scenario.start_ns is not None
    return {it.device: it.make(scenario.seed, scenario.start_ns, scenario.seconds) for it in scenario.sensors}


def in_log(url: str, topic: str) -> list[Any]:
    async def read() -> list[Any]:
        log = open_log(url)
        try:
            return [located.record async for located in records(log, topic, until_idle=True)]
        finally:
            await log.close()

    return asyncio.run(read())


def test_what_sensors_sensed_is_in_the_log_once(report: Report, truth: dict[str, Recording]) -> None:
    assert not report.disagreements
    chunks = {(it.device, it.boot, it.seq): it for it in in_log(report.log, READINGS) if isinstance(it, Chunk)}
    for account in report.devices:
        own = [chunk for (device, *_), chunk in sorted(chunks.items()) if device == account.device]
        sensed = truth[account.device]
        assert np.array_equal(np.concatenate([sample_times(chunk) for chunk in own]), sensed.times)
        dtype = {"motor": "<f4", "valve": "<i1"}.get(account.stream, "<i2")
        values = np.frombuffer(b"".join(chunk.values for chunk in own), dtype).reshape(len(sensed.times), -1)
        scale = sensed.description.channels[0].scale if account.stream == "motor" else 1
        assert np.array_equal(values, sensed.counts * scale)
        assert account.samples == account.said == len(sensed.times)
        assert account.read == account.samples + account.announced


def test_its_bad_lines_and_dropouts_are_announced(report: Report, truth: dict[str, Recording]) -> None:
    pump, motor, other, valve = report.devices
    assert set(pump.gaps) <= {"number"}
    assert set(pump.unknown) <= {"columns", "garbage", "stalled"}  # the last one where this machine is busy
    assert pump.announced + sum(pump.unknown.values()) > 0
    assert set(motor.gaps) <= {"time"}
    assert valve.gaps == {}, "every state has a name"
    assert other.gaps == {"simulation": sum(gap.samples for gap in truth[other.device].gaps)}
    assert report.bytes_per_sample is not None
    assert report.bytes_per_sample < 10


def test_its_marks_are_those_of_the_rules_over_the_whole(
    lived: tuple[Site, Lived], report: Report, truth: dict[str, Recording]
) -> None:
    state = RuleState(read_rules(lived[0].rules))
    for device, sensed in truth.items():
        stream = sensed.description.stream
        state.feed(device, "r", stream, sensed.times, sensed.counts, sensed.description)
        state.end(device, "r")
    wanted = {(mark.device, mark.label, mark.start_ns, mark.end_ns) for mark in state.take()}
    marks = {it.id: it for it in in_log(report.log, MARKS) if isinstance(it, MarkAdd)}
    assert {(it.device, it.label, it.start_ns, it.end_ns) for it in marks.values()} == wanted
    assert Counter(label for _, label, _, _ in wanted) == Counter(
        {it.label: it.marks for it in report.rules if it.marks}
    )


def test_true_events_are_written_and_mostly_found(lived: tuple[Site, Lived], report: Report) -> None:
    told = Counter(mark.label for mark in read_marks(lived[0].folder / "truth.csv"))
    assert told == Counter({it.label: it.events for it in report.rules if it.events})
    events, marks, right = (sum(getattr(it, name) for it in report.rules) for name in ("events", "marks", "right"))
    assert events > 8
    assert right >= 0.7 * max(events, marks)
    assert {"bump", "lean", "valve"} <= set(report.near_misses)


def test_its_windows_lie_where_it_says(report: Report) -> None:
    names: dict[str, Any] = {}
    exec("\n".join(report.lines), names)
    assert names["X"].shape[1:] == (128, 3)
    assert len(names["X"]) == report.windows - report.labels.get("", 0) > 100
    assert len(set(names["groups"])) == 2
    assert sum(report.labels.values()) == report.windows
    assert all(shard.is_file() for shard in report.shards)
    assert all((report.folder / name).is_file() for name in FILES)


def test_what_disagrees_is_told(lived: tuple[Site, Lived], report: Report) -> None:
    site, whole = lived
    figures = dict(whole.figures)
    figures[f"{site.pump}/acc.samples"] += 1
    log = dict(whole.log)
    log[site.motor] = replace(log[site.motor], marks=log[site.motor].marks | {"another"})
    found = closing_report(site, replace(whole, figures=figures, log=log), 6.0).disagreements
    assert [text.partition(":")[0] for text in found] == [site.pump, found[1]]
    assert found[0].endswith(": +1")
    assert "marks of rules are in the log" in found[1]


@contextmanager
def demo(*words: str | Path, shell: str = "") -> Iterator[subprocess.Popen[str]]:
    """A demo that is under way, begun by `shell` words if there are any; it does not outlive the block."""
    command = [sys.executable, "-W", "error", str(PROJECT / "sensorloom.py"), "demo", *map(str, words)]
    if shell:
        command = ["sh", "-c", f'{shell}; exec "$@"', "sh", *command]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("number", "shell"), [(signal.SIGINT, ""), (signal.SIGTERM, "trap '' INT")])
def test_a_signal_ends_it_early_and_in_good_order(tmp_path: Path, number: signal.Signals, shell: str) -> None:
    with demo("--out", tmp_path / "out", "--seconds", LONG, "--json", shell=shell) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("live:"):
                process.send_signal(number)
                break
        out, err = process.communicate(timeout=200)
    assert process.returncode == 130, err
    assert "ending early" in err
    assert "Traceback" not in err
    report = json.loads(out)
    assert report["ended_early"]
    assert report["disagreements"] == []
    assert 0 < report["samples"] == sum(device["said"] for device in report["devices"])
    assert 0 < report["seconds"] < 3600
    assert (tmp_path / "out" / "truth.csv").is_file()


@pytest.mark.timeout(600)
def test_a_live_one_opens_the_timeline_on_itself_until_it_is_ended(tmp_path: Path) -> None:
    with demo("--live", "--out", tmp_path / "out", "--json") as process:
        assert process.stderr is not None
        link = next(line.split()[-1] for line in process.stderr if line.startswith("timeline of out: "))
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with browser.open(link, timeout=200) as page:
            assert b"sensorloom" in page.read()
        for line in process.stderr:
            if line.startswith("live:") and " 0 samples" not in line:
                process.send_signal(signal.SIGINT)
                break
        out, err = process.communicate(timeout=200)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    report = json.loads(out)
    assert report["pace"] == "as fast as life"
    assert report["disagreements"] == []
    assert 0 < report["samples"] == sum(device["said"] for device in report["devices"])


def at_a_terminal(*words: str | Path) -> tuple[int, str]:
    """Exit code, and all that a terminal shows."""
    near, far = pty.openpty()
    command = [sys.executable, str(PROJECT / "sensorloom.py"), "demo", *map(str, words)]
    with subprocess.Popen(command, stdin=far, stdout=far, stderr=far, env=os.environ | {"COLUMNS": "100"}) as process:
        os.close(far)
        shown = b""
        with contextlib.suppress(OSError):  # Linux' word for: the last one has closed it
            while data := os.read(near, 65_536):
                shown += data
        os.close(near)
        return process.wait(200), shown.decode()


def test_at_a_terminal_a_bar_moves_and_tables_close_it(tmp_path: Path) -> None:
    code, shown = at_a_terminal("--out", tmp_path / "out", "--seconds", SECONDS)
    assert code == 0, shown
    for words in (
        *("four devices for 3 s", "live", "samples", "windows", "marks", "━"),
        *("sensorloom demo", "bytes per sample", "knocking", "dropped", "precision", "recall"),
        *("Samples read = in the log + announced as gaps", "it adds up", "true events"),
        f"sensorloom.open('{tmp_path}/out/dataset')",
    ):
        assert words in shown, words


def test_a_part_that_ends_by_itself_ends_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(agent: Agent, stop: asyncio.Event) -> dict[str, float]:
        raise PermanentError("imu: melted")

    monkeypatch.setattr(Agent, "run", run)
    assert sensorloom.main(["demo", "--out", f"{tmp_path}/out", "--seconds", LONG]) == 1
    assert capsys.readouterr().err.endswith("sensorloom: imu: melted\n")


def test_two_signals_end_it_at_once(tmp_path: Path) -> None:
    with demo("--out", tmp_path / "out", "--seconds", LONG) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("live:"):
                process.send_signal(signal.SIGINT)
                process.send_signal(signal.SIGTERM)
                break
        out, err = process.communicate(timeout=200)
    assert process.returncode == 130, err
    assert out == ""
    assert f"ended at once; what was read lies in {tmp_path}/out" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--seconds", "1"), "--seconds: 1 is not in 2..2400"),
        (("--seed", "-1"), "--seed: -1 is negative"),
        (("--log", "segment:there"), 'log: "segment:there" names no log'),
    ],
)
def test_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str) -> None:
    assert sensorloom.main(["demo", "--out", f"{tmp_path}/out", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_an_earlier_demo_is_left_alone(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in report.folder.rglob("*")}
    assert sensorloom.main(["demo", "--out", str(report.folder)]) == 2
    assert "choose another folder" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in report.folder.rglob("*")} == before


def test_a_log_that_cannot_be_reached_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def topics(log: SegmentLog) -> tuple[str, ...]:
        raise LogUnavailableError(f"{log.url}: nobody answers")

    monkeypatch.setattr(SegmentLog, "topics", topics)
    assert sensorloom.main(["demo", "--out", f"{tmp_path}/out"]) == 1
    assert capsys.readouterr().err.endswith("/out/log: nobody answers\n")
    assert not (tmp_path / "out").exists()
