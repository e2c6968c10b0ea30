"""Seals from finished windows to a visible manifest entry, hashed and fsynced, beside writing the bare bytes."""

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
from ingest.records import schema_id
from tests.bench.harness import Row, row
from tests.bench.streams import SIX_AXES, Load
from windowing.fold.operator import WindowOperator
from windowing.spec import WindowSpec

WINDOWS, LENGTH, SEALS = 4096, 256, 6
RUNS = 5
BAR_MB = 500.0
BOUND_BYTES = 64 << 20
"""A service would seal such windows in shards of 16 MB; these are to be one shard."""


def bench() -> list[Row]:
    """MB/s of signal bytes; the windows are 256 × 6, half overlapping, 4,096 to a shard."""
    spec = WindowSpec(LENGTH, LENGTH // 2, Fraction(100), tuple(f"acc.{axis.name}" for axis in SIX_AXES.channels))
    load = Load(SEALS * WINDOWS * LENGTH // 2, 1000, devices=4, stream=SIX_AXES)
    values = [entry.value for entry in load.entries()]
    batches, step = [], -(-len(values) // SEALS)
    for at in range(0, len(values), step):
        part = values[at : at + step]
        columns = (range(at, at + len(part)), [1 << 61] * len(part), [b"d"] * len(part), part)
        batches.append(LogBatch("readings", 0, *columns, at + len(part)))
    seals, bare = [], []
    for _ in range(RUNS + 1):
        with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as folder:
            taken, size = asyncio.run(_seal(folder, spec, batches))
            seals.append(size / taken / 1e6)
            bare.append(size / sum(_write(Path(folder) / f"bare-{n}", size // SEALS) for n in range(SEALS)) / 1e6)
    return [
        row(
            f"seal and publish {SEALS} shards of {WINDOWS} windows, hashed and fsynced",
            seals[1:],
            "MB/s",
            baseline="write and fsync of as many bytes",
            baseline_values=bare[1:],
            bar=BAR_MB,
        )
    ]


async def _seal(folder: str, spec: WindowSpec, batches: list[LogBatch]) -> tuple[float, int]:
    """As the worker does it: one seal is on its way to the disk while the next is prepared. Feeding is not counted."""
    operator = WindowOperator(spec, bound_bytes=BOUND_BYTES)
    operator.learn(schema_id(SIX_AXES), SIX_AXES)
    store = FileStore(DiskFiles(folder), "bench")
    part = await work.recover(store, operator, "readings", 0, 0)
    size, fed, start = 0, 0.0, time.perf_counter()
    under_way: asyncio.Task[None] | None = None
    for batch in batches:
        began = time.perf_counter()
        assert part.running.feed(batch) == len(batch)
        part.position = batch.next_offset
        fed += time.perf_counter() - began
        seal = await asyncio.to_thread(work.prepare, part, operator)
        if under_way is not None:
            await under_way
        under_way = asyncio.create_task(_make_visible(store, part, seal))
        work.move_on(part, seal)
        (shard,) = (draft for draft in seal.output.drafts if draft.name.startswith("signal/"))
        assert abs(shard.rows - WINDOWS) < 64
        size += shard.size
    assert under_way is not None
    await under_way
    return time.perf_counter() - start - fed, size


async def _make_visible(store: FileStore, part: work.Partition, seal: work.Seal) -> None:
    await work.write_files(store, seal)
    await work.commit(store, part, seal)


def _write(path: Path, size: int) -> float:
    data = os.urandom(size)
    start = time.perf_counter()
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    os.write(descriptor, data)
    os.fsync(descriptor)
    os.close(descriptor)
    return time.perf_counter() - start
