"""Leaks between the parts of a split: what a model is tested on that it has seen in training. Pure.

Looked for are groups that lie in several parts, windows of one device that overlap in time, equal windows, and
near-equal ones: the same signal with other scale and offset, a little noise, shifted by up to a share of the window (a
recording that was imported twice, by another clock or on another grid). Nearness cannot be told of a window that does
not move, or that is shorter than 32 steps.

Near-equal windows are found in two steps. The spectrum's magnitude hardly changes when a signal is shifted: by it, the
nearest windows of other parts are candidates, by that of the signal and by that of its changes from step to step (a
slow drift fills a spectrum by itself, and shifts with the window's edges). Of these, each channel's Pearson correlation
over the steps in common, at the shift where it is largest, decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float32]
Kind: TypeAlias = Literal["group", "overlap", "equal", "near"]
Read: TypeAlias = Callable[[Ints], Floats]
"""The windows at these places, `(windows, steps, channels) float32`."""
_BINS: Final = 48
_NEAREST: Final = 32
_BLOCK: Final = 1024
_LAGS: Final = 3
_HOPELESS: Final = 0.6
"""Windows whose correlation, with the means and deviations of all of each, is less, are not looked at any closer."""
_STEPS_MIN: Final = 32
"""Shorter windows are alike by chance."""
_STILL: Final = 1e-4
"""A channel whose standard deviation is less than this share of its size does not move."""


class Pair(NamedTuple):
    """Two windows, by their places."""

    first: int
    second: int


@dataclass(frozen=True, slots=True)
class Nearness:
    """When two windows are nearly equal."""

    correlation: float = 0.98
    """The least correlation, the mean over the channels that move."""
    shift: float = 0.25
    """The largest shift, as a share of the window."""


NEARNESS: Final = Nearness()


def shared_groups(groups: NDArray[np.str_], part: Ints) -> list[str]:
    """The groups that lie in several parts."""
    names, group = np.unique(groups, return_inverse=True)
    low, high = np.full(len(names), np.iinfo(np.int64).max), np.full(len(names), -1)
    np.minimum.at(low, group, part)
    np.maximum.at(high, group, part)
    return [str(name) for name in names[low < high]]


def overlapping(device: Ints, t0_ns: Ints, t1_ns: Ints, part: Ints) -> list[Pair]:
    """Windows of one device and of other parts that have at least a nanosecond in common; of each window, with the
    latest earlier one of another part, and with the one that reaches furthest."""
    order = np.lexsort((t0_ns, device))
    pairs: dict[Pair, None] = {}
    reach: dict[int, tuple[int, int]] = {}  # by part: how far its windows reached, and which did
    last = -1
    for row in order.tolist():
        if device[row] != last:
            reach, last = {}, int(device[row])
        mine = int(part[row])
        for other, (end, window) in reach.items():
            if other != mine and end > t0_ns[row]:
                pairs[Pair(window, row)] = None
        if mine not in reach or reach[mine][0] < t1_ns[row]:
            reach[mine] = (int(t1_ns[row]), row)
    return list(pairs)


def equal(hashes: NDArray[np.uint8], part: Ints) -> list[Pair]:
    """Windows of other parts whose bytes have the same hash: each with the first one of each other part."""
    _, code = np.unique(np.ascontiguousarray(hashes).view("V16").reshape(-1), return_inverse=True)
    order = np.lexsort((part, code))
    pairs = []
    begin = 0
    for end in [*(np.flatnonzero(code[order][1:] != code[order][:-1]) + 1).tolist(), len(order)]:
        same = order[begin:end].tolist()
        begin = end
        firsts: dict[int, int] = {}
        for row in same:
            pairs += [Pair(first, row) for other, first in firsts.items() if other != part[row]]
            firsts.setdefault(int(part[row]), row)
    return sorted(pairs)


def near(read: Read, part: Ints, how: Nearness) -> list[Pair]:
    """Windows of other parts that are nearly equal; NaN are taken for their channel's mean. Of windows of less than 32
    steps none is."""
    if not len(part) or read(np.arange(1)).shape[1] < _STEPS_MIN:
        return []
    views, moves = _signatures(read, len(part))
    found: list[Pair] = []
    for some in sorted(set(part.tolist())):
        mine, others = np.flatnonzero((part == some) & moves), np.flatnonzero((part > some) & moves)
        if not len(mine) or not len(others):
            continue
        if len(mine) > len(others):
            mine, others = others, mine
        for block in _blocks(mine):
            near_by = np.concatenate([_nearest(view[block], view[others]) for view in views], axis=1)
            signals = _standard(read(block))[0]
            for at, row in enumerate(block.tolist()):
                rows = others[np.unique(near_by[at])]
                agree = correlations(signals[at], _standard(read(rows))[0], how.shift)
                found += [Pair(min(row, it), max(row, it)) for it in rows[agree >= how.correlation].tolist()]
    return found


def _blocks(rows: Ints) -> Iterator[Ints]:
    for begin in range(0, len(rows), _BLOCK):
        yield rows[begin : begin + _BLOCK]


def _signatures(read: Read, count: int) -> tuple[tuple[Floats, Floats], NDArray[np.bool_]]:
    """The spectra of windows and of their changes, of length 1; and which windows move at all."""
    plain, changes, moves = [], [], []
    for rows in _blocks(np.arange(count)):
        signals, moving = _standard(read(rows))
        plain.append(_spectrum(signals))
        changes.append(_spectrum(_changes(signals)))
        moves.append(moving.any(axis=1))
    return (np.concatenate(plain), np.concatenate(changes)), np.concatenate(moves)


def _changes(signals: Floats) -> Floats:
    return _standard(np.diff(signals, axis=-2))[0]


def _spectrum(signals: Floats) -> Floats:
    tapered = signals * np.hanning(signals.shape[1])[None, :, None].astype(np.float32)
    flat = np.abs(np.fft.rfft(tapered, axis=1))[:, 1 : _BINS + 1].astype(np.float32).reshape(len(signals), -1)
    found: Floats = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    return found


def _standard(signals: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Each channel of each window with mean 0 and deviation 1, those that do not move with 0; and which move."""
    missing = np.isnan(signals)
    known = np.where(missing, 0, signals)
    count = np.maximum((~missing).sum(axis=1, keepdims=True), 1)
    mean = known.sum(axis=1, keepdims=True, dtype=np.float64) / count
    centred = np.where(missing, 0, signals - mean)
    deviation = np.sqrt((centred**2).sum(axis=1, keepdims=True) / count)
    moving = deviation > _STILL * np.maximum(np.abs(mean), 1e-12)
    return np.where(moving, centred / np.where(moving, deviation, 1), 0).astype(np.float32), moving[:, 0]


