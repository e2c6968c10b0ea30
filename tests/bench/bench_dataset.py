"""A dataset as an ML engineer meets it: opened, looked at, handed to workers, read in batches; beside Parquet, Hugging
Face's datasets and WebDataset."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq

import sensorloom
from tests.bench.big_dataset import build
from tests.bench.harness import Row, measure_in_turn, row
from tests.support.peers import peer_python, run_peer

MANY: Final = 1_000_000
WIDE: Final = 100_000
MARKS: Final = 10_000
STEPS, CHANNELS = 256, 6
SIZE: Final = 256
RUNS: Final = 5
_TAKEN: Final = 5
"""So many batches of Parquet in random order are enough: each reads whole row groups."""
PEERS: Final = ("datasets==5.2.0", "webdataset==1.0.2")
_OF_PEERS: Final = 8_192
"""So many windows are enough of those that read each by itself."""
_LOOK: Final = """import json, pickle, sys, time
import polars, labeling.sink, windowing.dataset.source
import sensorloom
def resident(kind="VmRSS"):
    with open("/proc/self/status") as file:
        return 1024 * int(dict(line.split(":", 1) for line in file)[kind].split()[0])
before = resident()
begin, cpu = time.perf_counter(), time.process_time()
dataset = sensorloom.open(sys.argv[1])
wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
begin = time.perf_counter()
repr(dataset)
look = time.perf_counter() - begin
opened, own, mapped = resident(), resident("RssAnon"), resident("RssFile")
most = 0
for epoch in range(2):
    for number, batch in enumerate(dataset.batches(256, shuffle=True, epoch=epoch, unlabelled="keep")):
        if number % 50 == 0:
            most = max(most, resident("RssAnon") - own)
