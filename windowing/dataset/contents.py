"""All that a dataset's folder holds at a cut, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.engine.manifest import FileRef
from labeling.marks import Fold, ResolvedMark
from windowing.config import DatasetConfig
from windowing.dataset.catalog import Chains
from windowing.dataset.exclusions import Excluded, without_trimmed
from windowing.dataset.labelled import Choice

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Contents:
    """All that a dataset's folder holds at a cut, read and checked; the shards by reference."""

    root: Path
    config: DatasetConfig
    windows: Chains
    labels: Chains
    rules: Mapping[str, Chains]
    """By the revision of the rules together."""
    index: pl.DataFrame
    """The rows of the index in the order of windows, each once, without what was excluded or trimmed."""
    marks: Fold
    """All marks that stand, of every rule that ever ran on the log too."""
    choice: Choice
    """The rules whose marks count."""
    recordings: pl.DataFrame
    """Recordings that said something of themselves: device, recording, and a column an attribute."""
    streams: pl.DataFrame
    """What streams came, in which units: see `windowing.fold.shards.STREAMS_SCHEMA`."""
    undone: Mapping[tuple[str, str], int]
    """The recordings, by device and id, whose import was undone in the log, and how many windows each had here."""
    exclusions: Mapping[Excluded, int]
    """What people took out and did not put back, and how many windows each takes out."""
    trims: Mapping[ResolvedMark, int]
    """The trims that stand, and how many windows each takes out."""
    shards: Mapping[str, tuple[Path, FileRef]]
    """Every shard by its name: its operator's folder, and what its manifest entry says of it."""
    classes: tuple[str, ...] = ()
    """The labels that have a number for ever, in its order."""
    again: int = 0
    """So many windows were cut again, long after, of samples that came again: left out, see `index.once`."""
    trimmed: int = 0
    """So many windows are touched by a trim, and left out."""
    joined: tuple[Contents, ...] = ()
    """The datasets that are opened as one, each as it is alone; empty: this is one alone."""

    def without_trimmed(self, trims: Sequence[ResolvedMark]) -> Contents:
        """These without the windows that `trims` touch."""
        index, counts = without_trimmed(self.index, trims)
        gone = len(self.index) - len(index)
        return replace(self, index=index, trims=dict(zip(trims, counts, strict=True)), trimmed=gone)

    @property
    def parts(self) -> tuple[Contents, ...]:
        """The datasets that this is."""
        return self.joined or (self,)

    @property
    def rules_counted(self) -> str:
        """The revision of the rules whose marks count, "none" or "all"; those of several datasets that differ, each."""
        return ", ".join(dict.fromkeys(each.choice.name for each in self.parts))
