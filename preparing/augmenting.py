"""Augmentation: some of the windows that a model is trained with, changed, with labels that stay true.

What is done to a window follows from (seed, epoch, window id) alone: it is the same in every batch, order and worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from preparing import seeds
from preparing.seeds import Floats, Keys
from preparing.transforms import Places, Transform

Ids: TypeAlias = Sequence[str] | NDArray[np.str_]
Target: TypeAlias = Literal["window", "steps", "horizon"]
"""What a model is to say: one label a window, one a step, or what comes next."""

_TOGETHER: Final = 32
"""So many windows are moved at once: what is in between stays in the processor's own memory, and is used again."""


class Augmented(NamedTuple):
    """A batch, some of its windows changed."""

    X: Floats
    """`(windows, steps, channels)` float32"""
    Y: NDArray[Any] | None
    """Labels per step, `(windows, steps)`, moved along with what they label; None where there are none."""
    changed: NDArray[np.bool_]
    """Which windows were changed."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Steps that are done, one after the other, to exactly `share` of the windows for training.

    `states` are the channels that hold named states: they move along with their steps, and are never computed with.
    """

    steps: tuple[Transform, ...]
    share: float = 0.5
    seed: int = 0
    states: tuple[int, ...] = ()
    target: Target = "window"

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise UsageError(f"augmentation: share {self.share} is not in 0..1")
        for step in self.steps:
            if self.target != "window" and not step.keeps_order:
                raise UsageError(
                    f"augmentation: {step.name} changes the order of steps, on which the target {self.target!r} "
                    "depends; leave it out"
                )

    def epoch(self, train: Ids, epoch: int) -> Epoch:
        """What happens in an epoch to the windows for training, `train`, all of them.

        Raises:
            UsageError: an id comes twice.
        """
        keys = np.sort(seeds.keys(train, self.seed, epoch))
        if len(keys) > 1 and bool((keys[1:] == keys[:-1]).any()):
            raise UsageError("augmentation: a window's id comes twice among those for training")
        return Epoch(self, epoch, keys, round(self.share * len(keys)))

    def parameters(self) -> dict[str, Any]:
        """All that decides what is done, as JSON can hold it; recorded noise by its shape."""
        told = [{"name": step.name, **_plain(asdict(step))} for step in self.steps]  # type: ignore[call-overload]
        return {
            "steps": told,
            "share": self.share,
            "seed": self.seed,
            "states": list(self.states),
            "target": self.target,
        }


@dataclass(frozen=True, slots=True)
class Epoch:
    """An augmentation in one epoch; `keys` are those of all windows for training, sorted, of which the first
    `count` are changed."""

    augmentation: Augmentation
    number: int
    keys: Keys
    count: int

    def __call__(self, X: Floats, ids: Ids, Y: NDArray[Any] | None = None) -> Augmented:
        """A batch `(windows, steps, channels)` float32 of the windows `ids`, changed where it is their turn.

        Raises:
            UsageError: a window is not for training: a score on changed windows would mean nothing.
        """
        self._check(X, ids, Y)
        keys = seeds.keys(ids, self.augmentation.seed, self.number)
        ranks = np.searchsorted(self.keys, keys)
        strange = (ranks == len(self.keys)) | (self.keys[np.minimum(ranks, len(self.keys) - 1)] != keys)
        if strange.any():
            first = ids[int(np.flatnonzero(strange)[0])]
            raise UsageError(
                f"augmentation: window {first} is not one of the {len(self.keys):,} for training"
                + (f", and {int(strange.sum()) - 1:,} more" if strange.sum() > 1 else "")
                + ": only those may be changed"
            )
        changed = ranks < self.count
        if not changed.any():
            return Augmented(X, Y, changed)
        if changed.all():
            return Augmented(*self._change(X, Y, keys), changed)
        made, labels = self._change(X[changed], None if Y is None else Y[changed], keys[changed])
        X = X.copy()
        X[changed] = made
        if Y is not None:
            Y = Y.copy()
            Y[changed] = labels
        return Augmented(X, Y, changed)

    def _check(self, X: Floats, ids: Ids, Y: NDArray[Any] | None) -> None:
        if X.ndim != 3 or len(X) != len(ids):
            raise UsageError(f"augmentation: X is {X.shape} for {len(ids)} ids; (windows, steps, channels) is needed")
        if Y is not None and Y.shape != X.shape[:2]:
            raise UsageError(f"augmentation: Y is {Y.shape}; labels per step are {X.shape[:2]}")
        if Y is not None and self.augmentation.target != "steps":
            raise UsageError('augmentation: labels per step are moved where target = "steps" is said')
        if any(not 0 <= channel < X.shape[2] for channel in self.augmentation.states):
            raise UsageError(f"augmentation: states {self.augmentation.states}: channels are 0 to {X.shape[2] - 1}")
        for step in self.augmentation.steps:
            step.check(X.shape[2])

    def _change(
        self,
        X: Floats,
        Y: NDArray[Any] | None,
        keys: Keys,
    ) -> tuple[Floats, NDArray[Any] | None]:
        states = list(self.augmentation.states)
        for step in self.augmentation.steps:
            places = step.places(keys, X.shape[1])
            if places is None:
                made = step.values(X, keys)
                if states:
                    made[:, :, states] = X[:, :, states]
                X = made
                continue
            near = np.rint(places).astype(np.int64)
            made = taken(X, near) if bool((near == places).all()) else interpolated(X, places)
            if states:
                made[:, :, states] = taken(X[:, :, states], near)
            Y = None if Y is None else taken(Y, near)
            X = made
        return X, Y


def taken(values: NDArray[Any], near: NDArray[np.int64]) -> NDArray[Any]:
    """Each window's values at its own steps `near`, `(windows, steps)`; whole steps are taken at once."""
    windows, steps = values.shape[:2]
    rows = (near + (np.arange(windows) * steps)[:, None]).ravel()
    flat = values.reshape(windows * steps, *values.shape[2:])
    return np.asarray(flat.take(rows, axis=0).reshape(values.shape))


def interpolated(X: Floats, places: Places) -> Floats:
    """The windows at `places`, linearly between their steps; missing where a step that counts is missing."""
    made = np.empty(X.shape, np.float32)
    for begin in range(0, len(X), _TOGETHER):
        few = slice(begin, begin + _TOGETHER)
        made[few] = _between(X[few], places[few])
    return made


def _between(X: Floats, places: Places) -> Floats:
    last = X.shape[1] - 1
    left = np.minimum(places.astype(np.int64), max(last - 1, 0))
    share = (places - left).astype(np.float32)[:, :, None]
    low, high = taken(X, left), taken(X, np.minimum(left + 1, last))
    if np.isnan(X).any():  # a missing value of no weight is no missing value
        low, high = np.where(share == 1.0, high, low), np.where(share == 0.0, low, high)
    high -= low
    high *= share
    high += low
    return high


def _plain(parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {"shape": list(value.shape)} if isinstance(value, np.ndarray) else value
        for name, value in parameters.items()
    }
