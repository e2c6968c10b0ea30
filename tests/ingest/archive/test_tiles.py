"""Tiles against a plain loop over the samples."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ingest.archive.tiles import BITS, TOP, Tiles, coarser, combined, finest_level, tiles_of, tiles_of_all

SAMPLES = st.lists(
    st.tuples(st.integers(-(1 << 40), 1 << 40), st.sampled_from([math.nan, -2.0, 0.5, 7.0])), unique_by=lambda s: s[0]
)


def rows(tiles: Tiles) -> list[tuple[float, ...]]:
    return list(zip(*(column.tolist() for column in tiles), strict=True))


def by_hand(samples: list[tuple[int, float]], level: int) -> list[tuple[float, ...]]:
    buckets: dict[int, list[tuple[int, float]]] = {}
    for t_ns, value in sorted(samples):
        if not math.isnan(value):
            buckets.setdefault(t_ns // 8**level, []).append((t_ns, value))
    found: list[tuple[float, ...]] = []
    for bucket, inside in sorted(buckets.items()):
        values = [value for _, value in inside]
        found.append((bucket, len(inside), min(values), max(values), *inside[0], *inside[-1]))
    return found


def columns(samples: list[tuple[int, float]]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    return np.array([t for t, _ in samples], np.int64), np.array([v for _, v in samples], np.float64)


@given(SAMPLES, st.integers(0, TOP))
def test_a_tile_has_what_its_samples_have(samples: list[tuple[int, float]], level: int) -> None:
    assert rows(tiles_of(*columns(samples), level)) == by_hand(samples, level)


@given(st.lists(SAMPLES, min_size=1, max_size=4), st.integers(0, 9), st.integers(0, 6))
def test_parts_combine_to_the_tiles_of_all(parts: list[list[tuple[int, float]]], level: int, coarser: int) -> None:
    """Whatever was sealed in which part, in whatever order its samples came."""
    apart = {t: v for part in parts for t, v in part}
    seen: set[int] = set()
    once = []
    for part in parts:
        once.append([(t, apart[t]) for t, _ in part if t not in seen])
        seen |= {t for t, _ in part}
    found = combined([tiles_of(*columns(part), level) for part in once], coarser)
    assert rows(found) == by_hand(list(apart.items()), level + coarser)


@given(st.lists(SAMPLES, min_size=1, max_size=3), st.integers(0, TOP - 1))
def test_eight_tiles_of_an_owner_are_one_of_the_next_level(owned: list[list[tuple[int, float]]], level: int) -> None:
    parts = [tiles_of(*columns(samples), level) for samples in owned]
    owner = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part.bucket) for part in parts])
    whose, found = coarser(owner, Tiles(*map(np.concatenate, zip(*parts, strict=True))))
    for number, samples in enumerate(owned):
        own = Tiles(*(column[whose == number] for column in found))
        assert rows(own) == by_hand(samples, level + 1)


@given(SAMPLES, st.integers(0, TOP))
def test_channels_together_have_the_tiles_of_each_alone(samples: list[tuple[int, float]], level: int) -> None:
    times, values = columns(samples)
    channels = [values, values[::-1], np.arange(len(times), dtype=np.int16)]
    together = [rows(tiles) for tiles in tiles_of_all(times, channels, level)]
    assert together == [rows(tiles_of(times, channel, level)) for channel in channels]


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int32", "float32"])
def test_values_keep_their_type(dtype: str) -> None:
    tiles = tiles_of(np.arange(100) << 27, np.arange(100).astype(dtype), 10)
    assert tiles.low.dtype == tiles.last.dtype == np.dtype(dtype)
    assert tiles.samples.sum() == 100


def test_the_finest_level_holds_enough_samples() -> None:
    assert finest_level(1e7) == 10  # 100 Hz: 107 samples in 1.07 s
    assert finest_level(1e9 / 12_000) == 8  # 12 kHz
    assert finest_level(900e9) == TOP  # once a quarter of an hour
    assert all(1 << BITS * finest_level(1e9 / rate) >= 64e9 / rate for rate in (1, 10, 100, 1000, 48_000))
