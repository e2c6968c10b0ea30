"""What is known of a dataset, counted from it or said in its dataset.toml; what documents are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from curation.exports.content import Content, Part
from ingest.units import exact_time
from windowing.plan import About, Plan, Privacy

if TYPE_CHECKING:
    from windowing.dataset.reader import Dataset


class ChannelFacts(msgspec.Struct, frozen=True):
    """A channel in figures, over every value that is there."""

    name: str
    unit: str
    """"" where nobody said it."""
    count: int
    missing: int
    mean: float | None
    std: float | None
    min: float | None
    max: float | None


class PartFacts(msgspec.Struct, frozen=True):
    """A part in figures."""

    name: str
    windows: int
    labels: dict[str, int]


class LabelSource(msgspec.Struct, frozen=True):
    """Where marks came from: people and rules as roles, without their names."""

    role: str
    """`annotator 1`, `rule`."""
    tool: str
    marks: int
    first: str
    last: str
    """When the log took them."""


class DatasetFacts(msgspec.Struct, frozen=True):
    """All that documents say."""

    name: str
    spec: str
    made: str
    """When these facts were taken, ISO 8601."""
    tool: str
    rate_hz: float
    steps: int
    hop: int
    classes: tuple[str, ...]
    channels: tuple[ChannelFacts, ...]
    statistics_of: str
    """Which windows the channels' figures are of."""
    parts: tuple[PartFacts, ...]
    devices: int
    recordings: int
    subjects: int | None
    """None: recordings do not say."""
    attributes: tuple[str, ...]
    since: str
    until: str
    version: str
    """The dataset's that was opened, else what `[about]` says."""
    drops: dict[str, int]
    label_sources: tuple[LabelSource, ...]
    policy: str
    interpolation: str
    plan: Plan
    privacy: Privacy
    about: About

    @property
    def windows(self) -> int:
        """In all parts."""
        return sum(part.windows for part in self.parts)

    @property
    def missing(self) -> tuple[str, ...]:
        """What nobody said, as keys of dataset.toml."""
        said = {
            "[about] description": self.about.description,
            "[about] license": self.about.license,
            "[about] creators": self.about.creators,
            "[about] contact": self.about.contact,
            "[about] url": self.about.url,
            "[about] cite": self.about.cite,
            "a version": self.version,
            "[about] ethics": self.about.ethics,
            "[plan] purpose": self.plan.purpose,
            "[plan] sources": self.plan.sources,
            "[privacy] consent": self.privacy.consent,
            "[privacy] retention": self.privacy.retention,
            "[privacy] access": self.privacy.access,
        }
        found = [key for key, value in said.items() if not value]
        found += [
            f"[plan.classes.{name}] definition"
            for name in self.classes
            if name not in self.plan.classes or not self.plan.classes[name].definition
        ]
        return (*found, *(f"the unit of {channel.name}" for channel in self.channels if not channel.unit))


def facts_of(dataset: Dataset, content: Content, *, made_ns: int, tool: str) -> DatasetFacts:
    """The facts of `content`, which was taken from `dataset`; `tool` is what takes them, with its version. Raises
    `CorruptError`."""
    import polars as pl

    window, config = dataset.contents.config.window, dataset.contents.config
    table = pl.concat([part.table for part in content.parts])
    train = next((part for part in content.parts if part.name == "train"), None)
    counted = content.parts if train is None else (train,)
    return DatasetFacts(
        name=content.name,
        spec=window.id,
        made=exact_time(made_ns),
        tool=tool,
        rate_hz=content.rate_hz,
        steps=content.steps,
        hop=window.hop,
        classes=content.classes,
        channels=_channels(content, counted),
        statistics_of="all windows" if train is None else "the windows of train",
        parts=tuple(_part(part) for part in content.parts),
        devices=table["device"].n_unique(),
        recordings=table.select("device", "recording").n_unique(),
        subjects=table["subject"].n_unique() if "subject" in table.columns else None,
        attributes=content.attributes,
        since=exact_time(int(table["t0_ns"].to_numpy().min())) if len(table) else "",
        until=exact_time(int(table["t1_ns"].to_numpy().max())) if len(table) else "",
        version=dataset.version or config.about.version,
        drops=_drops(dataset),
        label_sources=_sources(dataset),
        policy=f"{config.labels.policy}, from a share of {config.labels.min_share:g} on",
        interpolation=window.rule.interpolation,
        plan=config.plan,
        privacy=config.privacy,
        about=config.about,
    )


def _part(part: Part) -> PartFacts:
    counts = Counter(label or "" for label in part.table["label"].to_list())
    return PartFacts(part.name, len(part), dict(sorted(counts.items())))


def _drops(dataset: Dataset) -> dict[str, int]:
    totals = Counter[str]()
    for each in dataset.contents.parts:
        totals.update(each.windows.totals)
    totals["drop.trim"] += dataset.contents.trimmed
    totals["drop.excluded"] += sum(dataset.contents.exclusions.values())
    found = {key: count for key, count in sorted(totals.items()) if key.startswith("drop.") and count}
    return {key.removeprefix("drop."): count for key, count in found.items()}


def _channels(content: Content, parts: Iterable[Part]) -> tuple[ChannelFacts, ...]:
    """Mean and deviation by Chan et al.'s update, so that batches do not matter."""
    size = len(content.channels)
    count, mean, squares, missing = np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(size)
    low, high = np.full(size, np.inf), np.full(size, -np.inf)
    for part in parts:
        for batch in part.batches():
            rows = batch.X.reshape(-1, size).astype(np.float64)
            there = ~np.isnan(rows)
            some = there.sum(axis=0)
            missing += len(rows) - some
            middle = np.where(there, rows, 0).sum(axis=0) / np.maximum(some, 1)
            off, total = middle - mean, np.maximum(count + some, 1)
            squares += (np.where(there, rows - middle, 0) ** 2).sum(axis=0) + off**2 * count * some / total
            mean, count = mean + off * some / total, count + some
            low = np.minimum(low, np.where(there, rows, np.inf).min(axis=0))
            high = np.maximum(high, np.where(there, rows, -np.inf).max(axis=0))
    spread = np.sqrt(squares / np.maximum(count, 1))
    figures = [[None if not some else float(value) for value, some in zip(each, count, strict=True)]
               for each in (mean, spread, low, high)]  # fmt: skip
    return tuple(
        ChannelFacts(name, content.units[n], int(count[n]), int(missing[n]), *(each[n] for each in figures))
        for n, name in enumerate(content.channels)
    )


def _sources(dataset: Dataset) -> tuple[LabelSource, ...]:
    """Who made the marks that count, as roles, numbered by their first mark."""
    marks = sorted(dataset.counting.marks, key=lambda mark: mark.marked_ns)
    roles: dict[str, str] = {}
    grouped: dict[tuple[str, str], list[int]] = {}
    for mark in marks:
        role = roles.setdefault(mark.author, f"annotator {len(roles) + 1}") if mark.by_person else "rule"
        grouped.setdefault((role, mark.tool), []).append(mark.marked_ns)
    return tuple(
        LabelSource(role, tool, len(times), exact_time(min(times)), exact_time(max(times)))
        for (role, tool), times in sorted(grouped.items())
    )
