"""A handle as PyTorch's datasets: by number, or as batches. PyTorch is imported by who asks for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.errors import MissingLibraryError
from windowing.dataset.batching import BatchPlan
from windowing.dataset.reader import Dataset, Unlabelled

if TYPE_CHECKING:
    from curation.adapters.torchdata import TorchBatches, TorchWindows


def torch_windows(dataset: Dataset, unlabelled: Unlabelled = "drop") -> TorchWindows:
    """A map-style dataset of `(X, y)`: `(steps, channels) float32` and the class's number, -1 for none.

    For `DataLoader(…, batch_size=256, shuffle=True, num_workers=4)`: the loader, or a sampler, says in which order. It
    pickles as its handle, in a few kilobytes; each worker reads by files of its own, forked or spawned.

    Raises:
        MissingLibraryError: PyTorch is not there.
    """
    _need("torch_windows")
    from curation.adapters.source import WindowSource
    from curation.adapters.torchdata import TorchWindows

    return TorchWindows(WindowSource(dataset, unlabelled))


def torch_batches(
    dataset: Dataset,
    size: int,
    *,
    shuffle: bool = False,
    seed: int = 0,
    epoch: int = 0,
    drop_last: bool = False,
    resume: int = 0,
    unlabelled: Unlabelled = "drop",
) -> TorchBatches:
    """An iterable dataset of batches `(X, y)`: `(windows, steps, channels) float32` and `(windows,) int64`, in the
    order of `Dataset.batches`.

    For `DataLoader(…, batch_size=None, num_workers=4)`: that order whatever the number of workers. Say the epoch before
    each one, `batches.set_epoch(3)`; persistent workers hear it too. `resume` leaves out so many batches of the first.

    Raises:
        UsageError: an argument is out of range.
        MissingLibraryError: PyTorch is not there.
    """
    _need("torch_batches")
    from curation.adapters.torchdata import TorchBatches

    plan = BatchPlan(size, shuffle, seed, epoch, drop_last, resume)
    chosen = dataset.select(label=[*dataset.classes]) if unlabelled == "drop" else dataset
    return TorchBatches(chosen, plan)


def _need(what: str) -> None:
    try:
        import torch  # noqa: F401 - asked for before its subclasses are
    except ModuleNotFoundError as error:
        raise MissingLibraryError(what, error.name, "torch") from None
