"""Several datasets of the same windows are one: no window twice, nothing mixed that does not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sensorloom
from ingest.errors import CorruptError, UsageError
from ingest.records import Mark
from tests.service.test_run import Site, record
from tests.windowing.sample_dataset import CONFIG, Window, build, mark

MARKS: list[Mark] = [mark("run", 0, 12), mark("stop", 16, 20)]


def part(root: Path, *ks: int, marks: list[Mark] = MARKS, config: str = CONFIG, device: str = "a") -> Path:
    return build(root, [[Window(device, "r", k) for k in ks]], marks, config)


def test_an_old_and_a_new_dataset_are_the_whole(tmp_path: Path) -> None:
    whole = sensorloom.open(part(tmp_path / "whole", *range(7)))
    both = sensorloom.open([part(tmp_path / "old", 0, 1, 2), str(part(tmp_path / "new", 3, 4, 5, 6))])
    assert both.windows().drop("shard", "row").equals(whole.windows().drop("shard", "row"))
    for mine, wanted in zip(both.arrays("keep"), whole.arrays("keep"), strict=True):
        np.testing.assert_array_equal(mine, wanted)
    assert {Path(chain).name for chain in both.cut} == {"readings-0", "marks-0"}
    assert len(both.cut) == 4
    assert both.damaged == ()


def test_the_marks_are_those_of_whoever_has_read_furthest(tmp_path: Path) -> None:
    old = part(tmp_path / "old", 0, 1, 2, marks=MARKS[:1])
    new = part(tmp_path / "new", 3, 4, 5, 6)
    for order in ([old, new], [new, old]):
        assert sensorloom.open(order).windows()["label"].to_list() == ["run"] * 3 + [None, "stop", None, None]


def test_datasets_that_overlap_are_refused(tmp_path: Path) -> None:
    old, new = part(tmp_path / "old", 0, 1, 2), part(tmp_path / "new", 2, 3)
    with pytest.raises(CorruptError, match=r"1 windows .* a-r-2 in .*old and .*new: these datasets overlap"):
        sensorloom.open([old, new])
    with pytest.raises(UsageError, match="given twice"):
        sensorloom.open([old, tmp_path / "new" / ".." / "old"])
    with pytest.raises(UsageError, match="no dataset is given"):
        sensorloom.open([])


def test_other_windows_are_refused_with_what_differs(tmp_path: Path) -> None:
    old = part(tmp_path / "old", 0, 1, 2)
    other = part(tmp_path / "new", 3, config=CONFIG.replace('"acc.y"]', '"acc.z"]'))
    with pytest.raises(UsageError, match=r"channels \('acc.x', 'acc.y'\), not \('acc.x', 'acc.z'\)"):
        sensorloom.open([old, other])


def test_damage_is_named_in_each(tmp_path: Path) -> None:
    old, new = part(tmp_path / "old", 0, 1, 2), part(tmp_path / "new", 3, 4)
    (shard,) = old.glob("windows/*/signal/*")
    shard.unlink()
    with pytest.raises(CorruptError, match=shard.name):
        sensorloom.open([old, new])
    opened = sensorloom.open([old, new], damaged="skip")
    assert opened.windows()["k"].to_list() == [3, 4]
    assert [damage.windows for damage in opened.damaged] == [3]


def test_a_dataset_that_goes_on_after_another_is_one_with_it(tmp_path: Path) -> None:
    site = Site(tmp_path)
    record(site.log, "a", 6, end=False)
    assert site.drain() == 0
    old, site.out = site.out, tmp_path / "new"
    record(site.log, "a", 12, first=6)
    assert site.drain("--after", str(old)) == 0
    both = sensorloom.open([old, site.out])
    site.out = tmp_path / "whole"
    assert site.drain() == 0
    assert both.windows()["t0_ns"].to_list() == sensorloom.open(site.out).windows()["t0_ns"].to_list()
    site.out = old
    assert site.drain() == 0
    with pytest.raises(UsageError, match=r"went on to offset \d+ of readings-\d after .*new had begun at"):
        sensorloom.open([old, tmp_path / "new"])
