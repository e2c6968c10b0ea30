"""What a service manager is told: by the command as a process, and in what words."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from edge.agent.overview import service_line
from edge.agent.service import ServiceManager
from simulators.terminal import Terminal
from tests.edge.agent.views import source_view, view

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 60.0
AGENT = """device = "pump"
log = "segments:log"
[spool]
dir = "spool"
fsync_interval = "100ms"
[[source]]
name = "imu"
type = "serial"
port = "port"
decoder = "csv"
stream = "acc"
channels = { x = "g", y = "g" }
[[source]]
name = "away"
type = "serial"
port = "nothing"
decoder = "csv"
stream = "far"
channels = { x = "g" }
"""


def bound(address: str) -> socket.socket:
    link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    link.bind(address)
    link.settimeout(PATIENCE_S)
    return link


def heard(link: socket.socket) -> list[str]:
    return link.recv(65_536).decode().split("\n")


def test_an_agent_is_ready_when_each_source_is_open_or_named_and_lives_by_its_commits(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text(AGENT)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": "30000000",
    }
    command = [sys.executable, "-m", "sensorloom", "agent", "run", "-c", "agent.toml", "--log-level", "error"]
    with Terminal(tmp_path / "port"), bound(str(tmp_path / "notify")) as link:
        agent = subprocess.Popen(command, cwd=tmp_path, env=environment)
        try:
            told = [heard(link)]
            while "READY=1" not in told[-1]:
                assert told[-1] == ["WATCHDOG=1"]
                told.append(heard(link))
            assert told[-1][1].startswith("STATUS=away waits for ")
            assert "1 of 2 sources heard" in told[-1][1]
            for _ in range(3):
                assert heard(link) == ["WATCHDOG=1"]
            agent.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, agent.pid, os.WSTOPPED | os.WNOWAIT)
            link.settimeout(0.0)
            with suppress(BlockingIOError):  # what was sent before
                while heard(link):
                    pass
            link.settimeout(1.0)
            with pytest.raises(TimeoutError):
                heard(link)
            link.settimeout(PATIENCE_S)
            agent.send_signal(signal.SIGTERM)
            agent.send_signal(signal.SIGCONT)
            while heard(link) != ["STOPPING=1"]:
                pass
            assert agent.wait(PATIENCE_S) == 0
        finally:
            agent.kill()
            agent.wait()


def test_a_watchdog_that_is_shorter_than_the_commits_is_made_longer() -> None:
    with bound(f"\0sensorloom-{os.getpid()}") as link:
        address = f"@sensorloom-{os.getpid()}"  # an abstract one, as containers have it
        environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}
        manager = ServiceManager.of(environment, 7)
        manager.ready("well", 60_000_000_000)
        assert heard(link) == ["READY=1", "STATUS=well", "WATCHDOG_USEC=180000000"]
        manager.ready("well", 1_000_000_000)
        assert heard(link) == ["READY=1", "STATUS=well"]
        manager.alive()
        assert heard(link) == ["WATCHDOG=1"]
        ServiceManager.of(environment, 8).alive()  # it is meant for another process
        manager.stopping()
        assert heard(link) == ["STOPPING=1"]


def test_nobody_who_listens_is_nothing_to_fail_of(tmp_path: Path) -> None:
    for environ in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "soon"}):
        manager = ServiceManager.of(environ, 7)
        manager.ready("well", 1)
        manager.alive()
        manager.stopping()


def test_what_is_waited_for_comes_first() -> None:
    found = view(sources=[source_view(waiting_for="port: no such port\nat all"), source_view("gps")])
    assert service_line(found).startswith("imu waits for port: no such port\\nat all; 1 of 2 sources heard; ")