each = (opened - before) / len(dataset)
found = dict(wall=wall, cpu=cpu, look=look, each=each, above=most, mapped=resident("RssFile") - mapped)
found["pickle"] = len(pickle.dumps(dataset))
print(json.dumps(found))
"""


def bench() -> list[Row]:
    """Opening and holding a million windows; reading windows in order and in random order."""
    with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as name:
        many = build(Path(name) / "many", MANY, steps=4, channels=2, devices=20, marks=MARKS, seals=147)
        rows = _opened(many)
        wide = build(Path(name) / "wide", WIDE, steps=STEPS, channels=CHANNELS, devices=20, marks=MARKS, seals=20)
        return [*rows, *_held(wide), *_read(wide, Path(name) / "windows.parquet"), *_of_peers(wide)]


def _opened(root: Path) -> list[Row]:
    found = [_looked_at(root) for _ in range(RUNS)]

    def every(what: str, scale: float = 1) -> list[float]:
        return [scale * each[what] for each in found]

    what = f"{MANY:,} windows, {MARKS:,} marks"
    return [
        row(f"open {what}", every("wall", 1000), "ms", bar=200.0, lower_is_better=True),
        row(f"open {what}, CPU", every("cpu", 1000), "ms", bar=200.0, lower_is_better=True),
        row("then counts by label, parsed and resolved", every("look", 1000), "ms"),
        row("memory of a window, labels included", every("each"), "bytes", bar=300.0, lower_is_better=True),
        row(
            f"batches of {what}: own memory above that",
            every("above", 1e-6),
            "MB",
            bar=300.0,
            lower_is_better=True,
        ),
        row("a handle, pickled", every("pickle", 1e-3), "kB", bar=10.0, lower_is_better=True),
    ]


def _looked_at(root: Path) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", _LOOK, str(root)], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _held(root: Path) -> list[Row]:
    """What two epochs in random order over large windows hold."""
    found = _looked_at(root)
    what = f"batches of {WIDE:,} windows of {4 * STEPS * CHANNELS:,} bytes: memory"
    return [
        row(f"{what} of its own", [1e-6 * found["above"]], "MB", bar=300.0, lower_is_better=True),
        row(f"{what} of the page cache, mapped", [1e-6 * found["mapped"]], "MB"),
    ]


def _of_peers(root: Path) -> list[Row]:
    """The same beside libraries that have a Python of their own."""
    script = Path(__file__).with_name("peer_reading.py")
    peers = run_peer(peer_python(*PEERS), script, root, _OF_PEERS, SIZE, RUNS)
    dataset = sensorloom.open(root)
    rows = []
    for shuffle, order, bar in ((False, "in order", 400_000.0), (True, "random", 250_000.0)):
        mine, _ = measure_in_turn(lambda: _epoch(dataset, shuffle=shuffle), None, RUNS)  # noqa: B023
        rows += [
            row(
                f"windows through batches, {order}, read before",
                [WIDE / seconds for seconds in mine],
                "windows/s",
                baseline=peer,
                baseline_values=[1 / seconds for seconds in peers[f"{key} {order}"]],
                bar=bar,
            )
            for key, peer in (("hf", "Hugging Face datasets"), ("webdataset", "WebDataset"))
        ]
    return rows


def _read(root: Path, parquet: Path) -> list[Row]:
    """Windows a second through `batches`, beside the same windows as Parquet, in turn."""
    dataset = sensorloom.open(root)
    _write(dataset, parquet)
    rows = []
    for shuffle, peers, bar in (
        (False, {"pyarrow": _arrow_in_order, "polars": _polars_in_order}, 400_000.0),
        (True, {"pyarrow": _arrow_random}, 250_000.0),
    ):
        order = "in random order" if shuffle else "in order"
        for peer, job in peers.items():
            fresh = sensorloom.open(root)
            first = time.perf_counter()
            _epoch(fresh, shuffle=shuffle)
            checked = [len(fresh) / (time.perf_counter() - first)]
            mine, theirs = measure_in_turn(lambda: _epoch(fresh, shuffle=shuffle), lambda: job(parquet), RUNS)  # noqa: B023
            count = WIDE if not shuffle else _TAKEN * SIZE
            beside = [count / seconds for seconds in theirs]
            rows += [
                row(
                    f"windows {order} through batches, read before",
                    [WIDE / seconds for seconds in mine],
                    "windows/s",
                    baseline=f"Parquet by {peer}",
                    baseline_values=beside,
                    bar=bar,
                ),
                row(f"windows {order} through batches, first time, checked", checked, "windows/s"),
            ]
    return rows


def _epoch(dataset: sensorloom.Dataset, *, shuffle: bool) -> None:
    for batch in dataset.batches(SIZE, shuffle=shuffle, unlabelled="keep"):
        assert batch.X.shape[1:] == (STEPS, CHANNELS)


def _write(dataset: sensorloom.Dataset, parquet: Path) -> None:
    kind = pa.list_(pa.float32(), STEPS * CHANNELS)
    with pq.ParquetWriter(parquet, pa.schema([("X", kind)]), compression="zstd") as writer:
        for batch in dataset.batches(4096, unlabelled="keep"):
            column = pa.FixedSizeListArray.from_arrays(pa.array(batch.X.reshape(-1)), STEPS * CHANNELS)
            writer.write_table(pa.table({"X": column}))


def _shaped(column: Any) -> None:
    assert column.to_numpy(zero_copy_only=False).reshape(-1, STEPS, CHANNELS).dtype == np.float32


def _arrow_in_order(parquet: Path) -> None:
    for batch in pq.ParquetFile(parquet).iter_batches(SIZE):
        _shaped(batch.column(0).flatten())


def _polars_in_order(parquet: Path) -> None:
    for few in pl.read_parquet(parquet).iter_slices(SIZE):
        assert few["X"].explode().to_numpy().reshape(-1, STEPS, CHANNELS).dtype == np.float32


def _arrow_random(parquet: Path) -> None:
    found, order = pyarrow.dataset.dataset(parquet), np.random.default_rng(0).permutation(WIDE)
    for number in range(_TAKEN):
        table = found.take(pa.array(order[number * SIZE : (number + 1) * SIZE]))
        _shaped(table.column(0).combine_chunks().flatten())
