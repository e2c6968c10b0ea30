from __future__ import annotations

from fractions import Fraction

import numpy as np

from simulators.recording import Recording
from simulators.valve import MOVING, OPEN, SHUT, STATES, Valve, simulate

T0 = 1_767_600_000_000_000_000


def recording(seed: int = 1, seconds: float = 3600.0, valve: Valve | None = None) -> Recording:
    return simulate(np.random.default_rng(seed), valve or Valve(), T0, seconds)


def test_the_same_seed_gives_the_same_recording() -> None:
    first, again, other = recording(5), recording(5), recording(6)
    assert (first.counts.tobytes(), first.times.tobytes()) == (again.counts.tobytes(), again.times.tobytes())
    assert first.counts.tobytes() != other.counts.tobytes()


def test_samples_and_gaps_make_up_the_whole_time() -> None:
    made = recording(valve=Valve(rate=Fraction(2)))
    assert made.counts.shape == (len(made.times), 1)
    assert (np.diff(made.times) > 0).all()
    assert len(made.times) + sum(gap.samples for gap in made.gaps) == 7200
    assert (made.events, made.near_misses) == ((), ())


def test_it_moves_from_one_rest_to_the_other() -> None:
    made = recording()
    assert {code for code, _ in STATES} == set(made.counts[:, 0].tolist()) == {SHUT, OPEN, MOVING}
    assert made.description.channels[0].states == STATES
    rests = made.counts[made.counts[:, 0] != MOVING, 0]
    # a rest that a gap hides may be missing
    assert np.count_nonzero(np.diff(rests)) >= 30
    changes = made.counts[np.flatnonzero(np.diff(made.counts[:, 0])) + 1, 0]
    assert np.count_nonzero(changes == MOVING) >= 30
