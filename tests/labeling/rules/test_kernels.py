"""Rolling values at the edges: 64 and 65 samples, panes of very different sizes, and what is unknown."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from labeling.rules.ast import RollKind
from labeling.rules.kernels import NEVER, TAIL, Axis, RollSpec, RollState, roll, roll_around
from labeling.rules.panes import Column, Panes, pane_values
from tests.labeling.rules.oracle import Samples, rolled

MS = 1_000_000
KINDS: tuple[RollKind, ...] = ("max", "min", "mean", "std")
Floats = NDArray[np.float64]
Times = NDArray[np.int64]


def run(kind: RollKind, times: Times, values: Floats, span_ns: int, period_ns: int, cuts: Sequence[int] = ()) -> Floats:
    spec = RollSpec.of(kind, span_ns, Fraction(8, 10), 500 * MS)
    state, tail, out = RollState(kind), np.full(TAIL, NEVER), []
    edges = [0, *cuts, len(times)]
    for start, stop in zip(edges, edges[1:], strict=False):  # noqa: RUF007
        axis = Axis(tail, times[start:stop], period_ns)
        with np.errstate(all="ignore"):
            out.append(roll(spec, values[start:stop], axis, state))
        tail = axis.tail()
    return np.concatenate(out)


def expected(kind: RollKind, times: Times, values: Floats, span_ns: int, period_ns: int, ahead_ns: int = 0) -> Floats:
    signal = [float(v) if np.isfinite(v) else None for v in values]
    samples = Samples([int(t) for t in times], {"x": signal}, period_ns)
    return np.array([np.nan if v is None else v for v in rolled(kind, samples, signal, span_ns, ahead_ns=ahead_ns)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("span_ms", [10, 15, 630, 640, 641, 650, 660, 1200])
@pytest.mark.parametrize("period_ns", [0, 10 * MS])
def test_around_64_samples(kind: RollKind, span_ms: int, period_ns: int) -> None:
    rng = np.random.default_rng(span_ms)
    times = 1_700_000_000 * 10**9 + np.cumsum(np.where(np.arange(400) % 170 == 3, 13, 10)) * MS
    values = rng.integers(-9, 9, 400).astype(np.float64)
    values[250:255] = np.nan
    whole = run(kind, times, values, span_ms * MS, period_ns)
    np.testing.assert_allclose(whole, expected(kind, times, values, span_ms * MS, period_ns), rtol=1e-12, atol=1e-7)
    cuts = sorted(rng.integers(1, 400, 30).tolist())
    unique = sorted(set(cuts))
    assert run(kind, times, values, span_ms * MS, period_ns, unique).tobytes() == whole.tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("span_ms", [15, 20, 630, 640, 641, 650, 1200])
@pytest.mark.parametrize("period_ns", [0, 10 * MS])
def test_around_64_samples_centred(kind: RollKind, span_ms: int, period_ns: int) -> None:
    rng = np.random.default_rng(span_ms)
    times = 1_700_000_000 * 10**9 + np.cumsum(np.where(np.arange(400) % 170 == 3, 13, 10)) * MS
    values = rng.integers(-9, 9, 400).astype(np.float64)
    values[250:255] = np.nan
    spec = RollSpec.of(kind, span_ms * MS, Fraction(8, 10), 500 * MS, span_ms * MS // 2)

    def around(start: int, stop: int) -> Floats:
        with np.errstate(all="ignore"):
            return roll_around(spec, values[start:stop], Axis(np.full(TAIL, NEVER), times[start:stop], period_ns))

    whole = around(0, 400)
    wanted = expected(kind, times, values, span_ms * MS, period_ns, span_ms * MS // 2)
    np.testing.assert_allclose(whole, wanted, rtol=1e-12, atol=1e-7)
    assert around(120, 380)[80:180].tobytes() == whole[200:300].tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_panes_of_very_different_sizes(kind: RollKind) -> None:
    rng = np.random.default_rng(1)
    crowd = np.arange(20_000) * 1_000
    sparse = crowd[-1] + np.cumsum(rng.integers(1, 3, 2_000)) * MS
    times = np.concatenate((crowd, sparse)) + 1_700_000_000 * 10**9
    values = rng.integers(-9, 9, len(times)).astype(np.float64)
    ones = Column(times, values, np.ones(len(times), dtype=np.bool_), np.full(len(times), MS))
    ones_before = Column(times[:777], values[:777], ones.flags[:777], ones.weights[:777])
    whole, panes = pane_values(kind, MS, 0.1, ones, Panes.empty(kind))
    first, carried = pane_values(kind, MS, 0.1, ones_before, Panes.empty(kind))
    second, last = pane_values(kind, MS, 0.1, ones.since(777), carried)
    assert np.concatenate((first, second)).tobytes() == whole.tobytes()
    assert all(one.tobytes() == other.tobytes() for one, other in zip(panes, last, strict=True))


def test_infinities_and_negative_zero() -> None:
    times = np.arange(4) * 10 * MS
    values = np.array([np.inf, -0.0, 0.0, -np.inf])
    found = run("max", times, values, 10 * MS, 10 * MS)
    assert found.tobytes() == np.array([np.nan, 0.0, 0.0, np.nan]).tobytes()


def test_a_large_offset_costs_no_precision() -> None:
    rng = np.random.default_rng(2)
    times = np.arange(3000) * 10 * MS
    noise = rng.normal(0, 1e-3, 3000)
    found = run("std", times, 1e6 + noise, 10_000 * MS, 10 * MS)
    assert found[-1] == pytest.approx(np.std(noise[-900:]), rel=0.05)
