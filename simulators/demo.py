"""The demo: simulated sensors to labelled shards, through the same functions that the commands run.

It may be ended at any time and run again into the same folder: files are written again with the same bytes, an import
done twice adds nothing to the windows, and the windowing service goes on behind its last seal.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ingest.importers.marks import MarksSummary, import_marks
from ingest.importers.readings import ReadingsOptions, Summary, import_readings
from ingest.log.opening import open_log
from ingest.progress import Progress
from simulators.pumps import STREAM, TIME_COLUMN, RecordingFile, Scenario, World, claim, write_world
from simulators.report import Report
from windowing.closing import Progressing
from windowing.dataset import Dataset, open_dataset
from windowing.run import RunOptions, run_service
from windowing.status import DatasetStatus, status_of

DATASET: Final = "dataset"


def run_demo(folder: Path, scenario: Scenario, log_url: str) -> Report:
    """Simulate, import, cut, label, open; what is going on is told on stderr.

    Raises:
        UsageError: `folder` holds something else, or `log_url` names no log.
        WavemarkError: what the import, the windowing service and the dataset raise.
        KeyboardInterrupt: a signal ended it; run again to go on.
    """
    began_s = time.monotonic()
    with asyncio.Runner() as runner:
        runner.get_loop()  # made now, so that no signal meets it half made later
        runner.run(_check_log(log_url))
        claim(folder, scenario)
        with Progress("simulate", len(list(scenario.takes())), "recordings") as progress:
            world = write_world(folder, scenario, progress.advance)
        _tell(
            f"simulated {len(world.recordings)} recordings: {world.samples:,} samples, "
            f"{world.events.total()} true events, {world.near_misses.total()} near-misses, in {folder}"
        )
        imports, marks = runner.run(_import_world(log_url, world))
        _tell(f"imported {sum(s.samples for s in imports):,} samples and {marks.marks} marks into {log_url}")
        if not runner.run(_cut_windows(world.config, log_url, folder / DATASET)):
            raise KeyboardInterrupt
    dataset = open_dataset(folder / DATASET)
    status, labels = status_of(dataset), labels_of(dataset, scenario.devices())
    _tell(f"cut {status.windows:,} windows into {status.shards} shards")
    return Report(
        folder=folder,
        log=log_url,
        dataset=folder / DATASET,
        recordings=len(world.recordings),
        seconds=scenario.seconds,
        events=world.events,
        near_misses=world.near_misses,
        simulated=world.samples,
        samples=sum(summary.samples for summary in imports),
        chunks=sum(summary.chunks for summary in imports),
        bytes=sum(summary.bytes for summary in imports),
        windows=labels.total(),
        labels=labels,
        others=len(dataset) - labels.total(),
        drops=status.drops,
        counts=status.counts,
        shards=shards_of(dataset),
        elapsed_s=time.monotonic() - began_s,
        disagreements=tuple(disagreements(world, imports, dataset, status)),
    )


def options_of(file: RecordingFile) -> ReadingsOptions:
    """What a user would tell `wavemark import readings` about a recording's file."""
    channels = file.description.channels
    return ReadingsOptions(
        device=file.device,
        stream=STREAM,
        columns=tuple(channel.name for channel in channels),
        units=tuple(channel.unit for channel in channels),
        scales=tuple(channel.scale for channel in channels),
        time_column=TIME_COLUMN,
        recording=file.recording,
    )


async def _check_log(log_url: str) -> None:
    """Raise `UsageError` for a wrong URL, before anything is written."""
    await open_log(log_url).close()


async def _import_world(log_url: str, world: World) -> tuple[list[Summary], MarksSummary]:
    """All recordings, then the marks."""
    log = open_log(log_url)
    try:
        with Progress("import", world.samples, "samples") as progress:
            summaries = [await import_readings(log, file.path, options_of(file), progress) for file in world.recordings]
        return summaries, await import_marks(log, world.marks)
    finally:
        await log.close()


async def _cut_windows(config: Path, log_url: str, dataset: Path) -> bool:
    """What `wavemark window run --until-idle` does; False where a signal ended it before the log was drained."""
    options = RunOptions(config, log_url, dataset, f"demo-{socket.gethostname()}-{os.getpid()}", until_idle=True)
    with Progressing(until_idle=True) as progressing:
        result = await run_service(options, progressing.observe)
    return result.finished


def labels_of(dataset: Dataset, devices: Sequence[str]) -> Counter[str]:
    """How many windows of these devices have each label; "" is none."""
    table = dataset.windows().select("device", "label")
    return Counter(label or "" for device, label in table.iter_rows() if device in devices)


def shards_of(dataset: Dataset) -> tuple[Path, ...]:
    """The files of the dataset's windows."""
    windows = dataset.contents.windows
    return tuple(windows.folder / ref.name for ref in windows.of("signal"))


def disagreements(world: World, imports: Sequence[Summary], dataset: Dataset, status: DatasetStatus) -> list[str]:
    """Where the log, the windowing service and the opened dataset do not say the same.

    The windowing service may have met more samples than were simulated: other devices may share the log.
    """
    acknowledged = sum(summary.samples for summary in imports)
    counted = status.counts.get("samples", 0)
    cut = status.counts.get("windows", 0)
    labelled = sum(count for label, count in status.labels.items() if label)
    signals, classes, _ = dataset.arrays()
    found = []
    if acknowledged != world.samples:
        found.append(f"{world.samples:,} samples were simulated, the log acknowledged {acknowledged:,}")
    if counted < world.samples:
        found.append(f"{world.samples:,} samples were simulated, the windowing service met {counted:,}")
    if cut != len(dataset):
        found.append(f"the windowing service cut {cut:,} windows, the dataset has {len(dataset):,}")
    if not len(signals) == len(classes) == labelled:
        found.append(f"{labelled:,} windows have labels, the arrays have {len(signals):,} and {len(classes):,} rows")
    return found


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
