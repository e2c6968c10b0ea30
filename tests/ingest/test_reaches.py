"""From when to when a log has samples of each device."""

from __future__ import annotations

import asyncio

import numpy as np

from ingest.log.protocol import READINGS, Entry
from ingest.reaches import Reaches, read_reaches
from ingest.records import Chunk, Progress, Record, RecordingEnd
from ingest.times import sample_times
from ingest.wire import encode
from simulators.doubles.log import ListLog

BOOT = b"b" * 16


def chunk(device: str, t0: int, count: int = 3, *, stamped: bool = False) -> Chunk:
    deltas = np.arange(count, dtype="<i4").tobytes() if stamped else b""
    period = (0, 0) if stamped else (10, 1)
    values = bytes(4 * count)
    return Chunk(device, "r", "s", BOOT, 0, BOOT, t0, *period, 0, 7, deltas, count, values)


def reaches(*records: Record | bytes, records_max: int = 1000) -> Reaches:
    async def run() -> Reaches:
        log = ListLog(partitions=1)
        await log.append(READINGS, [Entry(b"k", it if isinstance(it, bytes) else encode(it)) for it in records])
        return await read_reaches(log, records_max)

    return asyncio.run(run())


def test_devices_reach_from_their_first_to_behind_their_last_sample() -> None:
    periodic, stamped = chunk("a", 100), chunk("b", 50, stamped=True)
    found = reaches(periodic, stamped, chunk("a", 40), Progress("c", "r", "s", BOOT, 900), b"junk", b"")
    last = [int(sample_times(it)[-1]) for it in (periodic, stamped)]
    assert found == Reaches({"a": (40, last[0] + 1), "b": (50, last[1] + 1)}, complete=True)
    assert last == [120, 64]


def test_a_large_log_is_looked_at_from_its_end() -> None:
    end = RecordingEnd("a", "r", BOOT, 500, "end")
    found = reaches(chunk("a", 100), chunk("b", 200), end, records_max=2)
    assert found == Reaches({"b": (200, 221)}, complete=False)


def test_a_log_without_readings() -> None:
    assert asyncio.run(read_reaches(ListLog())) == Reaches({}, complete=True)


def test_hostile_chunks_say_nothing() -> None:
    huge = chunk("a", 1 << 62)
    odd = Chunk("a", "r", "s", BOOT, 0, BOOT, 5, 0, 0, 0, 1, b"", 0, b"")
    assert reaches(huge, odd).spans.get("a", (5, 6)) == (5, 6)
