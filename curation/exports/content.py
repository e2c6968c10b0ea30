"""What an export holds, whatever its format: parts of windows, each with a table and its signals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from windowing.dataset.heard import units_of
from windowing.dataset.reader import Dataset

if TYPE_CHECKING:
    import polars as pl

Signal: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int64]
BATCH: Final = 512
"""So many windows are in memory at once."""
COLUMNS: Final = ("window", "device", "recording", "t0_ns", "t1_ns", "coverage", "label", "share")
WHOLE: Final = "data"
"""The one part of what is not split."""


class Batch(NamedTuple):
    """Some windows on their way out, or read again."""

    X: Signal
    """(windows, steps, channels) float32"""
    y: Ints
    """(windows,) int64; -1: no label"""
    windows: list[str]
    """Their ids."""


@dataclass(frozen=True, slots=True)
class Part:
    """The windows of a split's part."""

    name: str
    table: pl.DataFrame
    """A row a window: `COLUMNS`, `y`, and the attributes that go out."""
    read: Callable[[Ints], Signal]
    """The signals of the windows at these rows."""

    def __len__(self) -> int:
        return len(self.table)

    def batches(self, size: int = BATCH) -> Iterator[Batch]:
        """All windows in order."""
        y, names = self.table["y"].to_numpy(), self.table["window"].to_list()
        for begin in range(0, len(names), size):
            rows = np.arange(begin, min(begin + size, len(names)))
            yield Batch(self.read(rows), y[rows], names[begin : begin + size])

    def kept(self, rows: Ints) -> Part:
        """Only the windows at these rows."""
        read = self.read
        return replace(self, table=self.table[rows], read=lambda places: read(rows[places]))


@dataclass(frozen=True, slots=True)
class Content:
    """What goes out."""

    name: str
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    units: tuple[str, ...]
    """Of each channel; of several one after the other, "" where nobody said it."""
    rate_hz: float
    steps: int
    parts: tuple[Part, ...]
    facts: Mapping[str, Any]
    """What else the export's own description says: where it comes from, what was changed for privacy."""

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes that go out."""
        return tuple(name for name in self.parts[0].table.columns if name not in (*COLUMNS, "y"))

    def describe(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "name": self.name,
            "classes": self.classes,
            "channels": [{"name": name, "unit": unit} for name, unit in zip(self.channels, self.units, strict=True)],
            "rate_hz": self.rate_hz,
            "shape": [self.steps, len(self.channels)],
            "attributes": self.attributes,
            "parts": {part.name: len(part) for part in self.parts},
            **self.facts,
        }


def content_of(
    whole: Dataset, parts: Mapping[str, Dataset], attributes: Sequence[str], facts: Mapping[str, Any]
) -> Content:
    """The windows of `parts`, which are of the dataset `whole`. Raises `UsageError`, `CorruptError`."""
    units = {found.channel: " / ".join(sorted(found.units)) for found in units_of(whole.contents.streams)}
    window = whole.contents.config.window
    return Content(
        whole.name,
        whole.classes,
        whole.channels,
        tuple(units.get(channel, "") for channel in whole.channels),
        float(whole.rate),
        window.length,
        tuple(_part(name, part, attributes, whole.classes) for name, part in parts.items()),
        facts,
    )


def _part(name: str, dataset: Dataset, attributes: Sequence[str], classes: Sequence[str]) -> Part:
    import polars as pl

    table = dataset.columns((*COLUMNS, *attributes))
    place = {label: number for number, label in enumerate(classes)}
    y = np.array([place.get(label, -1) for label in table["label"]], np.int64)
    # What `classes` does not name is no label of this dataset: the text would say what the number denies.
    label = pl.when(pl.Series(y) >= 0).then(pl.col("label"))
    table = table.with_columns(label.alias("label"), pl.Series("y", y))
    return Part(name, table, dataset.signals)
