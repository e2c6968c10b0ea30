"""What a run of the windowing service shows: progress while it works, and figures at its end."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec

from ingest.engine.worker import Notice
from ingest.progress import Progress
from service.run import Ahead, RunResult
from windowing.dataset.belongings import WINDOWS
from windowing.dataset.reader import open_dataset
from windowing.dataset.status import DatasetStatus, render_status, status_of

TOLD: Final = ("waiting", "lost", "fenced", "noted")
"""Notices that a person should hear of."""


class Progressing:
    """Shows a run's progress on stderr, in records of the log, and what a person should know of."""

    def __init__(self, until_idle: bool) -> None:
        self._until_idle = until_idle
        self._progress: Progress | None = None
        self._ahead: list[Ahead] = []
        self._reached: dict[tuple[str, int], int] = {}

    def __enter__(self) -> Progressing:
        return self

    @property
    def done(self) -> tuple[int, int | None]:
        """Records done, and how many there are; None where there is no end."""
        return (self._progress.done, self._progress.total) if self._progress else (0, None)

    def observe(self, event: Ahead | Notice, topic: str) -> None:
        """Take note of what a run tells."""
        if isinstance(event, Ahead):
            self._ahead.append(event)
            self._reached |= {(topic, partition): bound.begin for partition, bound in event.bounds.items()}
            return
        if event.kind in TOLD:
            print(f"sensorloom: {event.text}", file=sys.stderr, flush=True)
        if event.kind in ("recovered", "fed"):
            self._advance((topic, event.partition), event.position)

    def _advance(self, partition: tuple[str, int], position: int) -> None:
        count = position - self._reached.get(partition, position)
        if self._progress is None:
            total = sum(end - begin for ahead in self._ahead for begin, end in ahead.bounds.values())
            self._progress = Progress("window", total if self._until_idle else None, "records").__enter__()
        if count > 0:  # after a fencing, work is done again
            self._reached[partition] = position
            self._progress.advance(count)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.__exit__(kind, error, trace)


class ClosingFigures(msgspec.Struct, frozen=True):
    """What a run did, and the dataset as it is now."""

    finished: bool
    samples: int
    """Windowed in this run, as its seals counted them."""
    chunks: int
    bytes_per_sample: float | None
    """Bytes of the readings in the log, everything included, for each sample; None where there were no samples."""
    dataset: DatasetStatus
    shards: str
    """The folder where the shards lie."""
    python: tuple[str, ...]
    """The lines that open the dataset."""


def closing_figures(out: Path, result: RunResult) -> ClosingFigures:
    """The figures at the end of a run into `out`. Raises `CorruptError`."""
    status = status_of(open_dataset(out))
    samples = result.counts["samples"]
    return ClosingFigures(
        finished=result.finished,
        samples=samples,
        chunks=result.counts["chunks"],
        bytes_per_sample=round(result.bytes / samples, 3) if samples else None,
        dataset=status,
        shards=str(out / WINDOWS / status.spec / "signal"),
        python=(
            "import sensorloom",
            f"dataset = sensorloom.open({str(out)!r})",
            "X, y, groups = dataset.arrays()  # (windows, steps, channels) float32, class index, recording",
        ),
    )


def render_closing(figures: ClosingFigures) -> str:
    """The figures as lines for people."""
    per_sample = "" if figures.bytes_per_sample is None else f", {figures.bytes_per_sample:.2f} bytes a sample"
    return "\n".join(
        (
            f"this run: {figures.samples:,} samples in {figures.chunks:,} chunks{per_sample}",
            render_status(figures.dataset),
            f"shards: {figures.shards}",
            "",
            *(f"    {line}" for line in figures.python),
        )
    )
