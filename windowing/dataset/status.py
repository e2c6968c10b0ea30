"""What a dataset holds, in figures."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec

from ingest.engine.manifest import Manifest
from windowing.dataset.reader import Dataset, open_dataset


class ChainStatus(msgspec.Struct, frozen=True):
    """How far a chain is sealed."""

    chain: str
    seq: int
    through: int
    """The first offset that is not sealed."""
    lost: int
    """Records that the log no longer had when they were wanted."""


class DatasetStatus(msgspec.Struct, frozen=True):
    """A dataset in figures, at its newest cut."""

    name: str
    spec: str
    channels: tuple[str, ...]
    windows: int
    labels: dict[str, int]
    """Windows by label; "" for those without."""
    drops: dict[str, int]
    """Windows that were not made, by reason."""
    counts: dict[str, int]
    """What else the windower counted: samples, chunks, late, duplicate …"""
    marks: dict[str, int]
    """The marks that stand, and what the fold of their events set aside, by reason."""
    rules: dict[str, dict[str, int]]
    """What rules counted, by revision: their marks, the samples that they saw, those that some rule cannot run on …"""
    shards: int
    bytes: int
    """Of every file that the manifests name, states left out."""
    chains: tuple[ChainStatus, ...]


def dataset_status(path: str | Path) -> DatasetStatus:
    """The figures of the dataset in a folder. Raises `UsageError`, `CorruptError`."""
    return status_of(open_dataset(path))


def status_of(dataset: Dataset) -> DatasetStatus:
    """The figures of an opened dataset."""
    contents = dataset.contents
    totals = contents.windows.totals
    labels = Counter(label or "" for label in dataset.windows()["label"])
    heads = {**contents.windows.heads, **contents.labels.heads}
    return DatasetStatus(
        name=contents.config.name,
        spec=contents.config.window.id,
        channels=dataset.channels,
        windows=len(dataset),
        labels=dict(sorted(labels.items())),
        drops={reason: count for reason, count in sorted(totals.items()) if reason.startswith("drop.")},
        counts={reason: count for reason, count in sorted(totals.items()) if not reason.startswith("drop.")},
        marks=dict(sorted({**contents.marks.counts, "standing": len(contents.marks.marks)}.items())),
        rules={revision: dict(sorted(chains.totals.items())) for revision, chains in contents.rules.items()},
        shards=len(contents.windows.of("signal")),
        bytes=sum(ref.bytes for ref in [*contents.windows.files, *contents.labels.files]),
        chains=tuple(_chain_status(name, head) for name, head in sorted(heads.items())),
    )


def _chain_status(name: str, head: Manifest) -> ChainStatus:
    return ChainStatus(name, head.seq, head.through, head.totals.get("lost.offsets", 0))


def render_status(status: DatasetStatus) -> str:
    """The figures as lines for people."""
    rows: list[tuple[str, str]] = [("dataset", f"{status.name}, spec {status.spec}, {', '.join(status.channels)}")]
    rows.append(("windows", f"{status.windows:,} in {status.shards:,} shards, {status.bytes:,} bytes"))
    rows += [(f"  {label or '(no label)'}", f"{count:,}") for label, count in status.labels.items()]
    for title, counts in (("dropped", status.drops), ("counted", status.counts), ("marks", status.marks)):
        rows.append((title, "" if counts else "nothing"))
        rows += [(f"  {reason.removeprefix('drop.')}", f"{count:,}") for reason, count in counts.items()]
    for revision, counts in status.rules.items():
        rows.append(("rules", f"revision {revision}"))
        rows += [(f"  {reason}", f"{count:,}") for reason, count in counts.items()]
    rows.append(("sealed", "" if status.chains else "nothing yet"))
    for chain in status.chains:
        lost = f", {chain.lost:,} records lost" if chain.lost else ""
        rows.append((f"  {chain.chain}", f"entry {chain.seq}, through offset {chain.through}{lost}"))
    width = max(len(name) for name, _ in rows) + 2
    return "\n".join(f"{name:<{width}}{text}".rstrip() for name, text in rows)
