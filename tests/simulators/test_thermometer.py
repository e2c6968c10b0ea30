from __future__ import annotations

from fractions import Fraction

import numpy as np

from simulators.recording import Recording
from simulators.thermometer import LABELS, LIMIT_C, NEAR_MISSES, Probe, simulate

T0 = 1_767_600_000_000_000_000


def recording(seed: int = 1, seconds: float = 3600.0, probe: Probe | None = None) -> Recording:
    return simulate(np.random.default_rng(seed), probe or Probe(), T0, seconds)


def test_the_same_seed_gives_the_same_recording() -> None:
    first, again, other = recording(5), recording(5), recording(6)
    assert first.counts.tobytes() == again.counts.tobytes()
    assert first.times.tobytes() == again.times.tobytes()
    assert (first.events, first.near_misses, first.gaps) == (again.events, again.near_misses, again.gaps)
    assert first.counts.tobytes() != other.counts.tobytes()


def test_samples_and_gaps_make_up_the_whole_time() -> None:
    made = recording(probe=Probe(rate=Fraction(2)))
    assert made.counts.shape == (len(made.times), 1)
    assert made.counts.dtype == np.int16
    assert (np.diff(made.times) > 0).all()
    assert len(made.times) + sum(gap.samples for gap in made.gaps) == 7200


def test_a_perfect_probe_shows_the_truth_and_a_real_one_not_quite() -> None:
    perfect = Probe(scale_c=1 / 256, lag_s=0.0, noise_c=0.0, bias_c=0.0, drift_c=0.0)
    made, real = recording(probe=perfect), recording()
    assert {event.kind for event in made.events} == set(LABELS)
    assert {episode.kind for episode in made.near_misses} == set(NEAR_MISSES)
    temp = made.counts[:, 0] / 256
    true = np.zeros(len(temp), dtype=np.bool_)
    near = np.zeros(len(temp), dtype=np.bool_)
    for event in made.events:
        true |= (made.times >= event.start_ns) & (made.times < event.end_ns)
    for episode in made.near_misses:
        near |= (made.times >= episode.start_ns) & (made.times < episode.end_ns)
    assert (temp[true] > LIMIT_C - 0.01).all()
    assert (temp[~true & ~near] < LIMIT_C + 0.01).all()
    assert (temp[near] > LIMIT_C).any()  # a threshold alone is fooled
    shown = real.counts[:, 0] / 16
    late = [shown[real.times.searchsorted(event.start_ns)] for event in real.events]
    assert np.mean(late) < LIMIT_C - 1
