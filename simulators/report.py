"""What came of a demo: its figures as plain data, and as tables for people."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from simulators.balance import Account
from simulators.scores import Score
from simulators.site import FILES, timeline_words

if TYPE_CHECKING:
    from rich.table import Table

MATCH: Final = "a mark is right where it and a true event share more than half of the time that either covers"
_EXPECTED: Final = ("samples", "chunks", "windows", "started.recordings", "ended.recordings", "gap.")
"""What the windowing service counts in any case (the gaps are told by device): all else was set aside, and is shown."""
_WORDS: Final = {"unnamed.samples": "samples of streams that dataset.toml does not name"}


@dataclass(frozen=True, slots=True)
class Report:
    """The figures; `as_dict` is what `--json` prints."""

    folder: Path
    log: str
    dataset: Path
    pace: str
    seconds: float
    """Of event time."""
    devices: tuple[Account, ...]
    chunks: int
    bytes: int
    """Of these devices' readings in the log, everything included."""
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
    rules: tuple[Score, ...]
    near_misses: Mapping[str, int]
    elapsed_s: float
    ended_early: bool
    disagreements: tuple[str, ...]
    """Where two parts do not say the same; empty when all is well."""

    @property
    def samples(self) -> int:
        """Of these devices, in the log."""
        return sum(account.samples for account in self.devices)

    @property
    def bytes_per_sample(self) -> float | None:
        """In the log: all channels and the time. None without samples."""
        return self.bytes / self.samples if self.samples else None

    @property
    def lines(self) -> tuple[str, ...]:
        """The Python that opens the dataset."""
        return (
            "import sensorloom",
            f"dataset = sensorloom.open({str(self.dataset)!r})",
            "X, y, groups = dataset.arrays()   # (windows, steps, channels) float32, class index, device",
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        found = asdict(self) | {name: str(getattr(self, name)) for name in ("folder", "dataset")}
        per_sample = self.bytes_per_sample
        return found | {
            "devices": [asdict(account) | {"announced": account.announced} for account in self.devices],
            "rules": [asdict(it) | {"precision": it.precision, "recall": it.recall} for it in self.rules],
            "samples": self.samples,
            "bytes_per_sample": None if per_sample is None else round(per_sample, 3),
            "shards": [str(path) for path in self.shards],
            "elapsed_s": round(self.elapsed_s, 3),
            "python": list(self.lines),
            "match": MATCH,
        }


def show(report: Report) -> None:
    """Print the tables, and where everything is, to stdout."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    for table in (_summary(report), _devices(report), _rules(report)):
        console.print(table)
    misses = ", ".join(f"{count} {kind}" for kind, count in sorted(report.near_misses.items()))
    console.print(f"Right: {MATCH}. Near-misses that deserve no mark: {misses or 'none'}.\n", style="dim")
    for line in _places(report):  # whole lines, so that they can be copied
        print(line)
    for text in report.disagreements:
        console.print(f"disagreement: {text}", style="bold red")


def _places(report: Report) -> Iterator[str]:
    yield f"log     {report.log}"
    for folder in sorted({path.parent for path in report.shards}):
        yield f"shards  {len(report.shards)} in {folder}"
    yield f"files   {report.folder}: {', '.join(FILES)}"
    yield "\nOpen it with:\n"
    yield from (f"    {line}" for line in report.lines)
    yield "\nSee it, and mark in it, in the browser:\n"
    yield f"    {shlex.join(timeline_words(report.folder, report.log))}"
    yield ""


def _table(title: str, *columns: str) -> Table:
    """Text in the first column and the last, figures between."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", show_header=any(columns))
    last = len(columns) - 1
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if 0 < number < last else "left", no_wrap=number < last)
    table.columns[last].overflow = "fold"
    return table


def _summary(report: Report) -> Table:
    table = _table("sensorloom demo", "", "")
    per_sample = report.bytes_per_sample
    ended = ", ended early" if report.ended_early else ""
    table.add_row("time", f"{report.seconds:,.0f} s of {len(report.devices)} devices, {report.pace}{ended}")
    table.add_row("samples", f"{report.samples:,} in the log")
    table.add_row("chunks", f"{report.chunks:,}")
    table.add_row("bytes per sample", "–" if per_sample is None else f"{per_sample:.2f}, times and headers included")
    table.add_section()
    table.add_row("windows", f"{report.windows:,}")
    for label, count in sorted(report.labels.items(), key=lambda item: (not item[0], item[0])):
        table.add_row(f"  {label or '(no label)'}", f"{count:,}" + ("" if label else "  (partly under a mark)"))
    if report.others:
        table.add_row("windows of others", f"{report.others:,}, which share the log")
    table.add_section()
    table.add_row("dropped", "" if report.drops else "nothing")
    for reason, count in report.drops.items():
        table.add_row(f"  {reason.removeprefix('drop.')}", f"{count:,} windows")
    for name, count in report.counts.items():
        if not name.startswith(_EXPECTED):
            what, _, of = name.partition(".")
            table.add_row(f"  {what}", f"{count:,} {_WORDS.get(name, of.replace('.', ' '))}")
    table.add_section()
    table.add_row("took", f"{report.elapsed_s:.1f} s")
    return table


def _devices(report: Report) -> Table:
    table = _table("Samples read = in the log + announced as gaps", "device", "by", "read", "in the log", "gaps", "why")
    for it in report.devices:
        known = [f"{count:,} {reason}" for reason, count in sorted(it.gaps.items())]
        why = ", ".join(known + [f"{reason} of unknown size" for reason in sorted(it.unknown)])
        table.add_row(it.device, it.way, f"{it.read:,}", f"{it.samples:,}", f"{it.announced:,}", why)
    read, gaps = (sum(getattr(it, name) for it in report.devices) for name in ("read", "announced"))
    verdict = "it adds up" if read == report.samples + gaps else "it does not add up"
    table.add_section()
    table.add_row("together", "", f"{read:,}", f"{report.samples:,}", f"{gaps:,}", verdict)
    return table


def _rules(report: Report) -> Table:
    table = _table("Rules against the truth", "label", "true events", "marks", "right", "precision", "recall", "")
    for it in report.rules:
        figures = (f"{it.events}", f"{it.marks}", f"{it.right}", _share(it.precision), _share(it.recall))
        table.add_row(it.label, *figures, "")
    return table


def _share(share: float | None) -> str:
    return "–" if share is None else f"{share:.2f}"
