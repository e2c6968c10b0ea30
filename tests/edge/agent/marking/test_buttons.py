"""Buttons of a running agent, their lines fed by hand: what is pressed lies on the disk, then its lamp says so."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.agent.marking import buttons, leds
from edge.agent.marking.journal import Journal
from edge.decoders.scans.decoder import rows_of
from edge.protocol import Interruption
from edge.sources.clock import boottime_ns
from edge.spool.spool import Queue
from ingest.errors import StoreFullError
from ingest.log.protocol import MARKS, Entry
from ingest.records import MarkAdd, MarkRetract
from simulators.doubles.source import FedSource
from tests.edge.feeding import FlakyLog, fed, fed_config, running

pytestmark = pytest.mark.usefixtures("fed")
__all__ = ["fed"]
TABLES = """[buttons.safe]
chip = "c"
line = 1
press = "fall"
undo = "500ms"
led = 9
[buttons.walk]
chip = "c"
line = 2
hold = "walk"
led = 9
[buttons.turn]
chip = "c"
line = 3
start = "run"
stop = "run"
"""
MS = 1_000_000


class Line(FedSource):
    """A button's line."""

    def put(self, level: int, *, missed: int = 0, ago_ns: int = 0) -> None:
        at_ns = boottime_ns() - ago_ns
        rows = rows_of(np.array([at_ns]), np.array([[float(level)]]), np.array([missed], dtype=np.uint32))
        self.feed(rows, 0)
        self.heard_ns = at_ns


