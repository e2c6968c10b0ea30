"""Cutting final windows out of samples: a range of window numbers in, signals and drops out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ingest.engine.operator import Publication
from ingest.times import Times
from windowing.fold.anchors import Cursor, Layout
from windowing.fold.heard import Described, Started
from windowing.fold.resample import FAR_NS, Flags, Samples, blank, measured, of_channel, resample

Signal = NDArray[np.float32]
_T = TypeVar("_T", bound=np.generic)

_BLOCK_INSTANTS: Final = 1 << 17
_BLOCK_CELLS: Final = 1 << 21
_ARENA_CELLS: Final = 1 << 21
_FEW: Final = 1 << 10
"""So many windows are looked at one by one without asking whether they lie in a hole."""
_REASONS: Final = ("", "gap", "edge", "coverage")


class Origin(NamedTuple):
    """Whose windows they are."""

    device: str
    recording: str
    anchor: str
    prefix: str


class Block(NamedTuple):
    """Finished windows of one cursor, in rising `k`."""

    origin: Origin
    k: NDArray[np.int64]
    t0_ns: Times
    t1_ns: Times
    signal: Signal
    """`(windows, steps, channels) float32`, contiguous."""
    coverage: NDArray[np.float32]
    """`(windows,)`: the least share of steps with a value, over the channels."""
    mask: NDArray[np.uint8] | None
    """`(windows, bytes)`: `np.packbits` over each window's (steps × channels) validity; None: all valid."""
    offset: int
    """The newest log offset that had been folded when they were cut: all their data lie at or before it."""


class Dropped(NamedTuple):
    """`windows` consecutive windows from `k` on that exist but are not given out, and why."""

    origin: Origin
    k: int
    windows: int
    t0_ns: int
    t1_ns: int
    """The end of the last of them."""
    reason: str


class Late(NamedTuple):
    """Samples that are not windowed, kept with their place: one per chunk and reason."""

    device: str
    stream: str
    recording: str
    boot: bytes
    seq: int
    offset: int
    times: Times
    values: NDArray[np.float64]
    """`(samples, channels)`, physical."""
    reason: str


@dataclass(slots=True)
class Finished:
    """What a fold has finished since it was last asked."""

    blocks: list[Block] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    late: list[Late] = field(default_factory=list)
    started: list[Started] = field(default_factory=list)
    described: list[Described] = field(default_factory=list)
    publications: list[Publication] = field(default_factory=list)
    outrun: list[tuple[str, str, str]] = field(default_factory=list)
    """Device, recording and stream where the other streams' windows no longer wait for one."""
    counts: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    """About how many bytes its files will have."""
    _arena: Signal = field(default_factory=lambda: np.empty(0, dtype=np.float32))
    """Room for signals that no block has taken yet."""

    def place(self, shape: tuple[int, int, int]) -> Signal:
        """An uninitialised contiguous signal of this shape.

        Signals are carved from large pieces: the system gives out those in huge pages, and clearing memory page by page
        would cost ten times as much as filling it. They are not kept to be filled again: it is their return that
        tells glibc's malloc to serve arrays of some 100 kB from its own heap, on which all of resampling rests.
        """
        cells = shape[0] * shape[1] * shape[2]
        if cells > len(self._arena):
            self._arena = np.empty(max(_ARENA_CELLS, cells), dtype=np.float32)
        place, self._arena = self._arena[:cells], self._arena[cells:]
        return place.reshape(shape)

    def add(self, block: Block) -> None:
        """Finished windows."""
        self.blocks.append(block)
        self.counts["windows"] += len(block.k)
        self.bytes += block.signal.nbytes + 128 * len(block.k)

    def drop(self, dropped: Dropped) -> None:
        """Windows that are not given out."""
        self.dropped.append(dropped)
        self.counts[f"drop.{dropped.reason}"] += dropped.windows
        self.bytes += 128


