"""What a dataset says besides one label a window: shares, labels a step, its marks, and what was dropped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ingest.records import Mark
from tests.service.test_run import Site, record
from tests.windowing.sample_dataset import CONFIG, PERIOD_NS, Window, build, mark
from windowing.dataset.reader import Dataset, open_dataset

BACKGROUND = 'background = "calm"\nclasses = ["calm", "run", "stop"]\n'


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Windows of four steps; a run over one and a half, in which a rule saw a stop, and a stop at the end."""
    marks: list[Mark] = [
        mark("run", 0, 6, tool="operator"),
        mark("stop", 2, 9, tool="rule"),
        mark("stop", 12, 16),
        mark("tap", 13, 14),
    ]
    chain = [Window("a", "r", k) for k in range(5)]
    return open_dataset(build(tmp_path / "d", [chain], marks, CONFIG + BACKGROUND))


def test_the_shares_of_all_labels(dataset: Dataset) -> None:
    calm, run, stop = dataset.shares().T.tolist()
    assert run == [1.0, 0.5, 0.0, 0.0, 0.0]
    assert stop == [0.0, 0.5, 0.25, 1.0, 0.0], "a person's mark hides the rule's"
    assert calm == [0.0, 0.0, 0.0, 0.0, 1.0]
    np.testing.assert_array_equal(dataset.select([3, 1]).shares(), dataset.shares()[[3, 1]])


def test_the_label_at_each_step(dataset: Dataset) -> None:
    calm, run, stop = range(3)
    assert dataset.step_labels().tolist() == [
        [run, run, run, run],
        [run, run, stop, stop],
        [stop, calm, calm, calm],
        [stop, -1, stop, stop],  # a tap, which is not among the classes, was said later
        [calm, calm, calm, calm],
    ]
    assert dataset.select([1]).step_labels().tolist() == [[run, run, stop, stop]]


def test_the_marks_that_count(dataset: Dataset) -> None:
    marks = dataset.marks()
    assert marks["label"].to_list() == ["run", "stop", "stop", "tap"]
    assert marks.select("device", "start_ns", "end_ns", "tool").row(1) == ("a", 2 * PERIOD_NS, 9 * PERIOD_NS, "rule")


def test_what_was_dropped_is_listed_with_place_and_reason(tmp_path: Path) -> None:
    site = Site(tmp_path)
    record(site.log, "a", 4)
    assert site.drain() == 0
    dataset = open_dataset(site.out)
    dropped = dataset.dropped()
    totals = {name: n for name, n in dataset.contents.windows.totals.items() if name.startswith("drop.")}
    assert totals
    found = dict(dropped.group_by("reason").agg(pl.col("windows").sum()).iter_rows())
    assert {f"drop.{reason}": count for reason, count in found.items()} == totals
    assert set(dropped["device"]) == {"a"}
    assert (dropped["t1_ns"] > dropped["t0_ns"]).all()
