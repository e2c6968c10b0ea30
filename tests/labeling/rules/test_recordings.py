"""Rules on real recordings: a machine's temperature (NAB), falls from a wrist's accelerometer (WEDA-FALL)."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pytest
from numpy.typing import NDArray

from ingest.records import Channel, MarkAdd, StreamDescription
from ingest.wire import encode
from labeling.rules.compile import RuleSet, compile_rules
from labeling.rules.saving import restore, save
from labeling.rules.state import RuleState
from tests.support.data import data_dir

Recorded = tuple[NDArray[np.int64], NDArray[np.float64]]
TEMPERATURE = StreamDescription("motor", (Channel("temp", "degF"),), "float64")
ACC = StreamDescription("acc", tuple(Channel(axis, "m/s2") for axis in "xyz"), "float64", 50)
OVERHEATING = """version: 1
rules:
  - label: overheating
    when: motor.temp > 38degC          # 100.4 degF
    until: motor.temp < 35degC         # 95 degF
    for: 30min
    max_gap: 20min
"""
FALL = """version: 1
let:
  mag: norm(acc.x, acc.y, acc.z)
  shaken: std(mag, 1s)
rules:
  - label: fall                        # shaken hard, and more than in the seconds before: walking on is no fall
    when: shaken > 0.9g and shaken > 1.5 * std(mag, 4s)
    hold: 1s
"""


def marks_of(
    rules: RuleSet, stream: str, recorded: Recorded, description: StreamDescription, sizes: Iterator[int] | None = None
) -> list[MarkAdd]:
    """Fed at once or, with `sizes`, in such pieces, restarted after each."""
    times, values = recorded
    state, marks, at = RuleState(rules), [], 0
    while at < len(times):
        stop = len(times) if sizes is None else min(len(times), at + next(sizes))
        state.feed("d", "r", stream, times[at:stop], values[at:stop], description)
        marks += state.take()
        if sizes is not None:
            state = restore(rules, save(state))
        at = stop
    state.end("d", "r")
    return marks + state.take()


def random_sizes(seed: int) -> Iterator[int]:
    rng = np.random.default_rng(seed)
    while True:
        yield int(rng.choice([1, 3, 17, 60, 250]))


def same_bytes(one: list[MarkAdd], other: list[MarkAdd]) -> None:
    assert [encode(mark) for mark in one] == [encode(mark) for mark in other]


# --- NAB --------------------------------------------------------------------------------------------------------------


def machine_temperature() -> list[tuple[list[int], list[float]]]:
    """The file as recordings: a new one where its clock steps back."""
    path = next((data_dir() / "nab" / "data").rglob("machine_temperature_system_failure.csv.gz"))
    recordings: list[tuple[list[int], list[float]]] = [([], [])]
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            t = int(datetime.fromisoformat(row["timestamp"] + "+00:00").timestamp()) * 10**9
            if recordings[-1][0] and t <= recordings[-1][0][-1]:
                recordings.append(([], []))
            recordings[-1][0].append(t)
            recordings[-1][1].append(float(row["value"]))
    return recordings


def overheated(times: list[int], values: list[float]) -> list[tuple[int, int]]:
    """The rule in ten lines."""
    events, onset, before = [], None, times[0]
    for t, value in [*zip(times, values, strict=True), (1 << 62, 0.0)]:
        if onset is not None and t - before > 20 * 60 * 10**9:
            events.append((onset, before))
            onset = None
        if onset is None and value > 100.4:
            onset = t
        elif onset is not None and value < 95.0:
            events.append((onset, t))
            onset = None
        before = t
    return [(start, end) for start, end in events if end - start >= 30 * 60 * 10**9]


def test_overheating_equals_a_batch_oracle() -> None:
    rules = compile_rules(OVERHEATING, "rules.yaml")
    recordings = machine_temperature()
    assert len(recordings) == 2
    events = 0
    for seed, (times, values) in enumerate(recordings):
        recorded = np.array(times), np.array(values)[:, None]
        marks = marks_of(rules, "motor", recorded, TEMPERATURE)
        assert [(mark.start_ns, mark.end_ns) for mark in marks] == overheated(times, values)
        same_bytes(marks_of(rules, "motor", recorded, TEMPERATURE, random_sizes(seed)), marks)
        assert all(mark.evidence["opened by 38degC [degF]"] == pytest.approx(100.4) for mark in marks)
        events += len(marks)
    assert events >= 10


# --- WEDA-FALL --------------------------------------------------------------------------------------------------------


def trials() -> Iterator[tuple[str, Recorded]]:
    """(activity/person_trial, samples), stamps that do not rise left out."""
    with tarfile.open(data_dir() / "weda_fall" / "weda_50hz_U01_U02_U21.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith("_accel.csv") else None
            if file is None:
                continue
            rows = np.array(list(csv.reader(io.TextIOWrapper(file)))[1:], dtype=np.float64)
            times = np.rint(rows[:, 0] * 1e9).astype(np.int64)
            rising = times > np.maximum.accumulate(np.concatenate(([-1], times[:-1])))
            yield member.name.removesuffix("_accel.csv"), (times[rising], np.ascontiguousarray(rows[rising, 1:4]))


def fall_times() -> dict[str, tuple[int, int]]:
    with (data_dir() / "weda_fall" / "fall_timestamps.csv").open() as file:
        return {
            row["filename"]: (int(float(row["start_time"]) * 1e9), int(float(row["end_time"]) * 1e9))
            for row in csv.DictReader(file)
        }


def test_falls_are_found_and_the_stream_is_the_batch() -> None:
    rules, truth = compile_rules(FALL, "rules.yaml"), fall_times()
    marked: dict[str, list[bool]] = {}
    for seed, (name, recorded) in enumerate(trials()):
        marks = marks_of(rules, "acc", recorded, ACC)
        same_bytes(marks_of(rules, "acc", recorded, ACC, random_sizes(seed)), marks)
        start_ns, end_ns = truth.get(name, (0, 1 << 62))
        found = any(mark.start_ns < end_ns and mark.end_ns > start_ns - 10**9 for mark in marks)
        marked.setdefault(name.partition("/")[0], []).append(found)
    assert sum(map(len, marked.values())) == 128
    falls = [found for activity, found in marked.items() if activity[0] == "F"]
    others = [found for activity, found in marked.items() if activity[0] == "D"]
    hits, misses = (sum(found.count(value) for found in falls) for value in (True, False))
    precision = hits / (hits + sum(found.count(True) for found in others))
    recall = hits / (hits + misses)
    by_class = {activity: f"{found.count(True)}/{len(found)}" for activity, found in sorted(marked.items())}
    print(json.dumps({"precision": round(precision, 3), "recall": round(recall, 3), "marked": by_class}))
    assert recall >= 0.95
    assert precision >= 0.7
