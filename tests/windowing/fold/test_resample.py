"""Values between samples, on series small enough to see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from windowing.fold.resample import FAR_NS, Samples, _between, blank, of_channel, resample
from windowing.spec import Interpolation, StreamRule

NAN = float("nan")


def _samples(
    times: list[int], values: list[float], rule: StreamRule, tolerance: int = 0, hole_to: int = -(1 << 63)
) -> Samples:
    column = np.array(values, dtype=np.float32).reshape(-1, 1)
    return Samples(np.array(times, dtype=np.int64), column, hole_to, rule, tolerance)


def _at(samples: Samples, instants: list[int]) -> tuple[list[float], str]:
    """Values (NaN where not valid) and a letter an instant: v(alid), g(ap), - (missing)."""
    values, valid, gap = resample(samples, np.array(instants, dtype=np.int64))
    good = np.ones(len(instants), dtype=bool) if valid is None else valid
    holes = np.zeros(len(instants), dtype=bool) if gap is None else gap
    assert not (good & holes).any()
    letters = "".join("v" if v else "g" if g else "-" for v, g in zip(good, holes, strict=True))
    return [float(x) if v else NAN for x, v in zip(values[:, 0], good, strict=True)], letters


@pytest.mark.parametrize(
    ("interpolation", "values", "letters"),
    [
        ("linear", [NAN, 0, 5, 10, NAN, NAN, NAN, 40, NAN], "-vvvgggv-"),
        ("hold", [NAN, 0, 0, 10, 10, 10, NAN, 40, 40], "-vvvvvgvv"),
        ("nearest", [NAN, 0, 0, 10, NAN, NAN, NAN, 40, NAN], "-vvvgggv-"),
        ("none", [NAN, 0, NAN, 10, NAN, NAN, NAN, 40, NAN], "-v-vgggv-"),
    ],
)
def test_every_interpolation(interpolation: Interpolation, values: list[float], letters: str) -> None:
    samples = _samples([10, 20, 50], [0, 10, 40], StreamRule(interpolation, 12))
    found, marks = _at(samples, [5, 10, 15, 20, 25, 30, 40, 50, 55])
    np.testing.assert_array_equal(found, values)
    assert marks == letters


@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
def test_states_hold_beside_quantities(interpolation: Interpolation) -> None:
    times = np.array([10, 20, 30], np.int64)
    values = np.array([[0, 0], [1, 10], [7, 20]], np.float32)
    samples = Samples(times, values, -(1 << 63), StreamRule(interpolation, 10), 1, held=frozenset({0}))
    instants = np.array([10, 14, 18, 19, 20, 21, 29, 30], np.int64)
    found = resample(samples, instants)
    assert found.valid is None
    assert found.values[:, 0].tolist() == [0, 0, 0, 1, 1, 1, 7, 7], "within the tolerance it is the sample"
    quantities = {"linear": [0, 4, 8, 10, 10, 10, 20, 20], "nearest": [0, 0, 10, 10, 10, 10, 20, 20]}
    np.testing.assert_allclose(found.values[:, 1], quantities[interpolation])
    assert values[:, 0].tolist() == [0, 1, 7], "the samples stay what they were"
    assert of_channel(samples, 0).rule == StreamRule("hold", 10)
    assert of_channel(samples, 1).rule == samples.rule


def test_the_rule_of_states_makes_nothing_up() -> None:
    assert [StreamRule(it, 7).of_states for it in ("linear", "nearest", "hold")] == [StreamRule("hold", 7)] * 3
    assert StreamRule("none", 7).of_states == StreamRule("none", 7)


def test_an_exact_sample_is_taken_bit_by_bit_beside_nan_and_infinity() -> None:
    samples = _samples([10, 20, 30, 40], [NAN, 0.1, float("inf"), 5], StreamRule("linear", 100))
    found, letters = _at(samples, [15, 20, 25, 40])
    assert letters == "vvvv"
    assert found[1] == np.float32(0.1)
    assert found[3] == 5
    assert np.isnan(found[0])


@pytest.mark.parametrize("interpolation", ["linear", "hold", "nearest", "none"])
def test_within_a_nanosecond_it_is_the_sample(interpolation: Interpolation) -> None:
    samples = _samples([9, 21, 30], [1, 2, 3], StreamRule(interpolation, 0), tolerance=1)
    assert _at(samples, [10, 20, 30]) == ([1, 2, 3], "vvv")
    assert _at(samples, [10, 19, 20, 25, 30])[1] == "vgvgv"
    assert _at(samples, [8, 20]) == ([1, 2], "vv")


def test_a_tie_goes_to_the_earlier_sample() -> None:
    assert _at(_samples([0, 10], [1, 2], StreamRule("nearest", 10)), [4, 5, 6])[0] == [1, 1, 2]


def test_a_known_silence_behind_the_last_sample_is_a_gap_as_far_as_it_is_known() -> None:
    samples = _samples([0, 10], [1, 2], StreamRule("linear", 10), hole_to=30)
    assert _at(samples, [0, 10, 20, 29, 30, 40])[1] == "vvgg--"


def test_samples_on_the_grid_are_a_view() -> None:
    samples = _samples([0, 10, 20, 30], [1, 2, 3, 4], StreamRule())
    found = resample(samples, np.array([10, 20], dtype=np.int64))
    assert np.shares_memory(found.values, samples.values)
    assert found.valid is None


@pytest.mark.parametrize("tolerance", [0, 1])
@pytest.mark.parametrize("off", [0, 1, 2])
def test_samples_between_two_on_the_grid_may_be_off_it(tolerance: int, off: int) -> None:
    samples = _samples([0, 10, 20 + off, 30, 40], [1, 2, 3, 4, 5], StreamRule(), tolerance)
    found = resample(samples, np.array([0, 10, 20, 30, 40], dtype=np.int64))
    assert np.shares_memory(found.values, samples.values) == (off <= tolerance)


def test_no_samples_at_all() -> None:
    assert _at(_samples([], [], StreamRule()), [1, 2])[1] == "--"
    assert blank(_samples([], [], StreamRule()), 5) == (FAR_NS, False)


@pytest.mark.parametrize(
    ("start", "rule", "expected"),
    [
        (0, StreamRule("linear", 12), (10, False)),
        (10, StreamRule("linear", 12), (10, False)),
        (15, StreamRule("linear", 12), (15, False)),
        (25, StreamRule("linear", 12), (50, True)),
        (25, StreamRule("hold", 12), (25, False)),
        (33, StreamRule("hold", 12), (50, True)),
        (51, StreamRule("linear", 12), (FAR_NS, False)),
    ],
)
def test_how_long_there_is_nothing(start: int, rule: StreamRule, expected: tuple[int, bool]) -> None:
    assert blank(_samples([10, 20, 50], [0, 10, 40], rule), start) == expected
    known: Any = _samples([10, 20, 50], [0, 10, 40], rule, hole_to=99)
    assert blank(known, 80) == (99, True)


@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
@pytest.mark.parametrize(("apart", "letter"), [(12, "v"), (13, "g")])
def test_the_longest_hole_that_is_bridged(interpolation: Interpolation, apart: int, letter: str) -> None:
    samples = _samples([10, 10 + apart], [1, 2], StreamRule(interpolation, 12))
    assert _at(samples, [15])[1] == letter
    assert blank(samples, 15) == ((15, False) if letter == "v" else (10 + apart, True))


@pytest.mark.parametrize(("after", "letter"), [(12, "v"), (13, "g")])
def test_the_longest_that_a_value_is_held(after: int, letter: str) -> None:
    samples = _samples([10, 60], [1, 2], StreamRule("hold", 12))
    assert _at(samples, [10 + after])[1] == letter
    assert blank(samples, 10 + after) == ((10 + after, False) if letter == "v" else (60, True))


@pytest.mark.parametrize("interpolation", ["linear", "hold", "nearest", "none"])
def test_what_is_blank_has_no_value(interpolation: Interpolation) -> None:
    for tolerance in (0, 1):
        samples = _samples([10, 20, 50, 53], [0, 10, 40, 43], StreamRule(interpolation, 12), tolerance, hole_to=80)
        for start in range(100):
            until, gap = blank(samples, start)
            letters = _at(samples, list(range(start, min(until, 120))) or [start])[1]
            if until > start:
                assert set(letters) == ({"g"} if gap else {"-"}), (start, until)


@pytest.mark.parametrize("tolerance", [0, 1])
@pytest.mark.parametrize("ppm", [0, 180, -900, 12_000, 500_000])
@pytest.mark.parametrize("jitter", [0, 3])
def test_a_steady_stream_is_filled_as_any_other(tolerance: int, ppm: int, jitter: int) -> None:
    """Run by run, or looked up one by one: the same bits, where samples and instants slip past one another, meet
    exactly or within the tolerance, or are NaN."""
    rng = np.random.default_rng([tolerance, ppm + 1000, jitter])
    steps = 1000 * (1 + ppm / 1e6) + rng.integers(-jitter, jitter + 1, 9000)
    times = np.cumsum(np.maximum(1, steps)).astype(np.int64)
    values = rng.normal(size=(9000, 2)).astype(np.float32)
    values[rng.integers(0, 9000, 20), 0] = NAN
    samples = Samples(times, values, -FAR_NS, StreamRule("linear", 5000), tolerance)
    for begin in (int(times[3]) + 7, int(times[3]), int(times[5]) - 1):
        instants = np.arange(begin, int(times[-2]), 1000)
        found, wanted = resample(samples, instants), _between(samples, instants)
        assert wanted.valid is None
        assert found.valid is None
        np.testing.assert_array_equal(found.values.astype(np.float32), wanted.values.astype(np.float32))


def test_a_hole_or_an_end_is_nothing_for_runs() -> None:
    """What one instant lacks is told as ever."""
    times = np.arange(0, 9000, 10, dtype=np.int64)
    samples = Samples(np.delete(times, 500), np.ones((899, 1), np.float32), -FAR_NS, StreamRule("linear", 15), 0)
    found = resample(samples, np.arange(3, 8003, 10, dtype=np.int64))
    assert found.valid is not None
    assert (~found.valid).sum() == 2
    behind = resample(samples, np.arange(8003, 9003, 10, dtype=np.int64))
    assert behind.valid is not None
    assert not behind.valid[-1]
