"""Calibrations against a known truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.agent.calibrating.solving import FACES, UnfitSetError, face_of, solve_points, solve_positions
from edge.agent.calibrating.stillness import PARTS, Still, Stillness

NOISE = 1e-3


def still(mean: NDArray[np.float64] | list[float], noise: float = NOISE) -> Still:
    found = np.array(mean, dtype=np.float64)
    return Still(found, np.full(len(found), noise), 100, 2.0)


def true_of(face: str, gravity: float) -> NDArray[np.float64]:
    found = np.zeros(3)
    found["xyz".index(face[1])] = gravity if face[0] == "+" else -gravity
    return found


SMALL = st.floats(-0.08, 0.08)


@settings(max_examples=60)
@given(
    st.lists(st.floats(0.9, 1.1), min_size=3, max_size=3),
    st.lists(SMALL, min_size=6, max_size=6),
    st.lists(st.floats(-0.15, 0.15), min_size=3, max_size=3),
    st.permutations(FACES),
    st.sampled_from([1.0, 9.80665]),
)
def test_six_positions_give_bias_scale_and_cross_axis_back(
    scales: list[float], cross: list[float], bias: list[float], order: list[str], gravity: float
) -> None:
    gain = np.diag(scales)
    gain[~np.eye(3, dtype=bool)] = cross
    offset = np.array(bias) * gravity
    found = []
    for face in [*order, order[0]]:
        said = gain @ true_of(face, gravity) + offset
        assert face_of(said, gravity) == face
        found.append((face, still(said)))
    solution = solve_positions(found, gravity)
    np.testing.assert_allclose(solution.bias, offset, atol=1e-9)
    np.testing.assert_allclose(solution.matrix @ gain, np.eye(3), atol=1e-9)
    assert solution.worst[1] < 1e-9


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_noise_moves_it_by_as_much_and_residuals_say_so(seed: int) -> None:
    random = np.random.default_rng(seed)
    found = [(face, still(true_of(face, 1.0) + 0.05 + random.normal(0, 0.005, 3))) for face in FACES]
    solution = solve_positions(found, 1.0)
    assert abs(solution.bias - 0.05).max() < 0.02
    assert 0 < solution.worst[1] < 0.05


def test_a_poor_set_is_refused_with_what_to_do() -> None:
    good = [(face, still(true_of(face, 1.0))) for face in FACES]
    with pytest.raises(UnfitSetError, match=r"no position with -x, \+z up"):
        solve_positions([item for item in good if item[0] not in ("-x", "+z")], 1.0)
    tilted = [("+x", still([0.93, 0.3, 0.2])) if face == "+x" else (face, one) for face, one in good]
    with pytest.raises(UnfitSetError, match="was it level, and still"):
        solve_positions(tilted, 1.0)
    with pytest.raises(UnfitSetError, match="is its scale, or its range, another one"):
        solve_positions([(face, still(0.75 * one.mean)) for face, one in good], 1.0)


@pytest.mark.parametrize("mean", [[0.7, 0.7, 0.1], [0.0, 0.0, 0.5], [0.9, 0.0, 0.45], [0.0, 0.0, 0.0]])
def test_what_lies_on_no_face_is_none(mean: list[float]) -> None:
    assert face_of(np.array(mean), 1.0) is None


@given(
    st.floats(0.6, 1.9),
    st.floats(-30, 30),
    st.lists(st.floats(-50, 400), min_size=2, max_size=5, unique_by=lambda value: round(value / 20)),
)
def test_points_give_the_line_back(gain: float, offset: float, references: list[float]) -> None:
    solution = solve_points([(value, still([gain * value + offset])) for value in references])
    (slope,), (bias,) = solution.matrix[0], solution.bias
    for value in references:
        assert slope * (gain * value + offset - bias) == pytest.approx(value, abs=1e-6)


def test_points_that_no_sensor_gives_are_refused() -> None:
    with pytest.raises(UnfitSetError, match="1 of the points"):
        solve_points([(0.0, still([0.0]))])
    with pytest.raises(UnfitSetError, match="too near to one another"):
        solve_points([(0.0, still([1.0], 0.5)), (100.0, still([2.0], 0.5))])
    with pytest.raises(UnfitSetError, match="in the order in which they were measured"):
        solve_points([(0.0, still([100.0])), (100.0, still([0.0]))])
    with pytest.raises(UnfitSetError, match="at 50: was it given enough time"):
        solve_points([(0.0, still([0.0])), (50.0, still([70.0])), (100.0, still([100.0]))])


# --- stillness


def lying(seconds: float, level: float, rate: float = 100.0, noise: float = NOISE) -> NDArray[np.float64]:
    return np.random.default_rng(7).normal(level, noise, (round(seconds * rate), 1))


@given(st.lists(st.integers(1, 400), min_size=1, max_size=12))
def test_what_is_still_is_found_once_in_whatever_pieces_it_comes(cuts: list[int]) -> None:
    moving = np.cumsum(np.full((150, 1), 0.01), axis=0)
    values = np.vstack([lying(4, 0.0), moving, lying(4, 1.5), moving + 1.5, lying(1, 3.0), moving + 3.0])
    times = np.arange(len(values)) / 100
    finder, found, begin = Stillness(2.0, 0.01), [], 0
    for cut in [*cuts, len(values)]:
        found += finder.take(times[begin : begin + cut], values[begin : begin + cut])
        begin += cut
    assert [round(float(one.mean[0]), 2) for one in found] == [0.0, 1.5]
    assert all(one.noise[0] < 2 * NOISE and one.samples == 50 * PARTS for one in found)


def test_drift_noise_pauses_and_missing_values_are_not_still() -> None:
    times = np.arange(1000) / 100
    assert not Stillness(2.0, 0.01).take(times, np.linspace(0, 1, 1000)[:, np.newaxis])
    noisy = Stillness(2.0, 0.01)
    assert not noisy.take(times, lying(10, 0, noise=0.05))
    assert noisy.restless() is None
    noisy.take(times + 10, lying(10, 0, noise=0.05))
    assert noisy.restless() == pytest.approx(0.05, rel=0.5)
    assert noisy.restless() is None  # once in such a time
    assert not Stillness(2.0, 0.01).take(times + 5 * np.floor(times), lying(10, 0))
    assert not Stillness(2.0, 0.01).take(times, np.full((1000, 1), np.nan))
    holding = Stillness(2.0, 0.01)
    assert len(holding.take(times, lying(10, 0))) == 1
    assert holding.held_s > 8
