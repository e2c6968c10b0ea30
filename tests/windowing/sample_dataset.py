"""Small datasets for tests, sealed by the real engine from scripted records.

Windows come as they are, one a record, through an operator that only writes them down; marks go through the real
labels operator.
"""

from __future__ import annotations

import asyncio
import io
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import polars as pl
from numpy.lib import format as npy
from numpy.typing import NDArray

from ingest.engine import partition as work
from ingest.engine.disk import DiskFiles
from ingest.engine.genesis import FORMAT, Genesis, decode_genesis, encode_genesis
from ingest.engine.merging import Merger, Merging, commit_merged, is_due, let_go, write_merged
from ingest.engine.merging import merge as merge_files
from ingest.engine.operator import Draft, Operator, Output, State
from ingest.engine.store import FileStore
from ingest.log.protocol import LogBatch
from ingest.records import Mark, MarkAdd, StreamDescription
from ingest.wire import encode
from labeling.merging import TableMerger
from labeling.sink import LabelsOperator
from windowing.config import DatasetConfig
from windowing.dataset.index import INDEX_SCHEMA
from windowing.dataset.merging import WindowsMerger
from windowing.fold.shards import row_hash

T = TypeVar("T")

STEPS, CHANNELS = 4, 2
PERIOD_NS = 10**9
CONFIG = """name = "pumps"

[window]
length = 4
rate = "1Hz"
channels = ["acc.x", "acc.y"]

[labels]
policy = "majority"
"""


class Window(msgspec.Struct, frozen=True, array_like=True):
    """A window to come: `k`-th of its recording, from `k * 4` s on; its signal is made from `seed`."""

    device: str
    recording: str
    k: int
    seed: int = 0
    mask: bytes = b""
    forged: bool = False
    """The index has the hash of other bytes."""
    offset: int = 0
    """The record in the log by which all its data had come."""
    late_s: int = 0
    """Its recording was begun anew so much later: what is anchored there has the same numbers again."""

    @property
    def id(self) -> str:
        return f"{self.device}-{self.recording}-{self.k}"

    @property
    def t0_ns(self) -> int:
        return (self.k * STEPS + self.late_s) * PERIOD_NS

    @property
    def signal(self) -> NDArray[np.float32]:
        seed = [self.seed, self.k, *self.device.encode(), *self.recording.encode()]
        return np.random.default_rng(seed).normal(size=(STEPS, CHANNELS)).astype(np.float32)


def mark(
    label: str, start_s: float, end_s: float, *, device: str = "a", name: str = "", tool: str = "import"
) -> MarkAdd:
    ends = [round(seconds * PERIOD_NS) for seconds in (start_s, end_s)]
    return MarkAdd(device, name or f"{device}-{label}-{start_s}", ends[0], ends[1], label, "ann", tool)


@dataclass
class Scripted:
    """An operator whose records are windows."""

    name = "windows"
    code = 1
    spec: str

    def learn(self, schema: bytes, description: StreamDescription) -> None:
        raise AssertionError("windows need no schema")

    def start(self, saved: State | None) -> ScriptedRunning:
        return ScriptedRunning()


@dataclass
class ScriptedRunning:
    missing_schema: bytes | None = None
    pending_bytes: int = 0
    urgent: bool = False
    windows: list[Window] = field(default_factory=list)

    def feed(self, batch: LogBatch) -> int:
        self.windows += [msgspec.msgpack.decode(value, type=Window) for value in batch.values]
        return len(batch)

    def skip(self, wanted: int, begin: int) -> None:
        raise AssertionError("nothing is lost")

    def take(self, tag: str = "") -> Output:
        windows, self.windows = self.windows, []
        if not windows:
            return Output()
        file = io.BytesIO()
        npy.write_array(file, np.stack([window.signal for window in windows]))
        shard = Draft.of("signal", "s", ".npy", [file.getvalue()], len(windows))
        rows = [_index_row(window, Path(shard.name).name, row) for row, window in enumerate(windows)]
        file = io.BytesIO()
        pl.DataFrame(rows, schema=INDEX_SCHEMA).write_parquet(file)
        index = Draft.of("index", "i", ".parquet", [file.getvalue()], len(windows))
        return Output([shard, index], [], Counter({"windows": len(windows), "drop.gap": 1}))

    def snapshot(self) -> State:
        return (b"a state",)


def _index_row(window: Window, shard: str, row: int) -> dict[str, Any]:
    return {
        "window": window.id,
        "device": window.device,
        "recording": window.recording,
        "anchor": "epoch",
        "k": window.k,
        "t0_ns": window.t0_ns,
        "t1_ns": window.t0_ns + STEPS * PERIOD_NS,
        "shard": shard,
        "row": row,
        "coverage": 1.0,
        "mask": window.mask,
        "offset": window.offset,
        "hash": row_hash(b"other" if window.forged else window.signal.tobytes()),
    }


