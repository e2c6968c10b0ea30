"""Which recordings are jerky: those whose samples come in bursts, whatever the signal does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray

from ingest.archive.reading import Answer
from ingest.archive.tiles import tiles_of
from timeline.history.pace import is_jerky

START_NS = 1_795_780_800_000_000_000
PERIOD_NS = 10_000_000
COUNT = 20_000


def looks(times: NDArray[np.int64], values: NDArray[np.float64], gaps: Sequence[tuple[int, int]] = ()) -> set[bool]:
    """What is said of samples as they are, and as tiles of 1.07 s."""
    told = ("a",), ("m/s2",)
    samples = Answer(*told, None, times, values[:, None], ())
    tiles = Answer(*told, 10, times[:0], values[:0, None], (tiles_of(times, values, 10),))
    return {is_jerky(samples, gaps), is_jerky(tiles, gaps)}


def steady() -> NDArray[np.int64]:
    return START_NS + np.arange(COUNT) * PERIOD_NS


def bursts(long_ns: int, each: int = 20) -> NDArray[np.int64]:
    """So many samples at once, 2 ms apart, then a pause."""
    number = np.arange(COUNT)
    return START_NS + number // each * long_ns + number % each * 2_000_000


SIGNALS: Final[dict[str, Callable[[NDArray[np.float64], np.random.Generator], NDArray[np.float64]]]] = {
    "a calm sine": lambda t, rng: np.sin(t),
    "a machine that starts and stops": lambda t, rng: np.where(t % 20 < 10, 0.0, 50.0) + rng.normal(0, 0.1, len(t)),
    "somebody who walks": lambda t, rng: 9.8 + 8 * np.abs(np.sin(2 * np.pi * t)) ** 9 + rng.normal(0, 1, len(t)),
    "a blow now and then": lambda t, rng: np.where(rng.random(len(t)) < 0.001, 400.0, 0.0),
}


@pytest.mark.parametrize("kind", SIGNALS)
def test_what_the_signal_does_is_not_its_pace(kind: str) -> None:
    rng = np.random.default_rng(3)
    jittered = steady() + rng.integers(-PERIOD_NS // 5, PERIOD_NS // 5, COUNT)
    values = SIGNALS[kind](steady() / 1e9 - START_NS / 1e9, rng)
    for times in (steady(), jittered):
        assert looks(times, values) == {False}
    assert looks(bursts(20 * PERIOD_NS), values) == {True}


def test_pauses_of_a_second_are_seen_in_tiles_that_hold_many_and_in_those_that_hold_one() -> None:
    for long_ns in (60_000_000, 900_000_000, 3_000_000_000):
        assert looks(bursts(long_ns), np.zeros(COUNT)) == {True}


def test_one_long_pause_or_few_missing_samples_are_not_jerky() -> None:
    times = steady()
    times[COUNT // 2 :] += 3600 * 10**9
    assert looks(times, np.zeros(COUNT)) == {False}
    kept = np.random.default_rng(4).random(COUNT) > 0.02
    assert looks(steady()[kept], np.zeros(COUNT)[kept]) == {False}


def test_where_a_gap_was_told_nothing_is_jerky() -> None:
    kept = np.arange(COUNT) % 400 < 200  # 2 s there, 2 s not
    times = steady()[kept]
    assert looks(times, np.zeros(len(times))) == {True}
    after = np.flatnonzero(np.diff(times) > PERIOD_NS)
    gaps = [(int(times[at]) + PERIOD_NS, int(times[at + 1])) for at in after]
    assert looks(times, np.zeros(len(times)), gaps) == {False}


def test_next_to_nothing_has_no_pace() -> None:
    for count in (0, 1, 2):
        assert looks(steady()[:count], np.zeros(count)) == {False}
