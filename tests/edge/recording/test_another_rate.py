"""A sensor whose rate becomes another one while the machine is busy: its samples' times, or what they own up to."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.protocol import Frame
from edge.recording.recorder import Recorder
from edge.recording.terms import ClockState, Previous, Rules
from ingest.records import Chunk
from ingest.times import sample_times
from tests.edge.configs import source_config

S = 1_000_000_000
WALL = 1_700_000_000 * S
NOMINAL_HZ = 100


class Found(NamedTuple):
    """By samples, in seconds, `(samples,)`: how early they are, and how far off they say that they may be."""

    early: NDArray[np.float64]
    unsure: NDArray[np.float64]
    due: NDArray[np.float64]


def play(rng: random.Random, busy_s: float, other_hz: float, begin_s: float, end_s: float, until_s: float) -> Found:
    """At `NOMINAL_HZ`, but at `other_hz` for a while; who writes, reads and flushes is held up for about `busy_s`."""

    def pause(share: float) -> float:
        return rng.expovariate(1 / busy_s) if rng.random() < share else 0.0

    due = [0.1]
    while due[-1] < until_s:
        due.append(due[-1] + 1 / (other_hz if begin_s <= due[-1] < end_s else NOMINAL_HZ))
    config = source_config(channels=("x",), dtype="float64", rate=NOMINAL_HZ)
    assert config.rate == Fraction(NOMINAL_HZ)
    recorder = Recorder("pump", bytes(16), [config], Rules(), Previous(), ClockState(True, "ntp"))
    chunks: list[Chunk] = []
    said, number, written, read, tick = 0, 0, 0.1, 0.0, 1.0
    while said < len(due):
        written += 0.01 + rng.expovariate(500) + pause(0.08)
        count = sum(1 for at in due[said : said + 1000] if at <= written)
        if not count:
            continue
        read = max(read, written) + rng.expovariate(2000) + pause(0.08)
        while read >= tick:
            chunks += [held.record for held in recorder.flush(int(tick * S)) if isinstance(held.record, Chunk)]
            tick += 1.0 + pause(0.2)
        number += 1
        values = np.arange(said, said + count, dtype=np.float64).reshape(-1, 1)
        recorder.take("acc", 1, [Frame(values, None, number)], int(read * S), WALL + int(read * S))
        said += count
    chunks += [held.record for held in recorder.flush(int((read + 1) * S)) if isinstance(held.record, Chunk)]
    times = np.concatenate([sample_times(chunk) - WALL for chunk in chunks]) / S
    owned = [(len(sample_times(chunk)), chunk.clock.uncertainty_ns / S) for chunk in chunks if chunk.clock]
    unsure = np.concatenate([np.full(count, unsure_s) for count, unsure_s in owned])
    assert len(times) == len(unsure) == len(due)
    return Found(np.array(due) - times, unsure, np.array(due))


@pytest.mark.parametrize("seed", [144, 187, 319, 370])
def test_what_is_placed_too_early_says_so(seed: int) -> None:
    rng = random.Random(seed)
    begin_s = rng.uniform(1, 6)
    end_s = begin_s + 4 + rng.uniform(0, 3)
    until_s = end_s + rng.uniform(1.5, 6)
    found = play(rng, rng.choice([0.02, 0.1, 0.3]), 200, begin_s, end_s, until_s)
    assert (found.early - found.unsure).max() < 0.25


@pytest.mark.parametrize("other_hz", [100, 110, 50])
def test_who_was_unsure_is_sure_again(other_hz: float) -> None:
    found = play(random.Random(other_hz), 0.02, other_hz, 3, 6, 25)
    assert np.median(found.unsure[found.due > 20]) < 0.02
