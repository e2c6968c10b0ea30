"""Run by a Python that has Hugging Face's datasets and WebDataset: seconds that each takes for a window, as JSON.

The windows are those of a dataset of ours, read from its shards. Each library keeps them in its own form first.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import datasets
import numpy as np
import webdataset
from numpy.typing import NDArray


def taken(job: Callable[[], int], runs: int) -> list[float]:
    """Seconds a window of each run, after one that warms up."""
    seconds = []
    job()
    for _ in range(runs):
        start = time.perf_counter()
        count = job()
        seconds.append((time.perf_counter() - start) / count)
    return seconds


def windows_of(root: Path, count: int) -> NDArray[np.float32]:
    """The first so many windows."""
    found, windows = [], 0
    for path in sorted(root.glob("windows/*/signal/*.npy")):
        found.append(np.load(path))
        windows += len(found[-1])
        if windows >= count:
            break
    return np.concatenate(found)[:count]


def main(root: Path, count: int, size: int, runs: int) -> None:
    windows = windows_of(root, count)
    shape = windows.shape[1:]
    with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as name:
        hf = _hugging_face(windows, Path(name) / "hf")
        tar = Path(name) / "windows.tar"
        _tar(windows, tar)
        order = np.random.default_rng(0).permutation(count)

        def hf_in_order() -> int:
            return _counted((batch["X"] for batch in hf.iter(size)), shape)

        def hf_random() -> int:
            few = (order[begin : begin + size] for begin in range(0, count // 4, size))
            return _counted((hf[places.tolist()]["X"] for places in few), shape)

        def web(shuffled: int) -> int:
            stream = webdataset.WebDataset(str(tar), shardshuffle=False, empty_check=False)
            stream = stream.shuffle(shuffled) if shuffled else stream
            return _counted((batch[0] for batch in stream.decode().to_tuple("npy").batched(size)), shape)

        found = {
            "hf in order": taken(hf_in_order, runs),
            "hf random": taken(hf_random, runs),
            "webdataset in order": taken(lambda: web(0), runs),
            "webdataset random": taken(lambda: web(1000), runs),
        }
    json.dump(found, sys.stdout)


def _counted(batches: Iterator[NDArray[np.float32]], shape: tuple[int, ...]) -> int:
    count = 0
    for batch in batches:
        assert batch.shape[1:] == shape
        assert batch.dtype == np.float32
        count += len(batch)
    return count


def _hugging_face(windows: NDArray[np.float32], folder: Path) -> datasets.Dataset:
    features = datasets.Features({"X": datasets.Array2D(windows.shape[1:], "float32")})
    parts = [
        datasets.Dataset.from_dict({"X": windows[begin : begin + 4096]}, features)
        for begin in range(0, len(windows), 4096)
    ]
    datasets.disable_progress_bars()
    datasets.concatenate_datasets(parts).save_to_disk(folder)
    return datasets.load_from_disk(folder).with_format("numpy")


def _tar(windows: NDArray[np.float32], path: Path) -> None:
    with tarfile.open(path, "w") as tar:
        for number, window in enumerate(windows):
            file = io.BytesIO()
            np.save(file, window)
            member = tarfile.TarInfo(f"{number:08}.npy")
            member.size = file.tell()
            file.seek(0)
            tar.addfile(member, file)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
