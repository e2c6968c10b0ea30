"""A seal from finished windows to a visible manifest entry, hashed and fsynced, beside writing the bare bytes."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from fractions import Fraction
from pathlib import Path

from ingest.engine import partition as work
from ingest.engine.disk import DiskFiles
from ingest.engine.store import FileStore
from ingest.log.protocol import LogBatch
from tests.bench.harness import Row, row
from tests.bench.streams import SCHEMA, STREAM, Load
from windowing.operator import WindowOperator
from windowing.spec import WindowSpec

WINDOWS, LENGTH = 4096, 256
RUNS = 9
BAR_MB = 400.0


def bench() -> list[Row]:
    """MB/s of signal bytes; the windows are 256 × 3."""
    spec = WindowSpec(LENGTH, LENGTH // 2, Fraction(100), ("acc.x", "acc.y", "acc.z"))
    values = [entry.value for entry in Load(WINDOWS * LENGTH // 2, 1000, devices=4).entries()]
    batch = LogBatch(
        "readings", 0, range(len(values)), [1 << 61] * len(values), [b"d"] * len(values), values, len(values)
    )
    seals, bare, size = [], [], 0
    for _ in range(RUNS + 1):
        with tempfile.TemporaryDirectory(prefix="wavemark-bench-") as folder:
            taken, size = asyncio.run(_seal(folder, spec, batch))
            seals.append(size / taken / 1e6)
            bare.append(size / _write(Path(folder) / "bare", size) / 1e6)
    return [
        row(
            f"seal and publish {size / 1e6:.0f} MB of windows, hashed and fsynced",
            seals[1:],
            "MB/s",
            baseline="write and fsync of as many bytes",
            baseline_values=bare[1:],
            bar=BAR_MB,
        )
    ]


async def _seal(folder: str, spec: WindowSpec, batch: LogBatch) -> tuple[float, int]:
    operator = WindowOperator(spec)
    operator.learn(SCHEMA, STREAM)
    store = FileStore(DiskFiles(folder), "bench")
    part = await work.recover(store, operator, "readings", 0, 0)
    part.running.feed(batch)
    part.position = batch.next_offset
    start = time.perf_counter()
    seal = await asyncio.to_thread(work.prepare, part, operator)
    await work.write_files(store, seal)
    await work.commit(store, part, seal)
    work.move_on(part, seal)
    taken = time.perf_counter() - start
    size = sum(draft.size for draft in seal.output.drafts if draft.name.startswith("signal/"))
    return taken, size


def _write(path: Path, size: int) -> float:
    data = os.urandom(size)
    start = time.perf_counter()
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    os.write(descriptor, data)
    os.fsync(descriptor)
    os.close(descriptor)
    return time.perf_counter() - start
