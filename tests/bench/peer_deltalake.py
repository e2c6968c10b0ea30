"""Run by a Python that has deltalake: what so many late labels cost as an append to a table of labels, as JSON."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake


def main(windows: int, late: int, runs: int) -> None:
    rng = np.random.default_rng(1)

    def labels(count: int) -> pa.Table:
        return pa.table(
            {
                "window": [f"pump-{number:08}" for number in range(count)],
                "label": rng.choice(["run", "stop", "idle"], count).tolist(),
            }
        )

    def size(root: str) -> int:
        return sum(path.stat().st_size for path in Path(root).rglob("*") if path.is_file())

    seconds, sizes = [], []
    with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as root:
        write_deltalake(root, labels(windows))
        for _ in range(runs + 1):
            few, before, start = labels(late), size(root), time.perf_counter()
            write_deltalake(root, few, mode="append")
            seconds.append(time.perf_counter() - start)
            sizes.append(size(root) - before)
    json.dump({"ms": [1000 * each for each in seconds[1:]], "kB": [each / 1000 for each in sizes[1:]]}, sys.stdout)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
