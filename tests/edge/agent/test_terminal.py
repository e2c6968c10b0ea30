from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import select
import struct
import sys
import termios
from collections.abc import Iterator
from typing import TextIO

import pytest

from edge.agent.overview import BadLineView, Overview
from edge.agent.terminal import Level, Terminal
from tests.edge.agent.views import source_view, view


@pytest.fixture
def screen() -> Iterator[tuple[TextIO, int]]:
    """A terminal of 60 columns, and where what is shown on it can be read."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    with os.fdopen(follower, "w") as stream:
        yield stream, leader
    os.close(leader)


def shown_by(stream: TextIO, views: list[Overview], said: str = "", level: Level = "info") -> None:
    asked = 0

    def next_view() -> Overview:
        nonlocal asked
        asked += 1
        return views[min(asked, len(views)) - 1]

    async def main() -> None:
        terminal = Terminal(stream, level)
        running = asyncio.create_task(terminal.run(next_view))
        while asked < len(views) + 2:  # noqa: ASYNC110 - what is waited for is the terminal's own beat
            await asyncio.sleep(0.01)
        if said:
            terminal.say(said)
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(main())


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.agent.terminal.EVERY_S", 0.01)
    monkeypatch.setattr("edge.agent.terminal.MINUTE_S", 0.02)


def read(descriptor: int) -> str:
    shown = b""
    while select.select([descriptor], [], [], 0.2)[0]:
        shown += os.read(descriptor, 65_536)
    return shown.decode()


def test_at_a_terminal_the_line_has_its_width_and_what_is_said_wraps_between_words(
    screen: tuple[TextIO, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")  # of standard output, perhaps: this goes to another one
    stream, shown = screen
    lossy = view(sources=[source_view(samples=1_200_000_000, lost={"columns": 1093})])
    shown_by(stream, [lossy] * 3, "imu: nothing has come for 9 s; is the sensor on, and its TX at this port's RX?")
    text = read(shown)
    assert "\r\x1b[K1,200,000,000 samples, 0/s; lost imu 1,093 columns; spool …" in text.replace("\r\n", "\n")
    rows = [row for part in text.split("\r\x1b[K") for row in part.split("\r\n")]
    assert max(map(len, rows)) <= 59
    assert any(row.startswith("  ") for row in rows)
    assert "\x1b[33m" not in text
    assert text.endswith("\r\x1b[K")


def test_what_is_wrong_is_yellow_at_a_terminal(screen: tuple[TextIO, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream, shown = screen
    Terminal(stream).say("imu: gone")
    assert "\x1b[33magent: imu: gone\x1b[0m" in read(shown)


def test_elsewhere_there_is_a_line_at_the_start_and_one_a_minute(
    capfd: pytest.CaptureFixture[str],
) -> None:
    views = [view(sources=[source_view(samples=count, lost={"range": 2})]) for count in range(0, 1000, 100)]
    shown_by(sys.stderr, views)
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == (
        "agent: sensorloom 1.0, agent pi: 1 source: imu (serial, csv, pump/acc); log kafka://h:9092; spool /spool"
    )
    assert any("samples (imu " in line and "lost imu 2 range" in line for line in lines[1:])
    assert all("\x1b" not in line for line in lines)


@pytest.mark.parametrize(
    ("level", "has"),
    [("error", set[str]()), ("warning", {"said"}), ("info", {"said", "start"}), ("debug", {"said", "start", "bad"})],
)
def test_the_level_says_how_much_is_said(level: Level, has: set[str], capfd: pytest.CaptureFixture[str]) -> None:
    bad = source_view(bad_lines=[BadLineView("2026-01-01T00:00:00Z", "columns", "1,2")])
    shown_by(sys.stderr, [view(sources=[source_view()]), *[view(sources=[bad])] * 3], "something changed", level)
    text = capfd.readouterr().err
    found = {"said": "something changed" in text, "start": "1 source" in text, "bad": "imu: columns: 1,2" in text}
    assert {name for name, is_there in found.items() if is_there} == has


def test_what_comes_from_outside_cannot_steer_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    Terminal().say("imu\x1b]0;pwned\x07: kafka://u:p@host:9092 went away")
    assert capfd.readouterr().err == "agent: imu\\x1b]0;pwned\\x07: kafka://***@host:9092 went away\n"
