"""What a handle gives besides windows and labels: targets to predict, the samples behind windows, and lineage."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

import sensorloom
from ingest.errors import UsageError
from ingest.log.protocol import MARKS
from tests.service.test_run import RATE, START_NS, Site, append, at, mark, record, signal_of
from tests.windowing.sample_dataset import CONFIG, Window, build
from windowing.dataset.reader import Dataset, open_dataset

A, B = signal_of("a", 10), signal_of("b", 8)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two devices at 50 Hz, windows of a second each half second, and an archive of most of their log."""
    folder = tmp_path_factory.mktemp("site")
    site = Site(folder)
    record(site.log, "a", 10)
    append(site.log, MARKS, mark("a", 0, 4, "run"), mark("a", 3, 6, "stop"))
    assert sensorloom.main(["archive", "run", "--log", site.log, "--out", str(folder / "archive"), "--until-idle"]) == 0
    record(site.log, "b", 8)
    assert site.drain() == 0
    return site.out


@pytest.fixture
def dataset(root: Path) -> Dataset:
    return open_dataset(root)


def test_a_target_is_the_sample_so_many_steps_behind_the_window(dataset: Dataset) -> None:
    found = dataset.regression("acc.y", horizon="100ms")
    assert (found.horizons, found.inputs) == ((5,), ("acc.x", "acc.y"))
    X, y, groups = found.arrays()
    assert len(X) == len(y) == len(found) == 18 + 14
    assert found.missing == {"no_window": 2, "no_value": 0}, "the last window of each recording has nothing behind it"
    for window in range(18):
        last = window * 25 + 49
        assert y[window, 0] == A[last + 5, 1]
        np.testing.assert_array_equal(X[window], A[last - 49 : last + 1])
    assert groups.tolist() == ["a"] * 18 + ["b"] * 14
    batches = list(found.batches(7, shuffle=True, seed=3))
    for batch in batches:
        np.testing.assert_array_equal(batch.y, y[batch.rows])
        np.testing.assert_array_equal(batch.X, X[batch.rows])
    assert sorted(row for batch in batches for row in batch.rows) == list(range(32))


def test_at_the_windows_own_end_the_target_is_no_input(dataset: Dataset) -> None:
    found = dataset.regression("acc.y")
    assert (found.inputs, len(found), found.missing) == (("acc.x",), 34, {"no_window": 0, "no_value": 0})
    X, y, _ = found.arrays()
    assert X.shape == (34, 50, 1)
    np.testing.assert_array_equal(y[:19, 0], A[49::25, 1])
    assert next(found.batches(4)).X.shape == (4, 50, 1)


def test_several_horizons_have_an_axis_of_their_own(dataset: Dataset) -> None:
    found = dataset.regression("acc.x", "acc.y", horizon=range(1, 31))
    assert found.y.shape == (17 + 13, 30, 2)
    np.testing.assert_array_equal(found.y[2], A[100:130])


def test_targets_come_of_the_selected_windows_alone(dataset: Dataset) -> None:
    some = dataset.select(device="a")[0:4]
    assert isinstance(some, Dataset)
    found = some.regression("acc.x", horizon=50)
    assert (len(found), found.missing) == (2, {"no_window": 2, "no_value": 0})


def test_a_recording_that_began_anew_is_no_future_of_the_one_before(tmp_path: Path) -> None:
    chain = [Window("a", "r", 0), Window("a", "r", 1, late_s=100), Window("a", "r", 2, late_s=100)]
    found = open_dataset(build(tmp_path / "d", [chain], [])).regression("acc.x", horizon=2)
    assert found.missing == {"no_window": 2, "no_value": 0}
    np.testing.assert_array_equal(found.y, chain[2].signal[1:2, :1])


def test_what_cannot_be_predicted_is_told(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='found "acc.z".*Did you mean'):
        dataset.regression("acc.z")
    with pytest.raises(UsageError, match="no whole number of steps at 50 Hz; the nearest are 1 and 2 steps"):
        dataset.regression("acc.x", horizon="30ms")
    with pytest.raises(UsageError, match="every channel is a target"):
        dataset.regression("acc.x", "acc.y")
    with pytest.raises(UsageError, match="name the channels"):
        dataset.regression()
    with pytest.raises(UsageError, match="0 or more"):
        dataset.regression("acc.x", horizon=-1)


