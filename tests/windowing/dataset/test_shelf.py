"""Windows in any order, by place and from maps, whatever becomes of the files meanwhile; against a plain oracle."""

from __future__ import annotations

import gc
import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ingest.errors import CorruptError
from tests.windowing.dataset.test_reader import flip, shards
from tests.windowing.sample_dataset import Window, build, copied, grow, mark, merge
from windowing.dataset import opened, shelf
from windowing.dataset.reader import Dataset, open_dataset
from windowing.dataset.versions import ERASED

WINDOWS = [[Window(device, "r", k) for k in range(13)] for device in ("a", "b")]
TRUTH = np.stack([window.signal for chain in WINDOWS for window in chain])
"""The windows as they are listed: by device, then time."""
SHARD_BYTES = 128 + 3 * 32


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two chains of four shards of three windows, and one of one."""
    return build(tmp_path_factory.mktemp("dataset") / "d", WINDOWS, [mark("run", 0, 12)])


@pytest.fixture(scope="module")
def handles(root: Path) -> list[Dataset]:
    """As workers have them."""
    return [open_dataset(root) for _ in range(5)]


def fresh(dataset: Dataset) -> Dataset:
    """As if nothing had been read."""
    dataset.source.__dict__.pop("shelf", None)
    return dataset


@contextmanager
def limits(*, files: int = 100, mapped: int = 1 << 30, together: int = 4096, stretch: int = 4) -> Iterator[None]:
    """How many shards are open, how many bytes of them mapped, how many windows read at once, and when by stretches."""
    memory = mapped / (os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with (
        patch.multiple(opened, _OPEN_MAX=files, _OPEN_MIN=files, _MEMORY_SHARE=memory),
        patch.multiple(shelf, _TOGETHER_BYTES=0, _TOGETHER_MIN=together, _STRETCH=stretch),
    ):
        yield


def mapped(dataset: Dataset) -> int:
    """How many shards are mapped."""
    return dataset.source.shelf.open.held[1]


places = st.lists(st.integers(0, 25), max_size=30)


@given(
    st.lists(places, max_size=6), st.integers(1, 9), st.integers(0, 9 * SHARD_BYTES), st.integers(1, 9),
    st.sampled_from((0, 1, 4)),
)  # fmt: skip
def test_any_windows_in_any_order_are_the_windows(
    handles: list[Dataset], reads: list[list[int]], files: int, room: int, together: int, stretch: int
) -> None:
    with limits(files=files, mapped=room, together=together, stretch=stretch):
        dataset = fresh(handles[0])
        for wanted in reads:
            rows = np.array(wanted, np.int64)
            np.testing.assert_array_equal(dataset.signals(rows), TRUTH[rows])
        assert max(dataset.source.shelf.open.held) <= files
        assert mapped(dataset) * (SHARD_BYTES - 64) <= room


def test_what_is_read_window_by_window_is_mapped_where_there_is_room(root: Path) -> None:
    def epochs() -> int:
        dataset = open_dataset(root)
        for epoch in range(2):
            for batch in dataset.batches(5, shuffle=True, epoch=epoch, unlabelled="keep"):
                np.testing.assert_array_equal(batch.X, TRUTH[batch.rows])
        return mapped(dataset)

    assert epochs() == 10
    with limits(mapped=2 * SHARD_BYTES):
        assert epochs() == 2
    with limits(files=3):
        assert epochs() <= 3
    with limits(stretch=0):
        assert epochs() == 0, "long stretches are read by place"
    with patch.object(opened, "_POPULATE_READ", 999):
        assert epochs() == 0, "a kernel that cannot say what it was unable to read"


@given(st.integers(1, 30), st.integers(0, 3), st.integers(1, 4), st.integers(0, 2**32))
def test_workers_take_the_same_batches_from_maps_as_from_files(
    handles: list[Dataset], size: int, epoch: int, workers: int, seed: int
) -> None:
    one, many = fresh(handles[0]), handles[1 : workers + 1]
    whole = [batch.X for batch in one.batches(size, shuffle=True, seed=seed, epoch=epoch, unlabelled="keep")]
    parts = [
        list(each.batches(size, shuffle=True, seed=seed, epoch=epoch, worker=(number, workers), unlabelled="keep"))
        for number, each in enumerate(many)
    ]
    for number, X in enumerate(whole):
        np.testing.assert_array_equal(parts[number % workers][number // workers].X, X)


def test_threads_that_read_at_once_have_the_windows(root: Path) -> None:
    def reads(dataset: Dataset, seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(60):
            rows = rng.integers(0, 26, rng.integers(1, 20))
            np.testing.assert_array_equal(dataset.signals(rows), TRUTH[rows])

    with limits(files=6, together=3), ThreadPoolExecutor(4) as threads:
        dataset = open_dataset(root)
        for done in [threads.submit(reads, dataset, seed) for seed in range(4)]:
            done.result()


@pytest.mark.parametrize("seed", range(2))
def test_a_handle_has_its_windows_while_files_are_merged_and_labels_come(root: Path, tmp_path: Path, seed: int) -> None:
    rng, there = random.Random(seed), copied(root, tmp_path / "d")
    handle = open_dataset(there)
    labels = handle.counts
    assert len(list(handle.batches(4, unlabelled="keep"))) == 7  # from now on it has its files
    for step in range(4):
        if rng.random() < 0.5:
            merge(there, grace_ns=rng.choice((0, 10**18)), bytes_max=rng.randint(1, 9_000))
        else:
            grow(there, [], [mark(f"late-{step}", 4 * step, 4 * step + 4, device="b")])
        for dataset in (handle, open_dataset(there)):
            for batch in dataset.batches(rng.randint(1, 9), shuffle=True, seed=step, unlabelled="keep"):
                np.testing.assert_array_equal(batch.X, TRUTH[batch.rows])
    assert handle.counts == labels


def everything(dataset: Dataset) -> NDArray[np.float32]:
    """All windows, each alone at first."""
    for place in range(len(dataset)):
        dataset.signals(np.array([place]))
    return dataset.arrays("keep").X


@pytest.mark.parametrize("is_mapped", [True, False])
def test_a_shard_that_shrinks_while_it_is_read_is_an_error(root: Path, tmp_path: Path, is_mapped: bool) -> None:
    dataset = open_dataset(copied(root, tmp_path / "d"))
    with limits(mapped=1 << 30 if is_mapped else 0):
        everything(dataset)
    assert mapped(dataset) == (10 if is_mapped else 0)
    for path in shards(tmp_path / "d"):
        os.truncate(path, 140)
    with pytest.raises(CorruptError, match=r"signal/s-.*\.npy: found 140 bytes, expected 224; restore it"):
        dataset[1]


def test_a_window_that_rots_in_a_mapped_shard_is_never_handed_out(root: Path, tmp_path: Path) -> None:
    dataset = open_dataset(copied(root, tmp_path / "d"))
    for place in range(0, 26, 13):
        dataset[place]
    assert mapped(dataset) == 2
    (first,) = {path for path in shards(tmp_path / "d") if path.name == dataset.windows()["shard"][0]}
    flip(first, -5)
    with pytest.raises(CorruptError, match="the bytes of window 2 are not those that were written"):
        dataset[2]
    np.testing.assert_array_equal(dataset[1].X, TRUTH[1])  # type: ignore[union-attr]


def test_who_was_forgotten_is_not_read_from_a_file_that_is_still_open(root: Path, tmp_path: Path) -> None:
    there = copied(root, tmp_path / "d")
    dataset = open_dataset(there)
    everything(dataset)
    gone = shards(there)[0]
    place = dataset.windows()["shard"].to_list().index(gone.name)
    gone.unlink()
    np.testing.assert_array_equal(dataset[place].X, TRUTH[place])  # type: ignore[union-attr]
    (gone.parent.parent / ERASED).mkdir()
    (gone.parent.parent / ERASED / "x-0.parquet").touch()
    with pytest.raises(CorruptError, match="somebody was forgotten since this handle was opened: open the dataset"):
        dataset[place]
    with pytest.raises(CorruptError, match=f"{gone.name}: is missing"):
        open_dataset(there)


def test_what_is_not_asked_for_any_more_holds_no_file(root: Path) -> None:
    gc.collect()
    before = len(list(Path("/proc/self/fd").iterdir()))
    dataset = open_dataset(root)
    everything(dataset)
    assert len(list(Path("/proc/self/fd").iterdir())) >= before + 20
    for _ in dataset.batches(2, unlabelled="keep"):
        break
    del dataset
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
