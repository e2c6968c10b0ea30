"""The closing figures of a demo: every part's own count beside what the others have, and where they disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

from labeling.marks import RULE
from labeling.rulefile import read_rules
from simulators.balance import UNCOUNTED, Account
from simulators.demo import Lived
from simulators.playing import Happening, SensorReport
from simulators.report import Report
from simulators.scores import Span, score
from simulators.site import Site
from windowing.dataset.reader import Dataset, open_dataset
from windowing.dataset.status import DatasetStatus, status_of


def closing_report(site: Site, lived: Lived, elapsed_s: float) -> Report:
    """Open the dataset and make the books up. Raises `CorruptError`."""
    dataset = open_dataset(site.dataset)
    status = status_of(dataset)
    labels = _labels_of(dataset, site.devices)
    accounts = [_account(sensor, lived) for sensor in lived.sensors]
    rules = read_rules(site.rules)
    marks = _marks_of(dataset, site.devices)
    return Report(
        folder=site.folder,
        log=site.log,
        dataset=site.dataset,
        pace=site.pace,
        seconds=lived.seconds,
        devices=tuple(accounts),
        chunks=sum(found.chunks for found in lived.log.values()),
        bytes=sum(found.bytes for found in lived.log.values()),
        windows=labels.total(),
        labels=dict(labels),
        others=len(dataset) - labels.total(),
        drops=status.drops,
        counts=status.counts,
        shards=_shards_of(dataset),
        rules=score((rule.label for rule in rules.rules), [_span(event) for event in lived.events], marks),
        near_misses=dict(Counter(happening.episode.kind for happening in lived.near_misses)),
        elapsed_s=elapsed_s,
        ended_early=lived.ended_early,
        disagreements=(
            *(text for account in accounts for text in account.disagreements()),
            *_disagreements(accounts, lived, dataset, status, len(marks)),
        ),
    )


def _account(sensor: SensorReport, lived: Lived) -> Account:
    found = lived.log[sensor.device]
    heard = sensor.samples - sensor.unheard
    read = heard + sensor.gap_samples if sensor.via == "log" else _read_by_agent(sensor, lived.figures)
    return Account(
        sensor.device, sensor.stream, sensor.via, heard, read, found.samples, dict(found.gaps), dict(found.unknown)
    )


def _read_by_agent(sensor: SensorReport, figures: Mapping[str, float]) -> int:
    """Samples, and what came and gave none, as far as its number can be known."""
    name = f"{sensor.device}/{sensor.stream}"
    reasons = {key.removeprefix(f"{name}.lost."): count for key, count in figures.items() if f"{name}.lost." in key}
    lost = sum(count for reason, count in reasons.items() if reason not in UNCOUNTED)
    return int(figures.get(f"{name}.samples", 0) + lost)


def _span(event: Happening) -> Span:
    return Span(event.device, event.episode.kind, event.episode.start_ns, event.episode.end_ns)


def _marks_of(dataset: Dataset, devices: Collection[str]) -> list[Span]:
    """What rules marked, as the dataset has it."""
    return [
        Span(mark.device, mark.label, mark.start_ns, mark.end_ns)
        for mark in dataset.contents.marks.marks
        if mark.device in devices and mark.tool == RULE
    ]


def _labels_of(dataset: Dataset, devices: Collection[str]) -> Counter[str]:
    """How many windows of these devices have each label; "" is none."""
    table = dataset.windows().select("device", "label")
    return Counter(label or "" for device, label in table.iter_rows() if device in devices)


def _shards_of(dataset: Dataset) -> tuple[Path, ...]:
    windows = dataset.contents.windows
    return tuple(windows.folder / ref.name for ref in windows.of("signal"))


def _disagreements(
    accounts: Collection[Account], lived: Lived, dataset: Dataset, status: DatasetStatus, marks: int
) -> list[str]:
    """Where the log, the windowing service and the opened dataset do not say the same.

    The windowing service may have met more samples than this demo's: other devices may share the log.
    """
    wanted = sum(account.samples for account in accounts if account.stream in _streams(dataset))
    met, cut = status.counts.get("samples", 0), status.counts.get("windows", 0)
    in_log = sum(len(found.marks) for found in lived.log.values())
    labelled = sum(count for label, count in status.labels.items() if label)
    signals, classes, _ = dataset.arrays()
    found = []
    if met < wanted:
        found.append(f"{wanted:,} samples of windowed streams are in the log, the windowing service met {met:,}")
    if cut != len(dataset):
        found.append(f"the windowing service cut {cut:,} windows, the dataset has {len(dataset):,}")
    if in_log != marks:
        found.append(f"{in_log:,} marks of rules are in the log, {marks:,} in the dataset")
    if not len(signals) == len(classes) == labelled:
        found.append(f"{labelled:,} windows have labels, the arrays have {len(signals):,} and {len(classes):,} rows")
    return found


def _streams(dataset: Dataset) -> set[str]:
    return {channel.rpartition(".")[0] for channel in dataset.channels}
