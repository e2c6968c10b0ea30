"""Opening a dataset: order, labels, arrays, and what happens where a file is damaged."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ingest.errors import CorruptError, UsageError
from ingest.records import Mark, MarkEdit, MarkRetract
from tests.windowing.sample_dataset import CONFIG, Window, build, copied, mark, sample
from windowing.dataset.digest import dataset_digest
from windowing.dataset.reader import open_dataset
from windowing.dataset.status import dataset_status, render_status


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample(tmp_path_factory.mktemp("dataset") / "d")


def shards(root: Path) -> list[Path]:
    return sorted(root.glob("windows/*/signal/*.npy"))


def flip(path: Path, byte: int, bit: int = 0) -> None:
    with path.open("r+b") as file:
        file.seek(byte, os.SEEK_END if byte < 0 else os.SEEK_SET)
        value = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([value ^ 1 << bit]))


def test_windows_come_by_device_then_time(dataset: Path) -> None:
    opened = open_dataset(dataset)
    assert len(opened) == 14
    assert opened.windows().select("device", "k").rows() == [(d, k) for d in "ab" for k in range(7)]
    assert opened.channels == ("acc.x", "acc.y")
    assert opened.classes == ("run", "stop")
    assert opened.cut == {"readings-0": 2, "readings-1": 2, "marks-0": 0}
    assert repr(opened) == "<Dataset pumps: 14 windows, 4 × 2 at 1 Hz; run 4, stop 1, unlabelled 9>"
    assert (opened.name, float(opened.rate)) == ("pumps", 1.0)


def test_labels_share_and_mark(dataset: Path) -> None:
    rows = open_dataset(dataset).windows().select("label", "share", "mark").rows()
    run, none = ("run", 1.0, "a-run-0"), (None, 0.0, None)
    assert rows[:7] == [run, run, run, none, ("stop", 1.0, "a-stop-16"), none, none]
    assert rows[7:] == [none, ("run", 0.5, "b-run-4"), *[none] * 5]


def test_arrays_are_the_labelled_windows(dataset: Path) -> None:
    opened = open_dataset(dataset)
    X, y, groups = opened.arrays()
    wanted = [Window("a", "r", k) for k in (0, 1, 2, 4)] + [Window("b", "r", 1)]
    np.testing.assert_array_equal(X, np.stack([window.signal for window in wanted]))
    assert (X.dtype.name, y.dtype.name) == ("float32", "int64")
    assert [opened.classes[index] for index in y] == ["run", "run", "run", "stop", "run"]
    assert groups.tolist() == ["a"] * 4 + ["b"]
    assert opened.arrays(groups="recording").groups.tolist() == ["a/r"] * 4 + ["b/r"]


def test_unlabelled_windows_are_minus_one_for_those_who_ask(dataset: Path) -> None:
    X, y, groups = open_dataset(dataset).arrays(unlabelled="keep")
    assert X.shape == (14, 4, 2)
    assert np.flatnonzero(y == -1).tolist() == [3, 5, 6, 7, 9, 10, 11, 12, 13]
    assert len(groups) == 14
    with pytest.raises(UsageError, match="unlabelled"):
        open_dataset(dataset).arrays(unlabelled="maybe")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match='Did you mean "unlabelled"'):
        open_dataset(dataset).arrays(unlabeled="keep")  # type: ignore[call-overload]


def test_groups_are_plain_recordings_where_those_are_unique(tmp_path: Path) -> None:
    root = build(tmp_path / "d", [[Window("a", "r1", 0), Window("b", "r2", 0)]], [])
    assert open_dataset(root).arrays(unlabelled="keep", groups="recording").groups.tolist() == ["r1", "r2"]


def test_edits_and_retracts_count_at_opening(tmp_path: Path) -> None:
    marks: list[Mark] = [mark("run", 0, 8, name="m"), mark("run", 8, 12, name="n")]
    marks += [MarkEdit("a", "m", "bob", "operator", label="stop"), MarkRetract("a", "n", "bob", "operator")]
    root = build(tmp_path / "d", [[Window("a", "r", k) for k in range(3)]], marks)
    assert open_dataset(root).windows()["label"].to_list() == ["stop", "stop", None]


def test_the_policy_is_that_of_the_datasets_own_configuration(tmp_path: Path) -> None:
    root = build(tmp_path / "d", [[Window("a", "r", k) for k in range(3)]], [mark("tap", 1, 2)])
    assert open_dataset(root).classes == ()
    (root / "dataset.toml").write_text(CONFIG.replace("majority", "any") + 'background = "none"\n')
    assert open_dataset(root).windows()["label"].to_list() == ["tap", "none", "none"]


def test_a_dataset_without_windows_or_marks_opens_empty(tmp_path: Path) -> None:
    opened = open_dataset(build(tmp_path / "d", [[]], []))
    X, y, groups = opened.arrays()
    assert (len(opened), opened.classes, X.shape, len(y), len(groups)) == (0, (), (0, 4, 2), 0, 0)


def test_a_window_that_was_cut_again_is_there_once(tmp_path: Path) -> None:
    """A card that came out of a drawer after its recording was forgotten doubled windows, under one id."""
    once = [Window("a", "r", k) for k in range(6)]
    again = [Window("a", "r", 3, seed=1, offset=9), Window("a", "r", 0, seed=1, offset=9, late_s=2), once[2]]
    others = [Window("a", "q", 3, seed=1), Window("b", "r", 3, seed=1)]
    marks = [mark("run", 0, 24)]
    plain = open_dataset(build(tmp_path / "plain", [once[:2], [*once[2:], *others]], marks))
    root = build(tmp_path / "d", [once[:2], [*once[2:], *again, *others]], marks)
    opened = open_dataset(root)
    assert (opened.contents.again, plain.contents.again) == (3, 0)
    columns = ["window", "t0_ns", "label"]
    assert opened.windows().select(columns).equals(plain.windows().select(columns))
    np.testing.assert_array_equal(opened.arrays("keep").X, plain.arrays("keep").X)
    assert dataset_digest(root) == dataset_digest(tmp_path / "plain")
    status = dataset_status(root)
    assert (status.windows, status.again) == (len(once) + len(others), 3)
    assert "3 windows of samples that came again: left out" in render_status(status)


def test_no_dataset_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such folder"):
        open_dataset(tmp_path / "missing")
    with pytest.raises(UsageError, match=r"it has no dataset\.toml"):
        open_dataset(tmp_path)
    (tmp_path / "dataset.toml").write_text(CONFIG)
    with pytest.raises(UsageError, match="it is a file"):
        open_dataset(tmp_path / "dataset.toml")
    with pytest.raises(UsageError, match="which is what a run is given; `sensorloom window run"):
        open_dataset(tmp_path)  # a project's folder, with one's own configuration
    sample(tmp_path / "pumps")
    with pytest.raises(UsageError, match=f"did you mean {tmp_path}/pumps"):
        open_dataset(tmp_path)


def test_a_path_holds_wherever_one_goes_from_there(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dataset.parent)
    monkeypatch.setenv("HOME", str(dataset.parent))
    opened = [open_dataset("d"), open_dataset("~/d")]
    monkeypatch.chdir(tmp_path)
    assert [len(each.arrays().X) for each in opened] == [5, 5]


def test_a_window_table_changed_by_hand_is_refused(dataset: Path, tmp_path: Path) -> None:
    root = copied(dataset, tmp_path / "d")
    (root / "dataset.toml").write_text(CONFIG.replace("length = 4", "length = 8"))
    with pytest.raises(UsageError, match="changed by hand"):
        open_dataset(root)


def test_a_truncated_shard_is_named_or_left_out(dataset: Path, tmp_path: Path) -> None:
    root = copied(dataset, tmp_path / "d")
    bad = shards(root)[0]
    os.truncate(bad, bad.stat().st_size - 1)
    with pytest.raises(CorruptError, match=bad.name):
        open_dataset(root)
    assert_only_left_out(dataset, root, bad)


def test_a_flipped_shard_is_named_or_left_out(dataset: Path, tmp_path: Path) -> None:
    root = copied(dataset, tmp_path / "d")
    bad = shards(root)[1]
    flip(bad, -3)
    opened = open_dataset(root)  # the hash of what may be larger than memory is checked when it is read
    with pytest.raises(CorruptError, match=bad.name):
        opened.arrays(unlabelled="keep")
    assert_only_left_out(dataset, root, bad)


def assert_only_left_out(whole: Path, root: Path, bad: Path) -> None:
    opened, before = open_dataset(root, damaged="skip"), open_dataset(whole)
    kept = np.flatnonzero((before.windows()["shard"] != bad.name).to_numpy())
    assert len(opened) == len(kept) < 14
    np.testing.assert_array_equal(opened.arrays("keep").X, before.arrays("keep").X[kept])
    (damage,) = opened.damaged
    assert (damage.file, damage.windows) == (f"signal/{bad.name}", 14 - len(kept))


def test_a_damaged_manifest_entry_loses_only_its_own_windows(dataset: Path, tmp_path: Path) -> None:
    root = copied(dataset, tmp_path / "d")
    (entry,) = root.glob("windows/*/manifest/readings-0/000000000001.json")
    flip(entry, 100)
    with pytest.raises(CorruptError, match=entry.name):
        open_dataset(root)
    opened = open_dataset(root, damaged="skip")
    assert opened.windows().filter(device="a")["k"].to_list() == [0, 1, 2, 6]
    assert opened.windows().filter(device="b")["k"].to_list() == list(range(7))
    assert [damage.windows for damage in opened.damaged] == [None]


def test_a_damaged_index_loses_only_its_own_windows(dataset: Path, tmp_path: Path) -> None:
    root = copied(dataset, tmp_path / "d")
    bad = sorted(root.glob("windows/*/index/*"))[0]
    flip(bad, 50)
    with pytest.raises(CorruptError, match=bad.name):
        open_dataset(root)
    opened = open_dataset(root, damaged="skip")
    assert [damage.windows for damage in opened.damaged] == [14 - len(opened)]


def test_damaged_marks_are_never_skipped(dataset: Path, tmp_path: Path) -> None:
    root = copied(dataset, tmp_path / "d")
    (bad,) = root.glob("labels/marks/*")
    flip(bad, 10)
    with pytest.raises(CorruptError, match=bad.name):
        open_dataset(root, damaged="skip")


def test_a_lost_genesis_is_no_empty_dataset(dataset: Path, tmp_path: Path) -> None:
    root = copied(dataset, tmp_path / "d")
    (genesis,) = root.glob("windows/*/genesis.json")
    genesis.unlink()
    with pytest.raises(CorruptError, match="is missing"):
        open_dataset(root)
