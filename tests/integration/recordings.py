"""The real recordings as a user would bring them in: through the command line."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

import sensorloom
from tests.support.data import data_dir
from windowing.dataset.digest import dataset_digest
from windowing.dataset.status import status_of

PERIOD_NS = 20_000_000
DAY_NS = 1_700_000_000 * 10**9


def command(*words: str | Path) -> None:
    """Run a sensorloom command that must succeed."""
    assert sensorloom.main([str(word) for word in words]) == 0, words


@dataclass(frozen=True)
class HaptRecording:
    experiment: int
    user: int

    @property
    def device(self) -> str:
        return f"user{self.user:02d}"

    @property
    def name(self) -> str:
        return f"exp{self.experiment:02d}"

    @property
    def start_ns(self) -> int:
        return DAY_NS + self.experiment * 3600 * 10**9 + 60_000_000

    def file(self, sensor: str) -> Path:
        return data_dir() / "hapt/raw" / f"{sensor}_{self.name}_{self.device}.txt.gz"

    def rows(self) -> NDArray[np.float32]:
        """`(samples, 6) float32`: acceleration in g, angular speed in rad/s."""
        both = [pl.read_csv(self.file(sensor), has_header=False, separator=" ") for sensor in ("acc", "gyro")]
        return np.concatenate(both, axis=1).astype(np.float32)


def hapt_recordings() -> list[HaptRecording]:
    names = sorted(path.name for path in (data_dir() / "hapt/raw").glob("acc_*.txt.gz"))
    return [HaptRecording(int(name[7:9]), int(name[14:16])) for name in names]


def hapt_intervals() -> list[tuple[HaptRecording, int, int, int]]:
    """(recording, activity, first sample, sample behind the last), in the file's order."""
    by_number = {recording.experiment: recording for recording in hapt_recordings()}
    table = np.loadtxt(data_dir() / "hapt/raw/labels.txt", dtype=int)
    return [(by_number[e], int(a), int(first) - 1, int(last)) for e, _, a, first, last in table]


def hapt_activities() -> dict[int, str]:
    lines = (data_dir() / "hapt/activity_labels.txt").read_text().splitlines()
    return {int(line.split()[0]): line.split()[1] for line in lines if line.strip()}


def import_hapt(log: str, folder: Path) -> None:
    """All 12 recordings with both sensors, and their label intervals as marks."""
    for recording in hapt_recordings():
        for sensor, unit, still_open in (("acc", "g", True), ("gyro", "rad/s", False)):
            command(
                "import", "readings", recording.file(sensor),
                "--device", recording.device, "--stream", sensor, "--recording", recording.name,
                "--rate", "50Hz", "--start", str(recording.start_ns), "--columns", "x,y,z", "--unit", unit,
                "--log", log, *(["--open"] if still_open else []),
            )  # fmt: skip
    marks = folder / "marks.csv"
    names = hapt_activities()
    with marks.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["device", "start", "end", "label"])
        for recording, activity, first, behind in hapt_intervals():
            start = recording.start_ns
            writer.writerow([recording.device, start + first * PERIOD_NS, start + behind * PERIOD_NS, names[activity]])
    command("import", "marks", marks, "--log", log)


def hapt_config(path: Path, anchor: str) -> Path:
    path.write_text(
        f"""name = "hapt-{anchor}"

[window]
length = 128
hop = 64
rate = "50Hz"
anchor = "{anchor}"
channels = ["acc.x", "acc.y", "acc.z", "gyro.x", "gyro.y", "gyro.z"]

[labels]
policy = "majority"
"""
    )
    return path


def digest_of(dataset: Path, capsys: object) -> str:
    """What `sensorloom dataset digest` prints."""
    capsys.readouterr()  # type: ignore[attr-defined]
    command("dataset", "digest", dataset, "--json")
    text: str = capsys.readouterr().out  # type: ignore[attr-defined]
    return str(json.loads(text)["digest"])


def check_archived(folder: Path, log: str, config: Path, dataset: Path) -> None:
    """The windows of an archive of the log have the digest of those that the log gave, and are counted as they were."""
    archive, out = folder / "archive", folder / f"{config.stem}-batch"
    command("archive", "run", "--log", log, "--out", archive, "--until-idle")
    command("window", "batch", "-c", config, "--archive", archive, "--out", out, "--seal-bytes", "1MB")
    assert dataset_digest(out) == dataset_digest(dataset)
    assert status_of(sensorloom.open(out)).counts == status_of(sensorloom.open(dataset)).counts
