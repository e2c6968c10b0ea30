"""What numbers may be learnt from: the windows for training, never those of a test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError

TRAIN: Final = "train"
_TOGETHER: Final = 4096


@runtime_checkable
class Windows(Protocol):
    """A handle on windows, as `sensorloom.open` gives one."""

    @property
    def of_part(self) -> str | None:
        """The part of a split that they are of."""
        ...

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels of `X`."""
        ...

    def batches(self, size: int, *, unlabelled: Any = ...) -> Iterator[Any]:
        """They in batches, each with its `X`."""
        ...


Training: TypeAlias = Windows | Iterable[NDArray[np.floating]]
"""A handle on the windows for training, or these in batches, `(windows, steps, channels)` each."""


def training_batches(source: Training, what: str) -> Iterator[NDArray[np.floating]]:
    """The windows in batches. Raises `UsageError` where a handle is on a part of a split that is not "train"."""
    if not isinstance(source, Windows):
        yield from source
        return
    if source.of_part not in (None, TRAIN):
        raise UsageError(
            f'{what}: these windows are of the part "{source.of_part}"; what is learnt from them would make its score '
            f'too good: give those of "{TRAIN}"'
        )
    for batch in source.batches(_TOGETHER, unlabelled="keep"):
        yield batch.X


def channels_of(source: Training, channels: Iterable[str] | None, what: str) -> tuple[str, ...]:
    """The channels that were named, or a handle's. Raises `UsageError` where there are none."""
    if channels is not None:
        return tuple(channels)
    if isinstance(source, Windows):
        return source.channels
    raise UsageError(f"{what}: name the channels of the batches")
