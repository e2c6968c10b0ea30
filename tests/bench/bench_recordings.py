"""The 12 HAPT recordings from arrays in memory to sealed shards, through the embedded log.

What `sensorloom import` does besides, parsing text and looking for a recording to join, is measured without a bar: a
sensor does neither.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from fractions import Fraction
from pathlib import Path

from ingest.engine.rhythm import Limits
from ingest.importers.joining import Joined
from ingest.importers.readings import Prepared, ReadingsOptions, prepare, publish_readings
from ingest.importers.tables import read_source
from ingest.log.protocol import READINGS, STREAMS, Entry
from ingest.log.segments import SegmentLog
from ingest.records import schema_id
from ingest.wire import encode
from service.run import RunOptions, run_service
from tests.bench.harness import Row, row
from tests.integration.recordings import hapt_config, hapt_recordings

RUNS = 5
BAR = 1.0


def _prepared() -> list[Prepared]:
    """Acceleration and angular speed of a recording as one stream of six channels would need one file: two streams."""
    found = []
    for recording in hapt_recordings():
        for sensor, unit in (("acc", "g"), ("gyro", "rad/s")):
            options = ReadingsOptions(
                device=recording.device,
                stream=sensor,
                columns=("x", "y", "z"),
                units=(unit,),
                rate=Fraction(50),
                start_ns=recording.start_ns,
                recording=recording.name,
                open=sensor == "acc",
            )
            found.append(prepare(read_source(recording.file(sensor)), options))
    return found


def bench() -> list[Row]:
    """Million samples a second; a sample is all channels of a stream at one instant."""
    start = time.perf_counter()
    files = _prepared()
    parsing = time.perf_counter() - start
    samples = sum(item.summary.samples for item in files)
    through, appended, imported = [], [], []
    for _ in range(RUNS + 1):
        with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as folder:
            start = time.perf_counter()
            asyncio.run(_append(folder, files))
            middle = time.perf_counter()
            asyncio.run(_window(Path(folder)))
            through.append(samples / (time.perf_counter() - start) / 1e6)
            appended.append(samples / (middle - start) / 1e6)
        with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as folder:
            start = time.perf_counter()
            asyncio.run(_import(folder, files))
            imported.append(samples / (time.perf_counter() - start) / 1e6)
    return [
        row(
            "12 recordings, append to shards on segments",
            through[1:],
            "Msamples/s",
            baseline="appending alone",
            baseline_values=appended[1:],
            bar=BAR,
        ),
        row("12 recordings, import of parsed files", imported[1:], "Msamples/s"),
        row("12 recordings, reading their text", [samples / parsing / 1e6], "Msamples/s"),
    ]


async def _append(folder: str, files: list[Prepared]) -> None:
    """The six people's devices at once, each one's streams in order, as their agents would."""
    log = SegmentLog(f"{folder}/log")
    by_device: dict[str, list[Prepared]] = {}
    for item in files:
        by_device.setdefault(item.options.device, []).append(item)

    async def one(device: str, items: list[Prepared]) -> None:
        for item in items:
            await log.append(STREAMS, [Entry(schema_id(item.description), encode(item.description))])
            await log.append(READINGS, [Entry(device.encode(), encode(record)) for record in item.records(Joined({}))])

    await asyncio.gather(*(one(device, items) for device, items in by_device.items()))
    await log.close()


async def _import(folder: str, files: list[Prepared]) -> None:
    log = SegmentLog(f"{folder}/log")
    for item in files:
        await publish_readings(log, item, None)
    await log.close()


async def _window(folder: Path) -> None:
    config = hapt_config(folder / "dataset.toml", "epoch")
    options = RunOptions(config, f"segments:{folder}/log", folder / "out", "bench", until_idle=True, limits=Limits())
    await run_service(options, lambda *_: None)