class Bulb:
    """What a lamp was told."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.is_gone = False

    def set_value(self, offset: int, value: Any) -> None:
        if self.is_gone:
            raise OSError(errno.ENODEV, "its chip is gone")
        if not self.seen or self.seen[-1] != value.value:
            self.seen.append(value.value)

    def release(self) -> None:
        """As it is let go, a line falls back."""
        self.seen.append(0)
        self.is_gone = False


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> dict[str, Line]:
    found: dict[str, Line] = {}

    def source(button: Any) -> Line:
        found[button.name] = Line()
        return found[button.name]

    monkeypatch.setattr(buttons, "_source", source)
    return found


@pytest.fixture
def bulb(monkeypatch: pytest.MonkeyPatch) -> Bulb:
    found = Bulb()
    monkeypatch.setattr(leds, "_requested", lambda led, label: (found, 0, label))
    monkeypatch.setattr(leds, "SHORT_S", 0.01)
    return found


def marks(log: FlakyLog) -> list[tuple[Any, ...]]:
    return [
        (mark.label, mark.author, mark.tool, mark.end_ns > mark.start_ns)
        if isinstance(mark, MarkAdd)
        else ("undo", mark.id)
        for mark in log.records(MARKS)
        if isinstance(mark, MarkAdd | MarkRetract)
    ]


def test_what_is_pressed_is_in_the_log_and_lamps_say_that_it_is_on_the_disk(
    tmp_path: Path, lines: dict[str, Line], bulb: Bulb
) -> None:
    async def main() -> None:
        log = FlakyLog()
        async with running(fed_config(tmp_path, more=TABLES), log) as agent:
            await agent.until(lambda: len(lines) == 3)
            for line in lines.values():
                line.put(0)
            lines["safe"].put(1)
            lines["safe"].put(0)
            await agent.until(lambda: len(marks(log)) == 1)
            lines["walk"].put(1)
            await agent.until(lambda: any(button.is_open for button in agent.agent.overview().buttons))
            lines["walk"].put(0)
            lines["turn"].put(1)
            lines["turn"].put(0)
            lines["turn"].put(1)
            await agent.until(lambda: len(marks(log)) == 3)
            lines["safe"].put(1, ago_ns=600 * MS)
            lines["safe"].heard_ns = boottime_ns()
            await agent.until(lambda: len(marks(log)) == 4)
            await agent.until(lambda: agent.agent.overview().figures.get("marks.retracted") == 1)
            view = agent.agent.overview()
            assert [button.marks for button in view.buttons] == [1, 1, 1]
            assert view.figures["marks.made"] == 3
            await agent.until(lambda: bulb.seen.count(1) >= 4)
        first = next(mark for mark in log.records(MARKS) if isinstance(mark, MarkAdd))
        assert marks(log) == [
            ("fall", "pump/safe", "button", False),
            ("walk", "pump/walk", "button", True),
            ("run", "pump/turn", "button", True),
            ("undo", first.id),
        ]
        assert bulb.seen[-1] == 0

    asyncio.run(main())


def test_nothing_is_lost_over_an_outage_and_a_kill(tmp_path: Path, lines: dict[str, Line]) -> None:
    async def main() -> None:
        log = FlakyLog()
        log.away = True
        async with running(fed_config(tmp_path, more=TABLES), log, killed=True) as agent:
            await agent.until(lambda: len(lines) == 3)
            for line in lines.values():
                line.put(0)
            lines["safe"].put(1)
            lines["safe"].put(0)
            lines["walk"].put(1)
            lines["turn"].put(1)
            await agent.until(lambda: (tmp_path / "spool/marking").exists() and len(agent.agent.overview().open) == 2)
            await agent.until(lambda: any("begun" in text and "run" in text for text in agent.said))
            lines["turn"].put(0)
        log.away = False
        lines.clear()
        async with running(fed_config(tmp_path, more=TABLES), log, 2) as agent:
            await agent.until(lambda: len(lines) == 3)
            lines["safe"].put(0)
            lines["walk"].put(1)
            lines["turn"].put(0)
            lines["walk"].put(0)
            lines["turn"].put(1)
            await agent.until(lambda: len(marks(log)) == 3)
        assert sorted(marks(log)) == [
            ("fall", "pump/safe", "button", False),
            ("run", "pump/turn", "button", True),
            ("walk", "pump/walk", "button", True),
        ]

    asyncio.run(main())


def test_a_full_disk_is_a_long_flash_and_the_mark_comes_later(
    tmp_path: Path, lines: dict[str, Line], bulb: Bulb, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, full = Queue.commit, [True]

    def commit(queue: Queue, entries: list[Entry], *, last: bool = False) -> None:
        if full[0] and queue.folder.name == "urgent":
            raise StoreFullError("the disk is full")
        real(queue, entries, last=last)

    monkeypatch.setattr(Queue, "commit", commit)
    monkeypatch.setattr("edge.agent.marking.desk.RETRY_S", 0.02)

    async def main() -> None:
        log = FlakyLog()
        async with running(fed_config(tmp_path, more=TABLES), log) as agent:
            await agent.until(lambda: len(lines) == 3)
            lines["safe"].put(0)
            lines["safe"].put(1)
            lines["safe"].put(0)
            await agent.until(lambda: agent.agent.overview().buttons[0].said == "the disk is full")
            assert agent.agent.overview().figures["marks.waiting"] == 1
            assert not marks(log)
            full[0] = False
            await agent.until(lambda: len(marks(log)) == 1)
            await agent.until(lambda: any("the disk takes them again" in text for text in agent.said))

    asyncio.run(main())


def test_a_range_is_not_open_for_anybody_before_the_disk_has_it(
    tmp_path: Path, lines: dict[str, Line], bulb: Bulb, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, full = Journal.save, [True]

    def save(journal: Journal, data: bytes) -> None:
        if full[0]:
            raise StoreFullError("the disk is full")
        real(journal, data)

    monkeypatch.setattr(Journal, "save", save)
    monkeypatch.setattr("edge.agent.marking.desk.LOOK_S", 0.02)

    async def main() -> None:
        log = FlakyLog()
        async with running(fed_config(tmp_path, more=TABLES), log) as agent:
            await agent.until(lambda: len(lines) == 3)
            lines["walk"].put(0)
            lines["walk"].put(1)
            await agent.until(lambda: agent.agent.overview().buttons[1].said == "the disk is full")
            view = agent.agent.overview()
            assert (view.open, view.buttons[1].is_open) == ([], False)
            full[0] = False
            await agent.until(lambda: agent.agent.overview().buttons[1].is_open)
            assert len(agent.agent.overview().open) == 1

    asyncio.run(main())


def test_a_line_that_was_away_and_edges_that_nobody_kept(tmp_path: Path, lines: dict[str, Line]) -> None:
    async def main() -> None:
        log = FlakyLog()
        async with running(fed_config(tmp_path, more=TABLES), log) as agent:
            await agent.until(lambda: len(lines) == 3)
            walk = lines["walk"]
            walk.put(0)
            walk.put(1)
            await agent.until(lambda: len(agent.agent.overview().open) == 1)
            walk.items.put_nowait(Interruption("chip_lost", boottime_ns(), 0))
            walk.put(0)
            await agent.until(lambda: len(marks(log)) == 1)
            (mark,) = log.records(MARKS)
            assert isinstance(mark, MarkAdd)
            assert mark.evidence["end unknown"] == 1
            assert "it was let go while nobody looked" in mark.reason
            walk.put(0, missed=6)
            await agent.until(lambda: "loose" in agent.agent.overview().buttons[1].said)
            assert agent.agent.overview().figures["marks.missed_edges"] == 6

    asyncio.run(main())


def test_a_lamp_whose_chip_went_while_a_range_is_open_burns_again_without_a_press(
    tmp_path: Path, lines: dict[str, Line], bulb: Bulb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leds, "LOOK_S", 0.01)
    monkeypatch.setattr(leds, "RETRY_S", 0.01)

    async def main() -> None:
        async with running(fed_config(tmp_path, more=TABLES), FlakyLog()) as agent:
            await agent.until(lambda: len(lines) == 3)
            lines["walk"].put(0)
            lines["walk"].put(1)
            await agent.until(lambda: bulb.seen == [0, 1])
            bulb.is_gone = True
            await agent.until(lambda: bulb.seen == [0, 1, 0, 1])
            assert sum("its chip is gone" in text for text in agent.said) == 1

    asyncio.run(main())
