"""Opening a dataset that was sealed a hundred thousand times: its small files were merged meanwhile."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from ingest.engine import partition as work
from ingest.engine.genesis import FORMAT, Genesis, encode_genesis
from ingest.engine.merging import Merging, commit_merged, is_due, let_go, merge, write_merged
from ingest.engine.plan import Fsync, Link, Op, Rename, SyncFolder, Unlink, Write
from ingest.engine.store import FileStore
from ingest.log.protocol import LogBatch
from labeling.sink import LabelsOperator
from tests.bench.harness import Row, row
from tests.windowing.sample_dataset import CONFIG, Scripted, Window, at_once
from windowing.config import DatasetConfig
from windowing.dataset.merging import WindowsMerger

SEALS: Final = 100_000
BAR_S: Final = 1.0
RUNS: Final = 5
_OPEN: Final = """import sys, time, sensorloom
import polars, windowing.dataset.reader
begin, cpu = time.perf_counter(), time.process_time()
found = len(sensorloom.open(sys.argv[1]))
print(found, time.perf_counter() - begin, time.process_time() - cpu)
"""


class MemoryFiles:
    """Files in memory: what is left of a hundred thousand seals goes to a disk at the end."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    async def run(self, plan: Sequence[Op]) -> None:
        for op in plan:
            match op:
                case Write(path, parts):
                    self.files[path] = b"".join(bytes(part) for part in parts)
                case Rename(path, to):
                    self.files[to] = self.files.pop(path)
                case Link(path, to):
                    self.files[to] = self.files[path]
                case Unlink(path):
                    self.files.pop(path, None)
                case Fsync() | SyncFolder():
                    pass

    async def read(self, path: str) -> bytes:
        try:
            return self.files[path]
        except KeyError:
            raise FileNotFoundError(path) from None

    async def exists(self, path: str) -> bool:
        return path in self.files

    async def names(self, folder: str) -> list[str]:
        if folder == "heads" or folder.startswith("manifest/"):
            return []
        return sorted(path.rpartition("/")[2] for path in self.files if path.rpartition("/")[0] == folder)


def bench() -> list[Row]:
    """Seconds of `sensorloom.open`, wall and CPU, in a process that has loaded it."""
    with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as name:
        root = Path(name)
        asyncio.run(build(root, SEALS))
        wall, cpu = zip(*(opened(root) for _ in range(RUNS)), strict=True)
    what = f"open a dataset of {SEALS:,} seals"
    return [
        row(what, list(wall), "s", bar=BAR_S, lower_is_better=True),
        row(f"{what}, CPU", list(cpu), "s", bar=BAR_S, lower_is_better=True),
    ]


def opened(root: Path) -> tuple[float, float]:
    """Wall and CPU seconds of opening."""
    done = subprocess.run([sys.executable, "-c", _OPEN, str(root)], capture_output=True, text=True, check=True)
    found, wall, cpu = done.stdout.split()
    assert int(found) == SEALS, f"{found} windows of {SEALS}"
    return float(wall), float(cpu)


async def build(root: Path, seals: int) -> None:
    """A dataset of so many seals of one window each, by the engine's own steps."""
    (root / "dataset.toml").write_text(CONFIG)
    window = DatasetConfig.load(root / "dataset.toml").window
    operator, labels = Scripted(window.id), LabelsOperator()
    for folder, each, topic in ((f"windows/{window.id}", operator, "readings"), ("labels", labels, "marks")):
        (root / folder).mkdir(parents=True)
        genesis = Genesis(FORMAT, each.name, topic, 1, "the log", each.spec, each.code, "id")
        (root / folder / "genesis.json").write_bytes(encode_genesis(genesis))
    files = MemoryFiles()
    store = FileStore(files, "b")
    part = await work.recover(store, operator, "readings", 0, 0)
    merging = Merging(WindowsMerger(window), time.time_ns, grace_ns=0)
    for number, value in enumerate(windows(seals)):
        part.running.feed(LogBatch("readings", 0, [number], [number], [b""], [value], number + 1))
        part.position = number + 1
        seal = work.prepare(part, operator)
        note = await work.write_files(store, seal)
        await work.commit(store, part, seal)
        await store.delete((*work.move_on(part, seal), note))
        if is_due(part, merging):
            ready = await merge(store, part, merging, at_once)
            note = await write_merged(store, part, ready)
            await store.delete((*await commit_merged(store, part, ready), note))
            await let_go(store, part, merging)
    for path, data in files.files.items():
        (file := root / f"windows/{window.id}" / path).parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def windows(count: int) -> Iterator[bytes]:
    """A window each of ten devices in turn."""
    for number in range(count):
        yield msgspec.msgpack.encode(Window(f"d{number % 10}", "r", number // 10))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir()
    asyncio.run(build(folder, int(sys.argv[2])))
    print(sum(os.times()[:2]), "s")
