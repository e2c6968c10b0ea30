"""Rules that flag windows, each on values that one sentence describes; how missing values are filled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ingest.errors import UsageError
from preparing.cleaning import OF_VALUES, Bounds, flagged_steps, usual_of
from preparing.imputing import imputer, mask_of
from preparing.sketch import Sketch

NAMES = ["t.a", "t.b"]


def calm() -> np.ndarray[tuple[int, int, int], np.dtype[np.float64]]:
    """Fifty windows of noise around 30."""
    return np.random.default_rng(1).normal(30, 0.5, size=(50, 40, 2))


def rules_of(X: np.ndarray[tuple[int, int, int], np.dtype[np.float64]], **bounds: object) -> dict[str, list[list[int]]]:
    """By rule, `[window, channel, steps]` of what it found."""
    usual = usual_of([X[:20], X[20:]], 2)
    found = flagged_steps(X, NAMES, usual, Bounds(**bounds))  # type: ignore[arg-type]
    return {rule: [[*at, steps[*at]] for at in np.argwhere(steps).tolist()] for rule, steps in found.items()}


def test_noise_is_no_finding() -> None:
    found = rules_of(calm())
    assert {rule: rows for rule, rows in found.items() if rule != "clipped"} == {
        rule: [] for rule in OF_VALUES if rule != "clipped"
    }
    assert found["clipped"] == []


def test_each_rule_finds_what_was_planted() -> None:
    X = calm()
    X[3, :, 0] = X[3, 0, 0]
    X[4, 5:30, 1] = X[4, 5, 1]
    X[5, 7, 0] += 20
    X[6, :2, 1] = 382.21
    X[7, 10:15, 0] = X[..., 0].max()
    found = rules_of(X, ranges={"t.a": (0, 45)})
    assert found["flat"] == [[3, 0, 40]]
    assert found["stuck"] == [[4, 1, 25]]
    assert found["out_of_range"] == [[5, 0, 1], [7, 0, 5]]
    assert found["outlier"] == [[5, 0, 1], [6, 1, 2], [7, 0, 5]]
    assert found["spike"] == [[5, 0, 1]]
    assert found["clipped"] == [[7, 0, 5]]


def test_missing_values_break_nothing_and_states_may_stand_still() -> None:
    X = calm()
    X[9, :, 1] = 4
    X[:, ::3] = np.nan
    X[2] = np.nan
    assert all(not rows for rule, rows in rules_of(X).items() if rule not in ("flat", "outlier"))
    assert rules_of(X)["flat"] == [[9, 1, 26]]
    usual = usual_of([X], 2)
    assert not flagged_steps(X, NAMES, usual, Bounds(), states=["t.b"])["flat"].any()
    empty = np.full((2, 4, 2), np.nan)
    assert not any(steps.any() for steps in flagged_steps(empty, NAMES, usual_of([empty], 2), Bounds()).values())


def test_what_cannot_be_a_bound_is_refused() -> None:
    with pytest.raises(UsageError, match="45 to 0 is no range"):
        Bounds(ranges={"t.a": (45, 0)})
    with pytest.raises(UsageError, match='found "t.c".*Did you mean'):
        rules_of(calm(), ranges={"t.c": (0, 1)})
    with pytest.raises(UsageError, match="stuck_share"):
        Bounds(stuck_share=0)


FLOATS = st.one_of(st.just(np.nan), st.floats(-1e3, 1e3, width=32))


@given(arrays(np.float32, (3, 6, 2), elements=FLOATS))
def test_filling_touches_nothing_that_is_there(X: np.ndarray[tuple[int, int, int], np.dtype[np.float32]]) -> None:
    for how in ("linear", "hold"):
        made = imputer(NAMES, how)(X)
        there = mask_of(X)
        np.testing.assert_array_equal(made[there], X[there])
        some = np.broadcast_to(there.any(axis=1, keepdims=True), X.shape)
        assert not np.isnan(made[some]).any()
        assert np.isnan(made[~some]).all(), "nothing is made up where there is nothing"


def test_each_way_of_filling() -> None:
    X = np.array([[np.nan, 1, np.nan, np.nan, 4, np.nan]], np.float32)[..., None]
    assert imputer(["t.a"], "linear")(X)[0, :, 0].tolist() == [1, 1, 2, 3, 4, 4]
    assert imputer(["t.a"], "hold")(X)[0, :, 0].tolist() == [1, 1, 1, 1, 4, 4]
    train = np.array([[1, 2, 9, np.nan]], np.float32)[..., None]
    median = imputer(["t.a"], "median", [train])
    assert median(X)[0, :, 0].tolist() == [2, 1, 2, 2, 4, 2]
    assert median.parameters() == {"t.a": {"how": "median", "median": 2.0}}
    both = np.concatenate((X, X), axis=2)
    mixed = imputer(NAMES, {"t.b": "hold"})
    assert mixed.parameters() == {"t.b": {"how": "hold"}}
    assert np.isnan(mixed(both)[0, :, 0]).sum() == 4
    with pytest.raises(UsageError, match="no median"):
        imputer(["t.a"], "median")
    with pytest.raises(UsageError, match='found "mean"'):
        imputer(["t.a"], "mean")  # type: ignore[arg-type]


def test_a_sketch_of_many_values_has_their_quantiles() -> None:
    sketch = Sketch(1)
    rows = np.random.default_rng(0).permutation(400_000).astype(np.float64)[:, None]
    for begin in range(0, len(rows), 7_001):
        sketch.add(rows[begin : begin + 7_001])
    assert np.abs(sketch.quantiles((0.1, 0.5))[:, 0] - [40_000, 200_000]).max() < 2_000
