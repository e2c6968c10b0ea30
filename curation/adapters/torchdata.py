"""PyTorch's two kinds of dataset (`torch.utils.data`) over a handle; `curation.adapters.pytorch` makes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset as MapStyle
from torch.utils.data import IterableDataset, get_worker_info

from curation.adapters.source import WindowSource
from windowing.dataset.batching import BatchPlan
from windowing.dataset.reader import Dataset

Example: TypeAlias = tuple[torch.Tensor, int]


def tensor_of(array: NDArray[Any], dtype: torch.dtype) -> torch.Tensor:
    """A tensor over an array's memory.

    By the buffer, not by `from_numpy`: that asks for the numpy that PyTorch was built with, 1 or 2.
    """
    if not array.size:
        return torch.empty(array.shape, dtype=dtype)
    buffer = np.require(array, requirements=["C", "W"])
    return torch.frombuffer(buffer, dtype=dtype).reshape(buffer.shape)


class TorchWindows(MapStyle):  # type: ignore[misc] # PyTorch has no types where it is not installed
    """Windows by number."""

    def __init__(self, source: WindowSource) -> None:
        self.source: Final = source

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, place: int) -> Example:
        """Raises `IndexError`; `CorruptError` where the window is damaged."""
        example = self.source[place]
        return tensor_of(example["X"], torch.float32), example["y"]

    def __getitems__(self, places: Sequence[int]) -> list[Example]:
        """A batch's windows, read together: what loaders of PyTorch 2 ask for. Raises as `__getitem__`."""
        batch = next(self.source.dataset.select(places).batches(len(places), unlabelled="keep"))
        return list(zip(tensor_of(batch.X, torch.float32), batch.y.tolist(), strict=True))


class TorchBatches(IterableDataset):  # type: ignore[misc]
    """A handle's batches; of several workers each gives every so many-th, and a loader takes them in turn."""

    def __init__(self, dataset: Dataset, plan: BatchPlan) -> None:
        self.dataset: Final = dataset
        self._plan: Final = plan
        # Shared with workers, also with those that stay from epoch to epoch.
        self._at: Final = torch.tensor([plan.epoch, plan.resume], dtype=torch.int64).share_memory_()

    @property
    def plan(self) -> BatchPlan:
        """Which windows come in which batch."""
        epoch, resume = self._at.tolist()
        return replace(self._plan, epoch=epoch, resume=resume)

    def set_epoch(self, epoch: int, resume: int = 0) -> None:
        """What the next pass gives: an epoch, behind so many of its batches. Raises `UsageError`."""
        checked = replace(self._plan, epoch=epoch, resume=resume)
        self._at.copy_(torch.tensor([checked.epoch, checked.resume]))

    def __len__(self) -> int:
        plan = self.plan
        return max(0, plan.number_of(len(self.dataset)) - plan.resume)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        info, plan = get_worker_info(), self.plan
        worker = (0, 1) if info is None else (info.id, info.num_workers)
        batches = self.dataset.batches(
            plan.size,
            shuffle=plan.shuffle,
            seed=plan.seed,
            epoch=plan.epoch,
            drop_last=plan.drop_last,
            resume=plan.resume,
            worker=worker,
            unlabelled="keep",
        )
        for batch in batches:
            yield tensor_of(batch.X, torch.float32), tensor_of(batch.y.astype(np.int64, copy=False), torch.int64)
