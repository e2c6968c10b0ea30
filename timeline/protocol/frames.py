"""Samples and tiles as binary frames: see README.md for their layout. Pure.

A Float32 has 24 bits: values go less a base of their channel, so that a latitude of 50.8 degrees keeps its centimetres.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ingest.archive.reading import Answer
from ingest.archive.tiles import BITS, Tiles
from ingest.times import Times

VERSION: Final = 1
SAMPLES, TILES = 1, 2
LIVE, BEFORE = 1, 2
HEADER: Final = struct.Struct("<BBBBIHBBIq")
_ADDRESS: Final = struct.Struct("<IH")
_ADDRESS_AT: Final = 4
SPAN_MAX: Final = 1 << 53
"""A frame of samples covers less: times less the base are exact in a JavaScript number, too."""
SAMPLES_MAX: Final = 65_536
"""Of one frame: a slow line shows the first ones soon."""


def samples_frames(
    view: int, stream: int, times: Times, values: NDArray[np.float64], flags: int = 0
) -> Iterator[bytes]:
    """Frames of samples: `times` `(samples,)` rising, `values` `(samples, channels)`."""
    start = 0
    while start < len(times):
        base_ns = int(times[start])
        stop = min(int(np.searchsorted(times, base_ns + SPAN_MAX)), start + SAMPLES_MAX)
        part = values[start:stop]
        bases = _bases(part)
        header = HEADER.pack(VERSION, SAMPLES, flags, values.shape[1], view, stream, 0, 0, stop - start, base_ns)
        offsets = (times[start:stop] - base_ns).astype("<i8")
        yield b"".join((header, bases.tobytes(), offsets.tobytes(), (part - bases).T.astype("<f4").tobytes()))
        start = stop


def readdressed(frame: bytes, view: int, stream: int) -> bytes:
    """The same frame for another view, and for the place that its stream has in that."""
    return frame[:_ADDRESS_AT] + _ADDRESS.pack(view, stream) + frame[_ADDRESS_AT + _ADDRESS.size :]


def tiles_frame(view: int, stream: int, channels: Sequence[Tiles], level: int, points: int) -> bytes | None:
    """One frame of the tiles of all channels, merged to at most twice as many as there are points; None: no tile."""
    buckets = _union([tiles.bucket for tiles in channels])
    if not len(buckets):
        return None
    shift = 0
    while shift < BITS and (int(buckets[-1]) >> shift) - (int(buckets[0]) >> shift) >= 2 * points:
        shift += 1
    buckets = buckets >> shift
    buckets = buckets[_firsts(buckets)]
    span = BITS * level + shift
    columns = [_spread(_merged(tiles, shift), buckets) for tiles in channels]
    bases = np.array([_base(column[0]) for column in columns], "<f8")
    base_ns = int(buckets[0]) << span
    header = HEADER.pack(VERSION, TILES, 0, len(channels), view, stream, span, 0, len(buckets), base_ns)
    places = (buckets - buckets[0]).astype("<u4").tobytes()
    values = ((column - base).astype("<f4").tobytes() for column, base in zip(columns, bases, strict=True))
    return b"".join((header, bases.tobytes(), places, *values))


def answer_frames(view: int, stream: int, answer: Answer, points: int) -> list[bytes]:
    """The frames of an answer of history."""
    if answer.level is None:
        return list(samples_frames(view, stream, answer.times, answer.values))
    frame = tiles_frame(view, stream, answer.tiles, answer.level, points)
    return [] if frame is None else [frame]


def _bases(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([_base(values[:, number]) for number in range(values.shape[1])], "<f8")


def _base(values: NDArray[np.float64]) -> float:
    """The first finite value: the others lie near it."""
    finite = values[np.isfinite(values)]
    return float(finite[0]) if len(finite) else 0.0


def _union(rising: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """What is in any of several rising arrays, once: mostly all are the same, since a sample has all channels."""
    first = rising[0]
    if all(np.array_equal(first, other) for other in rising[1:]):
        return first
    return np.unique(np.concatenate(rising))


def _firsts(rising: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which values of a rising array are not the one before."""
    return np.concatenate(([True], rising[1:] != rising[:-1]))


def _merged(tiles: Tiles, shift: int) -> tuple[NDArray[Any], ...]:
    """Bucket, low, high, first and last of tiles, `2 ** shift` of them in one."""
    bucket = tiles.bucket >> shift
    if not len(bucket):
        return bucket, tiles.low, tiles.high, tiles.first, tiles.last
    starts = np.flatnonzero(_firsts(bucket))
    ends = np.append(starts[1:], len(bucket)) - 1
    low, high = np.minimum.reduceat(tiles.low, starts), np.maximum.reduceat(tiles.high, starts)
    return bucket[starts], low, high, tiles.first[starts], tiles.last[ends]


def _spread(merged: tuple[NDArray[Any], ...], buckets: NDArray[np.int64]) -> NDArray[np.float64]:
    """`(4, tiles)`: low, high, first, last at the buckets of all channels; NaN where this one has none."""
    found = np.full((4, len(buckets)), np.nan)
    found[:, np.searchsorted(buckets, merged[0])] = merged[1:]
    return found
