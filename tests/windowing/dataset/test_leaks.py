"""What leaks between the parts of a split: every planted leak is found, and nothing where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.windowing.sample_dataset import Window, build
from windowing.dataset.leaks import NEARNESS, Pair, equal, near, overlapping
from windowing.dataset.reader import open_dataset

STEPS, CHANNELS = 128, 3
Signals = NDArray[np.float32]


def walk(rng: np.random.Generator, steps: int) -> NDArray[np.float64]:
    """Somebody's gait: a few harmonics of a step, of their own size and phase in each channel, and noise."""
    beat = rng.uniform(1.6, 2.2) / 50
    t = np.arange(steps)
    parts = [
        rng.normal(size=CHANNELS) * np.sin(2 * np.pi * (n * beat * t[:, None] + rng.uniform(size=CHANNELS)))
        for n in range(1, 7)
    ]
    return np.asarray(9.81 + np.sum(parts, axis=0) + 0.2 * rng.normal(size=(steps, CHANNELS)))


def leaked(rng: np.random.Generator, whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same recording on another grid: later or earlier by up to a quarter, other unit and offset, noise."""
    shift = int(rng.integers(-STEPS // 4 + 1, STEPS // 4))
    part = whole[STEPS // 4 + shift :][:STEPS]
    return np.asarray(part * rng.uniform(0.1, 20) + rng.normal() + 0.02 * part.std() * rng.normal(size=part.shape))


def test_a_hundred_planted_leaks_are_found_and_nothing_else() -> None:
    rng = np.random.default_rng(6)
    recordings = [walk(rng, STEPS + STEPS // 2) for _ in range(300)]
    windows = np.stack([whole[STEPS // 4 :][:STEPS] for whole in recordings])
    planted = np.stack([leaked(rng, recordings[number]) for number in range(100)])
    others = np.stack([walk(rng, STEPS) for _ in range(100)])
    signals = np.concatenate([windows, planted, others]).astype(np.float32)
    part = np.repeat([0, 1], [300, 200])
    found = near(lambda rows: signals[rows], part, NEARNESS)
    assert sorted(found) == [Pair(number, 300 + number) for number in range(100)]
    assert near(lambda rows: signals[rows], np.zeros(500, np.int64), NEARNESS) == []


def test_holes_and_still_channels_do_not_hide_a_leak() -> None:
    rng = np.random.default_rng(7)
    signals = np.stack([walk(rng, STEPS) for _ in range(40)]).astype(np.float32)
    signals[20] = signals[3] * 2
    signals[20, 10:14, 1] = np.nan
    signals[:, :, 2] = 4.0
    part = np.repeat([0, 1], 20)
    assert near(lambda rows: signals[rows], part, NEARNESS) == [Pair(3, 20)]
    still = np.full_like(signals, 1.5)
    assert near(lambda rows: still[rows], part, NEARNESS) == []


windows = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 30), st.integers(1, 8), st.integers(0, 2)), max_size=12)


@given(windows)
def test_whatever_overlaps_is_named(rows: list[tuple[int, int, int, int]]) -> None:
    device, t0, length, part = (np.array([row[at] for row in rows], np.int64) for at in range(4))
    t1 = t0 + length
    found = overlapping(device, t0, t1, part)
    touching = {
        (a, b)
        for a in range(len(rows))
        for b in range(len(rows))
        if device[a] == device[b] and part[a] != part[b] and t0[a] < t1[b] and t0[b] < t1[a]
    }
    assert {(pair.first, pair.second) for pair in found} <= touching
    named = {window for pair in found for window in pair}
    later = {max((int(t0[a]), a), (int(t0[b]), b))[1] for a, b in touching}
    assert later <= named, "each window that begins while one of another part goes on"


def test_equal_bytes_are_found_across_parts_alone() -> None:
    hashes = np.zeros((6, 16), np.uint8)
    hashes[:, 0] = [1, 2, 1, 3, 2, 2]
    assert equal(hashes, np.array([0, 0, 0, 1, 1, 2])) == [Pair(1, 4), Pair(1, 5), Pair(4, 5)]


def test_a_recording_that_was_imported_twice_is_named(tmp_path: Path) -> None:
    chains = [[Window("a", "br", k) for k in range(4)], [Window("ab", "r", k) for k in range(4)]]
    assert chains[0][1].signal.tobytes() == chains[1][1].signal.tobytes(), "a test's windows are made of such names"
    dataset = open_dataset(build(tmp_path / "d", [chains[0]], []))
    twice = open_dataset(build(tmp_path / "e", chains, []))
    parts = {"train": twice.select(device="a"), "test": twice.select(device="ab")}
    found = twice.leaks(parts)
    assert [(leak.kind, leak.what) for leak in found] == [("equal", "a/br and ab/r")]
    assert found[0].windows == tuple((f"a-br-{k}", f"ab-r-{k}") for k in range(4))
    halves = {"train": dataset.select([0, 1]), "test": dataset.select([1, 2, 3])}
    kinds = [(leak.kind, leak.what) for leak in dataset.leaks(halves, near=None)]
    assert kinds == [("group", "device a"), ("overlap", "a/br"), ("equal", "a/br")]
    assert [leak.kind for leak in dataset.leaks(halves, by="recording", near=None)] == ["group", "overlap", "equal"]


@pytest.mark.parametrize("by", ["device", "recording"])
def test_parts_of_other_groups_do_not_leak(tmp_path: Path, by: str) -> None:
    chains = [[Window(device, device, k) for k in range(4)] for device in "abcd"]
    dataset = open_dataset(build(tmp_path / "d", chains, []))
    assert dataset.leaks(dataset.split({"train": 0.5, "test": 0.5}, by=by)) == ()
