"""What came of a demo: its figures as plain data, and as a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.table import Table

_EXPECTED: Final = frozenset({"samples", "chunks", "windows", "started.recordings", "ended.recordings"})
"""What the windowing service counts in any case; all else was set aside, and is shown with its reason."""


@dataclass(frozen=True, slots=True)
class Report:
    """The figures; `as_dict` is what `--json` prints."""

    folder: Path
    log: str
    dataset: Path
    recordings: int
    seconds: float
    """Of each recording."""
    events: Mapping[str, int]
    """True events by label."""
    near_misses: Mapping[str, int]
    simulated: int
    """Samples that the sensors wrote."""
    samples: int
    """Samples that the log acknowledged."""
    chunks: int
    bytes: int
    """Of the readings on the wire, times and record headers included."""
    windows: int
    """Of the demo's devices."""
    labels: Mapping[str, int]
    """These windows by label; "" for those without."""
    others: int
    """Windows of other devices that share the log; `drops`, `counts` and `shards` include theirs."""
    drops: Mapping[str, int]
    """Windows that were not made, by reason."""
    counts: Mapping[str, int]
    """What else the windowing service counted."""
    shards: tuple[Path, ...]
    elapsed_s: float
    disagreements: tuple[str, ...]
    """Where the opened dataset holds something else than it should; empty when all is well."""

    @property
    def bytes_per_sample(self) -> float:
        """On the wire: all three axes and the time."""
        return self.bytes / self.samples

    @property
    def lines(self) -> tuple[str, ...]:
        """The Python that opens the dataset."""
        return (
            "import wavemark",
            f"dataset = wavemark.open({str(self.dataset)!r})",
            "X, y, groups = dataset.arrays()   # (windows, steps, channels) float32, class index, recording",
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "folder": str(self.folder),
            "log": self.log,
            "dataset": str(self.dataset),
            "recordings": self.recordings,
            "seconds": self.seconds,
            "events": dict(self.events),
            "near_misses": dict(self.near_misses),
            "simulated": self.simulated,
            "samples": self.samples,
            "chunks": self.chunks,
            "bytes": self.bytes,
            "bytes_per_sample": round(self.bytes_per_sample, 3),
            "windows": self.windows,
            "labels": dict(self.labels),
            "others": self.others,
            "drops": dict(self.drops),
            "counts": dict(self.counts),
            "shards": [str(path) for path in self.shards],
            "elapsed_s": round(self.elapsed_s, 3),
            "python": list(self.lines),
            "disagreements": list(self.disagreements),
        }


def show(report: Report) -> None:
    """Print the table and the lines of Python to stdout."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    console.print(_table(report))
    console.print("\nOpen it with:\n")
    for line in report.lines:  # whole lines, so that they can be copied
        print(f"    {line}")
    print()
    for text in report.disagreements:
        console.print(f"disagreement: {text}", style="bold red")


def _table(report: Report) -> Table:
    from rich import box
    from rich.table import Table

    table = Table("", "", box=box.SIMPLE_HEAD, show_header=False, title="wavemark demo", title_justify="left")
    table.columns[0].no_wrap = True
    table.columns[1].overflow = "fold"
    minutes = report.recordings * report.seconds / 60
    table.add_row("recordings", f"{report.recordings} of {report.seconds:g} s, {minutes:,.0f} minutes together")
    table.add_row("samples", f"{report.samples:,} of 3 axes" + _of(report.simulated, report.samples))
    table.add_row("chunks", f"{report.chunks:,}")
    table.add_row("bytes per sample", f"{report.bytes_per_sample:.2f}, times and headers included")
    table.add_section()
    table.add_row("windows", f"{report.windows:,}")
    for label, count in sorted(report.labels.items(), key=lambda item: (not item[0], item[0])):
        table.add_row(f"  {label or '(no label)'}", f"{count:,}" + _because(report, label))
    if report.others:
        table.add_row("windows of others", f"{report.others:,}, which share the log")
    table.add_section()
    table.add_row("dropped", "" if report.drops else "nothing")
    for reason, count in report.drops.items():
        table.add_row(f"  {reason.removeprefix('drop.')}", f"{count:,} windows")
    for name, count in report.counts.items():
        if name not in _EXPECTED:
            table.add_row(f"  {name.replace('.', ' ', 1)}", f"{count:,}")
    table.add_section()
    table.add_row("log", report.log)
    folders = sorted({path.parent for path in report.shards})
    table.add_row("shards", "\n".join(f"{len(report.shards)} in {folder}" for folder in folders) or "none")
    table.add_row("took", f"{report.elapsed_s:.1f} s, {report.samples / report.elapsed_s:,.0f} samples/s")
    return table


def _of(simulated: int, samples: int) -> str:
    return ", all that were simulated" if simulated == samples else f", of {simulated:,} simulated"


def _because(report: Report, label: str) -> str:
    if label in report.events:
        return f"  ({report.events[label]} true events)"
    if not label:
        return "  (partly under a mark)"
    misses = ", ".join(f"{count} {kind}s" for kind, count in report.near_misses.items())
    return f"  ({misses} among them)" if misses else ""