def build(root: Path, windows: Sequence[Sequence[Window]], marks: Sequence[Mark], config: str = CONFIG) -> Path:
    """A dataset with a chain per list of windows, an entry per three windows, and the marks in one chain."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.toml").write_text(config)
    spec = DatasetConfig.load(root / "dataset.toml").window.id
    values = [[msgspec.msgpack.encode(window) for window in chain] for chain in windows]
    _seal(root / "windows" / spec, Scripted(spec), "readings", values)
    _seal(root / "labels", LabelsOperator(), "marks", [[encode(item) for item in marks]])
    return root


def grow(root: Path, windows: Sequence[Sequence[Window]] = (), marks: Sequence[Mark] = ()) -> None:
    """More windows in the chains of a dataset, and more marks."""
    spec = DatasetConfig.load(root / "dataset.toml").window.id
    values = [[msgspec.msgpack.encode(window) for window in chain] for chain in windows]
    _seal(root / "windows" / spec, Scripted(spec), "readings", values)
    _seal(root / "labels", LabelsOperator(), "marks", [[encode(item) for item in marks]])
    for folder in (root / "windows" / spec, root / "labels"):
        _without_heads(folder)


def _without_heads(folder: Path) -> None:
    """Their writing belongs to datasets that have `belongs/`, which these have not."""
    shutil.rmtree(folder / "heads", ignore_errors=True)


def _seal(folder: Path, operator: Operator, topic: str, chains: Sequence[Sequence[bytes]]) -> None:
    if not folder.exists():
        folder.mkdir(parents=True)
        genesis = Genesis(FORMAT, operator.name, topic, len(chains), "the log", operator.spec, operator.code, "id")
        (folder / "genesis.json").write_bytes(encode_genesis(genesis))
    store = FileStore(DiskFiles(folder), "t")

    async def run(number: int, values: Sequence[bytes]) -> None:
        part = await work.recover(store, operator, topic, number, 0)
        for begin in range(0, len(values), 3):
            few = list(values[begin : begin + 3])
            offsets = range(part.position, part.position + len(few))
            part.running.feed(LogBatch(topic, number, offsets, offsets, [b""] * len(few), few, offsets.stop))
            part.position = offsets.stop
            seal = work.prepare(part, operator)
            note = await work.write_files(store, seal)
            await work.commit(store, part, seal)
            await store.delete((*work.move_on(part, seal), note))

    for number, values in enumerate(chains):
        asyncio.run(run(number, values))


def sample(root: Path) -> Path:
    """Two devices in two chains, seven windows each in three entries, and marks that label some of them."""
    windows = [[Window(device, "r", k) for k in range(7)] for device in ("a", "b")]
    marks: list[Mark] = [mark("run", 0, 12), mark("stop", 16, 20), mark("run", 4, 6, device="b")]
    return build(root, windows, marks)


def copied(source: Path, to: Path) -> Path:
    """A copy to damage."""
    shutil.copytree(source, to)
    return to


def files_of(root: Path) -> Iterable[Path]:
    """Every file of a dataset but its configuration."""
    return sorted(path for path in root.glob("*/**/*") if path.is_file())


def merge(root: Path, *, grace_ns: int = 10**18, bytes_max: int = 64 << 20) -> None:
    """Merge all chains of a dataset, as a worker would behind its last seal."""
    config = DatasetConfig.load(root / "dataset.toml")
    _merge(
        root / "windows" / config.window.id,
        Scripted(config.window.id),
        WindowsMerger(config.window),
        grace_ns,
        bytes_max,
    )
    _merge(root / "labels", LabelsOperator(), TableMerger(), grace_ns, bytes_max)


def _merge(folder: Path, operator: Operator, merger: Merger, grace_ns: int, bytes_max: int) -> None:
    store = FileStore(DiskFiles(folder), "m")
    merging = Merging(merger, lambda: 10**18, every=1, bytes_max=bytes_max, grace_ns=grace_ns)
    genesis = decode_genesis((folder / "genesis.json").read_bytes(), "")

    async def run(number: int) -> None:
        part = await work.recover(store, operator, genesis.topic, number, 0)
        if is_due(part, merging):
            ready = await merge_files(store, part, merging, at_once)
            note = await write_merged(store, part, ready)
            await store.delete((*await commit_merged(store, part, ready), note))
            await let_go(store, part, merging)

    for number in range(genesis.partitions):
        asyncio.run(run(number))
    _without_heads(folder)


async def at_once(function: Callable[[], T]) -> T:
    """An `Offload` without a thread."""
    return function()
