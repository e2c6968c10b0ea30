from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ingest.errors import UsageError
from ingest.units import parse_time
from labeling.resolve import LabelPolicy
from simulators.accelerometer import LABELS, NEAR_MISSES
from simulators.pumps import BACKGROUND, Scenario, claim, write_config, write_recording, write_world
from windowing.config import DatasetConfig


def test_a_file_holds_what_was_simulated(tmp_path: Path) -> None:
    scenario = Scenario(seed=3, seconds=30.0)
    take = next(scenario.takes())
    made = take.make(scenario.seconds)
    file = write_recording(tmp_path, take, made)
    with file.path.open(newline="") as text:
        rows = list(csv.reader(text))
    assert rows[0] == ["t", "x", "y", "z"]
    assert [parse_time(row[0]) for row in rows[1:]] == made.times.tolist()
    assert np.array_equal(np.array([row[1:] for row in rows[1:]], dtype=np.int16), made.counts)
    assert file.samples == len(made.times) == len(rows) - 1


def test_the_whole_world_is_written_and_marks_are_its_true_events(tmp_path: Path) -> None:
    scenario = Scenario(seed=3, seconds=120.0)
    told: list[int] = []
    world = write_world(tmp_path, scenario, told.append)
    made = [(take, take.make(scenario.seconds)) for take in scenario.takes()]
    with world.marks.open(newline="") as text:
        rows = list(csv.DictReader(text))
    found = [(row["device"], parse_time(row["start"]), parse_time(row["end"]), row["label"]) for row in rows]
    assert found == [(take.device, e.start_ns, e.end_ns, e.kind) for take, recording in made for e in recording.events]
    assert world.events == Counter(row["label"] for row in rows)
    assert set(world.events) == set(LABELS)
    assert set(world.near_misses) == set(NEAR_MISSES)
    assert [(file.recording, file.samples) for file in world.recordings] == [
        (take.recording, len(recording.times)) for take, recording in made
    ]
    assert sum(told) == len(made)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["marks.csv", "dataset.toml", *(f"{take.recording}.csv" for take, _ in made)]
    )


def test_the_same_scenario_gives_the_same_bytes(tmp_path: Path) -> None:
    contents = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        take = next(Scenario(seed=4, seconds=10.0).takes())
        contents.append(write_recording(folder, take, take.make(10.0)).path.read_bytes())
    assert contents[0] == contents[1]


@pytest.mark.parametrize("seconds", [5.0, 3000.0, 3600.0, 86_400.0])
def test_recordings_of_a_pump_do_not_overlap(seconds: float) -> None:
    by_device: dict[str, list[int]] = {}
    for take in Scenario(1, seconds).takes():
        by_device.setdefault(take.device, []).append(take.earliest_ns)
    for starts in by_device.values():
        assert len(starts) > 1
        assert (np.diff(starts) > (seconds + 60) * 1e9).all()


def test_other_scenarios_have_other_devices() -> None:
    devices = [set(Scenario(seed, seconds).devices()) for seed in (1, 2, 3) for seconds in (60.0, 60.5)]
    assert len(set.union(*devices)) == sum(map(len, devices))


def test_a_folder_belongs_to_one_scenario(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "demo"
    claim(folder, Scenario(1, 60.0))
    claim(folder, Scenario(1, 60.0))
    with pytest.raises(UsageError, match="holds the demo .* choose another --out"):
        claim(folder, Scenario(2, 60.0))


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_a_damaged_note_is_no_licence_to_write(tmp_path: Path, content: str) -> None:
    (tmp_path / "demo.json").write_text(content)
    with pytest.raises(UsageError, match="choose another --out"):
        claim(tmp_path, Scenario(1, 60.0))


def test_nothing_is_written_among_other_things(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("three years")
    with pytest.raises(UsageError, match="exists and is no demo"):
        claim(tmp_path, Scenario(1, 60.0))
    with pytest.raises(UsageError, match="exists and is no demo"):
        claim(tmp_path / "thesis.txt", Scenario(1, 60.0))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_configuration_is_valid(tmp_path: Path) -> None:
    config = DatasetConfig.load(write_config(tmp_path))
    assert config.name == "pump-states"
    assert config.labels == LabelPolicy("majority", 0.5, BACKGROUND)


@pytest.mark.parametrize(
    ("seed", "seconds", "message"),
    [
        (-1, 60.0, "--seed: -1 is negative"),
        (1, 4.9, r"--seconds: 4.9 is not in 5..86400"),
        (1, 1e6, "--seconds"),
        (1, float("nan"), "--seconds: nan"),
    ],
)
def test_what_cannot_be_simulated_is_refused(seed: int, seconds: float, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Scenario.checked(seed, seconds)
