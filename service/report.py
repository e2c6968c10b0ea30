"""What a run of the windowing service shows: progress while it works, and figures at its end."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec

from ingest.commandline import complaint, say_aside
from ingest.engine.telling import Notice
from ingest.log.protocol import READINGS
from ingest.progress import Progress
from ingest.showing import printable
from ingest.units import format_time
from service.crew import Ahead, Minute
from service.labelling import Relabelled, relabelled
from service.run import RunResult
from windowing.dataset.belongings import WINDOWS
from windowing.dataset.reader import open_dataset
from windowing.dataset.status import DatasetStatus, dataset_status, render_status, status_of

TOLD: Final = ("waiting", "lost", "fenced", "noted")
"""Notices that a person should hear of."""
QUIET_MINUTES: Final = 10
"""How often a service says that nothing has come."""
_LOSSES: Final = ("late.samples", "quarantine.samples", "lost.offsets", "undecodable")


class Progressing:
    """Shows a run's progress on stderr, in records of the log, and what a person should know of.

    `label` names the work, `made` the count that says what comes of it. A run with an end, or at a terminal, shows how
    far it is; a service says a line a minute, with its time.
    """

    def __init__(
        self, until_idle: bool, label: str = "window", made: str = "windows", now_s: Callable[[], float] = time.time
    ) -> None:
        self._until_idle = until_idle
        self._by_minutes = not until_idle and not sys.stderr.isatty()
        self._now_s = now_s
        self._progress: Progress | None = None
        self._ahead: list[Ahead] = []
        self._reached: dict[tuple[str, int], int] = {}
        self._owned: set[int] = set()
        """Partitions of readings that this worker cuts."""
        self._done = 0
        self._label = label
        self._minute = _Figures(made)
        self._all = _Figures(made)
        self._quiet = 0

    def __enter__(self) -> Progressing:
        return self

    @property
    def done(self) -> tuple[int, int | None]:
        """Records done, and how many there are; None where there is no end."""
        return self._done, self._total if self._until_idle else None

    @property
    def _total(self) -> int:
        return sum(end - begin for ahead in self._ahead for begin, end in ahead.bounds.values())

    def observe(self, event: Ahead | Minute | Notice, topic: str) -> None:
        """Take note of what a run tells."""
        match event:
            case Ahead():
                self._ahead.append(event)
                self._reached |= {(topic, partition): bound.begin for partition, bound in event.bounds.items()}
            case Minute():
                self._end_minute(event)
            case Notice():
                self._on_notice(event, topic)

    def _on_notice(self, notice: Notice, topic: str) -> None:
        if notice.kind in TOLD:
            self._say(complaint(notice.text) if notice.kind == "lost" else printable(notice.text))
        if topic == READINGS:
            if notice.kind == "recovered":
                self._owned.add(notice.partition)
            elif notice.kind == "revoked":
                self._owned.discard(notice.partition)
            elif notice.kind == "fenced":
                self._owned.clear()
            if notice.entry is not None:
                self._minute.add(notice.entry.counts)
                self._all.add(notice.entry.counts)
        if notice.kind in ("recovered", "fed"):
            self._advance((topic, notice.partition), notice.position)

    def _advance(self, partition: tuple[str, int], position: int) -> None:
        count = position - self._reached.get(partition, position)
        if self._progress is None and not self._by_minutes:
            self._progress = Progress(self._label, self._total if self._until_idle else None, "records").__enter__()
        if count > 0:  # after a fencing, work is done again
            self._reached[partition] = position
            self._done += count
            self._minute.records += count
            if self._progress is not None:
                self._progress.advance(count)

    def _end_minute(self, minute: Minute) -> None:
        """Say how a minute was; of minutes without a record, the first and every tenth."""
        if not self._by_minutes:
            return
        figures, self._minute = self._minute, _Figures(self._all.made)
        self._quiet = self._quiet + 1 if figures.is_empty else 0
        if self._quiet > 1 and self._quiet % QUIET_MINUTES:
            return
        behind = sum(max(0, minute.bounds[n].end - self._reached.get((READINGS, n), 0)) for n in self._owned)
        where = f"{len(self._owned)} of {len(minute.bounds)} partitions"
        lag = f"{behind:,} records behind" if behind else "nothing left to read"
        if figures.is_empty:
            self._say(
                f"no records for {_minutes(self._quiet)}; {where}, {lag}; {self._all.count:,} {self._all.made} so far"
            )
        else:
            self._say(f"{figures}; {where}, {lag}")

    def _say(self, text: str) -> None:
        when = f"{format_time(int(self._now_s()) * 10**9)} " if self._by_minutes else ""
        say_aside(f"{when}sensorloom: {text}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.__exit__(kind, error, trace)


@dataclass(slots=True)
class _Figures:
    """What was read, and what seals counted."""

    made: str
    """The count that says what the service is for."""
    records: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, counts: Mapping[str, int]) -> None:
        self.counts.update(counts)

    @property
    def count(self) -> int:
        return self.counts[self.made]

    @property
    def is_empty(self) -> bool:
        return not self.records and not self.counts

    def __str__(self) -> str:
        """Losses in capitals, or they would drown."""
        drops = {reason.partition(".")[2]: count for reason, count in self.counts.items() if reason.startswith("drop.")}
        parts = [f"{self.records:,} records", f"{self.count:,} {self.made}"]
        if drops:
            each = ", ".join(f"{reason} {count:,}" for reason, count in sorted(drops.items()))
            parts.append(f"{sum(drops.values()):,} dropped ({each})")
        parts += [f"LOST {reason} {self.counts[reason]:,}" for reason in _LOSSES if self.counts[reason]]
        return ", ".join(parts)


def _minutes(count: int) -> str:
    return "a minute" if count == 1 else f"{count} minutes"


class ClosingFigures(msgspec.Struct, frozen=True):
    """What a run did, and the dataset as it is now."""

    finished: bool
    samples: int
    """Windowed in this run, as its seals counted them."""
    chunks: int
    bytes_per_sample: float | None
    """Bytes of the readings in the log, everything included, for each sample; None where there were no samples."""
    relabelled: Relabelled | None
    """What a changed configuration changed; None where it is as before."""
    dataset: DatasetStatus
    shards: str
    """The folder where the shards lie."""
    python: tuple[str, ...]
    """The lines that open the dataset."""


def closing_figures(out: Path, result: RunResult) -> ClosingFigures:
    """The figures at the end of a run into `out`. Raises `CorruptError`."""
    dataset = None if result.before is None else open_dataset(out)
    status = dataset_status(out) if dataset is None else status_of(dataset)
    samples = result.counts["samples"]
    return ClosingFigures(
        finished=result.finished,
        samples=samples,
        chunks=result.counts["chunks"],
        bytes_per_sample=round(result.bytes / samples, 3) if samples else None,
        relabelled=None if dataset is None or result.before is None else relabelled(dataset, result.before),
        dataset=status,
        shards=str(out / WINDOWS / status.spec / "signal"),
        python=(
            "import sensorloom",
            f"dataset = sensorloom.open({str(out)!r})",
            "X, y, groups = dataset.arrays()  # (windows, steps, channels) float32, class index, device",
        ),
    )


def render_closing(figures: ClosingFigures) -> str:
    """The figures as lines for people."""
    per_sample = "" if figures.bytes_per_sample is None else f", {figures.bytes_per_sample:.2f} bytes a sample"
    return "\n".join(
        (
            f"this run: {figures.samples:,} samples in {figures.chunks:,} chunks{per_sample}",
            *([] if figures.relabelled is None else _relabelled_lines(figures.relabelled)),
            render_status(figures.dataset),
            f"shards: {figures.shards}",
            *(["", *(f"    {line}" for line in figures.python)] if figures.dataset.windows else []),
        )
    )


def _relabelled_lines(changed: Relabelled) -> list[str]:
    first = f"relabelled: {changed.windows:,} windows have another label than under the configuration before"
    return [first, *(f"  {old or '(none)'} -> {new or '(none)'}  {count:,}" for old, new, count in changed.changes)]
