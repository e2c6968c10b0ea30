"""A dataset as an ML engineer meets it: opened, looked at, handed to workers, read in batches; beside Parquet."""

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

MANY: Final = 1_000_000
WIDE: Final = 100_000
MARKS: Final = 10_000
STEPS, CHANNELS = 256, 6
SIZE: Final = 256
RUNS: Final = 5
_TAKEN: Final = 20
"""So many batches of Parquet in random order are enough: each reads whole row groups."""
_LOOK: Final = """import json, pickle, sys, time
import polars, labeling.sink, windowing.dataset.source
import sensorloom
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
before = resident()
begin, cpu = time.perf_counter(), time.process_time()
dataset = sensorloom.open(sys.argv[1])
wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
begin = time.perf_counter()
repr(dataset)
look = time.perf_counter() - begin
opened = resident()
most = opened
for number, batch in enumerate(dataset.batches(256, shuffle=True, unlabelled="keep")):
    if number % 50 == 0:
        most = max(most, resident())
each = (opened - before) / len(dataset)
found = dict(wall=wall, cpu=cpu, look=look, each=each, above=most - opened, pickle=len(pickle.dumps(dataset)))
print(json.dumps(found))
"""


def bench() -> list[Row]:
    """Opening and holding a million windows; reading windows in order and in random order."""
    with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as name:
        many = build(Path(name) / "many", MANY, steps=4, channels=2, devices=20, marks=MARKS, seals=147)
        rows = _opened(many)
        wide = build(Path(name) / "wide", WIDE, steps=STEPS, channels=CHANNELS, devices=20, marks=MARKS, seals=20)
        return [*rows, *_read(wide, Path(name) / "windows.parquet")]


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
        row(f"batches of {what}: memory above that", every("above", 1e-6), "MB", bar=300.0, lower_is_better=True),
        row("a handle, pickled", every("pickle", 1e-3), "kB", bar=10.0, lower_is_better=True),
    ]


def _looked_at(root: Path) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", _LOOK, str(root)], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


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
