"""`agent tail`: of a running agent, of its sources where none runs, at a terminal and off one."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.agent.agent import Agent
from edge.agent.tail import Objects, Screen, Shower, tail
from edge.config import AgentConfig, load_config
from ingest.errors import TransientError
from simulators.doubles.log import FlakyLog
from tests.support.pty import SerialPort

PATIENCE_S = 60.0
ROOT = Path(__file__).resolve().parents[3]


def configure(folder: Path) -> AgentConfig:
    path = folder / "agent.toml"
    path.write_text(
        f"""device = "pump"
log = "segments:log"
[spool]
dir = "spool"
[[source]]
name = "imu"
type = "serial"
port = "{folder}/port"
decoder = "csv"
stream = "acc"
channels = {{ x = "g" }}
"""
    )
    return load_config(path)


async def tailed(
    config: AgentConfig, shower: Shower, done: Callable[[], bool], port: SerialPort, *, while_open: bool = True
) -> None:
    """Tail until `done`, while the sensor speaks."""
    stop = asyncio.Event()
    task = asyncio.create_task(tail(config, shower, 0.05, stop, "t"))
    async with asyncio.timeout(PATIENCE_S):
        while not (done() or task.done()):
            speak(port)
            await asyncio.sleep(0.02)
        stop.set()
        await task


def speak(port: SerialPort) -> None:
    if port.is_read:
        port.offer(b"0.5\n")


def test_where_no_agent_runs_the_sources_are_read_and_nothing_is_kept(tmp_path: Path) -> None:
    said = io.StringIO()
    with SerialPort(tmp_path / "port") as port:
        asyncio.run(tailed(configure(tmp_path), Screen(said), lambda: "x = 0.5 g ▅▅▅" in said.getvalue(), port))
    lines = said.getvalue().splitlines()
    assert lines[0] == "no agent runs: its sources are read here, and nothing is kept"
    assert lines[-1].startswith("pump/acc ")
    assert "\x1b" not in said.getvalue()
    assert not (tmp_path / "spool").exists()


def test_a_running_agent_is_asked_and_its_end_is_told_or_waited_for(tmp_path: Path) -> None:
    config, said = configure(tmp_path), io.StringIO()

    async def main() -> None:
        agent, stop = Agent(config, FlakyLog(), b"1" * 16, "0", lambda text: None), asyncio.Event()
        running = asyncio.create_task(agent.run(stop))
        async with asyncio.timeout(PATIENCE_S):
            while not (config.spool_dir / "agent.sock").exists():  # noqa: ASYNC110 - it is made elsewhere
                await asyncio.sleep(0.02)
        await tailed(config, Objects(said), lambda: has_value(said.getvalue()), port)
        again = io.StringIO()
        tailing = asyncio.create_task(tail(config, Objects(again), 0.05, asyncio.Event(), "t"))
        async with asyncio.timeout(PATIENCE_S):
            while not again.getvalue():  # noqa: ASYNC110 - it comes from a thread
                await asyncio.sleep(0.02)
        watched = Terminal()
        ended = asyncio.Event()
        watching = asyncio.create_task(tail(config, Screen(watched), 0.05, ended, "t"))
        async with asyncio.timeout(PATIENCE_S):
            while "pump/acc" not in watched.getvalue():  # noqa: ASYNC110 - it comes from a thread
                await asyncio.sleep(0.02)
        stop.set()
        await running
        with pytest.raises(TransientError, match="no agent runs on the spool"):
            async with asyncio.timeout(PATIENCE_S):
                await tailing
        async with asyncio.timeout(PATIENCE_S):
            while "it is waited for" not in watched.getvalue():  # noqa: ASYNC110 - it comes from a thread
                await asyncio.sleep(0.02)
        stop.clear()
        running = asyncio.create_task(Agent(config, FlakyLog(), b"2" * 16, "0", lambda text: None).run(stop))
        async with asyncio.timeout(PATIENCE_S):
            while watched.getvalue().count(", process ") < 2:
                assert not watching.done()
                await asyncio.sleep(0.02)
        ended.set()
        stop.set()
        await asyncio.gather(watching, running)

    with SerialPort(tmp_path / "port") as port:
        asyncio.run(main())


class Terminal(io.StringIO):
    """Where somebody looks."""

    def isatty(self) -> bool:
        return True


def has_value(said: str) -> bool:
    looks = [json.loads(line)["sources"][0]["values"] for line in said.splitlines()]
    return [{"channel": "x", "unit": "g", "value": 0.5, "state": ""}] in looks


def test_a_terminal_is_drawn_anew_until_ctrl_c(tmp_path: Path) -> None:
    configure(tmp_path)
    near, far = pty.openpty()
    command = [sys.executable, "-m", "sensorloom", "agent", "tail", "-c", "agent.toml", "--every", "50ms"]
    with SerialPort(tmp_path / "port") as port:
        process = subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=far)
        os.close(far)
        shown, asked = b"", False
        while data := read(near):
            shown += data
            speak(port)
            if shown.count(b"\x1b[1F") >= 3 and not asked:
                asked = True
                process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0
    os.close(near)
    assert b"pump/acc" in shown


def read(terminal: int) -> bytes:
    """What the other end says; nothing at its end."""
    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""
