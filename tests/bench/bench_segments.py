"""The embedded log: appending with an fsync a call, and reading, beside the bare system calls."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path

from ingest.log.protocol import READINGS, Entry
from ingest.log.segments import SegmentLog
from tests.bench.harness import Row, row
from tests.bench.streams import Load

LOAD = Load(4_000_000, 100)
PER_CALL = 2000
IN_FLIGHT = 4
RUNS = 5
APPEND_BAR_MB = 100.0


def bench() -> list[Row]:
    """MB/s of values."""
    entries = list(LOAD.entries())
    size = sum(len(entry.value) for entry in entries)
    appends, writes, reads, bare_reads = [], [], [], []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as folder:
            appends.append(asyncio.run(_append(folder, entries)))
            writes.append(_write(Path(folder) / "bare", [entry.value for entry in entries]))
            reads.append(asyncio.run(_read(folder, len(entries))))
            bare_reads.append(_timed_read(Path(folder) / "bare"))
    return [
        row(
            f"segments, append {PER_CALL} chunks a call, {IN_FLIGHT} calls under way",
            _rates(size, appends),
            "MB/s",
            baseline="one file, pwrite and fdatasync a call",
            baseline_values=_rates(size, writes),
            bar=APPEND_BAR_MB,
        ),
        row(
            "segments, read with checksums",
            _rates(size, reads),
            "MB/s",
            baseline="reading the same bytes",
            baseline_values=_rates(size, bare_reads),
        ),
    ]


def _rates(size: int, seconds: list[float]) -> list[float]:
    return [size / taken / 1e6 for taken in seconds]


async def _append(folder: str, entries: list[Entry]) -> float:
    log = SegmentLog(f"{folder}/log")
    await log.ensure(READINGS)
    start = time.perf_counter()
    under_way: set[asyncio.Task[object]] = set()
    for at in range(0, len(entries), PER_CALL):
        if len(under_way) == IN_FLIGHT:
            _, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        under_way.add(asyncio.create_task(log.append(READINGS, entries[at : at + PER_CALL])))
    await asyncio.gather(*under_way)
    taken = time.perf_counter() - start
    await log.close()
    return taken


async def _read(folder: str, count: int) -> float:
    log = SegmentLog(f"{folder}/log")
    bounds = await log.bounds(READINGS)
    start = time.perf_counter()
    reader = log.reader(READINGS, {partition: bound.begin for partition, bound in bounds.items()})
    while count > 0:
        count -= sum(map(len, await reader.fetch(1.0)))
    taken = time.perf_counter() - start
    await reader.close()
    await log.close()
    return taken


def _write(path: Path, values: list[bytes]) -> float:
    start = time.perf_counter()
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    for at in range(0, len(values), PER_CALL):
        os.write(descriptor, b"".join(values[at : at + PER_CALL]))
        os.fdatasync(descriptor)
    os.close(descriptor)
    return time.perf_counter() - start


def _timed_read(path: Path) -> float:
    start = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while file.read(1 << 20):
            pass
    return time.perf_counter() - start
