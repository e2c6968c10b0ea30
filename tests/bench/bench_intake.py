"""Which records count, beside few and many that are remembered: a record's cost must not grow with them.

A fleet restarts: each device's recording ends and another begins, under a new boot. Beside it a year of sparse sensors:
recordings of one record each, which are forgotten as fast as they come.
"""

from __future__ import annotations

import time
from collections import Counter

from ingest.intake import Intake
from ingest.lifetimes import DAY_NS
from ingest.records import Chunk
from tests.bench.harness import Row, row

START_NS = 1_700_000_000 * 10**9
RESTARTS = 2_000
RUNS = 5
FEW, MANY = 1_000, 50_000


def _chunk(device: int, recording: int) -> Chunk:
    boot = recording.to_bytes(16, "big")
    return Chunk(f"device-{device}", f"r-{recording}", "acc", boot, 0, b"", START_NS, 1, 1, 0, 0, b"", 1, b"")


def _fleet(devices: int) -> float:
    """Microseconds for an end and a beginning, with so many recordings open."""
    intake = Intake(Counter())
    intake.advance(START_NS)
    for device in range(devices):
        intake.admit(_chunk(device, device))
    again = [_chunk(device, devices + device) for device in range(RESTARTS)]
    begin = time.process_time()
    for device, chunk in enumerate(again):
        intake.advance(START_NS + device)
        intake.end((chunk.device, f"r-{device}"))
        intake.admit(chunk)
    return (time.process_time() - begin) / RESTARTS * 1e6


def _sparse(remembered: int) -> float:
    """Microseconds for a recording of one record, with so many remembered, and one forgotten for each that comes."""
    step_ns = 30 * DAY_NS // remembered
    intake = Intake(Counter())
    chunks = [_chunk(number % FEW, number) for number in range(remembered + RESTARTS)]
    for number, chunk in enumerate(chunks):
        if number == remembered:
            begin = time.process_time()
        intake.advance(START_NS + number * step_ns)
        intake.admit(chunk)
        intake.end((chunk.device, chunk.recording))
    return (time.process_time() - begin) / RESTARTS * 1e6


def bench() -> list[Row]:
    """Microseconds a recording; the baseline is the same beside a thousand, the bar twice that."""
    rows = []
    for name, job in (("end and beginning", _fleet), ("one that is forgotten", _sparse)):
        few, many = zip(*((job(FEW), job(MANY)) for _ in range(RUNS)), strict=True)
        ratios = [there / here for here, there in zip(few, many, strict=True)]
        rows.append(
            row(f"intake, {name}, beside {MANY}", list(many), "us", baseline=f"beside {FEW}", baseline_values=list(few))
        )
        rows.append(row(f"intake, {name}, growth", ratios, "ratio", bar=2.0, lower_is_better=True))
    return rows
