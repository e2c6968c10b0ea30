"""The agent as a user runs it: HAPT replayed to windows, a real full disk, an install without a server."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import sensorloom
from ingest.records import Chunk, Gap, Record
from tests.integration.recordings import HaptRecording, command, hapt_config, hapt_recordings, import_hapt
from tests.support.logs import read_log

ROOT = Path(__file__).parents[2]
SPEED = 100
"""Of HAPT's replay, against life."""


def hapt_agent(path: Path, recordings: Sequence[HaptRecording], log: str) -> Path:
    """An agent that plays these recordings, each of another device, all at once."""
    text = f'device = "nobody"\nlog = "{log}"\n[spool]\ndir = "spool"\n'
    for recording in recordings:
        for sensor, unit in (("acc", "g"), ("gyro", "rad/s")):
            text += f"""
[[source]]
name = "{recording.device}-{sensor}"
device = "{recording.device}"
type = "replay"
file = "{recording.file(sensor)}"
start = "{recording.start_ns}"
speed = {SPEED}
decoder = "csv"
separator = "whitespace"
stream = "{sensor}"
channels = {{ x = "{unit}", y = "{unit}", z = "{unit}" }}
rate = "50Hz"
dtype = "float64"
"""
    path.write_text(text)
    return path


@pytest.mark.timeout(240)
def test_hapt_through_agent_log_and_windowing_equals_the_import(tmp_path: Path) -> None:
    recordings = hapt_recordings()
    assert len(recordings) == 12
    logs = {name: f"segments:{tmp_path}/{name}" for name in ("agent", "import")}
    for part in (recordings[::2], recordings[1::2]):  # two of each person, one after the other
        assert len({recording.device for recording in part}) == 6
        begin = time.monotonic()
        command("agent", "run", "-c", hapt_agent(tmp_path / "agent.toml", part, logs["agent"]))
        longest_s = max(len(recording.rows()) for recording in part) / 50
        assert time.monotonic() - begin > longest_s / SPEED  # it is a replay, not an import
    import_hapt(logs["import"], tmp_path)
    found = {}
    for name, log in logs.items():
        config = hapt_config(tmp_path / f"{name}.toml", "epoch")
        command("window", "run", "-c", config, "--log", log, "--out", tmp_path / f"{name}-dataset", "--until-idle")
        dataset = sensorloom.open(tmp_path / f"{name}-dataset")
        assert dataset.contents.again == 0
        table = dataset.windows()
        found[name] = (table["device"].to_list(), table["t0_ns"].to_list(), dataset.arrays(unlabelled="keep")[0])
    assert len(found["agent"][1]) > 3000
    assert found["agent"][:2] == found["import"][:2]
    np.testing.assert_array_equal(found["agent"][2], found["import"][2])


# --- a disk that takes nothing


def doomed(folder: Path, upstream: Path, *log: str, **limits: int) -> subprocess.Popen[bytes]:
    """The agent in a process of its own, fed from a file that is delivered again from what was acknowledged on."""

    def limit() -> None:
        if "file_bytes" in limits:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limits["file_bytes"], limits["file_bytes"]))

    words = [sys.executable, "-m", "tests.integration.doomed_agent", str(folder), str(upstream), *log]
    return subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL, preexec_fn=limit)


def at_work(process: subprocess.Popen[bytes], upstream: Path) -> subprocess.Popen[bytes]:
    """The process, once it has acknowledged something."""
    before, deadline = acknowledged(upstream), time.monotonic() + 60
    while acknowledged(upstream) == before:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def numbers(records: list[Record]) -> list[int]:
    """The values of all chunks, each chunk once."""
    once = {(record.boot, record.seq): record for record in records if isinstance(record, Chunk)}
    return [int(value) for chunk in once.values() for value in np.frombuffer(chunk.values, "<f8")]


def acknowledged(upstream: Path) -> int:
    """How many lines the agent acknowledged: they were fsynced."""
    path = upstream.with_suffix(".acknowledged")
    return path.stat().st_size if path.exists() else 0


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    path = tmp_path / "upstream"
    path.touch()
    return path


def test_a_full_disk_announces_what_it_could_not_take(tmp_path: Path, upstream: Path) -> None:
    process = doomed(tmp_path, upstream, file_bytes=6_000)
    deadline = time.monotonic() + 60
    before = -1
    while time.monotonic() < deadline and (acknowledged(upstream) == 0 or acknowledged(upstream) != before):
        before = acknowledged(upstream)
        time.sleep(0.5)
    assert process.poll() is None
    kept = acknowledged(upstream)
    process.kill()
    process.wait()
    process = at_work(doomed(tmp_path, upstream), upstream)
    process.send_signal(signal.SIGTERM)
    assert process.wait(200) == 0
    found = numbers(read_log(f"segments:{tmp_path}/log"))
    assert sorted(found) == list(range(len(found)))
    assert len(found) > kept > 0


# --- an edge install

_BLOCKED = ("polars", "rich", "fastapi", "starlette", "uvicorn", "aiohttp", "websockets")


def test_an_edge_install_needs_no_server_library(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2,3\n4,5,6\n")
    (tmp_path / "agent.toml").write_text(
        f"""device = "pump"
log = "segments:{tmp_path}/log"
[spool]
dir = "spool"
[[source]]
name = "imu"
type = "replay"
file = "a.csv"
decoder = "csv"
stream = "acc"
channels = {{ x = "g", y = "g", z = "g" }}
rate = "100Hz"
[[source]]
name = "gps"
type = "serial"
port = "/dev/ttyNowhere"
decoder = "nmea"
stream = "gps"
channels = {{ lat = "deg", lon = "deg" }}
"""
    )
    program = f"""
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {_BLOCKED!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
import sensorloom
sys.exit(sensorloom.main(["agent", "check", "-c", {str(tmp_path / "agent.toml")!r}, "--json"]))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert [source["stream"] for source in json.loads(done.stdout)["sources"]] == ["pump/acc", "pump/gps"]


def test_an_edge_install_asks_for_no_server_library() -> None:
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    names = {requirement.partition("[")[0].partition(">")[0] for requirement in extras["edge"]}
    assert not names & set(_BLOCKED)


def test_what_was_lost_is_announced(tmp_path: Path) -> None:
    lines = [f"{number},0,0" for number in range(500)]
    lines[100], lines[200] = "oops,0,0", "oops"  # a bad value is one sample; a line of another form may stand for many
    (tmp_path / "a.csv").write_text("\n".join(lines))
    config = tmp_path / "agent.toml"
    config.write_text(
        f"""device = "pump"
log = "segments:{tmp_path}/log"
[spool]
dir = "spool"
[[source]]
name = "imu"
type = "replay"
file = "a.csv"
speed = "max"
start = "1700000000000000000"
decoder = "csv"
stream = "acc"
channels = {{ x = "g", y = "g", z = "g" }}
rate = "100Hz"
"""
    )
    command("agent", "run", "-c", config)
    records = read_log(f"segments:{tmp_path}/log")
    read = sum(record.count for record in records if isinstance(record, Chunk))
    lost = [record for record in records if isinstance(record, Gap)]
    assert read == 498
    second = 1_000_000_000
    assert [(gap.reason, gap.samples) for gap in lost] == [("number", 1), ("columns", -1)]
    for gap, after in zip(lost, (1, 2), strict=True):
        assert gap.start_ns <= (1_700_000_000 + after) * second < gap.end_ns
