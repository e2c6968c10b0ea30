"""Windows that are changed for training: the same for each in every batch, with labels that stay true."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.errors import UsageError
from preparing import seeds
from preparing.augmenting import Augmentation, Epoch
from preparing.transforms import (
    Cropping,
    Jitter,
    MagnitudeWarp,
    Mixing,
    Permutation,
    Rotation,
    Scaling,
    TimeWarp,
    Transform,
    natural_spline,
    rotations,
)

STEPS, CHANNELS = 40, 6
IDS = [f"9f3c{number % 7}-{number}" for number in range(100)]
RNG = np.random.default_rng(5)
X = RNG.normal(size=(len(IDS), STEPS, CHANNELS)).astype(np.float32)
NOISES = RNG.normal(size=(3, 60, CHANNELS)).astype(np.float32)
EACH: list[Transform] = [
    Jitter(0.1),
    Jitter((0.1,) * CHANNELS),
    Scaling(),
    Rotation(((0, 1, 2), (3, 4, 5))),
    MagnitudeWarp(),
    Mixing(NOISES),
    TimeWarp(),
    Cropping(),
    Permutation(),
]
each = pytest.mark.parametrize("step", EACH, ids=lambda step: step.name)


def epoch(*steps: Transform, share: float = 1.0, number: int = 0, **how: object) -> Epoch:
    return Augmentation(steps, share=share, **how).epoch(IDS, number)  # type: ignore[arg-type]


@each
@settings(max_examples=15)
@given(st.lists(st.integers(0, len(IDS) - 1), min_size=1, max_size=9, unique=True))
def test_a_window_is_changed_alike_in_every_batch(step: Transform, chosen: list[int]) -> None:
    whole = epoch(step, share=0.6)(X, IDS)
    part = epoch(step, share=0.6)(X[chosen], [IDS[number] for number in chosen])
    assert np.array_equal(part.changed, whole.changed[chosen])
    assert np.allclose(part.X, whole.X[chosen], rtol=1e-5, atol=1e-6)  # sums of a few products, in another order


@each
def test_each_epoch_and_seed_is_another_one_and_what_came_in_stays(step: Transform) -> None:
    before = X.copy()
    first = epoch(step)(X, IDS).X
    assert np.array_equal(X, before)
    assert first.dtype == np.float32
    assert first.shape == X.shape
    assert np.array_equal(first, epoch(step)(X, IDS).X)
    assert not np.array_equal(first, epoch(step, number=1)(X, IDS).X)
    assert not np.array_equal(first, epoch(step, seed=1)(X, IDS).X)


@pytest.mark.parametrize("share", [0.0, 0.005, 0.3, 0.995, 1.0])
def test_the_share_is_exact_over_all_windows_for_training(share: float) -> None:
    turns = [epoch(Scaling(), share=share, number=number)(X, IDS).changed for number in range(20)]
    assert {int(changed.sum()) for changed in turns} == {round(share * len(IDS))}
    if 0.2 < share < 0.8:
        assert not np.array_equal(turns[0], turns[1])
        assert np.sum(turns, axis=0).min() > 0


def test_a_window_that_is_not_for_training_is_refused() -> None:
    with pytest.raises(UsageError, match=r"window test-1 is not one of the 100 for training, and 1 more: only those"):
        epoch(Jitter(0.1))(X[:3], [IDS[0], "test-1", "test-2"])
    with pytest.raises(UsageError, match="comes twice"):
        Augmentation((Jitter(0.1),)).epoch([*IDS, IDS[0]], 0)


@pytest.mark.parametrize("step", [TimeWarp(), Cropping(0.5), Cropping()], ids=lambda step: step.name)
def test_labels_per_step_move_along_with_what_they_label(step: Transform) -> None:
    labels = np.cumsum(RNG.random((len(IDS), STEPS)) < 0.2, axis=1)
    marked = X.copy()
    marked[:, :, 2] = labels  # a channel that holds the label, as a state
    out = epoch(step, share=0.7, target="steps", states=(2,))(marked, IDS, labels)
    assert out.Y is not None
    assert np.array_equal(out.X[:, :, 2], out.Y)
    assert not np.array_equal(out.Y, labels)
    assert (np.diff(out.Y, axis=1) >= 0).all()


@each
def test_states_are_moved_and_never_computed_with(step: Transform) -> None:
    held = X.copy()
    held[:, :, 1] = RNG.integers(0, 3, size=held.shape[:2]) * 7
    out = epoch(step, states=(1,))(held, IDS).X[:, :, 1]
    assert {*np.unique(out)} <= {0.0, 7.0, 14.0}


@pytest.mark.parametrize("target", ["steps", "horizon"])
def test_an_order_that_matters_is_kept(target: str) -> None:
    with pytest.raises(UsageError, match="permutation changes the order of steps"):
        Augmentation((Jitter(0.1), Permutation()), target=target)  # type: ignore[arg-type]


@each
def test_missing_values_stay_missing_and_spread_to_no_other_channel(step: Transform) -> None:
    holed = X.copy()
    holed[:, 10:12, 0] = np.nan
    out = epoch(step)(holed, IDS).X
    if isinstance(step, Rotation):  # a turned axis is a sum of three
        assert not np.isnan(out[:, :10]).any()
        assert not np.isnan(out[:, 12:]).any()
        return
    assert not np.isnan(out[:, :, 1:]).any()
    if step.places(seeds.keys(IDS, 0, 0), STEPS) is None:
        assert np.array_equal(np.isnan(out), np.isnan(holed))
    else:
        assert (np.isnan(out[:, :, 0]).sum(axis=1) < 10).all()


def test_a_rotation_turns_and_does_nothing_else() -> None:
    drawn = RNG.random((500, 3))
    turns = rotations(drawn, np.pi)
    assert np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(3))
    assert np.allclose(np.linalg.det(turns), 1.0)
    angles = np.arccos(np.clip((np.trace(turns, axis1=1, axis2=2) - 1) / 2, -1, 1))
    assert np.allclose(angles, np.pi * np.abs(2 * drawn[:, 2] - 1))
    # Two triads of one device turn together; a channel of none stays.
    twins = np.concatenate([X[:, :, :3], X[:, :, :3], X[:, :, :1]], axis=2)
    out = epoch(Rotation(((0, 1, 2), (3, 4, 5))))(twins, IDS).X
    assert np.allclose(np.linalg.norm(out[:, :, :3], axis=2), np.linalg.norm(twins[:, :, :3], axis=2), atol=1e-5)
    assert np.allclose(out[:, :, :3], out[:, :, 3:6], atol=1e-6)
    assert np.array_equal(out[:, :, 6], twins[:, :, 6])


def test_noise_is_white_and_of_the_size_that_was_asked_for() -> None:
    ids = [f"w-{number}" for number in range(2000)]
    keys = seeds.keys(ids, 3, 1)
    made = seeds.noise(keys, 128, 5).astype(np.float64)
    assert abs(made.mean()) < 0.01
    assert abs(made.std() - 1.0) < 0.01
    assert abs((made**4).mean() - 3.0) < 0.1  # as a normal distribution has it
    for lag in (1, 2, 17):  # 2,000 windows: a standard error of 0.002
        assert abs((made[:, lag:] * made[:, :-lag]).mean()) < 0.012
    alike = made @ made.T / 128
    np.fill_diagonal(alike, 0.0)
    assert np.abs(alike).max() < 0.85  # no two windows have the same noise
    drawn = seeds.normal(keys, 64, 5)
    assert abs(drawn.mean()) < 0.01
    assert abs(drawn.std() - 1.0) < 0.01
    assert len(np.unique(seeds.uniform(keys, 64, 5))) == 2000 * 64
    with pytest.raises(UsageError, match="too large for noise"):
        seeds.noise(keys, 2**19, 0)


def test_keys_are_of_the_id_alone() -> None:
    assert len(np.unique(seeds.keys([f"{number}" for number in range(100_000)], 0, 0))) == 100_000
    long_beside = seeds.keys(["a", "a-much-longer-id-ü"], 1, 2)
    assert long_beside[0] == seeds.keys(["a"], 1, 2)[0]
    assert len(seeds.keys([], 0, 0)) == 0


def test_a_curve_goes_through_its_knots_smoothly() -> None:
    knots, steps = 5, 401
    basis = natural_spline(knots, steps)
    values = RNG.normal(size=knots)
    curve = basis @ values
    assert np.allclose(curve[:: steps // (knots - 1)], values)
    assert np.allclose(basis @ np.arange(knots), np.linspace(0, knots - 1, steps))  # a straight line stays one
    bends = np.diff(curve, 2)
    assert np.abs(np.diff(bends)).max() < 10 * np.abs(bends).max() / (steps // (knots - 1))  # continuous
    assert abs(bends[0]) < np.abs(bends).max() / 20  # straight at its ends
    assert natural_spline(2, 5)[:, 1].tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_warped_time_runs_on_from_the_first_step_to_the_last() -> None:
    keys = seeds.keys(IDS, 0, 0)
    places = TimeWarp(0.5).places(keys, STEPS)
    assert places is not None
    assert (np.diff(places, axis=1) > 0).all()
    assert np.allclose(places[:, [0, -1]], [0, STEPS - 1])
    line = np.broadcast_to(np.arange(STEPS, dtype=np.float32)[None, :, None], (len(IDS), STEPS, 1))
    assert np.allclose(epoch(TimeWarp(0.5))(line, IDS).X[:, :, 0], places, atol=1e-4)


def test_noise_is_mixed_in_at_its_ratio() -> None:
    out = epoch(Mixing(NOISES, (6.0, 6.0)))(X, IDS).X
    ratios = 10 * np.log10(X.var(axis=1) / (out - X).var(axis=1))
    assert np.allclose(ratios, 6.0, atol=0.01)
    still = X.copy()
    still[:, :, 3] = 2.5
    assert np.array_equal(epoch(Mixing(NOISES))(still, IDS).X[:, :, 3], still[:, :, 3])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: epoch(Jitter((1.0, 2.0)))(X, IDS), "jitter: sigma: 2 numbers for 6 channels"),
        (lambda: epoch(Rotation(((0, 1, 6),)))(X, IDS), "three different channels each, of 0 to 5"),
        (lambda: epoch(Rotation(((0, 1, 2), (2, 3, 4))))(X, IDS), "three different channels"),
        (lambda: epoch(MagnitudeWarp(knots=1))(X, IDS), "magnitude-warp: knots 1"),
        (lambda: epoch(TimeWarp(sigma=0.9))(X, IDS), "time would stand still"),
        (lambda: epoch(Cropping(0.01))(X, IDS), "cropping: share 0.01"),
        (lambda: epoch(Permutation(1))(X, IDS), "at least 2 can change places"),
        (lambda: epoch(Mixing(NOISES[:, :, :2]))(X, IDS), r"\(segments, steps, 6\) are needed"),
        (lambda: epoch(Mixing(NOISES[:, :20]))(X, IDS), "noises have 20 steps, windows 40"),
        (lambda: epoch(Scaling(), share=1.5), "share 1.5 is not in 0..1"),
        (lambda: epoch(Scaling())(X[0], IDS), "X is"),
        (lambda: epoch(Scaling())(X, IDS[:-1]), "for 99 ids"),
        (lambda: epoch(Scaling(), target="steps")(X, IDS, np.zeros((100, 3))), "labels per step are"),
        (lambda: epoch(Scaling())(X, IDS, np.zeros((100, STEPS))), 'target = "steps"'),
        (lambda: epoch(Scaling(), states=(6,))(X, IDS), "channels are 0 to 5"),
    ],
)
def test_what_does_not_fit_is_said(make: Callable[[], object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make()


def test_what_was_done_can_be_written_down() -> None:
    told = json.loads(json.dumps(Augmentation((Jitter(0.1), Mixing(NOISES), TimeWarp()), share=0.25).parameters()))
    assert told["share"] == 0.25
    assert told["steps"][0] == {"name": "jitter", "sigma": 0.1}
    assert told["steps"][1]["noises"] == {"shape": [3, 60, 6]}
