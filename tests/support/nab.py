"""NAB's machine temperature, a rule for it, and what the rule means in a few lines."""

from __future__ import annotations

import csv
import gzip
from datetime import datetime
from typing import Final

from tests.support.data import data_dir

MACHINE: Final = data_dir() / "nab" / "data" / "realKnownCause" / "machine_temperature_system_failure.csv.gz"
"""Every five minutes, in degrees Fahrenheit; the clock steps back an hour once."""
OVERHEATING: Final = """version: 1
rules:
  - label: overheating
    when: motor.temp > 38degC          # 100.4 degF
    until: motor.temp < 35degC         # 95 degF
    for: 30min
    max_gap: 20min
"""


def machine_temperature() -> list[tuple[list[int], list[float]]]:
    """Times and values of the file as recordings: a new one where its clock steps back."""
    recordings: list[tuple[list[int], list[float]]] = [([], [])]
    with gzip.open(MACHINE, "rt") as file:
        for row in csv.DictReader(file):
            t = int(datetime.fromisoformat(row["timestamp"] + "+00:00").timestamp()) * 10**9
            if recordings[-1][0] and t <= recordings[-1][0][-1]:
                recordings.append(([], []))
            recordings[-1][0].append(t)
            recordings[-1][1].append(float(row["value"]))
    return recordings


def overheated(times: list[int], values: list[float]) -> list[tuple[int, int]]:
    """`OVERHEATING` in ten lines: the marks of a recording."""
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
