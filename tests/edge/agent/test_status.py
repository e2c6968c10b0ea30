"""What an agent says of itself: how much that is, and to whom."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edge.agent import status
from edge.agent.agent import Agent
from edge.agent.clones import CloneWatch
from edge.agent.status import Status
from edge.config import load_config
from ingest.errors import LogUnavailableError
from ingest.log.protocol import STATUS, TOPICS, Bounds, LogBatch
from ingest.records import Heartbeat
from ingest.wire import decode
from tests.edge.feeding import FlakyLog, fed  # noqa: F401 - a fixture

DAY_S = 86_400
FRAME_BYTES = 32
"""What the log adds to a record, at least."""

pytestmark = pytest.mark.usefixtures("fed")


def beats_of(folder: Path, config: str, monkeypatch: pytest.MonkeyPatch, wanted: int) -> list[tuple[Heartbeat, int]]:
    """The first heartbeats of an agent, each with its size in the log."""
    monkeypatch.setattr(status, "HEARTBEAT_S", 0.02)
    (folder / "agent.toml").write_text(config)

    async def main() -> list[tuple[Heartbeat, int]]:
        log, stop = FlakyLog(), asyncio.Event()
        agent = Agent(load_config(folder / "agent.toml"), log, bytes(16), "0", lambda line: None)
        running = asyncio.create_task(agent.run(stop))
        found: list[tuple[Heartbeat, int]] = []
        while len(found) < wanted:
            await asyncio.sleep(0.05)
            entries = [entry for part in log.content.get(STATUS, []) for entry in part]
            records = [(decode(entry.value), len(entry.key) + len(entry.value) + FRAME_BYTES) for entry in entries]
            found = [(record, size) for record, size in records if isinstance(record, Heartbeat)]
        stop.set()
        await running
        return found[:wanted]

    return asyncio.run(main())


SOURCE = """
[[source]]
name = "s{0}"
device = "pump-{0}"
type = "fed"
decoder = "csv"
stream = "acc-{0}"
channels = {{ x = "g", y = "g", z = "g" }}
"""
HEAD = 'log = "segments:log"\n[spool]\ndir = "spool"\n'


@pytest.mark.parametrize("devices", [1, 20])
def test_a_hundred_devices_cost_less_than_100_megabytes_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, devices: int
) -> None:
    every_s = status.HEARTBEAT_S
    config = HEAD + "".join(map(SOURCE.format, range(devices)))
    beats = beats_of(tmp_path, config, monkeypatch, devices * status.FIGURES_BEATS)
    a_day = sum(size for _, size in beats) * DAY_S / (every_s * status.FIGURES_BEATS)
    assert a_day * 100 / devices <= 100e6


def test_a_heartbeat_has_the_figures_of_its_device_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beats = beats_of(tmp_path, HEAD + "".join(map(SOURCE.format, range(3))), monkeypatch, 6)
    first, second = {b.device: b.figures for b, _ in beats[:3]}, [b.figures for b, _ in beats[3:]]
    assert set(first["pump-1"]) == {"acc-1.samples", "acc-1.chunks"}
    assert {"acc-0.samples", "spool.backlog", "published.records"} <= set(first["pump-0"])
    assert not any("acc-1" in name for name in first["pump-0"])
    assert second == [{}, {}, {}]


def test_status_is_kept_for_a_week() -> None:
    assert TOPICS[STATUS].retention_ms == 7 * 86_400_000


def test_who_looks_for_others_is_soon_back_after_many_outages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outages that lie apart do not add up."""
    delays: list[float] = []

    class ShortLived:
        """A reader that reads once."""

        asked = 0

        async def fetch(self, timeout_s: float) -> list[LogBatch]:
            self.asked += 1
            if self.asked > 1:
                raise LogUnavailableError("away")
            return []

        async def close(self) -> None:
            return None

    class Outages(FlakyLog):
        async def bounds(self, topic: str) -> dict[int, Bounds]:
            return {}

        def reader(self, topic: str, start: Mapping[int, int], *, durable: bool = True) -> Any:
            return ShortLived()

    async def main() -> None:
        async def sleep(seconds: float) -> None:
            delays.append(seconds)
            if len(delays) == 20:
                raise asyncio.CancelledError

        monkeypatch.setattr("edge.agent.status.asyncio.sleep", sleep)
        speaker = Status(("pump",), "me", bytes(16), Outages())
        await speaker.watch(CloneWatch({"pump"}, bytes(16)), lambda line: None)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert max(delays) <= 3.0
