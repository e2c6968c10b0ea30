"""A recording with something of everything: signals with a gap, positions, states, a slow stream, marks."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np

from ingest.log.protocol import MARKS, READINGS, STREAMS, Entry
from ingest.opening import open_log
from ingest.records import (
    Channel,
    Chunk,
    Clock,
    Gap,
    MarkAdd,
    Record,
    RecordingEnd,
    RecordingStart,
    StreamDescription,
    schema_id,
)
from ingest.wire import encode
from tests.timeline.site import START_NS, S, boot

DEVICE: Final = "van-3"
SECONDS: Final = 120
SPEED: Final = 12.0
"""Of the van, in m/s, on a circle."""
DOOR: Final = ((0, "closed"), (1, "open"))
ACC: Final = StreamDescription("acc", tuple(Channel(name, "g") for name in "xyz"), "float32", 100, 1, "LIS3DH")
GPS: Final = StreamDescription("gps", (Channel("lat", "deg"), Channel("lon", "deg")), "float64", 1, 1, "NEO-M9N")
GATE: Final = StreamDescription("gate", (Channel("door", "", states=DOOR),), "float32", 0, 1, "reed")
PUMP: Final = StreamDescription(
    "pump", (Channel("valve", "", states=DOOR), Channel("flow", "l/s")), "float32", 1, 1, ""
)
OIL: Final = StreamDescription("oil", (Channel("temperature", "°C"),), "float32", 0, 1, "DS18B20")


def _chunk(about: StreamDescription, start_s: float, rows: Any, seq: int, unsure_ns: int = 0) -> Chunk:
    """Samples at the stream's rate, or a second apart."""
    dtype = "<f8" if about.dtype == "float64" else "<f4"
    values = np.asarray(rows, dtype).reshape(len(rows), -1)
    period_ns = S // (about.rate_num or 1)
    start_ns = START_NS + round(start_s * S)
    times = start_ns, period_ns, 1, 0, 0, b"", len(values)
    clock = Clock("ntp", uncertainty_ns=unsure_ns)
    name = about.stream
    return Chunk(DEVICE, "r1", name, boot("r1"), seq, schema_id(about), *times, values.tobytes(), clock=clock)


def readings() -> list[Record]:
    """Two minutes of a van."""
    records: list[Record] = [RecordingStart(DEVICE, "r1", boot("r1"), START_NS, "started")]
    noise = np.random.default_rng(7).normal(0, 0.05, (SECONDS * 100, 3))
    at = np.arange(SECONDS * 100) / 100
    strength = 0.3 + (at % 40 > 20)
    wave = np.stack([np.sin(7 * at) * strength, np.cos(5 * at) * strength * 0.6, np.full(len(at), 1.0)], 1) + noise
    for second in range(SECONDS):
        if not 50 <= second < 56:
            rows = wave[100 * second : 100 * second + 100]
            records.append(_chunk(ACC, second, rows, second, 4_000_000 if 80 <= second < 100 else 1_000))
    lost = START_NS + 50 * S, START_NS + 56 * S
    records.insert(51, Gap(DEVICE, "r1", "acc", boot("r1"), *lost, 600, "link_down"))
    turn = np.arange(SECONDS) * SPEED / 250  # a circle of 250 m about a place in Garching
    lat = 48.262 + np.degrees(250 * np.sin(turn) / 6_371_008.8)
    lon = 11.668 + np.degrees(250 * np.cos(turn) / 6_371_008.8 / np.cos(np.radians(48.262)))
    records.append(_chunk(GPS, 0, np.stack([lat, lon], 1), 0))
    for number, (second, value) in enumerate([(0, 0), (22, 1), (31, 0), (70, 1), (95, 0)]):
        records.append(_chunk(GATE, second, [value], number))
    valve = (np.arange(SECONDS) // 30) % 2
    records.append(_chunk(PUMP, 0, np.stack([valve, valve * 1.8 + 0.1 * np.sin(np.arange(SECONDS))], 1), 0))
    records += [_chunk(OIL, 5, [71.5], 0), _chunk(OIL, 110, [74.0], 1)]
    return [*records, RecordingEnd(DEVICE, "r1", boot("r1"), START_NS + SECONDS * S, "stopped")]


def marks() -> list[MarkAdd]:
    """By a rule and two people; an instant, a trim, one on the other."""
    told = [
        ("rules.yaml", "rule", 20.5, 38.0, "shaking"),
        ("rules.yaml", "rule", 61.0, 79.5, "shaking"),
        ("op-1", "operator", 2.0, 18.0, "calm"),
        ("op-1", "operator", 21.0, 40.0, "rough road"),
        ("op-1", "operator", 70.0, 70.0, "bump"),
        ("op-2", "operator", 24.0, 45.0, "calm"),
        ("op-2", "operator", 82.0, 118.0, "rough road"),
    ]
    found = []
    for number, (author, tool, start_s, end_s, label) in enumerate(told):
        where = START_NS + round(start_s * S), START_NS + round(end_s * S)
        why = {"opened_by.std": 0.71, "opened_at.std": 0.5, "closed_by.std": 0.31} if tool == "rule" else {}
        found.append(
            MarkAdd(
                DEVICE, f"m-{number}", *where, label, author, tool, client_ns=number + 1, evidence=why, revision="3"
            )
        )
    ends = START_NS + 50 * S, START_NS + 57 * S
    trim = MarkAdd(DEVICE, "m-trim", *ends, "", "op-1", "operator", client_ns=99, trim=True, reason="cable loose")
    return [*found, trim]


def tour(folder: Path) -> Path:
    """The site's folder; written on another thread, as the browser's driver has an event loop on this one."""

    async def work() -> None:
        log = open_log(f"segments:{folder}/log?partitions=2")
        try:
            about = ACC, GPS, GATE, PUMP, OIL
            await log.append(STREAMS, [Entry(schema_id(it), encode(it)) for it in about])
            await log.append(READINGS, [Entry(DEVICE.encode(), encode(record)) for record in readings()])
            await log.append(MARKS, [Entry(DEVICE.encode(), encode(mark)) for mark in marks()])
        finally:
            await log.close()

    folder.mkdir(exist_ok=True)
    with ThreadPoolExecutor(1) as threads:
        threads.submit(asyncio.run, work()).result()
    return folder
