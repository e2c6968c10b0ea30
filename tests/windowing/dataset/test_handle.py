"""A handle on a dataset: selections, batches in a known order, pickling at a cut, and what it never hands out."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sensorloom
from ingest.errors import CorruptError, UsageError
from tests.service.test_run import Site, record
from tests.windowing.dataset.test_reader import flip, shards
from tests.windowing.sample_dataset import CONFIG, Window, build, copied, mark, merge, sample
from windowing.dataset.answers import Batch
from windowing.dataset.batching import BatchPlan
from windowing.dataset.reader import Dataset, open_dataset
from windowing.dataset.selecting import Rows


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample(tmp_path_factory.mktemp("dataset") / "d")


@pytest.fixture
def dataset(root: Path) -> Dataset:
    return open_dataset(root)


def ids(dataset: Dataset) -> list[str]:
    return dataset.windows()["window"].to_list()


def test_a_window_by_its_place(dataset: Dataset) -> None:
    window = dataset[1]
    assert isinstance(window, sensorloom.Window)
    np.testing.assert_array_equal(window.X, Window("a", "r", 1).signal)
    assert dataset.classes[window.y] == "run"
    last = dataset[-1]
    assert isinstance(last, sensorloom.Window)
    assert last.y == -1
    np.testing.assert_array_equal(last.X, Window("b", "r", 6).signal)
    with pytest.raises(IndexError, match="window 14 of 14"):
        dataset[14]
    some = dataset[2:8:2]
    assert isinstance(some, Dataset)
    assert ids(some) == ["a-r-2", "a-r-4", "a-r-6"]
    assert len(list(dataset)) == 14  # type: ignore[call-overload]


def test_selections_are_found_when_asked_for_and_add_up(dataset: Dataset) -> None:
    assert ids(dataset.select(label="run")) == ["a-r-0", "a-r-1", "a-r-2", "b-r-1"]
    assert ids(dataset.select(pl.col("k") > 1, device="a", label=["run", "stop"])) == ["a-r-2", "a-r-4"]
    assert len(dataset.select(label=None)) == 9
    labelled = dataset.select(pl.col("label").is_not_null())
    assert ids(labelled.select([3, 0])) == ["a-r-4", "a-r-0"]
    assert ids(labelled.select(np.array([True, False, False, False, True]))) == ["a-r-0", "b-r-1"]
    assert ids(labelled.select(pl.Series([-1]))) == ["b-r-1"]
    assert labelled.counts == {"run": 4, "stop": 1}
    assert dataset.select(pl.col("share") > 0.4).select(pl.col("share") < 1).counts == {"run": 1}
    assert dataset.select(device="b").classes == dataset.classes, "numbers of labels do not depend on what is selected"
    X, y, groups = labelled.select(device="b").arrays()
    np.testing.assert_array_equal(X, Window("b", "r", 1).signal[None])
    assert (y.tolist(), groups.tolist()) == ([0], ["b"])
    assert repr(labelled) == "<Dataset pumps: 5 windows, 4 × 2 at 1 Hz; run 4, stop 1>"


def test_what_is_no_selection_is_told(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match='found "lable".*Did you mean "label"'):
        len(dataset.select(lable="run"))
    with pytest.raises(UsageError, match="is no condition"):
        len(dataset.select(pl.col("k")))
    with pytest.raises(UsageError, match=r"a mask of shape \(3,\), of 14 windows"):
        dataset.select([True, False, True])
    with pytest.raises(UsageError, match="rows from 20 to 20, of 14 windows"):
        len(dataset.select([20]))
    with pytest.raises(UsageError, match="expected a condition, a mask, or places"):
        dataset.select(np.array(["a"]))
    with pytest.raises(UsageError, match="select: device=5: cannot compare"):
        len(dataset.select(device=5))
    for place in ("a", [1, 2], True, 1.0):
        with pytest.raises(TypeError, match="a window's place is a whole number"):
            dataset[place]  # type: ignore[index]


def test_a_mask_that_knows_not_of_all_windows_takes_those_that_it_knows_of(dataset: Dataset) -> None:
    is_run = dataset.windows()["label"] == "run"
    assert is_run.null_count() == 9
    assert ids(dataset.select(is_run)) == ids(dataset.select(label="run"))


def test_a_notebook_shows_shape_and_counts(tmp_path: Path) -> None:
    root = build(tmp_path / "d", [[Window("a", "r", k) for k in range(3)]], [mark("<b>", 0, 8)])
    html = open_dataset(root)._repr_html_()
    assert "<b>pumps</b>: 3 windows of 4 steps × 2 channels at 1 Hz: acc.x, acc.y" in html
    assert '<td>&lt;b&gt;</td><td style="text-align:right">2</td>' in html
    assert '<td><i>unlabelled</i></td><td style="text-align:right">1</td>' in html


def taken(batches: Iterator[Batch]) -> list[list[int]]:
    return [batch.rows.tolist() for batch in batches]


def test_batches_are_all_windows_once_in_an_order_of_seed_and_epoch(dataset: Dataset) -> None:
    X, y, _ = dataset.arrays("keep")
    in_order = list(dataset.batches(4, unlabelled="keep"))
    assert taken(iter(in_order)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13]]
    np.testing.assert_array_equal(np.concatenate([batch.X for batch in in_order]), X)
    np.testing.assert_array_equal(np.concatenate([batch.y for batch in in_order]), y)
    shuffled = list(dataset.batches(4, shuffle=True, seed=1, epoch=2, unlabelled="keep"))
    assert sorted(row for batch in shuffled for row in batch.rows) == list(range(14))
    for batch in shuffled:
        np.testing.assert_array_equal(batch.X, X[batch.rows])
        np.testing.assert_array_equal(batch.y, y[batch.rows])
    other = [taken(dataset.batches(4, shuffle=True, seed=s, epoch=e, unlabelled="keep")) for s, e in ((1, 3), (2, 2))]
    assert taken(iter(shuffled)) not in other
    assert taken(dataset.batches(4)) == [[0, 1, 2, 4], [8]], "without those that have no label"
    assert taken(dataset.batches(4, drop_last=True)) == [[0, 1, 2, 4]]
    some = dataset.select(device="b").batches(3, unlabelled="keep")
    assert taken(some) == [[0, 1, 2], [3, 4, 5], [6]], "places are those of the selection"


def test_the_order_is_the_same_everywhere() -> None:
    """Raw numbers of a bit generator are the same in every version of numpy, and so must be the order."""
    assert BatchPlan(3, shuffle=True, seed=7, epoch=1).order(10).tolist() == [1, 3, 2, 7, 8, 4, 5, 9, 0, 6]


@given(
    st.integers(0, 40), st.integers(1, 9), st.booleans(), st.booleans(), st.integers(0, 6), st.integers(1, 5),
    st.integers(0, 3), st.integers(0, 3),
)  # fmt: skip
def test_any_number_of_workers_and_any_resumption_take_the_same_batches(
    count: int, size: int, shuffle: bool, drop_last: bool, resume: int, workers: int, seed: int, epoch: int
) -> None:
    whole = [each.tolist() for each in BatchPlan(size, shuffle, seed, epoch, drop_last).batches(count)]
    each = [
        [
            it.tolist()
            for it in BatchPlan(size, shuffle, seed, epoch, drop_last, resume, (number, workers)).batches(count)
        ]
        for number in range(workers)
    ]
    in_turn = [each[number % workers][number // workers] for number in range(sum(map(len, each)))]
    assert in_turn == whole[resume:]


def test_batches_out_of_range_are_refused_at_once(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match="size: found 0"):
        dataset.batches(0)
    with pytest.raises(UsageError, match=r"worker: found \(2, 2\)"):
        dataset.batches(4, worker=(2, 2))
    with pytest.raises(UsageError, match="0 or more"):
        dataset.batches(4, resume=-1)
    with pytest.raises(UsageError, match="unlabelled"):
        dataset.batches(4, unlabelled="maybe")  # type: ignore[arg-type]


def test_a_handle_pickles_small_with_its_selection(dataset: Dataset) -> None:
    some = dataset.select(pl.col("label").is_not_null()).select(device="a")[1:]
    assert isinstance(some, Dataset)
    data = pickle.dumps(some)
    assert len(data) < 10_000
    again = pickle.loads(data)
    assert ids(again) == ids(some) == ["a-r-1", "a-r-2", "a-r-4"]
    code = f"import pickle; print(pickle.loads({data!r}).windows()['window'].to_list())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(ids(some))


def test_a_million_places_that_were_chosen_pickle_small() -> None:
    rows = Rows(np.flatnonzero(np.arange(1_000_000) % 7))
    data = pickle.dumps(rows)
    assert len(data) < 10_000
    np.testing.assert_array_equal(pickle.loads(data).rows, rows.rows)
    assert pickle.loads(pickle.dumps(Rows(np.array([-1, 5, 2])))).rows.tolist() == [-1, 5, 2]


def test_a_pickled_handle_has_the_windows_of_its_cut(tmp_path: Path) -> None:
    site = Site(tmp_path)
    record(site.log, "a", 4)
    assert site.drain() == 0
    before = open_dataset(site.out)
    data, was = pickle.dumps(before), ids(before)
    record(site.log, "b", 4)
    assert site.drain() == 0
    assert len(open_dataset(site.out)) > len(was)
    assert ids(pickle.loads(data)) == was


def test_a_pickled_handle_whose_files_were_merged_away_says_so(tmp_path: Path) -> None:
    root = sample(tmp_path / "d")
    before = open_dataset(root)
    data = pickle.dumps(before)
    merge(root, grace_ns=0)
    for path in root.glob("windows/*/signal/*.npy"):
        if path.name not in open_dataset(root).contents.shards:
            path.unlink()
    with pytest.raises(CorruptError, match="open the dataset again"):
        pickle.loads(data)


def test_a_damaged_window_is_never_handed_out(root: Path, tmp_path: Path) -> None:
    there = copied(root, tmp_path / "d")
    for path in shards(there):
        flip(path, -5, 3)  # in the last window of each
    for row in range(14):
        dataset = open_dataset(there)
        window = dataset.windows()["window"][row]
        if window in LAST_OF_SHARD:
            with pytest.raises(CorruptError, match=r"signal/s-.*\.npy: the bytes of window \d are not those"):
                dataset[row]
            with pytest.raises(CorruptError):
                list(dataset.batches(5, shuffle=True, unlabelled="keep"))
        else:
            dataset[row]


LAST_OF_SHARD = {f"{device}-r-{k}" for device in "ab" for k in (2, 5, 6)}


def test_labels_of_another_configuration_and_figures_are_those_of_the_handle(tmp_path: Path) -> None:
    root = build(tmp_path / "d", [[Window("a", "r", k) for k in range(4)]], [mark("run", 1, 8)])
    (root / "dataset.toml").write_text(CONFIG.replace("majority", "any") + 'background = "none"\n')
    assert open_dataset(root).counts == {"run": 2, "none": 2}
