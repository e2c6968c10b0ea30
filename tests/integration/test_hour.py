"""An hour of ten sources: what an agent takes does not grow, and the book closes at its end.

`SENSORLOOM_HOUR_S` is another duration, in seconds. Growth is the slope of a line through the second half of what was
seen, over that half.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pytest

from ingest.log.protocol import LIVE
from ingest.records import Chunk
from ingest.wire import decode
from tests.integration.books import S, Tolerance, missing
from tests.integration.following import Follower
from tests.integration.stations import Port, Station
from tests.support.mosquitto import Mosquitto

HOUR_S: Final = float(os.environ.get("SENSORLOOM_HOUR_S", "3600"))
LOOK_S: Final = 5.0
MOST_GROWTH: Final = {"resident MB": 3.0, "descriptors": 0.5, "files of the spool": 2.0, "lag s": 0.5}
POOL: Final = min(32, (os.cpu_count() or 1) + 4)
"""Threads that asyncio has for what waits on disks: each begins when all others are busy, and stays."""


class Seen(NamedTuple):
    """A look at the agent."""

    at_s: float
    resident_mb: float
    descriptors: int
    files: int
    lag_s: float
    threads: int


def look(station: Station, follower: Follower, begin_s: float) -> Seen:
    assert station.agent is not None
    process = Path(f"/proc/{station.agent.pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return Seen(
        time.monotonic() - begin_s,
        int(status["VmRSS"].split()[0]) / 1024,
        sum(f"/topics/{LIVE}/" not in target for target in open_files(process)),
        sum(path.is_file() for path in (station.folder / "spool").rglob("*")),
        follower.lag_s,
        int(status["Threads"]),
    )


def open_files(process: Path) -> Iterator[str]:
    """What a process has open. The topic `live` is opened where an agent is late once, on a busy machine, and stays."""
    for file in (process / "fd").iterdir():
        with suppress(FileNotFoundError):
            yield str(file.readlink())


def growth(seen: list[Seen]) -> dict[str, float]:
    """Over the second half, by figure."""
    half = np.array(seen[len(seen) // 2 :], dtype=np.float64)
    slopes = np.polyfit(half[:, 0], half[:, 1 : 1 + len(MOST_GROWTH)], 1)[0] * (half[-1, 0] - half[0, 0])
    return dict(zip(MOST_GROWTH, slopes.round(3).tolist(), strict=True))


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_an_hour_of_ten_sources(tmp_path: Path) -> None:
    station = Station(tmp_path)

    def see(value: bytes) -> float | None:
        """How long ago the newest sample of a chunk was said."""
        record = decode(value)
        if not isinstance(record, Chunk):
            return None
        number = int(np.frombuffer(record.values, "<i4")[-2])
        return time.time() - station.sensors[record.device].said.due_ns[number] / S

    with Mosquitto("max_queued_messages 0") as broker:
        for number in range(7):
            station.add_port(f"port-{number}", (1, 10, 50, 100, 100, 200, 500)[number])
        for number in range(3):
            station.add_publisher(f"topic-{number}", broker.host, broker.port, (1, 10, 20)[number])
        with station, Follower(station.log, see) as follower:
            station.await_more()
            seen, begin_s = list[Seen](), time.monotonic()
            over = threading.Event()
            while time.monotonic() - begin_s < HOUR_S:
                over.wait(LOOK_S)
                seen.append(look(station, follower, begin_s))
            station.quiet()
            assert station.stop() == 0, station.err
            books = station.check(Tolerance(late_ns=3 * S, edge_ns=3 * S))
    found = growth(seen)
    print(json.dumps({"seconds": HOUR_S, "first": seen[0], "last": seen[-1], "growth": found}))
    for name, most in MOST_GROWTH.items():
        assert found[name] <= most, (
            f"{name} grew by {found[name]} in half of {HOUR_S:g} s: {seen[:: len(seen) // 10 or 1]}"
        )
    assert max(look.threads for look in seen) <= seen[0].threads + POOL
    for name, sensor in station.sensors.items():
        lost = len(missing(books[name], sensor.said))
        assert not lost or isinstance(sensor, Port), f"{name}: {lost} messages"
        assert lost <= len(sensor.said.due_ns) // 1000, f"{name}: {lost} lines"
