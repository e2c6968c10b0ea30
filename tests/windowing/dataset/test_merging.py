"""Datasets whose small files were merged: the same windows, in fewer files."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

import sensorloom
from ingest.copying import Copier
from ingest.engine.copying import copy_chains
from ingest.errors import CorruptError
from labeling.merging import joined
from tests.windowing.dataset.test_reader import flip, shards
from tests.windowing.sample_dataset import Window, build, copied, mark, merge, sample
from windowing.dataset import merging
from windowing.dataset.digest import dataset_digest
from windowing.dataset.verify import Report, Verification

WINDOWS = [[Window(device, "r", k, mask=b"\x7f" if k % 5 == 2 else b"") for k in range(13)] for device in ("a", "b")]


def verify(root: Path) -> Report:
    return Verification(root).run(lambda count: None)


def files(root: Path, kind: str) -> list[Path]:
    return sorted(root.glob(f"windows/*/{kind}/*"))


def same(before: Path, after: Path) -> None:
    assert dataset_digest(after) == dataset_digest(before)
    one, other = sensorloom.open(before), sensorloom.open(after)
    assert one.windows().drop("shard", "row").equals(other.windows().drop("shard", "row"))
    for a, b in zip(one.arrays(), other.arrays(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert verify(after).problems == []


def test_merged_files_hold_the_same_windows_and_labels(tmp_path: Path) -> None:
    root = sample(tmp_path / "d")
    before = copied(root, tmp_path / "before")
    assert (len(files(root, "signal")), len(files(root, "index"))) == (6, 6)
    merge(root, grace_ns=0)
    assert (len(files(root, "signal")), len(files(root, "index")), len(files(root, "merged"))) == (2, 2, 2)
    same(before, root)
    assert (verify(root).unreferenced, verify(root).windows) == (0, verify(before).windows)
    assert sensorloom.open(root).cut == {"readings-0": 3, "readings-1": 3, "marks-0": 1}


@pytest.mark.parametrize("seed", range(4))
def test_merging_again_and_again_as_a_dataset_grows_changes_nothing(tmp_path: Path, seed: int) -> None:
    whole = build(tmp_path / "whole", WINDOWS, [mark("run", 0, 12)])
    root = copied(whole, tmp_path / "d")
    rng = random.Random(seed)
    for _ in range(rng.randint(2, 6)):  # a little at a time: whatever fits into the memory that there is
        merge(root, grace_ns=rng.choice((0, 10**18)), bytes_max=rng.randint(1, 9_000))
    same(whole, root)


def test_who_opened_before_reads_on_until_the_grace_is_over(tmp_path: Path) -> None:
    root = sample(tmp_path / "d")
    opened = sensorloom.open(root)
    merge(root)
    report = verify(root)
    assert (len(files(root, "signal")), report.problems, report.unreferenced) == (8, [], 0)
    np.testing.assert_array_equal(opened.arrays().X, sensorloom.open(root).arrays().X)


def test_a_damaged_file_and_what_was_sealed_with_it_stay_as_they_are(tmp_path: Path) -> None:
    root = build(tmp_path / "d", [WINDOWS[0]], [])
    before = copied(root, tmp_path / "before")
    second = files(root, "manifest/readings-0")[1]
    bad = next(path for path in shards(root) if path.name in second.read_text())
    whole = bad.read_bytes()
    flip(bad, -1)
    for _ in range(3):
        merge(root, grace_ns=0)
    assert bad.exists()
    assert len(files(root, "signal")) == 3  # before it, itself, behind it
    assert [Path(problem.file).name for problem in verify(root).problems] == [bad.name]
    assert len(sensorloom.open(root, damaged="skip")) == len(WINDOWS[0]) - 3
    bad.write_bytes(whole)
    same(before, root)


@pytest.mark.parametrize("how", ["flipped", "missing", "of another moment"])
def test_what_says_what_was_merged_is_missed(tmp_path: Path, how: str) -> None:
    root = sample(tmp_path / "d")
    merge(root, grace_ns=0)
    document, other = files(root, "merged")
    if how == "missing":
        document.unlink()
    elif how == "flipped":
        flip(document, 100)
    else:
        document.write_bytes(other.read_bytes())
    with pytest.raises(CorruptError, match=document.name):
        sensorloom.open(root)
    assert document.name in [Path(problem.file).name for problem in verify(root).problems]
    assert len(sensorloom.open(root, damaged="skip")) == 7


def test_a_merged_chain_with_a_broken_entry_keeps_what_was_merged(tmp_path: Path) -> None:
    root = build(tmp_path / "d", [WINDOWS[0]], [])
    merge(root, grace_ns=0)
    flip(files(root, "manifest/readings-0")[0], 9)
    assert len(sensorloom.open(root)) == len(WINDOWS[0]), "it is not asked for any more"
    assert len(verify(root).problems) == 1
    head = files(root, "manifest/readings-0")[-1]
    (last := head.with_name("000000000006.json")).write_bytes(head.read_bytes())
    assert len(sensorloom.open(root, damaged="skip")) == len(WINDOWS[0])
    last.unlink()


def test_rows_that_a_merging_lost_are_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "_index", lambda files, places: joined(files[:-1]))
    root = sample(tmp_path / "d")
    merge(root, grace_ns=0)
    assert any("rows, the entries before it had" in problem.problem for problem in verify(root).problems)


def test_a_copy_goes_along_and_keeps_nothing_that_went(tmp_path: Path) -> None:
    root = sample(tmp_path / "d")
    (folder,) = root.glob("windows/*")
    copy = tmp_path / "copy"
    copy_chains(folder, copy, Copier())
    merge(root, grace_ns=0)
    for _ in range(2):  # a second time there is nothing to do
        copy_chains(folder, copy, Copier())
        for kind in ("signal", "index", "merged"):
            assert [path.name for path in sorted((copy / kind).iterdir())] == [p.name for p in files(root, kind)]
