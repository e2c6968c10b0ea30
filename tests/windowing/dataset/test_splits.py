"""Splits and folds: nothing lies in two parts, shares are met, and what was assigned stays."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import UsageError
from ingest.records import Mark
from tests.windowing.sample_dataset import Window, build, mark
from windowing.dataset.reader import Dataset, open_dataset
from windowing.dataset.splits import assign_groups, class_counts, time_folds, time_parts

SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Twenty devices with 4 to 8 windows each, of which the first half runs."""
    devices = [f"d{number:02}" for number in range(20)]
    lengths = [4 + number % 5 for number in range(20)]
    windows = [[Window(device, "r", k) for k in range(n)] for device, n in zip(devices, lengths, strict=True)]
    marks: list[Mark] = []
    for device, n in zip(devices, lengths, strict=True):
        marks += [mark("run", 0, 2 * n, device=device), mark("stop", 2 * n, 4 * n, device=device)]
    return open_dataset(build(tmp_path_factory.mktemp("split") / "d", windows, marks))


def devices_of(dataset: Dataset) -> set[str]:
    return set(dataset.columns(("device",))["device"])


def test_a_split_has_every_window_once_and_no_group_twice(dataset: Dataset) -> None:
    split = dataset.split(SHARES)
    assert split.by == "device"
    assert sum(map(len, split.values())) == len(dataset)
    assert sum(len(devices_of(part)) for part in split.values()) == 20
    for name, share in SHARES.items():
        assert len(split[name]) / len(dataset) == pytest.approx(share, abs=0.04)
        counts = split[name].counts
        assert counts["run"] / (counts["run"] + counts["stop"]) == pytest.approx(0.5, abs=0.1)
    assert repr(split).startswith("<Split of pumps by device: train ")
    assert dataset.leaks(split) == ()


def test_a_split_is_that_of_its_seed_in_every_process(dataset: Dataset) -> None:
    split = dataset.split(SHARES, seed=4)
    data = pickle.dumps(split["test"])
    assert len(data) < 10_000
    assert devices_of(pickle.loads(data)) == devices_of(split["test"])
    assert dataset.split(SHARES, seed=4).assigned == split.assigned != dataset.split(SHARES, seed=5).assigned


def test_what_was_assigned_stays_when_devices_come(dataset: Dataset) -> None:
    few = dataset.select(pl.col("device") < "d10")
    before = few.split(SHARES)
    now = dataset.split(SHARES, before=before)
    assert before.assigned.items() <= now.assigned.items()
    assert len(now["train"]) / len(dataset) == pytest.approx(0.7, abs=0.05)
    assert dataset.split(SHARES, before=dict(before.assigned)).assigned == now.assigned
    with pytest.raises(UsageError, match='"rest" is no part'):
        dataset.split(SHARES, before={"d00": "rest"})["train"].windows()


def test_a_split_in_time_keeps_an_embargo(dataset: Dataset) -> None:
    split = dataset.split({"past": 0.5, "future": 0.5}, by="time", embargo="8s")
    past, future = split["past"].windows(), split["future"].windows()
    assert len(past)
    assert len(future)
    assert int(future["t0_ns"].min()) - int(past["t1_ns"].max()) >= 8 * 10**9  # type: ignore[arg-type]
    assert split.left_out == len(dataset) - len(past) - len(future) > 0
    assert f"{split.left_out} around the cuts" in repr(split)
    assert split.assigned == {}
    assert dataset.leaks(split) == ()


def test_what_cannot_be_split_is_told(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match="together they are 1"):
        dataset.split({"train": 0.7, "test": 0.4})
    with pytest.raises(UsageError, match='split: by: found "divice".*Did you mean "device"'):
        dataset.split(SHARES, by="divice")["train"].windows()
    with pytest.raises(UsageError, match="2 groups of device cannot fill 3 parts"):
        dataset.select(device=["d00", "d01"]).split(SHARES)["train"].windows()
    with pytest.raises(UsageError, match="folds: found 1"):
        dataset.folds(1)
    with pytest.raises(UsageError, match='split: embargo: .* this one is by device; say by="time"'):
        dataset.split(SHARES, embargo="5s")
    with pytest.raises(UsageError, match="folds: embargo: .* this one is by device"):
        dataset.folds(2, embargo="5s")


def test_folds_are_what_scikit_learn_takes(dataset: Dataset) -> None:
    from sklearn.linear_model import LogisticRegression  # here: each worker that collects would wait seconds for it
    from sklearn.model_selection import cross_val_score

    X, y, groups = dataset.arrays()
    folds = dataset.folds(4)
    assert sorted(np.concatenate([test for _, test in folds]).tolist()) == list(range(len(y)))
    for train, test in folds:
        assert not set(groups[train]) & set(groups[test])
        assert len(train) + len(test) == len(y)
        assert np.bincount(y[test]).min() / len(test) > 0.4
    informative = X.reshape(len(X), -1) + 3 * y[:, None]
    scores = cross_val_score(LogisticRegression(), informative, y, cv=folds)
    assert len(scores) == 4
    assert scores.min() > 0.9


def test_folds_in_time_train_on_both_sides(dataset: Dataset) -> None:
    t0 = dataset.select(pl.col("label").is_not_null()).windows()
    for train, test in dataset.folds(3, by="time"):
        begin, end = t0["t0_ns"][test].min(), t0["t1_ns"][test].max()
        inside = t0[train].filter((pl.col("t1_ns") > begin) & (pl.col("t0_ns") < end))
        assert len(test)
        assert inside.is_empty()


@given(st.lists(st.integers(1, 30), min_size=3, max_size=40), st.integers(0, 5), st.booleans())
def test_groups_that_come_move_none_that_are_there(sizes: list[int], seed: int, stratified: bool) -> None:
    names = [f"g{number}" for number in range(len(sizes))]
    groups = np.repeat(np.array(names), sizes)
    y = np.arange(len(groups)) % 3
    found, counts = class_counts(groups, y, stratified=stratified)
    shares = np.array([0.6, 0.4])
    half = assign_groups(found[: len(found) // 2], counts[: len(found) // 2], shares, seed=seed, before={})
    before = dict(zip(found, half.tolist(), strict=False))
    whole = assign_groups(found, counts, shares, seed=seed, before=before)
    assert dict(zip(found, whole.tolist(), strict=True)).items() >= before.items()
    assert set(assign_groups(found, counts, shares, seed=seed, before={}).tolist()) == {0, 1}


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 9)), max_size=40), st.integers(0, 20), st.integers(2, 4))
def test_parts_in_time_never_come_closer_than_the_embargo(
    windows: list[tuple[int, int]], embargo: int, parts: int
) -> None:
    t0 = np.array([begin for begin, _ in windows], np.int64)
    t1 = t0 + np.array([length for _, length in windows], np.int64)
    part = time_parts(t0, t1, np.full(parts, 1 / parts), embargo)
    for number in range(parts - 1):
        before, behind = part == number, part == number + 1
        if before.any() and behind.any():
            assert t0[behind].min() - t1[before].max() >= embargo
    for train, test in time_folds(t0, t1, parts, embargo):
        for row in test.tolist():
            assert all(t1[other] + embargo <= t0[row] or t0[other] >= t1[row] + embargo for other in train.tolist())


def test_twenty_alike_groups_meet_their_shares(tmp_path: Path) -> None:
    """A bare hash of their names misses them by a fifth."""
    names = [f"pump-{number}" for number in range(20)]
    part = assign_groups(names, np.full((20, 1), 10), np.array([0.7, 0.3]), seed=0, before={})
    assert np.bincount(part).tolist() == [14, 6]
