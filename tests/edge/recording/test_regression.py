"""The line below arrivals across a place where samples are missing, and when it is given up."""

from __future__ import annotations

import numpy as np
import pytest

from edge.recording.lateness import later_for_good
from edge.recording.regression import STRETCHES, Envelope

S = 1e9
MS = 1e6
PERIOD = 10 * MS
READ = 160
JITTER = 10 * MS


def learned(chance: np.random.Generator, jitter_ns: float = JITTER, reads: int = 44) -> Envelope:
    """The line of a sensor that made so many reads."""
    line = Envelope(PERIOD * 1.0003)
    for number in range(1, reads + 1):
        line.add(number * READ, number * READ * PERIOD + chance.uniform(0, jitter_ns))
    line.refresh()
    return line


@pytest.mark.parametrize("wrong", [-2, -1, 0, 1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_how_many_samples_are_missing_is_found_by_what_follows(wrong: int, seed: int) -> None:
    """A period is no longer than the jitter: the first arrival alone leaves two numbers open."""
    chance = np.random.default_rng(seed)
    line = learned(chance)
    true = 44 * READ + 12_000
    for read in range(8):
        true += READ
        at = true * PERIOD + chance.uniform(0, JITTER)
        if not read:
            line.resume(true + wrong, at)
        elif not (line.at(true + wrong) - at > 4 * line.error_ns and line.rethink(true + wrong, at)):
            line.add(true + wrong, at)
        line.refresh()
    assert line.count == 52
    assert abs(line.at(true + wrong) - true * PERIOD) < 2.5 * MS
    assert abs(line.period / PERIOD - 1) < 25e-6


def test_a_sensor_that_did_not_go_on_begins_a_line_of_its_own() -> None:
    line = learned(np.random.default_rng(1), MS)
    first = 44 * READ + 12_000
    began_ns = (first - 0.4) * PERIOD
    line.resume(first, began_ns + MS)
    for read in range(1, 5):
        line.add(first + read * READ, began_ns + read * READ * PERIOD + MS / read)
    assert line.rethink(first + 5 * READ, began_ns + 5 * READ * PERIOD)
    assert line.count == 6
    assert abs(line.at(first + 6 * READ) - began_ns - 6 * READ * PERIOD) < 2 * MS


def test_where_no_sample_is_missing_nothing_is_thought_anew() -> None:
    line = learned(np.random.default_rng(1))
    assert not line.rethink(45 * READ, 45 * READ * PERIOD - S)
    assert line.count == 44


@pytest.mark.parametrize("kind", ["even", "falling"])
@pytest.mark.parametrize("number", [3, 6, 12, 24])
def test_chance_alone_seldom_makes_all_of_a_few_late(kind: str, number: int) -> None:
    chance = np.random.default_rng(2)
    runs = 20_000
    even = kind == "even"
    late = chance.uniform(0, JITTER, (runs, number)) if even else chance.exponential(JITTER / 2, (runs, number))
    line = learned(chance, reads=200)
    assert (late.min(axis=1) > line.by_chance(number)).sum() <= 1


def test_reads_that_are_late_for_good_are_those_of_the_first_stretch_without_an_early_one() -> None:
    chance = np.random.default_rng(3)
    line, found = learned(chance), set[int]()
    for number in range(300):
        lates = chance.uniform(0, 40) * MS + chance.exponential(chance.uniform(0, 6) * MS, number % 110)
        newest = [(index, index * PERIOD, float(late)) for index, late in enumerate(lates)]
        late_ones = [
            newest[-stretch:]
            for stretch in STRETCHES
            if stretch <= len(newest) and all(late > line.by_chance(stretch) for _, _, late in newest[-stretch:])
        ]
        wanted = [(index, at) for index, at, _ in late_ones[0]] if late_ones else []
        assert later_for_good(line, newest) == wanted
        found.add(len(wanted))
    assert found >= {0, *STRETCHES[:4]}
