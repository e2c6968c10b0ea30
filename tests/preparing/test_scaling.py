"""Numbers for scaling and balance come from the windows that they are given, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.errors import UsageError
from preparing.balancing import class_weights, over_sampled, under_sampled
from preparing.scaling import METHODS, Method, Scaler, fit_scaler

RNG = np.random.default_rng(3)
X = (RNG.normal(size=(300, 50, 3)) * [1, 50, 0] + [1e6, -3, 7]).astype(np.float32)
X[5:9, 3:30, 1] = np.nan
NAMES = ["a", "b", "still"]


@pytest.mark.parametrize("method", METHODS)
def test_it_is_what_numpy_says_of_all_at_once_however_it_is_cut(method: Method) -> None:
    whole = fit_scaler([X], NAMES, method)
    parts = fit_scaler([X[:1], X[1:200], X[200:200], X[200:]], NAMES, method)
    assert np.allclose(whole.offset, parts.offset, rtol=1e-9)
    assert np.allclose(whole.scale, parts.scale, rtol=1e-9)
    flat = X.reshape(-1, 3).astype(np.float64)
    offset, scale = {
        "z-score": (np.nanmean(flat, axis=0), np.nanstd(flat, axis=0)),
        "min-max": (np.nanmin(flat, axis=0), np.nanmax(flat, axis=0) - np.nanmin(flat, axis=0)),
        "robust": (np.nanmedian(flat, axis=0), np.subtract(*np.nanquantile(flat, [0.75, 0.25], axis=0))),
    }[method]
    assert np.allclose(whole.offset, offset)
    assert np.allclose(whole.scale[:2], scale[:2])
    assert whole.scale[2] == 1.0
    out = whole(X)
    assert out.dtype == np.float32
    assert np.array_equal(np.isnan(out), np.isnan(X))
    assert (out[:, :, 2] == 0).all()
    assert np.allclose(whole.inverse(out), X, rtol=1e-6, atol=1e-4, equal_nan=True)
    assert Scaler.of(json.loads(json.dumps(whole.parameters()))) == whole


def test_quantiles_of_more_than_is_kept_are_near() -> None:
    long = RNG.exponential(size=(400, 1000, 1)).astype(np.float32)
    found = fit_scaler([long[start : start + 7] for start in range(0, 400, 7)], ["a"], "robust")
    assert found.offset[0] == pytest.approx(np.log(2), abs=0.02)
    assert found.scale[0] == pytest.approx(np.log(3), abs=0.03)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "no parameters of a scaler"),
        ({"method": "z-score", "channels": {"a": {"offset": 1}}}, "no parameters of a scaler"),
        ({"method": "z", "channels": {}}, "'z' is no method; known: z-score"),
        ({"method": "z-score", "channels": {"a": {"offset": 1, "scale": 0}}}, "not above 0"),
    ],
)
def test_parameters_that_are_none_are_refused(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Scaler.of(parameters)


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(UsageError, match="channel b has no value in the windows for training"):
        fit_scaler([X * [1, np.nan, 1]], NAMES)
    with pytest.raises(UsageError, match=r"\(windows, steps, 2\) is needed"):
        fit_scaler([X], ["a", "b"])
    with pytest.raises(UsageError, match=r"\(windows, steps, 3\) is needed"):
        fit_scaler([X], NAMES)(X[:, :, :2])


labels = st.lists(st.integers(-1, 3), min_size=1, max_size=60).map(np.array)


@settings(max_examples=50)
@given(labels, st.integers(0, 2**32), st.integers(0, 5))
def test_classes_come_equally_often_and_only_themselves(y: np.ndarray[Any, Any], seed: int, epoch: int) -> None:
    counts = np.bincount(y[y >= 0], minlength=4)
    there = counts > 0
    for drawn, each in (
        (over_sampled, counts.max()),
        (under_sampled, counts[there].min(initial=99) if there.any() else 0),
    ):
        numbers = drawn(y, 4, seed, epoch)
        assert np.array_equal(numbers, drawn(y, 4, seed, epoch))
        assert np.array_equal(np.bincount(y[numbers], minlength=4), np.where(there, each, 0))
        often = np.bincount(numbers, minlength=len(y))
        for number in np.flatnonzero(there):
            own = often[y == number]
            assert own.max() - own.min() <= 1
    weights = class_weights(y, 4)
    if there.any():
        assert np.isclose((weights * counts).sum(), counts.sum())
        assert np.allclose((weights * counts)[there], counts.sum() / there.sum())
    assert (weights[~there] == 0).all()


def test_epochs_differ() -> None:
    y = RNG.choice(3, p=[0.9, 0.08, 0.02], size=500)
    assert not np.array_equal(under_sampled(y, 3, 0, 0), under_sampled(y, 3, 0, 1))
    with pytest.raises(UsageError, match="class indices of 0 to 1"):
        class_weights(y, 2)
