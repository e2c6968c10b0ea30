"""The slope that few arrivals let expect: nearer to the truth than the likeliest, for latencies of several kinds."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

import pytest

from edge.recording.posterior import Corners, expected_slope
from edge.recording.regression import Envelope

MS: Final = 1e6
PERIOD: Final = 1.6e9
RUNS: Final = 60
KINDS: Final[dict[str, Callable[[random.Random], float]]] = {
    "even": lambda chance: chance.uniform(0, 10 * MS),
    "falling": lambda chance: chance.expovariate(1 / (5 * MS)),
    "triangle": lambda chance: chance.uniform(0, 5 * MS) + chance.uniform(0, 5 * MS),
    "a few late": lambda chance: chance.uniform(0, 10 * MS) + (chance.random() < 0.05) * chance.uniform(0, 50 * MS),
}


def lines(count: int, latency: Callable[[random.Random], float], seed: int) -> Envelope:
    """The line below arrivals that come a thousandth slower than it is thought at first."""
    chance, line = random.Random(seed), Envelope(PERIOD / 1.001)
    for index in range(count):
        line.add(index, index * PERIOD + latency(chance))
    line.refresh()
    return line


def spread(found: list[float]) -> float:
    """How far the worst but a tenth lie from the middle."""
    found = sorted(found)
    return sorted(abs(each - found[len(found) // 2]) for each in found)[int(0.9 * len(found))]


@pytest.mark.parametrize("kind", KINDS)
def test_the_end_of_the_line_errs_little(kind: str) -> None:
    """Of 40 reads with 10 ms of jitter; the edge of the hull alone errs by 1.5, 0.9, 2.2 and 1.6 ms."""
    errors = [lines(40, KINDS[kind], seed).at(41) - 41 * PERIOD for seed in range(RUNS)]
    bars = {"even": 1.1, "falling": 0.85, "triangle": 1.8, "a few late": 1.4}
    assert spread(errors) < bars[kind] * MS


@pytest.mark.parametrize("kind", KINDS)
def test_the_deviation_says_how_far_the_slope_is_off(kind: str) -> None:
    found = [lines(40, KINDS[kind], seed) for seed in range(RUNS)]
    within = sum(abs(line.period - PERIOD) <= line.room_ns for line in found)
    assert within >= 0.95 * RUNS


def test_arrivals_without_jitter_say_it_exactly() -> None:
    corners = Corners([0, 100], [0.0, 1e9])
    found = expected_slope(corners, corners, 100, (50.0, 0.5e9), 1e7)
    assert found.slope == pytest.approx(1e7, abs=1e-3)
    assert found.deviation < 1


def test_a_hundred_days_from_the_origin_it_says_the_same() -> None:
    chance = random.Random(3)
    near, far = Envelope(PERIOD), Envelope(PERIOD)
    for index in range(40):
        at = index * PERIOD + chance.uniform(0, 10 * MS)
        near.add(index, at)
        far.add(index + 5_400_000, at + 8.64e15)
    near.refresh()
    far.refresh()
    assert far.period == pytest.approx(near.period, abs=50)
    assert far.at(5_400_041) - 8.64e15 == pytest.approx(near.at(41), abs=5_000)
