"""The 12 HAPT recordings from arrays in memory to sealed shards, through the embedded log.

Import's parsing of text is measured beside it, without a bar: a sensor sends no text.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from fractions import Fraction
from pathlib import Path

from ingest.engine.service import Limits
from ingest.importers.readings import Prepared, ReadingsOptions, prepare, publish_readings
from ingest.importers.tables import read_source
from ingest.log.segments import SegmentLog
from tests.bench.harness import Row, row
from tests.integration.recordings import hapt_config, hapt_recordings
from windowing.run import RunOptions, run_service

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
    through, alone = [], []
    for _ in range(RUNS + 1):
        with tempfile.TemporaryDirectory(prefix="wavemark-bench-") as folder:
            start = time.perf_counter()
            asyncio.run(_publish(folder, files))
            middle = time.perf_counter()
            asyncio.run(_window(Path(folder)))
            through.append(samples / (time.perf_counter() - start) / 1e6)
            alone.append(samples / (middle - start) / 1e6)
    return [
        row(
            "12 recordings, publish to shards on segments",
            through[1:],
            "Msamples/s",
            baseline="publishing alone",
            baseline_values=alone[1:],
            bar=BAR,
        ),
        row("12 recordings, reading their text", [samples / parsing / 1e6], "Msamples/s"),
    ]


async def _publish(folder: str, files: list[Prepared]) -> None:
    """The six people's devices at once, each one's files in order."""
    log = SegmentLog(f"{folder}/log")
    by_device: dict[str, list[Prepared]] = {}
    for item in files:
        by_device.setdefault(item.options.device, []).append(item)

    async def one(items: list[Prepared]) -> None:
        for item in items:
            await publish_readings(log, item, None)

    await asyncio.gather(*(one(items) for items in by_device.values()))
    await log.close()


async def _window(folder: Path) -> None:
    config = hapt_config(folder / "dataset.toml", "epoch")
    options = RunOptions(config, f"segments:{folder}/log", folder / "out", "bench", until_idle=True, limits=Limits())
    await run_service(options, lambda *_: None)
