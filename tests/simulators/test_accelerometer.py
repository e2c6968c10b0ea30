from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from ingest.times import period_of, run_times
from simulators.accelerometer import LABELS, NEAR_MISSES, Sensor, simulate
from simulators.recording import Episode, Recording

T0 = 1_767_600_000_000_000_000


def recording(seed: int = 1, seconds: float = 300.0, sensor: Sensor | None = None) -> Recording:
    return simulate(np.random.default_rng(seed), sensor or Sensor(), T0, seconds)


def physical(made: Recording) -> NDArray[np.float64]:
    return np.asarray(made.counts * np.array([channel.scale for channel in made.description.channels]))


def within(made: Recording, episode: Episode) -> NDArray[np.float64]:
    return physical(made)[(made.times >= episode.start_ns) & (made.times < episode.end_ns)]


def calm(made: Recording) -> NDArray[np.bool_]:
    quiet = np.ones(len(made.times), dtype=np.bool_)
    for episode in made.events + made.near_misses:
        quiet &= (made.times < episode.start_ns) | (made.times >= episode.end_ns)
    return quiet


def test_the_same_seed_gives_the_same_recording() -> None:
    first, again, other = recording(5), recording(5), recording(6)
    assert first.counts.tobytes() == again.counts.tobytes()
    assert first.times.tobytes() == again.times.tobytes()
    assert (first.events, first.near_misses, first.gaps) == (again.events, again.near_misses, again.gaps)
    assert first.counts.tobytes() != other.counts.tobytes()


@pytest.mark.parametrize("rate", [Fraction(100), Fraction(104), Fraction(833, 16)])
def test_times_are_the_exact_grid_without_the_gaps(rate: Fraction) -> None:
    made = recording(sensor=Sensor(rate=rate))
    grid = run_times(T0, 0, *period_of(rate), int(300 * rate))
    missing = np.zeros(len(grid), dtype=np.bool_)
    for gap in made.gaps:
        inside = (grid >= gap.start_ns) & (grid < gap.end_ns)
        assert inside.sum() == gap.samples
        missing |= inside
    assert missing.any()
    assert (made.times == grid[~missing]).all()
    assert made.times[0] == T0
    assert made.times[-1] == grid[-1]


def test_counts_are_int16_and_described() -> None:
    made = recording()
    assert made.counts.dtype == np.int16
    assert made.counts.shape == (len(made.times), 3)
    assert [channel.name for channel in made.description.channels] == ["x", "y", "z"]
    assert {channel.unit for channel in made.description.channels} == {"g"}
    assert made.description.dtype == "int16"
    assert (made.description.rate_num, made.description.rate_den) == (100, 1)


def test_readings_stop_at_the_end_of_the_range() -> None:
    made = recording(sensor=Sensor(scale_g=1 / 32768))
    assert made.counts.max() == 32767


def test_truth_is_in_order_disjoint_and_whole() -> None:
    made = recording()
    end_ns = T0 + 300 * 10**9
    episodes = sorted(made.events + made.near_misses, key=lambda episode: episode.start_ns)
    assert all(T0 < episode.start_ns < episode.end_ns <= end_ns for episode in episodes)
    assert all(a.end_ns < b.start_ns for a, b in pairwise(episodes))
    assert {episode.kind for episode in made.events} == set(LABELS)
    assert {episode.kind for episode in made.near_misses} == set(NEAR_MISSES)


def test_when_nothing_happens_it_feels_one_g_and_the_hum() -> None:
    made = recording()
    quiet = physical(made)[calm(made)]
    assert np.linalg.norm(quiet.mean(axis=0)) == pytest.approx(1.0, abs=0.08)
    assert (quiet.std(axis=0) < 0.06).all()


def test_noise_is_as_strong_as_the_sensor_says() -> None:
    silent = recording(sensor=Sensor(noise_g=0.0, bias_g=0.0, drift_g=0.0))
    noisy = recording(sensor=Sensor(noise_g=0.01, bias_g=0.0, drift_g=0.0))
    assert (noisy.times == silent.times).all()
    assert (physical(noisy) - physical(silent)).std() == pytest.approx(0.01, rel=0.02)


def test_drift_wanders_as_a_random_walk() -> None:
    still = Sensor(noise_g=0.0, bias_g=0.0, drift_g=0.0)
    ends = []
    for seed in range(40):
        calm_one = physical(recording(seed, 64.0, still))
        drifting = physical(recording(seed, 64.0, Sensor(noise_g=0.0, bias_g=0.0, drift_g=0.01)))
        ends.append(drifting[-1] - calm_one[-1])
    assert np.std(ends) == pytest.approx(0.01 * 8, rel=0.25)  # 64 s: eight times one second's wandering


def test_near_misses_look_like_events_for_a_moment_only() -> None:
    made = recording(seconds=900.0)
    peaks = {"knocking": list[float](), "bump": list[float]()}
    loud = {"cavitation": list[float](), "valve": list[float]()}
    away = {"tilt": list[float](), "lean": list[float]()}
    rest = physical(made)[calm(made)].mean(axis=0)
    for episode in made.events + made.near_misses:
        felt = within(made, episode) - rest
        if episode.kind in peaks:
            peaks[episode.kind].append(float(np.abs(np.linalg.norm(felt, axis=1)).max()))
        elif episode.kind in loud:
            loud[episode.kind].append(float(felt[len(felt) // 2 :].std()))
        else:
            away[episode.kind].append(float(np.median(np.linalg.norm(felt, axis=1))))
    assert min(peaks["bump"]) > 1.0
    assert np.median(peaks["bump"]) > np.median(peaks["knocking"]) / 2
    assert np.median(loud["valve"]) == pytest.approx(np.median(loud["cavitation"]), rel=0.5)
    assert max(away["lean"]) < 0.35 < min(away["tilt"])
    lengths = {e.kind: (e.end_ns - e.start_ns) / 1e9 for e in made.near_misses if e.kind != "lean"}
    assert max(lengths.values()) < 1.0 < min((e.end_ns - e.start_ns) / 1e9 for e in made.events)


def test_a_recording_too_short_for_an_event_has_none() -> None:
    made = recording(seconds=2.0)
    assert len(made.times) == 200
    assert (made.events, made.near_misses) == ((), ())