class Cutter:
    """Cuts windows of one recording, whose data span is `[first_ns, last_ns]`, into `finished`."""

    def __init__(
        self,
        layout: Layout,
        sources: Sequence[Samples],
        span: tuple[int, int],
        offset: int,
        finished: Finished,
        bound_bytes: int,
    ) -> None:
        self._layout = layout
        self._bound_bytes = bound_bytes
        self._sources = sources
        self._first_ns = span[0] - layout.tolerance_ns
        self._last_ns = span[1] + layout.tolerance_ns
        self._offset = offset
        self._finished = finished
        self._columns = [_slice(plan.columns) for plan in layout.plans]
        steps = min(layout.hop, layout.length)
        cells = layout.length * layout.channels
        self._most = max(1, min(_BLOCK_INSTANTS // steps, _BLOCK_CELLS // cells))

    def cut(self, origin: Origin, cursor: Cursor, k: int, stop: int) -> int:
        """The windows `[k, stop)` of a cursor, whose every instant is certain, until there is output of `bound_bytes`;
        where the next would begin."""
        while k < stop and self._finished.bytes < self._bound_bytes:
            count, reason = self._skip(cursor, k, stop) if stop - k > _FEW else (0, "")
            if count:
                self._drop(origin, cursor, k, count, reason)
            else:
                count = min(stop - k, self._most)
                self._cut_block(origin, cursor, k, count)
            k += count
        return k

    def drop_all(self, origin: Origin, cursor: Cursor, k: int, stop: int, reason: str) -> None:
        """None of the windows `[k, stop)` can be had."""
        if k < stop:
            self._drop(origin, cursor, k, stop - k, reason)

    def _drop(self, origin: Origin, cursor: Cursor, k: int, count: int, reason: str) -> None:
        hop, length = self._layout.hop, self._layout.length
        t0, t1 = cursor.grid.instant(k * hop), cursor.grid.instant((k + count - 1) * hop + length)
        self._finished.drop(Dropped(origin, k, count, t0, t1, reason))

    def _skip(self, cursor: Cursor, k: int, stop: int) -> tuple[int, str]:
        """How many windows from `k` on are dropped for one reason that is plain without looking at each.

        A hole of years costs as little as one of seconds.
        """
        hop, length, grid = self._layout.hop, self._layout.length, cursor.grid
        start = grid.instant(k * hop)
        nearest = FAR_NS
        for source in self._sources:
            until, gap = blank(source, start)
            if gap and until > start:
                return min(stop, grid.at_or_before(until - 1) // hop + 1) - k, "gap"
            nearest = min(nearest, until)
        if nearest <= start:
            return 0, ""
        wholly = (grid.at_or_before(nearest - 1) - length + 1) // hop + 1 - k
        outside = start < self._first_ns or grid.instant(k * hop + length - 1) > self._last_ns
        return (0, "") if outside or wholly <= 0 else (min(stop - k, wholly), "coverage")

    def _cut_block(self, origin: Origin, cursor: Cursor, k: int, count: int) -> None:
        layout, grid = self._layout, cursor.grid
        hop, length = layout.hop, layout.length
        if hop <= length:
            step = hop
            instants = grid.instants(k * hop, (count - 1) * hop + length)
        else:
            step = length
            distances = np.arange(0, count * hop, hop)[:, None] + np.arange(length)
            instants = grid.instants_at(k * hop, distances.ravel())
        values, valid, gap = self._assemble(instants)
        signal = _windows(values, count, length, step)
        numbers = np.arange(k, k + count)
        begins, ends = instants[: count * step : step], grid.instants(k * hop + length, count, hop)
        if valid is None and gap is None:
            full = np.ones(count, dtype=np.float32)
            whole = self._finished.place(signal.shape)
            whole[...] = signal
            self._finished.add(Block(origin, numbers, begins.copy(), ends, whole, full, None, self._offset))
            return
        steps, why = self._judge(valid, gap, begins, instants, step)
        kept = why == 0
        if kept.any():
            chosen = None if valid is None else _windows(valid, count, length, step)[kept]
            mask = None if chosen is None or chosen.all() else np.packbits(chosen.reshape(len(chosen), -1), axis=1)
            coverage = (steps[kept] / length).astype(np.float32)
            block = Block(origin, numbers[kept], begins[kept], ends[kept], signal[kept], coverage, mask, self._offset)
            self._finished.add(block)
        self._drop_runs(origin, cursor, k, why)

    def _assemble(self, instants: Times) -> tuple[Signal, Flags | None, Flags | None]:
        """All channels on the grid: values `(instants, channels) float32`, NaN where not valid; what is valid; gaps.

        A sample whose value is NaN is a missing value, and so is one that is infinite or beyond a float32: no sensor
        measured that, and one infinity in an array spoils every mean.
        """
        layout = self._layout
        parts = [resample(source, instants) for source in self._sources]
        gap: Flags | None = None
        for part in parts:
            if part.gap is not None:
                gap = part.gap if gap is None else gap | part.gap
        values: Signal
        if len(parts) == 1 and parts[0].values.dtype == np.float32:
            values = parts[0].values.astype(np.float32, copy=False)
        else:
            values = np.empty((len(instants), layout.channels), dtype=np.float32)
            with np.errstate(all="ignore"):
                for columns, part in zip(self._columns, parts, strict=True):
                    values[:, columns] = part.values
        for plan, part in zip(layout.plans, parts, strict=True):
            if part.valid is not None:
                values[np.ix_(~part.valid, np.array(plan.columns))] = np.nan
        # The nearest of two samples may be there where the channel's own last value is further away than `max_gap`.
        hidden = layout.bridges and any(map(_is_nearest_of_some, self._sources))
        finite = np.isfinite(values)
        if not hidden and finite.all():
            return values, None, gap
        missing = ~finite
        values = np.where(missing, np.float32(np.nan), values)
        if layout.bridges and self._bridge(values, missing, instants):
            missing = np.isnan(values)
        return values, ~missing, gap

    def _bridge(self, values: Signal, missing: Flags, instants: Times) -> bool:
        """Fill the empty cells of channels from their own neighbours, in place; were there any?"""
        any_empty = False
        for plan, source in zip(self._layout.plans, self._sources, strict=True):
            for at, column in enumerate(plan.columns):
                if missing[:, column].any() or _is_nearest_of_some(source):
                    own = of_channel(source, at)
                    same = len(own.times) == len(source.times) and own.times.tobytes() == source.times.tobytes()
                    if not same or at in source.held:
                        found = resample(own, instants)
                        valid = True if found.valid is None else found.valid
                        values[:, column] = np.where(valid, found.values[:, 0], np.float32(np.nan))
                        any_empty = True
        return any_empty

    def _judge(
        self, valid: Flags | None, gap: Flags | None, begins: Times, instants: Times, step: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
        """Each window's least number of valid steps over the channels, and the index of its drop's reason (0: none)."""
        layout, count = self._layout, len(begins)
        steps = np.full(count, layout.length, dtype=np.int64)
        if valid is not None:
            steps = _totals(valid, count, layout.length, step).min(axis=1)
        ends = instants[layout.length - 1 :: step][:count]
        outside = (begins < self._first_ns) | (ends > self._last_ns)
        why = np.where(steps < layout.min_steps, np.where(outside, 2, 3), 0).astype(np.int8)
        if gap is not None:
            why[_totals(gap[:, None], count, layout.length, step)[:, 0] > 0] = 1
        return steps, why

    def _drop_runs(self, origin: Origin, cursor: Cursor, k: int, why: NDArray[np.int8]) -> None:
        edges = np.flatnonzero(why[1:] != why[:-1]) + 1
        for start, stop in zip([0, *edges.tolist()], [*edges.tolist(), len(why)], strict=True):
            if why[start]:
                self._drop(origin, cursor, k + start, stop - start, _REASONS[why[start]])


def _is_nearest_of_some(source: Samples) -> bool:
    return source.rule.interpolation == "nearest" and not bool(measured(source.values).all())


def _slice(columns: tuple[int, ...]) -> slice | NDArray[np.intp]:
    """Neighbouring columns as a slice, which is faster."""
    first, last = columns[0], columns[-1]
    return slice(first, last + 1) if last - first + 1 == len(columns) else np.array(columns)


def _windows(rows: NDArray[_T], count: int, length: int, step: int) -> NDArray[_T]:
    """A view `(count, length, channels)` of contiguous rows: window `i` begins at row `i * step`."""
    row, column = rows.strides
    shape = (count, length, rows.shape[1])
    return np.ndarray(shape, rows.dtype, rows.data, strides=(step * row, row, column))


def _totals(flags: Flags, count: int, length: int, step: int) -> NDArray[np.int64]:
    """How many of each window's rows are set: `(count, columns)`."""
    sums = np.zeros((len(flags) + 1, flags.shape[1]), dtype=np.int64)
    np.cumsum(flags, axis=0, out=sums[1:])
    starts = np.arange(count) * step
    return sums[starts + length] - sums[starts]
