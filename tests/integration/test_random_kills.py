"""SIGKILL at random moments of an agent that reads lines, scans and messages, each numbered: the books close.

The edges of a GPIO chip, which needs a kernel of one's own, are in tests/kernel/test_gpio.py.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from pathlib import Path
from typing import Final

import pytest

from ingest.records import RecordingStart
from tests.integration.books import S, Tolerance, missing
from tests.integration.forks import Forks
from tests.integration.site import wait_for
from tests.integration.stations import Station
from tests.support.mosquitto import Mosquitto

KILLS: Final = 20
BROKER: Final = Tolerance(early_ns=2 * S, late_ns=3 * S, edge_ns=2 * S)
"""A message passes through two more processes."""


def durable_bytes(folder: Path) -> int:
    """How much lies in the spool's segments, and in the log's."""
    found = 0
    for part in ("spool", "log"):
        for place, _, names in os.walk(folder / part):
            for name in names:
                with contextlib.suppress(FileNotFoundError):  # of the spool, and the log has it
                    found += (Path(place) / name).stat().st_size if name.endswith(".log") else 0
    return found


def await_commits(folder: Path, count: int) -> None:
    """The agent is at work: what is durable has grown so often."""
    for _ in range(count):
        before = durable_bytes(folder)
        wait_for(lambda before=before: durable_bytes(folder) > before, "a commit")  # type: ignore[misc]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("kills", "seed"),
    [(KILLS, 192), *(pytest.param(200, seed, marks=[pytest.mark.soak, pytest.mark.timeout(0)]) for seed in range(3))],
)
def test_books_close_over_kills_at_random(tmp_path: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    with Forks() as forks, Mosquitto("max_queued_messages 0") as broker:
        station = Station(tmp_path, forks=forks)
        line = station.add_port("line", more='rate = "100Hz"')
        scans = station.add_registers("scans", "20ms")
        messages = station.add_publisher("messages", broker.host, broker.port)
        with station:
            for _ in range(kills):
                if chance.random() < 0.75:  # else while it begins
                    await_commits(tmp_path, 3)
                time.sleep(0.4 * chance.random())
                station.kill()
                assert station.agent is not None
                assert station.agent.poll() == -9, station.err
                station.start()
            station.await_more()
            station.quiet()
            assert station.stop() == 0, station.err
            books = station.check(BROKER)
        starts = [record for record in station.records() if isinstance(record, RecordingStart)]
    lost = {name: len(missing(books[name], station.sensors[name].said)) for name in books}
    print({name: (len(book.numbers), lost[name], book.repeated, book.recordings) for name, book in books.items()})
    assert lost["messages"] == 0, "a message was acknowledged that was not durable"
    assert lost["scans"] > 0, "no kill hit what was not durable yet"
    assert min(book.recordings for book in books.values()) > kills // 3, "hardly a kill hit an agent at work"
    for name in books:
        named = {(start.boot, start.previous_boot) for start in starts if start.device == name}
        assert len({boot for boot, _ in named}) == len({before for _, before in named}) == len(named), name
    assert all(len(sensor.said.due_ns) > 100 for sensor in (line, scans, messages))
