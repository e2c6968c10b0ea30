"""Features of windows: numbers that say what a channel did, for models that take tables and for looking.

Where tsfresh (Christ et al. 2018) has a feature of the same name, this is its definition; the others say theirs.
Missing values (NaN) are left out of what does not depend on the order of steps; elsewhere they are filled in linearly
between their neighbours. A feature that nothing can be said of is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from preparing.spectra import SPECTRAL, Spectrum
from preparing.statistics import ORDERED, UNORDERED, Block, Column, Rows

_BLOCK_VALUES: Final = 1 << 18
"""So many values are worked on at once: they stay in the processor's cache, and memory does not grow with windows."""
_Values = TypeVar("_Values")
NAMES: Final[tuple[str, ...]] = (*UNORDERED, *ORDERED, *SPECTRAL)
"""All features, in the order in which they are given."""


class Features(NamedTuple):
    """What `features` gives."""

    names: list[str]
    """`channel.feature`, a channel's features one after the other."""
    values: NDArray[np.float64]
    """`(windows, names)`"""


def features(
    X: NDArray[np.floating], channels: Sequence[str], rate_hz: float, names: Sequence[str] | None = None
) -> Features:
    """Features of windows `(windows, steps, channels)`: those named (see `NAMES`), or all.

    Raises:
        UsageError: a name is none, or the channels do not fit.
    """
    chosen = list(NAMES) if names is None else list(names)
    unknown = [name for name in chosen if name not in NAMES]
    if unknown:
        raise UsageError(f"features: {unknown[0]!r} is none; known: {', '.join(NAMES)}")
    if X.ndim != 3 or X.shape[2] != len(channels):
        raise UsageError(f"features: X is {X.shape}; (windows, steps, {len(channels)}) is needed")
    if X.shape[1] < 2 or not rate_hz > 0:
        raise UsageError(f"features: {X.shape[1]} steps at {rate_hz:g} Hz; at least 2 at more than 0 Hz are needed")
    windows, steps, width = X.shape
    values = np.empty((windows, width, len(chosen)))
    block = max(1, _BLOCK_VALUES // (steps * width))
    for begin in range(0, windows, block):
        part = X[begin : begin + block]
        rows = np.ascontiguousarray(part.transpose(0, 2, 1), dtype=np.float64).reshape(-1, steps)
        values[begin : begin + block] = _of_rows(rows, rate_hz, chosen).reshape(len(part), width, len(chosen))
    return Features(
        [f"{channel}.{name}" for channel in channels for name in chosen], values.reshape(windows, width * len(chosen))
    )


def _of_rows(rows: Rows, rate_hz: float, names: Sequence[str]) -> Rows:
    made = np.full((len(rows), len(names)), np.nan)
    there = ~np.isnan(rows)
    counts = there.sum(axis=1)
    whole = bool((counts == rows.shape[1]).all())
    known = np.flatnonzero(counts >= 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        filled = Block(rows if whole else _filled(rows, there, counts)[known])
        if whole:
            _put(made, known, filled, names, UNORDERED)
        else:  # rows with as many values as one another are worked on together
            for count in np.unique(counts[known]).tolist():
                which = np.flatnonzero(counts == count)
                _put(made, which, Block(rows[which][there[which]].reshape(len(which), count)), names, UNORDERED)
        _put(made, known, filled, names, ORDERED)
        hertz = np.fft.rfftfreq(rows.shape[1], 1.0 / rate_hz).astype(np.float64)
        _put(made, known, Spectrum(np.abs(np.fft.rfft(filled.x)), hertz), names, SPECTRAL)
    return made


def _put(
    made: Rows,
    which: NDArray[np.int64],
    values: _Values,
    names: Sequence[str],
    of: Mapping[str, Callable[[_Values], Column]],
) -> None:
    for column, name in enumerate(names):
        if name in of and len(which):
            made[which, column] = of[name](values)


def _filled(rows: Rows, there: NDArray[np.bool_], counts: NDArray[np.int64]) -> Rows:
    """The rows with what is missing filled in; those of one value or none as they are."""
    made, steps = rows.copy(), np.arange(rows.shape[1])
    for row in np.flatnonzero((counts >= 2) & (counts < rows.shape[1])):
        made[row] = np.interp(steps, steps[there[row]], rows[row, there[row]])
    return made


def in_batches(
    batches: Iterable[NDArray[np.floating]], channels: Sequence[str], rate_hz: float
) -> Iterator[NDArray[np.float64]]:
    """The values of `features` batch by batch: for more windows than memory holds features of."""
    for batch in batches:
        yield features(batch, channels, rate_hz).values