@pytest.mark.parametrize("source", [None, "log", "archive"])
def test_samples_are_those_that_the_sensor_said(dataset: Dataset, root: Path, source: str | None) -> None:
    where = None if source is None else root.parent / source
    found = dataset.samples("a", "acc", at(1), at(2.5), source=where)
    assert found is not None
    assert (found.channels, found.units) == (("x", "y"), ("g", "g"))
    assert found.values.dtype == np.float64
    np.testing.assert_array_equal(found.values, A[RATE : RATE * 5 // 2])
    assert (found.times[0], found.times[-1]) == (at(1), at(2.48))
    for as_told in (lambda t: datetime.fromtimestamp(t / 1e9, UTC), np.int64):
        again = dataset.samples("a", "acc", as_told(at(1)), as_told(at(2.5)), source=where)
        assert again is not None
        assert again.times.tolist() == found.times.tolist()
    with pytest.raises(UsageError, match='no device "A"'):
        dataset.samples("A", "acc", at(1), at(2), source=where)
    with pytest.raises(UsageError, match='no stream "ac".*Did you mean "acc"'):
        dataset.samples("a", "ac", at(1), at(2), source=where)
    with pytest.raises(UsageError, match="found 1.5, expected ns UTC"):
        dataset.samples("a", "acc", 1.5, at(2), source=where)  # type: ignore[arg-type]
    live = dataset.samples("b", "acc", at(0), at(1), source=where)
    assert (live is None) == (source == "archive"), "what came later is in the log alone"


def test_another_log_is_refused_and_none_is_told(dataset: Dataset, root: Path, tmp_path: Path) -> None:
    other = Site(tmp_path)
    record(other.log, "a", 1)
    with pytest.raises(UsageError, match="that has other data"):
        dataset.samples("a", "acc", at(0), at(1), source=other.log)
    with pytest.raises(UsageError, match="there is no log"):
        dataset.samples("a", "acc", at(0), at(1), source=f"segments:{tmp_path}/nothing")
    with pytest.raises(UsageError, match="before it begins"):
        dataset.samples("a", "acc", at(1), at(1))
    alone = build(tmp_path / "alone" / "d", [[Window("a", "r", 0)]], [], CONFIG)
    with pytest.raises(UsageError, match="neither the log that .* nor its archive lies beside it"):
        open_dataset(alone).samples("a", "acc", 0, 1)


def test_streams_keep_their_own_rates(root: Path, dataset: Dataset) -> None:
    site = Site.__new__(Site)
    site.log, site.config, site.out = f"segments:{root.parent}/log", root.parent / "slow.toml", root.parent / "slow"
    site.config.write_text(
        'name = "slow"\n[window]\nlength = 10\nhop = 5\nrate = "10Hz"\nchannels = ["acc.x", "acc.y"]\n'
    )
    assert site.drain() == 0
    slow = open_dataset(site.out)
    X, y, groups = slow.arrays("keep", per_stream=True)
    assert {name: found.shape for name, found in X.items()} == {"acc": (34, 50, 2)}
    begins = (slow.columns(("t0_ns",))["t0_ns"].to_numpy() - START_NS) * RATE // 10**9
    for window, (begin, device) in enumerate(zip(begins, groups, strict=True)):
        whole = (A if device == "a" else B)[begin : begin + 50]
        np.testing.assert_array_equal(X["acc"][window], whole)
    assert X["acc"].dtype == np.float64
    assert y.tolist() == [0] * 6 + [1] * 6 + [-1] * 22


def test_what_float32_leaves_is_told(dataset: Dataset) -> None:
    (x, _) = dataset.precision().to_dicts()
    largest = max(np.abs(A[:, 0]).max(), np.abs(B[:, 0]).max())
    assert x == {"channel": "acc.x", "unit": "g", "largest": largest, "step": np.spacing(largest), "step_m": None}


def test_the_lineage_of_a_window(dataset: Dataset, root: Path) -> None:
    window = dataset.windows()["window"][6]
    found = dataset.explain(window)
    assert found == dataset.explain(6)
    assert (found.device, found.recording, found.t0_ns, found.label, found.share) == ("a", "r", at(3), "stop", 1.0)
    (stop, run) = found.marks
    assert (stop.label, stop.overlap, stop.counts, stop.decides) == ("stop", 1.0, True, True)
    assert (run.label, run.overlap, run.counts, run.decides) == ("run", 1.0, True, False), "it was said before"
    assert found.offset >= 0
    assert (found.topic, found.policy, found.rules) == ("readings", "majority", "none")
    assert found.streams[0]["units"] == ["g", "g"]
    shard = np.load(root / next(root.glob(f"windows/*/signal/{found.shard}")).relative_to(root))
    np.testing.assert_array_equal(shard[found.row], A[150:200])
    text = str(found)
    assert f"window {window} of a, recording r" in text
    assert "mark      stop a-stop-3 by ann with operator, 100% of the window; decides" in text
    assert f"in the log {found.log}" in text
    assert msgspec.json.decode(msgspec.json.encode(found))["hash"] == found.hash
    with pytest.raises(UsageError, match='no window "x"'):
        dataset.explain("x")
    with pytest.raises(IndexError):
        dataset.explain(34)
