"""The demo as a user runs it: a process, its files, its words and its exit code."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wavemark
from ingest.inspection import records
from ingest.log.opening import open_log
from ingest.log.protocol import MARKS, READINGS
from ingest.records import Chunk, MarkAdd
from simulators.pumps import BACKGROUND, Scenario
from simulators.recording import Recording
from windowing.digest import dataset_digest

PROJECT = Path(__file__).resolve().parents[2]
LENGTH_NS, HOP_NS, MAX_GAP_NS = 2_560_000_000, 1_280_000_000, 500_000_000
SCENARIO = Scenario(seed=5, seconds=60.0)
WORDS = ("--seed", "5", "--seconds", "60")
LONG = ("--seed", "6", "--seconds", "400")

pytestmark = pytest.mark.xdist_group("demo")


@contextmanager
def demo(*words: str | Path, cwd: Path = PROJECT, shell: str = "") -> Iterator[subprocess.Popen[str]]:
    """A demo that is under way, begun by `shell` words if there are any; it does not outlive the block."""
    command = [sys.executable, str(PROJECT / "wavemark.py"), "demo", *map(str, words)]
    if shell:
        command = ["sh", "-c", f'{shell}; exec "$@"', "sh", *command]
    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def finished(*words: str | Path, cwd: Path = PROJECT) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a demo that ran to its end."""
    with demo(*words, cwd=cwd) as process:
        out, err = process.communicate(timeout=100)
        return process.returncode, out, err


def report_of(*words: str | Path) -> dict[str, Any]:
    code, out, err = finished(*words, "--json")
    assert code == 0, err
    report: dict[str, Any] = json.loads(out)
    return report


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "out"


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return report_of("--out", folder, *WORDS)


@pytest.fixture(scope="module")
def truth() -> dict[str, Recording]:
    return {take.recording: take.make(SCENARIO.seconds) for take in SCENARIO.takes()}


def in_log(url: str, topic: str) -> list[Any]:
    async def read() -> list[Any]:
        log = open_log(url)
        try:
            return [located.record async for located in records(log, topic, until_idle=True)]
        finally:
            await log.close()

    return asyncio.run(read())


def test_every_simulated_sample_is_in_the_log_once(
    folder: Path, report: dict[str, Any], truth: dict[str, Recording]
) -> None:
    chunks = [record for record in in_log(report["log"], READINGS) if isinstance(record, Chunk)]
    per_recording: Counter[str] = Counter()
    for chunk in chunks:
        per_recording[chunk.recording] += chunk.count
    assert per_recording == {name: len(recording.times) for name, recording in truth.items()}
    assert report["simulated"] == report["samples"] == per_recording.total()
    assert report["chunks"] == len(chunks)
    assert b"".join(chunk.values for chunk in chunks if chunk.recording == min(truth)) == (
        truth[min(truth)].counts.astype("<i2").tobytes()
    )
    assert report["bytes_per_sample"] <= 8
    assert {path.name for path in folder.glob("*.csv")} == {*(f"{name}.csv" for name in truth), "marks.csv"}


def test_every_true_event_is_a_mark(report: dict[str, Any], truth: dict[str, Recording]) -> None:
    marks = [record for record in in_log(report["log"], MARKS) if isinstance(record, MarkAdd)]
    events = [event for recording in truth.values() for event in recording.events]
    assert len(events) > 10
    assert sorted((mark.start_ns, mark.end_ns, mark.label) for mark in marks) == sorted(
        (event.start_ns, event.end_ns, event.kind) for event in events
    )
    assert report["events"] == Counter(event.kind for event in events)


def fate_of(recording: Recording, t0_ns: int) -> str:
    """What must become of a window: "kept", "gap" (it touches one that is too long), "edge" or "outside"."""
    instants = t0_ns + np.arange(128) * 20_000_000
    times = recording.times
    inside = instants[(instants >= times[0]) & (instants <= times[-1])]
    after = times.searchsorted(inside)
    bridged_ns = np.where(times[after] == inside, 0, times[after] - times[after - 1])
    if not len(inside):
        return "outside"
    return "gap" if (bridged_ns > MAX_GAP_NS).any() else "kept" if len(inside) >= 0.8 * 128 else "edge"


