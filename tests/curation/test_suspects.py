"""Likely label errors: planted ones in real recordings come first; what is learnt, is learnt from train."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import sensorloom
from curation.cleaning.suspects import label_errors
from ingest.errors import UsageError
from ingest.records import Mark
from preparing.mislabelled import suspects
from preparing.scaling import fit_scaler
from tests.integration.recordings import hapt_intervals
from tests.windowing.sample_dataset import Window, build, mark
from windowing.dataset.reader import Dataset, open_dataset


def hapt_windows(people: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Windows of 2.56 s within the six basic activities of so many people, the activity of each, and the person."""
    X, y, groups = [], [], []
    rows: dict[str, NDArray[np.float32]] = {}
    for recording, activity, first, last in hapt_intervals():
        if recording.user > people or activity > 6:
            continue
        if recording.name not in rows:
            rows[recording.name] = recording.rows()
        for begin in range(first, last - 127, 128):
            X.append(rows[recording.name][begin : begin + 128])
            y.append(activity - 1)
            groups.append(recording.user)
    return np.stack(X), np.array(y), np.array(groups)


def test_five_percent_planted_in_hapt_are_nearly_all_in_the_first_tenth() -> None:
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.model_selection import GroupKFold, cross_val_predict

    X, truth, groups = hapt_windows(6)
    rng = np.random.default_rng(0)
    wrong = rng.choice(len(X), len(X) // 20, replace=False)
    y = truth.copy()
    y[wrong] = (truth[wrong] + rng.integers(1, 6, len(wrong))) % 6
    # Some of the features, as all 87 a channel would cost more than all else here.
    steps = np.abs(np.diff(X, axis=1)).mean(axis=1)
    table = np.concatenate((X.mean(axis=1), X.std(axis=1), steps, *np.quantile(X, (0, 0.25, 0.5, 0.75, 1), axis=1)), 1)
    model = ExtraTreesClassifier(60, min_samples_leaf=2, random_state=0)
    p = cross_val_predict(model, table, y, groups=groups, cv=GroupKFold(len(np.unique(groups))), method="predict_proba")
    found = suspects(y, p)
    recall = np.isin(wrong, found.places[: len(X) // 10]).mean()
    assert recall >= 0.8, recall


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    devices = [f"d{number:02}" for number in range(8)]
    marks: list[Mark] = []
    for device in devices:
        marks += [mark("run", 0, 12, device=device), mark("stop", 12, 20, device=device)]
    root = tmp_path_factory.mktemp("dataset") / "d"
    return open_dataset(build(root, [[Window(device, "r", k) for k in range(6)] for device in devices], marks))


def test_ones_own_probabilities_rank_the_windows_of_a_dataset(dataset: Dataset) -> None:
    given = np.where(dataset.windows()["label"].fill_null("").to_numpy()[:, None] == dataset.classes, 0.9, 0.1)
    given[7] = given[7, ::-1]
    found = label_errors(dataset, given)
    first = found.table.row(0, named=True)
    assert (first["place"], first["label"], first["likely"], first["suspected"]) == (7, "run", "stop", True)
    assert first["score"] == pytest.approx(-0.8)
    assert len(found.table) == 40, "windows without a label have no wrong one"
    assert found.suspected().windows()["window"].to_list() == ["d01-r-1"]
    with pytest.raises(UsageError, match="windows, classes"):
        label_errors(dataset, given[:-1])


def test_the_command_ranks_by_a_model_of_its_own(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["dataset", "label-errors", str(dataset.contents.root)]
    code = sensorloom.main([*words, "--json", "--out", str(tmp_path / "ranking.parquet")])
    told = json.loads(capsys.readouterr().out)
    assert told["windows"] == 40
    assert code == (1 if told["suspected"] else 0)
    assert len(told["likeliest"]) == min(20, told["suspected"])
    assert (tmp_path / "ranking.parquet").exists()


def test_numbers_are_learnt_from_train_alone(dataset: Dataset) -> None:
    split = dataset.split({"train": 0.5, "test": 0.5}, seed=1)
    train, test = split["train"], split["test"]
    scaler = fit_scaler(train)
    assert scaler == fit_scaler([train.arrays("keep").X], dataset.channels)
    assert (train.of_part, test[:2].of_part, dataset.of_part) == ("train", "test", None)  # type: ignore[union-attr]
    with pytest.raises(UsageError, match='of the part "test".*give those of "train"'):
        fit_scaler(test.select(label="run"))
    with pytest.raises(UsageError, match='of the part "test"'):
        sensorloom.imputer(dataset.channels, "median", test)
    with pytest.raises(UsageError, match="name the channels"):
        fit_scaler([train.arrays().X])
