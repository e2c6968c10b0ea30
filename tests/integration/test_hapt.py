"""The 12 HAPT recordings: exactly the windows that their authors published, on both logs."""

from __future__ import annotations

import csv
import shutil
import uuid
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import sensorloom
from tests.integration.recordings import (
    PERIOD_NS,
    HaptRecording,
    check_archived,
    command,
    digest_of,
    hapt_activities,
    hapt_config,
    hapt_intervals,
    hapt_recordings,
    import_hapt,
)
from tests.support.data import data_dir
from windowing.dataset.leaks import NEARNESS, near
from windowing.dataset.versions import read_versions

LENGTH, HOP = 128, 64

pytestmark = pytest.mark.xdist_group("hapt")  # one worker imports it, once


@pytest.fixture(scope="module")
def rows() -> dict[HaptRecording, NDArray[np.float32]]:
    return {recording: recording.rows() for recording in hapt_recordings()}


@pytest.fixture(scope="module")
def segments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the log and a dataset for each anchor."""
    folder = tmp_path_factory.mktemp("hapt")
    log = f"segments:{folder}/log"
    import_hapt(log, folder)
    for anchor in ("mark", "epoch"):
        config = hapt_config(folder / f"{anchor}.toml", anchor)
        command("window", "run", "-c", config, "--log", log, "--out", folder / anchor, "--until-idle")
    return folder


def test_mark_windows_are_the_published_ones(segments: Path, rows: dict[HaptRecording, NDArray[np.float32]]) -> None:
    dataset = sensorloom.open(segments / "mark")
    X, y, groups = dataset.arrays(groups="recording")  # noqa: N806 - as everyone calls it
    assert len(dataset) == X.shape[0] == 2029
    assert X.shape[1:] == (LENGTH, 6)
    assert X.dtype == np.float32
    got = [(str(group), dataset.classes[label]) for group, label in zip(groups, y, strict=True)]

    names = hapt_activities()
    with (data_dir() / "hapt/published_windows.csv").open() as file:
        published = list(csv.DictReader(file))
    user_of = {recording.name: recording.user for recording in hapt_recordings()}
    for part, people in (("train", {1, 3, 5, 7}), ("test", {2, 4})):
        ours = [(user_of[group], label) for group, label in got if user_of[group] in people]
        theirs = [(int(row["subject"]), names[int(row["activity"])]) for row in published if row["set"] == part]
        assert ours == theirs

    wanted = [
        rows[recording][start : start + LENGTH]
        for recording, _, first, behind in hapt_intervals()
        for start in range(first, behind - LENGTH + 1, HOP)
    ]
    np.testing.assert_array_equal(X, np.stack(wanted))


@pytest.mark.parametrize("anchor", ["mark", "epoch"])
def test_an_archive_gives_the_same_windows(segments: Path, anchor: str) -> None:
    check_archived(segments, f"segments:{segments}/log", segments / f"{anchor}.toml", segments / anchor)


def test_epoch_windows_equal_the_oracle(segments: Path, rows: dict[HaptRecording, NDArray[np.float32]]) -> None:
    dataset = sensorloom.open(segments / "epoch")
    X, _, _ = dataset.arrays(unlabelled="keep")  # noqa: N806
    wanted_times, wanted = [], []
    for recording, values in rows.items():
        first = -(recording.start_ns // PERIOD_NS) % HOP  # samples until the next multiple of the hop since 1970
        for start in range(first, len(values) - LENGTH + 1, HOP):
            wanted_times.append(recording.start_ns + start * PERIOD_NS)
            wanted.append(values[start : start + LENGTH])
    assert dataset.windows()["t0_ns"].to_list() == wanted_times
    np.testing.assert_array_equal(X, np.stack(wanted))


@pytest.mark.kafka
@pytest.mark.timeout(300)
def test_kafka_gives_the_same_digest(
    segments: Path, kafka_bootstrap: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = f"kafka://{kafka_bootstrap}/hapt-{uuid.uuid4().hex[:8]}"
    import_hapt(log, tmp_path)
    for anchor in ("mark", "epoch"):
        config = hapt_config(tmp_path / f"{anchor}.toml", anchor)
        command("window", "run", "-c", config, "--log", log, "--out", tmp_path / anchor, "--until-idle")
        assert digest_of(tmp_path / anchor, capsys) == digest_of(segments / anchor, capsys)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_people_of_a_version_do_not_leak(segments: Path, tmp_path: Path) -> None:
    """No leak is told of where there is none; each of a hundred that are planted is."""
    for anchor in ("mark", "epoch"):
        dataset = shutil.copytree(segments / anchor, tmp_path / anchor)
        command("dataset", "version", dataset, "--split", "train=0.6,test=0.4", "--by", "device")
        (version,) = read_versions(dataset)
        assert version.body.leaks is not None
        assert (version.body.leaks.found, version.body.leaks.near) == ({}, True)
    parts = sensorloom.open(tmp_path / "mark", version="1.0.0").parts
    rng = np.random.default_rng(3)
    train, test = (part.signals(np.arange(len(part))) for part in (parts["train"], parts["test"]))
    moving = np.flatnonzero(train.std(axis=1).mean(axis=1) > 0.05)
    chosen = rng.choice(moving, 100, replace=False)
    copied = train[chosen]
    noise = 0.02 * copied.std(axis=1, keepdims=True) * rng.normal(size=copied.shape)
    planted = ((copied + noise) * rng.uniform(0.5, 2, (100, 1, 1))).astype(np.float32)
    signals = np.concatenate([train, test, planted])
    part = np.repeat([0, 1], [len(train), len(test) + 100])
    found = {pair.second for pair in near(lambda rows: signals[rows], part, NEARNESS)}
    assert found == set(range(len(train) + len(test), len(signals)))