def fates(recording: Recording) -> dict[int, str]:
    """By the start of each window that touches a recording."""
    first, last = int(recording.times[0]), int(recording.times[-1])
    starts = range((first - LENGTH_NS) // HOP_NS * HOP_NS, last + 1, HOP_NS)
    return {t0_ns: fate for t0_ns in starts if (fate := fate_of(recording, t0_ns)) != "outside"}


def label_of(recording: Recording, t0_ns: int) -> str | None:
    """What the truth says of a window: the label of at least half of it, the background where nothing touches it."""
    shares: Counter[str] = Counter()
    for event in recording.events:
        shares[event.kind] += max(0, min(event.end_ns, t0_ns + LENGTH_NS) - max(event.start_ns, t0_ns))
    label, share = max(shares.items(), key=lambda item: item[1], default=("", 0))
    return (label if 2 * share >= LENGTH_NS else None) if share else BACKGROUND


def test_windows_are_labelled_as_the_truth_says(report: dict[str, Any], truth: dict[str, Recording]) -> None:
    table = wavemark.open(report["dataset"]).windows()
    found = {(row["recording"], row["t0_ns"]): row["label"] for row in table.iter_rows(named=True)}
    assert len(found) == len(table) == report["windows"]
    wanted = {
        (name, t0_ns): label_of(recording, t0_ns)
        for name, recording in truth.items()
        for t0_ns, fate in fates(recording).items()
        if fate == "kept"
    }
    assert found == wanted
    assert report["labels"] == Counter(label or "" for label in wanted.values())
    dropped = Counter(f"drop.{fate}" for recording in truth.values() for fate in fates(recording).values())
    assert report["drops"] == {reason: count for reason, count in dropped.items() if reason != "drop.kept"}
    assert report["drops"]["drop.gap"] > 0


def test_the_python_it_prints_opens_the_shards(report: dict[str, Any]) -> None:
    names: dict[str, Any] = {}
    exec("\n".join(report["python"]), names)
    assert names["X"].shape[1:] == (128, 3)
    assert len(names["X"]) == report["windows"] - report["labels"].get("", 0)
    assert all(Path(shard).is_file() for shard in report["shards"])


def test_a_second_run_into_the_same_folder_changes_nothing(tmp_path: Path) -> None:
    words = ("--out", tmp_path / "out", "--seconds", "20")
    first = report_of(*words)
    digest = dataset_digest(first["dataset"])
    second = report_of(*words)
    assert dataset_digest(second["dataset"]) == digest
    for name in ("simulated", "samples", "chunks", "bytes", "windows", "labels", "drops", "shards"):
        assert second[name] == first[name], name


def test_without_out_no_earlier_demo_is_touched(tmp_path: Path) -> None:
    words = ("--seconds", "5")
    assert finished(*words, cwd=tmp_path)[0] == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    code, out, _ = finished(*words, cwd=tmp_path)
    assert code == 0
    assert "out/demo-2/dataset" in out
    assert before.items() <= {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}.items() | {
        (tmp_path / "out", before[tmp_path / "out"])
    }


def test_the_table_says_what_came_of_it(tmp_path: Path) -> None:
    code, out, err = finished("--out", tmp_path / "out", "--seconds", "20")
    assert code == 0
    for words in ("samples", "chunks", "bytes per sample", "windows", BACKGROUND, "dropped", "shards"):
        assert words in out
    assert f"wavemark.open('{tmp_path}/out/dataset')" in out
    assert "simulated" in err
    assert "imported" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--seconds", "1"), "--seconds: 1 is not in 5..86400"),
        (("--seed", "-1"), "--seed: -1 is negative"),
        (("--log", "segment:there"), 'log: "segment:there" names no log'),
    ],
)
def test_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str) -> None:
    assert wavemark.main(["demo", "--out", f"{tmp_path}/out", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_another_demos_folder_is_refused(
    folder: Path, report: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    before = dataset_digest(report["dataset"])
    assert wavemark.main(["demo", "--out", str(folder), "--seed", "99"]) == 2
    assert "choose another --out" in capsys.readouterr().err
    assert dataset_digest(report["dataset"]) == before


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return report_of("--out", tmp_path_factory.mktemp("undisturbed") / "out", *LONG)


@pytest.mark.parametrize(
    ("kind", "step", "shell"),
    [
        ("SIGINT", "simulated", ""),
        ("SIGTERM", "imported", ""),
        ("SIGTERM", "simulated", "trap '' INT"),  # as a shell script's background job
    ],
)
def test_an_interrupted_demo_ends_cleanly_and_a_rerun_completes_it(
    tmp_path: Path, undisturbed: dict[str, Any], kind: str, step: str, shell: str
) -> None:
    words = ("--out", tmp_path / "out", *LONG)
    with demo(*words, shell=shell) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(step):
                process.send_signal(signal.Signals[kind])
                break
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    assert "go on with: wavemark demo --out" in err
    again = report_of(*words)
    assert dataset_digest(again["dataset"]) == dataset_digest(undisturbed["dataset"])
    for name in ("samples", "chunks", "windows", "labels", "drops"):
        assert again[name] == undisturbed[name], name
