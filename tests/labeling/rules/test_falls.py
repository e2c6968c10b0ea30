"""Rules on a wrist's real acceleration and turning (WEDA-FALL): a fall, and every construct, stream against batch."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from ingest.records import Channel, StreamDescription
from labeling.rules.compile import compile_rules
from tests.labeling.rules.running import Recorded, batch, encoded, streamed
from tests.support.data import data_dir

RUNS_A_TRIAL = 8
SAMPLED = 8
"""One of so many trials is run without the long proofs, others with other seeds."""
FALL = """version: 1
let:
  mag: norm(acc.x, acc.y, acc.z)
  shaken: std(mag, 1s)
rules:
  - label: fall                        # shaken hard, and more than in the seconds before: walking on is no fall
    when: shaken > 0.9g and shaken > 1.5 * std(mag, 4s)
    hold: 1s
"""
EVERY = """version: 1
defaults: {max_gap: 250ms, coverage: 0.7}
let:
  mag: norm(acc.x, acc.y, acc.z)
  spin: norm(gyro.x, gyro.y, gyro.z)
rules:
  - {label: over, when: acc.x > 0.8g}
  - {label: between, when: 0.9g < mag <= 1.1g}
  - {label: unequal, when: gyro.x != 0rad/s, for: 100ms}
  - {label: equal, when: gyro.y == gyro.z or acc.x >= acc.y}
  - {label: logic, when: "(acc.x > 0.2g or acc.y < -1m/s2) and not mag >= 1.2g"}
  - {label: arithmetic, when: "(acc.x - 2 * acc.y + 1g) / 2 > abs(-acc.z) * 1.1"}
  - {label: share, when: acc.z / mag > 0.6, hold: 100ms}
  - {label: hysteresis, when: mag > 1.5g, until: mag < 0.9g, for: 60ms}
  - {label: shaped, when: mag > 1.05g, hold: 40ms, for: 50ms, cooldown: 300ms, pad: [20ms, 30ms]}
  - {label: narrow, when: spin > 1rad/s, max_gap: 90ms, hold: 1s, coverage: 0.9}
  - {label: max, when: "max(mag, 80ms) < 1.1g", for: 20ms}
  - {label: min, when: "min(spin, 150ms) > 50deg/s"}
  - {label: mean, when: "mean(acc.y, 500ms) > 0.1g"}
  - {label: std, when: "std(mag, 300ms) > 0.1g"}
  - {label: long max, when: "max(mag, 2s) > 1.8g"}
  - {label: long min, when: "min(mag, 1700ms) < 0.8g"}
  - {label: long mean, when: "mean(acc.z, 3s) > 0.3g"}
  - {label: long std, when: "std(spin, 2s) > 0.8rad/s"}
  - {label: centred, when: "mean(acc.y, 500ms, centre) > 0.1g"}
  - {label: long centred, when: "std(spin, 2s, centre) > 0.8rad/s", for: 3 samples}
  - {label: joined ahead, when: "mag > 0.9g and max(spin, 200ms, centre) > 1rad/s", max_gap: 100ms}
  - {label: joined, when: mag > 1.1g and spin > 1.5rad/s, until: mag < 1.05g or spin < 1rad/s, max_age: 120ms}
  - {label: mixed, when: "mean(mag, 200ms) / 1g > spin / 2rad/s", max_age: 60ms, hold: 50ms, for: 40ms}
