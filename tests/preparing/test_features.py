"""Features of windows: by definition, with missing values left out, the same whatever lies beside them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ingest.errors import UsageError
from preparing.features import NAMES, features, in_batches
from preparing.spectra import SPECTRAL
from preparing.statistics import UNORDERED

RATE = 50.0


def of_row(row: NDArray[np.float64] | list[float], *names: str) -> dict[str, float]:
    found = features(np.asarray(row, dtype=np.float64)[None, :, None], ["c"], RATE, names or None)
    return dict(zip([name.removeprefix("c.") for name in found.names], found.values[0].tolist(), strict=True))


def same(left: dict[str, float], right: dict[str, float]) -> bool:
    assert left.keys() == right.keys()
    return all(np.isclose(left[name], right[name], rtol=1e-9, atol=1e-9, equal_nan=True) for name in left)


def test_there_are_enough_and_none_comes_twice() -> None:
    assert len({*NAMES}) == len(NAMES) >= 60


def test_of_a_few_numbers_by_hand() -> None:
    found = of_row([1.0, 3.0, 2.0, 5.0, 4.0, 4.0, 0.0, -3.0])
    by_hand = {
        "sum_values": 16.0,
        "mean": 2.0,
        "median": 2.5,
        "absolute_maximum": 5.0,
        "range": 8.0,
        "variance": 6.0,
        "interquartile_range": 4.0 - 0.75,
        "mean_absolute_deviation": 2.0,
        "crest_factor": 5.0 / 10.0**0.5,
        "count_above_mean": 4.0,
        "count_below_mean": 3.0,
        "absolute_sum_of_changes": 2 + 1 + 3 + 1 + 0 + 4 + 3,
        "mean_change": -4 / 7,
        "zero_crossings": 1.0,
        "mean_crossings": 4.0,
        "longest_strike_above_mean": 3.0,
        "longest_strike_below_mean": 2.0,
        "number_peaks_1": 2.0,
        "first_location_of_maximum": 3 / 8,
        "last_location_of_maximum": 4 / 8,
        "energy_ratio_1_of_4": 10 / 80,
        "ratio_beyond_1_sigma": 2 / 8,
    }
    for name, value in by_hand.items():
        assert found[name] == pytest.approx(value), name


@pytest.mark.parametrize("hertz", [2.0, 7.5, 20.0])
def test_a_tone_is_found_in_the_spectrum(hertz: float) -> None:
    found = of_row(3.0 + np.sin(2 * np.pi * hertz * np.arange(200) / RATE))
    assert found["dominant_hz"] == found["spectral_edge_85_hz"] == found["spectral_edge_95_hz"] == pytest.approx(hertz)
    assert found["spectral_centroid_hz"] == pytest.approx(hertz)
    assert found["spectral_entropy"] < 0.01
    assert found["spectral_flatness"] < 0.01
    bands = [found[f"band_{number}_of_5"] for number in range(1, 6)]
    assert bands[int(hertz / 5)] == pytest.approx(1.0)
    assert sum(bands) == pytest.approx(1.0)


def test_noise_is_flat() -> None:
    found = of_row(np.random.default_rng(1).normal(size=4096))
    assert 0.5 < found["spectral_flatness"] < 0.62  # exp(-0.577) of a chi-squared power
    assert all(abs(found[f"band_{number}_of_5"] - 0.2) < 0.05 for number in range(1, 6))
    assert abs(found["autocorrelation_1"]) < 0.06
    assert found["cid_ce_normalized"] == pytest.approx((2 * 4096) ** 0.5, rel=0.05)


@settings(max_examples=40)
@given(st.lists(st.one_of(st.floats(-9, 9), st.just(float("nan"))), min_size=2, max_size=30))
def test_missing_values_are_left_out_or_filled_in(row: list[float]) -> None:
    values = np.array(row)
    there = ~np.isnan(values)
    found = of_row(values)
    if there.sum() < 2:
        assert all(np.isnan(value) for value in found.values())
        return
    compressed = of_row(values[there], *UNORDERED)
    assert same({name: found[name] for name in UNORDERED}, compressed)
    steps = np.arange(len(values))
    ordered = [name for name in NAMES if name not in UNORDERED]
    assert same(
        {name: found[name] for name in ordered}, of_row(np.interp(steps, steps[there], values[there]), *ordered)
    )


def test_a_window_has_its_features_whatever_lies_beside_it() -> None:
    rng = np.random.default_rng(2)
    X = rng.normal(size=(700, 64, 3)).astype(np.float32)
    X[rng.random(X.shape) < 0.001] = np.nan
    whole = features(X, ["a", "b", "c"], RATE)
    assert whole.names[0] == "a.sum_values"
    assert whole.values.shape == (700, 3 * len(NAMES))
    for number in (0, 333, 699):
        alone = features(X[number : number + 1], ["a", "b", "c"], RATE).values[0]
        assert np.allclose(whole.values[number], alone, rtol=1e-9, atol=1e-12, equal_nan=True)
    batches = np.concatenate([*in_batches([X[:300], X[300:]], ["a", "b", "c"], RATE)])
    assert np.allclose(batches, whole.values, rtol=1e-9, atol=1e-12, equal_nan=True)
    two = features(X, ["a", "b", "c"], RATE, ["mean", "dominant_hz"])
    assert two.names == ["a.mean", "a.dominant_hz", "b.mean", "b.dominant_hz", "c.mean", "c.dominant_hz"]
    assert np.array_equal(two.values[:, 2], whole.values[:, len(NAMES) + NAMES.index("mean")], equal_nan=True)


def test_what_stands_still_has_no_spectrum() -> None:
    found = of_row([2.5] * 40)
    assert all(np.isnan(found[name]) for name in SPECTRAL if "hz" in name)
    assert found["standard_deviation"] == found["binned_entropy"] == found["cid_ce_normalized"] == 0.0
    assert np.isnan(found["skewness"])


@pytest.mark.parametrize(
    ("shape", "channels", "names", "words"),
    [
        ((2, 8, 2), ["a"], None, r"\(windows, steps, 1\) is needed"),
        ((2, 8), ["a"], None, "is needed"),
        ((2, 1, 1), ["a"], None, "1 steps at 50 Hz"),
        ((2, 8, 1), ["a"], ["mean", "meen"], "'meen' is none; known: sum_values"),
    ],
)
def test_what_does_not_fit_is_said(
    shape: tuple[int, ...], channels: list[str], names: list[str] | None, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        features(np.zeros(shape), channels, RATE, names)
