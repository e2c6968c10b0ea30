from __future__ import annotations

import random
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.protocol import Frame, SourceConfig
from edge.recording.bursts import BURST_NS, Burst, Bursts
from edge.recording.recorder import Recorder
from edge.recording.regression import Envelope
from edge.recording.terms import ClockState, Previous, Rules
from ingest.records import Chunk, Gap
from ingest.times import sample_times

S = 1_000_000_000
MS = 1_000_000
WALL = 1_700_000_000 * S
PERIOD, JITTER = 10.0 * MS, 10.0 * MS


def test_what_follows_sooner_than_it_can_be_taken_is_of_the_same_burst() -> None:
    bursts = Bursts()
    ahead = [(25, 5 * MS), (25, 10 * MS), (50, 800 * MS)]
    assert bursts.read(25, 0, PERIOD, JITTER, ahead) == Burst(False, 50, 10 * MS)
    assert bursts.read(25, 5 * MS, PERIOD, JITTER, ahead[1:]) == Burst(True, 25, 10 * MS)
    assert bursts.read(25, 10 * MS, PERIOD, JITTER, ahead[2:]) == Burst(True, 0, 10 * MS)
    assert bursts.read(50, 800 * MS, PERIOD, JITTER) == Burst(False, 0, 800 * MS)


def test_what_jitter_draws_together_is_no_burst() -> None:
    bursts = Bursts()
    assert bursts.read(1, 0, PERIOD, JITTER, [(1, MS), (1, 2 * MS), (1, 30 * MS)]) == Burst(False, 0, 0)
    assert bursts.read(1, MS, PERIOD, JITTER) == Burst(False, 0, MS)


def test_what_a_tick_cut_off_goes_on() -> None:
    bursts = Bursts()
    assert bursts.read(25, 0, PERIOD, JITTER) == Burst(False, 0, 0)
    assert bursts.read(25, 5 * MS, PERIOD, JITTER) == Burst(True, 0, 5 * MS)


def test_what_comes_faster_for_long_is_the_rate() -> None:
    bursts = Bursts()
    reads = [bursts.read(25, at, PERIOD, JITTER) for at in range(0, 3 * BURST_NS, 100 * MS)]
    assert sum(not read.goes_on for read in reads) >= 3


@pytest.mark.parametrize("young", [1, 3, 40])
def test_an_arrival_can_be_taken_back(young: int) -> None:
    rng = random.Random(young)
    points = [(index, index * PERIOD + rng.random() * JITTER) for index in range(0, 16 * young, 16)]
    plain, mended = Envelope(PERIOD), Envelope(PERIOD)
    for line in (plain, mended):
        for index, at in points:
            line.add(index, at)
        line.refresh()
    mended.add(16 * young + 1, 15 * young * PERIOD)
    mended.refresh()
    mended.take_back()
    assert mended.count == plain.count
    assert mended.period == pytest.approx(plain.period, rel=1e-4)
    for line in (plain, mended):
        line.add(16 * young + 16, (16 * young + 16) * PERIOD)
        line.refresh()
    assert mended.at(0) == pytest.approx(plain.at(0), abs=MS / 2)


class Sender(NamedTuple):
    """A device that keeps `block_s` of samples, and sends them within `duty` of that time in `reads` reads."""

    nominal: int
    off: float
    block_s: float
    duty: float
    reads: int


class Found(NamedTuple):
    """What a recorder made of it."""

    error_ms: NDArray[np.float64]
    """Of each sample, from its true time; the constant latency is taken off."""
    steps: NDArray[np.float64]
    """In true periods."""
    after_arrival_ms: float
    """The most by which a sample lies behind its own arrival, once it has settled."""
    gaps: list[Gap]
    ppm: float


def play(sender: Sender, seconds: int = 60, seed: int = 1) -> Found:
    rng = random.Random(seed)
    period = S / (sender.nominal * (1 + sender.off))
    block = round(sender.block_s * sender.nominal)
    words = {"where": "test", "base": ".", "name": "s", "type": "serial", "device": "pump", "stream": "acc"}
    config = SourceConfig(**words, decoder="csv", channels={"x": "1"}, rate=Fraction(sender.nominal), dtype="float64")  # type: ignore[arg-type]
    recorder = Recorder("pump", bytes(16), [config], Rules(), Previous(), ClockState(True, "ntp"))
    chunks: list[Chunk] = []
    gaps: list[Gap] = []
    arrived: list[int] = []
    phase, tick, number = rng.random() * S, 1, 0

    def flush(now: int) -> None:
        for held in recorder.flush(now):
            if isinstance(held.record, Chunk):
                chunks.append(held.record)
            elif isinstance(held.record, Gap):
                gaps.append(held.record)

    while (sent := phase + (len(arrived) + block - 1) * period) < seconds * S:
        for part in range(sender.reads):
            until = block * (part + 1) // sender.reads - block * part // sender.reads
            at = int(sent + sender.duty * block * period * (part + 1) / sender.reads + rng.random() * MS)
            while at >= tick * S:
                flush(tick * S)
                tick += 1
            first = len(arrived)
            number += 1
            values = np.arange(first, first + until, dtype=np.float64).reshape(-1, 1)
            recorder.take("acc", 1, [Frame(values, None, number)], at, WALL + at)
            arrived += [at] * until
    flush(tick * S)
    times = np.concatenate([sample_times(chunk) for chunk in chunks]) - WALL
    numbers = np.concatenate([np.frombuffer(chunk.values, np.float64) for chunk in chunks])
    assert numbers.tolist() == list(range(len(arrived)))
    error = times - (numbers * period + phase)
    late = times > seconds * S / 2
    after = (times - np.array(arrived))[times > max(10, 5 * sender.block_s) * S]
    latency = np.median(error[late])
    rate = chunks[-1].clock
    assert rate is not None
    return Found((error[late] - latency) / MS, np.diff(times) / period, after.max() / MS, gaps, rate.ppm)


@pytest.mark.parametrize(
    "sender",
    [
        Sender(100, 0, 1, 0.02, 4),
        Sender(1000, 0, 1, 0.02, 4),
        Sender(100, 0.01, 1, 0.1, 100),
        Sender(100, -0.01, 0.5, 0.02, 5),
        Sender(1000, 0.04, 1, 0.2, 10),
        Sender(100, -0.04, 2, 0.1, 4),
        Sender(100, 1.0, 1, 0.05, 4),
        Sender(10, 0.001, 5, 0.02, 4),
        Sender(100, 0, 1, 0.35, 4),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_a_sensor_that_sends_in_bursts_is_timed_by_its_rate(sender: Sender, seed: int) -> None:
    found = play(sender, seed=seed)
    assert found.gaps == []
    assert np.quantile(abs(found.error_ms), 0.99) < 5
    assert found.ppm == pytest.approx(sender.off * 1e6, abs=300)
    assert found.after_arrival_ms < 10
    assert found.steps.min() > 0.5


@pytest.mark.parametrize("seed", range(4))
def test_a_burst_whose_first_read_a_tick_cuts_off_ends_no_silence(seed: int) -> None:
    found = play(Sender(100, 0, 5, 0.2, 10), seconds=90, seed=seed)
    assert found.gaps == []
    assert np.quantile(abs(found.error_ms), 0.99) < 5
