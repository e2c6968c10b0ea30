"""What a running agent answers, and how it goes when its terminal is closed: the command, as processes."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import sensorloom
from edge.agent.answering import NAME, ask
from ingest.errors import TransientError
from ingest.records import Death, RecordingEnd
from ingest.units import exact_time
from simulators.terminal import Terminal
from tests.support.logs import read_log

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 60.0


def configure(folder: Path) -> Path:
    """A sensor at `folder/port`; the spool's folder has a name that is longer than a socket's may be."""
    path = folder / "agent.toml"
    path.write_text(
        f"""device = "pump"
log = "segments:log"
[spool]
dir = "{"s" * 120}"
fsync_interval = "100ms"
[[source]]
name = "imu"
type = "serial"
port = "port"
decoder = "csv"
stream = "acc"
channels = {{ x = "g", y = "g" }}
"""
    )
    return path


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def samples(folder: Path) -> int:
    try:
        return ask(folder / ("s" * 120)).samples
    except TransientError:
        return -1


@contextmanager
def agent(path: Path, terminal: int | None = None) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-m", "sensorloom", "agent", "run", "-c", str(path)]
    stderr = subprocess.PIPE if terminal is None else terminal
    with subprocess.Popen(words, cwd=ROOT, text=True, stdin=terminal, stdout=terminal, stderr=stderr) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_running_agent_is_asked_from_another_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = configure(tmp_path)
    words = ["agent", "status", "-c", str(path)]
    assert sensorloom.main(words) == 1
    assert "no agent runs on the spool" in capsys.readouterr().err
    with Terminal(tmp_path / "port") as port, agent(path) as process:
        until(lambda: port.is_read and samples(tmp_path) >= 0)
        port.write(b"\n" + b"0.1,0.2\n" * 7 + b"0.1,0.2,7\n" * 12 + b"\x1b[2J\n")
        until(lambda: samples(tmp_path) == 7)
        until(lambda: bool(ask(tmp_path / ("s" * 120)).sources[0].findings))
        assert sensorloom.main(words) == 0
        page = capsys.readouterr().out
        assert "imu  serial → csv → pump/acc: 7 samples" in page
        assert "lost: 12 columns, 1 garbage" in page
        assert page.count("columns      0.1,0.2,7") == 7
        assert "garbage      \\x1b[2J" in page
        assert "3 cells, but columns are x, y" in page
        assert sensorloom.main([*words, "--json"]) == 0
        view = json.loads(capsys.readouterr().out)
        assert view["pid"] == process.pid
        assert (view["sources"][0]["samples"], len(view["sources"][0]["bad_lines"])) == (7, 8)
        said_at = [(view["time"], view["time_ns"]), (view["sources"][0]["heard"], view["sources"][0]["heard_ns"])]
        for text, t_ns in [*said_at, *((bad["time"], bad["time_ns"]) for bad in view["sources"][0]["bad_lines"])]:
            assert text == exact_time(t_ns)
            assert abs(time.time_ns() - t_ns) < PATIENCE_S * 1e9
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        assert process.stderr is not None
        said = process.stderr.read().splitlines()
    assert said[0].startswith("agent: sensorloom ")
    assert "1 source: imu (serial, csv, pump/acc); log segments:" in said[0]
    assert not any("not open" in line for line in said)
    assert not (tmp_path / ("s" * 120) / NAME).exists()
    assert sensorloom.main(words) == 1


def test_an_agent_whose_terminal_is_closed_ends_in_order(tmp_path: Path) -> None:
    path = configure(tmp_path)
    leader, follower = pty.openpty()
    with Terminal(tmp_path / "port") as port, agent(path, follower) as process:
        os.close(follower)
        until(lambda: port.is_read and samples(tmp_path) >= 0)
        port.write(b"\n" + b"0.1,0.2\n" * 7)
        until(lambda: samples(tmp_path) == 7)
        while select.select([leader], [], [], 0)[0]:
            os.read(leader, 65_536)
        os.close(leader)
        process.send_signal(signal.SIGHUP)  # as the kernel does to who has this terminal as its own
        assert process.wait(PATIENCE_S) == 0
    records = read_log(f"segments:{tmp_path}/log")
    assert [record.reason for record in records if isinstance(record, RecordingEnd)] == ["stopped"]
    status = read_log(f"segments:{tmp_path}/log", "status")
    assert [record.reason for record in status if isinstance(record, Death)] == ["stopped"]


def test_what_a_killed_agent_left_is_no_answer(tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / NAME))
    with pytest.raises(TransientError, match="no agent runs on the spool"):
        ask(tmp_path)
    with pytest.raises(TransientError, match="no agent runs on the spool"):
        ask(tmp_path / "nowhere")


def test_who_may_not_write_to_the_socket_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(self: socket.socket, address: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("edge.agent.answering.socket.socket.connect", refuse)
    with pytest.raises(TransientError, match="this user may not ask the agent there"):
        ask(tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], ['type = "serial"', 'decoder = "csv"', "[spool]", "  port = ", "by default 115200"]),
        (["serial"], ["  baud = 9600", "By default"]),
        (["spool"], ["  max_bytes = "]),
        (["units"], ["m/s2", "in braces"]),
    ],
)
def test_keys_are_told_on_the_device(words: list[str], said: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert sensorloom.main(["agent", "keys", *words]) == 0
    shown = capsys.readouterr().out
    for text in said:
        assert text.lower() in " ".join(shown.lower().split()) or text in shown
    assert max(map(len, shown.splitlines())) <= 110
    assert sensorloom.main(["agent", "keys", *words, "--json"]) == 0
    assert isinstance(json.loads(capsys.readouterr().out), dict)


def test_keys_of_nothing_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert sensorloom.main(["agent", "keys", "seral"]) == 2
    assert 'Did you mean "serial"?' in capsys.readouterr().err