"""


def describe(rate: int) -> dict[str, StreamDescription]:
    """Both streams, of a nominal rate in hertz; 0: none."""
    units = {"acc": "m/s2", "gyro": "rad/s"}
    return {
        name: StreamDescription(name, tuple(Channel(axis, unit) for axis in "xyz"), "float64", rate)
        for name, unit in units.items()
    }


@cache
def trials() -> dict[str, dict[str, Recorded]]:
    """Both streams by activity/person_trial, stamps that do not rise left out."""
    found: dict[str, dict[str, Recorded]] = {}
    with tarfile.open(data_dir() / "weda_fall" / "weda_50hz_U01_U02_U21.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is None:
                continue
            name, _, sensor = member.name.removesuffix(".csv").rpartition("_")
            rows = np.array(list(csv.reader(io.TextIOWrapper(file)))[1:], dtype=np.float64)
            times = np.rint(rows[:, 0] * 1e9).astype(np.int64)
            rising = times > np.maximum.accumulate(np.concatenate(([-1], times[:-1])))
            stream = {"accel": "acc", "gyro": "gyro"}[sensor]
            found.setdefault(name, {})[stream] = times[rising], np.ascontiguousarray(rows[rising, 1:4])
    assert len(found) == 128
    return found


def fall_times() -> dict[str, tuple[int, int]]:
    with (data_dir() / "weda_fall" / "fall_timestamps.csv").open() as file:
        return {
            row["filename"]: (int(float(row["start_time"]) * 1e9), int(float(row["end_time"]) * 1e9))
            for row in csv.DictReader(file)
        }


def test_falls_are_found_and_the_stream_is_the_batch() -> None:
    rules, truth, descriptions = compile_rules(FALL, "rules.yaml"), fall_times(), describe(50)
    marked: dict[str, list[bool]] = {}
    for seed, (name, streams) in enumerate(trials().items()):
        acc = {"acc": streams["acc"]}
        marks = batch(rules, acc, descriptions)
        if seed % SAMPLED == 0:
            assert encoded(streamed(rules, acc, descriptions, np.random.default_rng(seed))) == encoded(marks)
        start_ns, end_ns = truth.get(name, (0, 1 << 62))
        found = any(mark.start_ns < end_ns and mark.end_ns > start_ns - 10**9 for mark in marks)
        marked.setdefault(name.partition("/")[0], []).append(found)
    falls = [found for activity, found in marked.items() if activity[0] == "F"]
    others = [found for activity, found in marked.items() if activity[0] == "D"]
    hits, misses = (sum(found.count(value) for found in falls) for value in (True, False))
    precision = hits / (hits + sum(found.count(True) for found in others))
    recall = hits / (hits + misses)
    by_class = {activity: f"{found.count(True)}/{len(found)}" for activity, found in sorted(marked.items())}
    print(json.dumps({"precision": round(precision, 3), "recall": round(recall, 3), "marked": by_class}))
    assert recall >= 0.95
    assert precision >= 0.7


def with_gaps(recorded: Recorded, rng: np.random.Generator) -> Recorded:
    """Some stretches of it left out, some values unknown."""
    times, values = recorded
    kept: NDArray[np.bool_] = np.ones(len(times), dtype=np.bool_)
    for _ in range(rng.integers(0, 5)):
        start = rng.integers(len(times))
        kept[start : start + rng.choice([1, 3, 10, 60])] = False
    kept[0] = True
    values = values.copy()
    values[rng.random(values.shape) < rng.choice([0, 0, 0.02])] = np.nan
    return times[kept], values[kept]


LONG = [pytest.param(seed, 1, marks=pytest.mark.soak) for seed in range(RUNS_A_TRIAL)]


@pytest.mark.parametrize(("seed", "share"), [(0, SAMPLED), *LONG])
def test_every_construct_streamed_is_batch_byte_by_byte(seed: int, share: int) -> None:
    """16 of the 128 trials; with the long proofs all, eight times: 1,024 runs."""
    rules = compile_rules(EVERY, "rules.yaml")
    marked = dict.fromkeys((rule.label for rule in rules.rules), 0)
    for number, streams in list(enumerate(trials().values()))[seed % share :: share]:
        rng = np.random.default_rng([seed, number])
        descriptions = describe(int(rng.choice([0, 50])))
        gappy = {name: with_gaps(recorded, rng) for name, recorded in streams.items()}
        expected = batch(rules, gappy, descriptions)
        assert encoded(streamed(rules, gappy, descriptions, rng)) == encoded(expected), f"trial {number}"
        for mark in expected:
            marked[mark.label] += 1
    assert min(marked.values()) >= 20 // share, marked
