"""Marks on their way into labels: how soon one is seen, what many cost, and what waiting for them does."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

import sensorloom
from curation.versions.making import Asked, make_version
from ingest.chunker import Limits, Origin, periodic_chunks
from ingest.engine import partition as work
from ingest.engine.disk import DiskFiles
from ingest.engine.plan import Fsync, Op, SyncFolder, create_plan, put_plan
from ingest.engine.store import FileStore
from ingest.log.protocol import MARKS, READINGS, STREAMS, Entry, LogBatch
from ingest.log.segments import SegmentLog
from ingest.records import Channel, MarkAdd, Reading, RecordingEnd, StreamDescription, schema_id
from ingest.wire import encode
from labeling.lines import WindowTimes
from labeling.marks import ResolvedMark
from labeling.resolve import LabelPolicy, resolve
from labeling.sink import LabelsOperator
from tests.bench.big_dataset import build
from tests.bench.harness import Row, measure_in_turn, row
from tests.support.peers import peer_python, run_peer
from tests.support.processes import cpu_seconds

PRESSES: Final = 40
PARTITIONS: Final = 64
IDLE_S: Final = 20.0
LATE: Final = 2000
PEERS: Final = ("deltalake==1.6.6", "pyarrow==26.0.1", "numpy==2.4.6")
MANY: Final = 100_000
RUNS: Final = 7
_START_NS: Final = 1_700_000_000 * 10**9
_SECOND: Final = 10**9
_STREAM: Final = StreamDescription("acc", (Channel("x", "g"),), "float32", rate_num=100)
_CONFIG: Final = """name = "bench"
[window]
length = 100
hop = 100
rate = "100Hz"
anchor = "epoch"
channels = ["acc.x"]
"""


def bench() -> list[Row]:
    """Seconds from a mark to its label, share of a core of an idle service, cost of late labels, and of many."""
    return [*_pressed(), *_late(), *_resolved()]


def _pressed() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as name:
        site = Path(name)
        (site / "dataset.toml").write_text(_CONFIG)
        asyncio.run(_record(site, PRESSES))
        subprocess.run([*_service(site), "--until-idle"], check=True, capture_output=True)
        with _running(site) as service:
            time.sleep(5)
            before = cpu_seconds(service.pid)
            time.sleep(IDLE_S)
            idle = (cpu_seconds(service.pid) - before) / IDLE_S
            seen = [_seen_after(site, number) for number in range(PRESSES)]
    what = f"{PARTITIONS} partitions"
    return [
        row(f"mark acknowledged -> label in an opened dataset, {what}", seen, "s", bar=1.0, lower_is_better=True),
        row(
            f"an idle worker, {what}",
            [50 * idle],
            "% of a core",
            bar=1.0,
            lower_is_better=True,
        ),
    ]


async def _record(site: Path, seconds: int) -> None:
    log = SegmentLog(site / "log", partitions=PARTITIONS)
    await log.ensure(MARKS)
    await log.append(STREAMS, [Entry(schema_id(_STREAM), encode(_STREAM))])
    origin, values = Origin("pump", "r", "acc", b"b" * 16, schema_id(_STREAM)), np.zeros((100 * seconds, 1), np.float32)
    records: list[Reading] = [*periodic_chunks(origin, _START_NS, (_SECOND // 100, 1), values, Limits())]
    end = RecordingEnd("pump", "r", b"b" * 16, _START_NS + seconds * _SECOND, "end")
    await log.append(READINGS, [Entry(b"pump", encode(record)) for record in [*records, end]])
    await log.close()


async def _press(site: Path, mark: MarkAdd) -> None:
    log = SegmentLog(site / "log")
    await log.append(MARKS, [Entry(mark.device.encode(), encode(mark))])
    await log.close()


def _service(site: Path) -> list[str]:
    words = ["-c", f"{site}/dataset.toml", "--log", f"segments:{site}/log", "--out", f"{site}/dataset"]
    return [sys.executable, "-m", "sensorloom", "window", "run", *words]


@contextmanager
def _running(site: Path) -> Iterator[subprocess.Popen[bytes]]:
    service = subprocess.Popen(_service(site), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield service
    finally:
        service.terminate()
        service.wait()


def _mark(number: int) -> MarkAdd:
    start_ns = _START_NS + number * _SECOND
    return MarkAdd("pump", secrets.token_hex(8), start_ns, start_ns + _SECOND, "run", "ann", "operator")


def _seen_after(site: Path, number: int) -> float:
    """Seconds from the acknowledgement of a mark over the window `number` until an opened dataset has its label."""
    time.sleep(random.uniform(0, 2))
    asyncio.run(_press(site, _mark(number)))
    acknowledged = time.perf_counter()
    while sensorloom.open(site / "dataset").windows()["label"].null_count() > PRESSES - 1 - number:
        time.sleep(0.005)
    return time.perf_counter() - acknowledged


class Unsynced(DiskFiles):
    """A disk that makes nothing durable: what is left of a seal's time is ours."""

    def _do(self, op: Op, written: dict[str, int]) -> None:
        if isinstance(op, Fsync):
            os.close(written.pop(op.path))
        elif not isinstance(op, SyncFolder):
            super()._do(op, written)


