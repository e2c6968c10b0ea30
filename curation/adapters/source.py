"""A map-style source: what Grain calls a random access data source, and others a sequence of examples."""

from __future__ import annotations

from typing import Any, Final, SupportsIndex, TypedDict

import numpy as np
from numpy.typing import NDArray

from windowing.dataset.answers import Window
from windowing.dataset.reader import Dataset, Unlabelled


class Example(TypedDict):
    """One window."""

    X: NDArray[np.float32]
    """(steps, channels) float32; missing values are NaN"""
    y: int
    """Index into `Dataset.classes`, -1 for none"""


class WindowSource:
    """Windows by number, for `grain.python.DataLoader(data_source=…)` or `grain.MapDataset.source(…)`: the library says
    in which order. It pickles as its handle, in a few kilobytes, and each worker reads by files of its own.

    Args:
        dataset: a handle; `dataset.regression(…).dataset` has no labels to give.
        unlabelled: as in `Dataset.arrays`.
    """

    def __init__(self, dataset: Dataset, unlabelled: Unlabelled = "drop") -> None:
        self.dataset: Final = dataset.select(label=[*dataset.classes]) if unlabelled == "drop" else dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, place: SupportsIndex) -> Example:
        """Raises `IndexError`; `CorruptError` where the window is damaged."""
        window = self.dataset[place.__index__()]
        assert isinstance(window, Window)
        return Example(X=window.X, y=window.y)

    def __repr__(self) -> str:
        """Grain names its checkpoints by it: the same for the same windows."""
        return f"WindowSource({self.dataset!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.dataset,)


def _again(dataset: Dataset) -> WindowSource:
    return WindowSource(dataset, "keep")