def _nearest(marks: Floats, others: Floats) -> NDArray[np.intp]:
    """The places among `others` of the nearest ones of each: `(len(marks), up to _NEAREST)`."""
    if len(others) <= _NEAREST:
        return np.broadcast_to(np.arange(len(others)), (len(marks), len(others)))
    alike = marks @ others.T
    return np.argpartition(-alike, _NEAREST - 1, axis=1)[:, :_NEAREST]


def correlations(window: Floats, others: Floats, shift: float) -> NDArray[np.float64]:
    """How much each of `others` `(windows, steps, channels)` is like `window`, at the best shift: the mean Pearson
    correlation of the channels that move, over the steps in common; all are of mean 0 and deviation 1."""
    steps, best = len(window), np.full(len(others), -1.0)
    lags = np.arange(-int(shift * steps), int(shift * steps) + 1)
    plain = _rough(window, others, lags)
    changes = _rough(_changes(window[None])[0], _changes(others), lags)
    for row in np.flatnonzero(np.maximum(plain, changes).max(axis=1) >= _HOPELESS).tolist():
        likely = [np.argsort(-rough[row], kind="stable")[:_LAGS] for rough in (plain, changes)]
        for lag in lags[np.unique(np.concatenate(likely))].tolist():
            mine, other = window[max(lag, 0) : steps + min(lag, 0)], others[row, max(-lag, 0) : steps + min(-lag, 0)]
            best[row] = max(best[row], _pearson(mine, other))
    return best


def _rough(window: Floats, others: Floats, lags: Ints) -> NDArray[np.float64]:
    """`(others, lags)`: the correlation by the means and deviations of whole windows."""
    steps = len(window)
    size = 1 << (2 * steps - 1).bit_length()
    spectra = np.fft.rfft(window, size, axis=0)[None] * np.conj(np.fft.rfft(others, size, axis=1))
    across = np.fft.irfft(spectra.sum(axis=2), size, axis=1)
    moving = max(int(((window**2).sum(axis=0) > 0).sum()), 1)
    found: NDArray[np.float64] = across[:, lags] / (steps - np.abs(lags)) / moving
    return found


def _pearson(first: Floats, second: Floats) -> float:
    """The mean over the channels that move in either."""
    one = first - first.mean(axis=0, dtype=np.float64)
    two = second - second.mean(axis=0, dtype=np.float64)
    square = (one**2).sum(axis=0), (two**2).sum(axis=0)
    either = (square[0] > 0) | (square[1] > 0)
    scale = np.sqrt(square[0] * square[1])
    found = np.divide((one * two).sum(axis=0), scale, out=np.zeros_like(scale), where=scale > 0)
    return float(found[either].mean()) if bool(either.any()) else -1.0


def by_recordings(pairs: Sequence[Pair], recording: Sequence[str]) -> dict[tuple[str, str], list[Pair]]:
    """The pairs of each two recordings."""
    found: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        found.setdefault((recording[pair.first], recording[pair.second]), []).append(pair)
    return found