def _late() -> list[Row]:
    """A seal of many marks into a dataset that has some: fsynced; without, as its peer's; CPU; and the fsyncs alone."""
    wall, unsynced, cpu, sizes, bare = [], [], [], [], []
    for _ in range(RUNS + 1):
        with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as name:
            seconds, busy, size = asyncio.run(_seal(Path(name), DiskFiles))
            wall.append(1000 * seconds)
            cpu.append(1000 * busy)
            sizes.append(size / 1000)
            bare.append(1000 * _synced(Path(name)))
        with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as name:
            seconds, _, _ = asyncio.run(_seal(Path(name), Unsynced))
            unsynced.append(1000 * seconds)
    peer = run_peer(peer_python(*PEERS), Path(__file__).with_name("peer_deltalake.py"), MANY, LATE, RUNS)
    beside: dict[str, Any] = {"baseline": "deltalake, an append", "lower_is_better": True}
    what = f"{LATE:,} late labels, one seal"
    return [
        row(what, wall[1:], "ms", bar=10.0, baseline_values=peer["ms"], **beside),
        row(f"{what}, not fsynced", unsynced[1:], "ms", bar=10.0, baseline_values=peer["ms"], **beside),
        row(f"{what}, CPU", cpu[1:], "ms", bar=10.0, lower_is_better=True),
        row("three small files and their folders written and fsynced, by themselves", bare[1:], "ms"),
        row(f"{LATE:,} late labels, on the disk", sizes[1:], "kB", bar=25.0, baseline_values=peer["kB"], **beside),
        *_versioned(),
    ]


def _versioned() -> list[Row]:
    """The version that late labels make: seconds to look at all windows before and now, and bytes on the disk."""
    with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as name:
        root = build(Path(name) / "d", MANY, steps=4, channels=2, devices=20, marks=LATE, seals=20)
        seconds, sizes = [], []
        for number in range(3):
            before, start = _size(root), time.process_time()
            made = asyncio.run(make_version(root, Asked(), time_ns=number, author="bench"))
            assert made.number is not None
            seconds.append(time.process_time() - start)
            sizes.append((_size(root) - before) / 1000)
            asyncio.run(_label(root, number))
    what = f"{LATE:,} late labels as the next version of {MANY:,} windows"
    return [
        row(f"{what}, CPU", seconds[1:], "s"),
        row(f"{what}, on the disk", sizes[1:], "kB", bar=25.0, lower_is_better=True),
    ]


