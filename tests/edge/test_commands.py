"""`sensorloom agent` as a user types it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import sensorloom
from ingest.opening import open_log
from ingest.records import Chunk, RecordingEnd
from ingest.times import sample_times
from ingest.units import format_time
from tests.support.data import data_dir
from tests.support.logs import read_log

ROOT = Path(__file__).parents[2]


def write(folder: Path, source: str, log: str = "") -> Path:
    path = folder / "agent.toml"
    path.write_text(
        f"""device = "truck"
log = "{log or f"segments:{folder}/log"}"
[spool]
dir = "spool"
[[source]]
name = "s"
type = "replay"
{source}
"""
    )
    return path


def slow(folder: Path) -> str:
    (folder / "a.csv").write_text("1,2,3\n" * 100_000)
    return 'file = "a.csv"\ndecoder = "csv"\nstream = "acc"\nchannels = { x = "g", y = "g", z = "g" }\nrate = "100Hz"\n'


def test_check_says_what_is_configured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write(tmp_path, slow(tmp_path))
    assert sensorloom.main(["agent", "check", "-c", str(config)]) == 0
    assert "s: replay → csv → truck/acc (x g, y g, z g) at 100 Hz, float32, clock counted" in capsys.readouterr().out
    assert sensorloom.main(["agent", "check", "-c", str(config), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sources"][0]["stream"] == "truck/acc"
    config.write_text(config.read_text() + '[recording.set]\nsubject = "u07"\nsite = "B"\n')
    assert sensorloom.main(["agent", "check", "-c", str(config)]) == 0
    assert "every recording: site = B, subject = u07" in capsys.readouterr().out
    assert sensorloom.main(["agent", "check", "-c", str(config), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recording_set"] == {"site": "B", "subject": "u07"}
    assert not (tmp_path / "spool").exists()
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize("log", ["nowhere", "kafka:9092"])
def test_check_refuses_a_log_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str], log: str) -> None:
    assert sensorloom.main(["agent", "check", "-c", str(write(tmp_path, slow(tmp_path), log))]) == 2
    assert "names no log" in capsys.readouterr().err


def test_what_a_file_says_reaches_no_terminal_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a control character a terminal makes colours, titles, and lines that nobody wrote."""
    config = write(tmp_path, slow(tmp_path), log="segments:\\u001b]0;log")
    assert sensorloom.main(["agent", "check", "-c", str(config)]) == 0
    assert r"\x1b]0;log, spool" in capsys.readouterr().out
    config.write_text(f'rules = "\\u001b[31m{9_000 * "r"}"\n{config.read_text()}')
    assert sensorloom.main(["agent", "check", "-c", str(config)]) == 2
    told = capsys.readouterr().err
    assert f"{config}: rules: {tmp_path}/\\x1b[31mrrr" in told
    assert told.endswith("rrr: File name too long\n")
    assert len(told) < 1_000


def test_wrong_usage_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sensorloom.main(["agent", "run", "-c", str(tmp_path / "none.toml")]) == 2
    assert "no such file" in capsys.readouterr().err


def test_ports_lists_ports(capsys: pytest.CaptureFixture[str]) -> None:
    assert sensorloom.main(["agent", "ports", "--json"]) == 0
    assert isinstance(json.loads(capsys.readouterr().out), list)
    assert sensorloom.main(["agent", "ports"]) == 0


def has_segments(folder: Path) -> bool:
    """Is there a segment? Folders may come and go meanwhile."""
    return any(name.endswith(".log") for _, _, names in os.walk(folder) for name in names)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_recording_with_nothing_lost(tmp_path: Path, number: int) -> None:
    config = write(tmp_path, slow(tmp_path) + 'speed = 100\nstart = "1700000000000000000"')
    words = [sys.executable, "-m", "sensorloom", "agent", "run", "-c", str(config), "--json"]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not has_segments(tmp_path / "log") and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    out, _ = process.communicate(timeout=200)
    assert process.returncode == 0
    found = read_log(f"segments:{tmp_path}/log")
    assert isinstance(found[-1], RecordingEnd)
    assert found[-1].reason == "stopped"
    samples = sum(record.count for record in found if isinstance(record, Chunk))
    assert json.loads(out)["acc.samples"] == samples > 0


def test_a_receivers_log_arrives_with_the_receivers_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = data_dir() / "gpsd_nmea/neo-m8n.log"
    source = f'file = "{log}"\nspeed = "max"\ndecoder = "nmea"\nstream = "gps"\n'
    source += 'channels = { lat = "deg", lon = "deg", speed = "m/s" }\nlines_per_s = 20\n'
    assert sensorloom.main(["agent", "run", "-c", str(write(tmp_path, source))]) == 0
    chunks = [record for record in read_log(f"segments:{tmp_path}/log") if isinstance(record, Chunk)]
    values = np.concatenate([np.frombuffer(chunk.values, "<f8").reshape(-1, 3) for chunk in chunks])
    times = np.concatenate([sample_times(chunk) for chunk in chunks])
    assert (np.diff(times) == 10**9).all()
    assert format_time(int(times[0])).startswith("2015-03-18T17:19:")
    assert np.allclose(values[:, :2], (44.069, -121.3142), atol=1e-4)
    assert {chunk.clock.source for chunk in chunks if chunk.clock} == {"device"}


def test_a_dead_kafka_address_is_named_and_data_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import edge.agent.agent
    from edge.config import load_config

    monkeypatch.setattr("ingest.log.kafka.cluster.FIRST_CONTACT_S", 0.2)
    config = load_config(write(tmp_path, slow(tmp_path) + "speed = 100", "kafka://127.0.0.1:9"))
    said: list[str] = []

    async def main() -> None:
        log, stop, heard = open_log(config.log), asyncio.Event(), asyncio.Event()

        def report(line: str) -> None:
            said.append(line)
            if "nobody answers" in line:
                heard.set()

        agent = edge.agent.agent.Agent(config, log, b"b" * 16, "0", report)
        task = asyncio.create_task(agent.run(stop))
        async with asyncio.timeout(200):
            await heard.wait()
        monkeypatch.setattr(edge.agent.agent, "FAREWELL_S", 0.0)
        stop.set()
        async with asyncio.timeout(200):
            await task
        await log.close()

    asyncio.run(main())
    assert any("nobody answers at this address" in line for line in said)
    assert "wait in the spool for the next start" in said[-1]
