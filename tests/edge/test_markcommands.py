"""`sensorloom agent mark` and `record`, as a field engineer types them: beside a running agent, and without one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import sensorloom
from edge.agent.answering import ask
from ingest.errors import TransientError
from ingest.records import MarkAdd, RecordingEnd, RecordingStart
from tests.support.logs import read_log

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
S = 1_000_000_000


def configure(folder: Path) -> Path:
    path = folder / "agent.toml"
    path.write_text(
        """device = "pump"
log = "segments:log"
[spool]
dir = "spool"
fsync_interval = "100ms"
[[source]]
name = "imu"
type = "exec"
command = ["sh", "-c", "while echo 1,2; do sleep 0.02; done"]
decoder = "csv"
stream = "acc"
channels = { x = "g", y = "g" }
"""
    )
    return path


def samples(folder: Path) -> int:
    try:
        return ask(folder / "spool").samples
    except TransientError:
        return -1


def until(folder: Path, least: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while samples(folder) < least:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def agent(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    words = [sys.executable, "-m", "sensorloom", "agent", "run", "-c", str(path)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(path.parent, 1)
            yield process
        finally:
            process.kill()


def marks(folder: Path) -> list[MarkAdd]:
    return [record for record in read_log(f"segments:{folder}/log", "marks") if isinstance(record, MarkAdd)]


def say(path: Path, *words: str) -> int:
    return sensorloom.main(["agent", *words, "-c", str(path)])


def answer(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_marks_of_the_shell_are_in_the_log_whether_an_agent_runs_or_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = configure(tmp_path)
    began_ns = time.time_ns()
    assert say(path, "mark", "fall", "--author", "anna", "--json") == 0
    first = answer(capsys)
    assert first["durable"]
    assert abs(first["start_ns"] - began_ns) < PATIENCE_S * S
    assert say(path, "mark", "walk", "--start", "--author", "anna") == 0
    assert say(path, "mark", "walk", "--start") == 1
    said = capsys.readouterr().err
    assert "walk: is open already, since 20" in said
    assert "Z by anna: sensorloom agent mark walk --stop ends it" in said
    with agent(path) as process:
        assert say(path, "mark", "walk", "--stop", "--json") == 0
        walked = answer(capsys)
        assert say(path, "mark", "walk", "--stop") == 1
        at = ["--at", "2026-01-05T08:00Z"]
        assert say(path, "mark", "run", *at, "--for", "30s", "--note", "late") == 0
        assert say(path, "mark", "run", *at, "--for", "30s", "--note", "late") == 0
        assert say(path, "mark", "rest", *at, "--end", "2026-01-05T08:00:01Z") == 0
        assert say(path, "mark", "sit", "--for", "2s") == 0
        assert say(path, "mark", "lie", "--start") == 0
        assert "lie of pump" in capsys.readouterr().out
        process.send_signal(signal.SIGKILL)
    with agent(path) as process:
        assert [opened.label for opened in ask(tmp_path / "spool").open] == ["lie"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    found = {mark.id: mark for mark in marks(tmp_path)}
    by_label = {mark.label: mark for mark in found.values()}
    assert sorted(mark.label for mark in found.values()) == ["fall", "rest", "run", "sit", "walk"]
    fall, walk, run, sit = (by_label[label] for label in ("fall", "walk", "run", "sit"))
    assert (fall.id, fall.author, fall.tool, fall.end_ns) == (first["id"], "anna", "operator", fall.start_ns)
    assert (walk.id, walk.author, walk.start_ns) == (walked["id"], "anna", walked["start_ns"])
    assert walk.start_ns < walk.end_ns
    assert (run.end_ns - run.start_ns, run.reason) == (30 * S, "late")
    assert abs(sit.end_ns - sit.start_ns - 2 * S) < S // 20


def test_a_recording_of_a_running_agent_has_its_name_and_its_label(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = configure(tmp_path)
    with agent(path) as process:
        assert say(path, "record", "walk-1", "--label", "walk", "--for", "1s", "--json") == 0
        found = answer(capsys)
        assert say(path, "record", "free", "--for", "1s") == 0
        assert "free: " in capsys.readouterr().out
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    assert (found["complete"], found["label"], found["lost"]) == (True, "walk", {})
    assert found["samples"]["acc"] > 5
    (mark,) = marks(tmp_path)
    assert (mark.id, mark.label, mark.start_ns, mark.end_ns) == (
        *(found["mark"], "walk"),
        *(found["start_ns"], found["start_ns"] + S),
    )
    records = read_log(f"segments:{tmp_path}/log")
    starts = [record for record in records if isinstance(record, RecordingStart)]
    assert [start.attributes.get("name", "") for start in starts] == ["", "walk-1", "", "free", ""]
    ends = [record.reason for record in records if isinstance(record, RecordingEnd)]
    assert ends == ["asked"] * 4 + ["stopped"]
    assert abs(starts[1].start_ns - mark.start_ns) < S  # what was read before may be handed on behind it


def test_without_an_agent_one_is_begun_for_the_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = configure(tmp_path)
    words = [sys.executable, "-m", "sensorloom", "agent", "record", "w", "--label", "walk", "--for", "600s"]
    with subprocess.Popen(
        [*words, "-c", str(path), "--json"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        until(tmp_path, 1)
        deadline = time.monotonic() + PATIENCE_S
        while not ask(tmp_path / "spool").open:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert say(path, "record", "other", "--for", "1s") == 1
        assert "is open already, since" in (said := capsys.readouterr().err)
        assert 'recording "w" ends by Ctrl-C where it was begun, and by itself at 20' in said
        until(tmp_path, samples(tmp_path) + 10)
        os.kill(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=PATIENCE_S)
    found = json.loads(output)
    assert process.returncode == 1
    assert (found["complete"], found["samples"]["acc"] > 0) == (False, True)
    (mark,) = marks(tmp_path)
    assert (mark.id, mark.label) == (found["mark"], "walk")
    assert 0 < mark.end_ns - mark.start_ns < 600 * S


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mark", "fall", "--device", "other"], 'no source is of "other"'),
        (["mark", " "], "is no label"),
        (["mark", "fall", "--for", "0s"], "expected above 0 to 24h"),
        (["mark", "fall", "--for", "3s", "--start"], "leave --start, --stop and --end out"),
        (["mark", "fall", "--end", "2026-01-05T08:00Z"], "--end needs --at"),
        (["mark", "fall", "--at", "yesterday"], "--at: "),
        (["mark", "fall", "--at", "2026-01-05T08:00Z", "--end", "2026-01-05T07:00Z"], "does not lie behind --at"),
        (["record", "", "--for", "3s"], "agent record"),
    ],
)
def test_what_cannot_be_is_a_users_error(
    tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say(configure(tmp_path), *words) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "spool").exists()