def _size(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


async def _label(root: Path, number: int) -> None:
    """Late labels in a dataset's own chain of marks."""
    operator, store = LabelsOperator(), FileStore(DiskFiles(root / "labels"), f"bench-{number}")
    part = await work.recover(store, operator, MARKS, 0, 0)
    marks = [
        MarkAdd(
            "dev-000", f"{number}-{each}", 4 * each * _SECOND, (4 * each + 4) * _SECOND, f"late-{number}", "ann", "x"
        )
        for each in range(LATE)
    ]
    offsets = range(part.position, part.position + LATE)
    part.running.feed(LogBatch(MARKS, 0, offsets, [0] * LATE, [b""] * LATE, [encode(it) for it in marks], offsets.stop))
    part.position = offsets.stop
    seal = work.prepare(part, operator)
    await work.write_files(store, seal)
    await work.commit(store, part, seal)
    shutil.rmtree(root / "labels/heads", ignore_errors=True)  # it has no `belongs/`, which these go with


async def _seal(folder: Path, disk: type[DiskFiles]) -> tuple[float, float, int]:
    """Seconds, wall and CPU, that a seal of late labels takes, from the log's records to the entry, behind one of a few
    labels; and its bytes on the disk."""
    operator, store = LabelsOperator(), FileStore(disk(folder), "bench")
    part = await work.recover(store, operator, MARKS, 0, 0)
    took = [(0.0, 0.0)]
    for count in (1, LATE):
        values, before = [encode(_mark(number)) for number in range(count)], _size(folder)
        offsets = range(part.position, part.position + count)
        batch = LogBatch(MARKS, 0, offsets, [0] * count, [b"pump"] * count, values, offsets.stop)
        start, busy = time.perf_counter(), time.process_time()
        part.running.feed(batch)
        part.position = offsets.stop
        seal = work.prepare(part, operator)
        note = await work.write_files(store, seal)
        await work.commit(store, part, seal)
        took.append((time.perf_counter() - start, time.process_time() - busy))
        await store.delete((*work.move_on(part, seal), note))
    return *took[-1], _size(folder) - before


def _synced(folder: Path) -> float:
    """Seconds that the disk takes for a seal's fsyncs of other bytes: two files at once, then one."""
    disk = DiskFiles(folder)
    first, second, third = (f"{place}/bare" for place in ("marks", f"state/{MARKS}-0", f"manifest/{MARKS}-0"))
    plans = [put_plan([(name, [secrets.token_bytes(4096)])], "b") for name in (first, second)]
    start = time.perf_counter()
    with ThreadPoolExecutor(2) as both:
        for done in [both.submit(disk.run_now, plan) for plan in plans]:
            done.result()
    disk.run_now(create_plan(third, b"{}", "b"))
    return time.perf_counter() - start


def _resolved() -> list[Row]:
    """Many marks over as many windows, people's and rules', of few and of many labels and devices."""
    rows = []
    for labels, devices in ((10, 1), (10_000, 1), (10, 10_000)):
        windows, marks = _crowd(labels, devices)
        seconds, _ = measure_in_turn(lambda: resolve(windows, marks, LabelPolicy()), None, RUNS, time.process_time)  # noqa: B023
        what = f"{MANY:,} marks of {labels:,} labels over {MANY:,} windows of {devices:,} devices, CPU"
        rows.append(row(what, seconds, "s", bar=1.0, lower_is_better=True))
    return rows


def _crowd(labels: int, devices: int) -> tuple[WindowTimes, list[ResolvedMark]]:
    rng = np.random.default_rng(1)
    number = np.arange(MANY)
    t0_ns = number // devices * _SECOND
    names = tuple(f"d{device:05}" for device in range(devices))
    start = rng.integers(0, MANY // devices * _SECOND, MANY)
    end = start + (rng.exponential(3, MANY) * _SECOND).astype(np.int64)
    device, label = rng.integers(0, devices, MANY).tolist(), rng.integers(0, labels, MANY).tolist()
    marks = [
        ResolvedMark(
            f"m{at}",
            names[device[at]],
            begin,
            stop,
            f"l{label[at]}",
            "ann",
            ("rule", "operator")[at % 2],
            1.0,
            order=at,
        )
        for at, (begin, stop) in enumerate(zip(start.tolist(), end.tolist(), strict=True))
    ]
    return WindowTimes(names, number % devices, t0_ns, t0_ns + 2 * _SECOND), marks
