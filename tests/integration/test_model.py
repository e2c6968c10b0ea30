"""A model at the end: HAPT from raw files to a version by commands alone, then scikit-learn on people it never saw."""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import sensorloom
from tests.integration.recordings import command, hapt_config
from tests.support.data import data_dir

SIX = ["WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING"]
HELD_OUT = ["user02", "user04"]
"""Those whom the authors of the recordings hold out."""


def shifted(labels: NDArray[np.int64], recordings: NDArray[np.str_], windows: int) -> NDArray[np.int64]:
    """The labels of each recording, so many windows later."""
    moved = labels.copy()
    for recording in np.unique(recordings):
        rows = np.flatnonzero(recordings == recording)
        moved[rows] = np.roll(labels[rows], windows)
    return moved


@pytest.mark.soak
def test_people_it_never_saw(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    hapt, log, out = data_dir() / "hapt", f"segments:{tmp_path}/log", tmp_path / "dataset"
    command(
        "import", "readings", f"{hapt}/raw/*_exp*.txt.gz", "--path", "{stream}_{recording}_{subject}.txt.gz",
        "--device", "phone-{subject}", "--columns", "x,y,z", "--unit", "acc=g", "--unit", "gyro=rad/s",
        "--rate", "50Hz", "--start", "2026-01-01T00:00Z", "--log", log,
    )  # fmt: skip
    command(
        "import", "marks", hapt / "raw/labels.txt", "--columns", "exp,user,label,start,end",
        "--field", "device=phone-user{user:02}", "--field", "recording=exp{exp:02}",
        "--label-names", hapt / "activity_labels.txt", "--index-base", "1", "--end", "inclusive", "--log", log,
    )  # fmt: skip
    config = hapt_config(tmp_path / "hapt.toml", "mark")
    command("window", "run", "-c", config, "--log", log, "--out", out, "--until-idle")
    command("dataset", "version", out, "--split", "train=0.67,test=0.33", "--by", "subject")
    command("dataset", "report", out, "--out", tmp_path / "report.html")

    dataset = sensorloom.open(out, version="1.0.0").select(label=SIX)
    X, y, people = dataset.arrays(groups="subject")  # noqa: N806 - as everyone calls it
    _, _, recordings = dataset.arrays(groups="recording")
    table = sensorloom.features(X, dataset.channels, 50.0).values
    test = np.isin(people, HELD_OUT)
    assert set(people[test]) == set(HELD_OUT)
    assert len(set(people[~test])) == 4

    def score(held_out: NDArray[np.bool_], labels: NDArray[np.int64]) -> float:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=3000))
        model.fit(table[~held_out], labels[~held_out])
        return float(model.score(table[held_out], labels[held_out]))

    right = [score(test, shifted(y, recordings, windows)) for windows in range(3)]
    told = ", ".join(f"{share:.1%}" for share in right)
    print(f"held-out people, labels shifted by 0, 1, 2 windows: {told}", file=sys.stderr)
    # Two people of six are few: what any two are worth says how much of a figure is who they were.
    pairs = {pair: score(np.isin(people, pair), y) for pair in combinations(np.unique(people).tolist(), 2)}
    shares = np.array(list(pairs.values()))
    split = tuple(sorted(set(sensorloom.open(out, version="1.0.0", split="test").columns(("subject",))["subject"])))
    print(
        f"any two of six people held out: mean {shares.mean():.1%}, {shares.min():.1%} to {shares.max():.1%}; "
        f"the version's own test people {', '.join(split)}: {pairs[split]:.1%}",
        file=sys.stderr,
    )
    assert right[0] >= 0.94
    assert right[1] <= 0.92
    assert right[2] <= 0.88
