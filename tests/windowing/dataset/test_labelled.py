"""Numbers of classes: fixed by the configuration, or kept for ever; what has none is unlabelled and counted."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from labeling.resolve import WindowLabels
from tests.windowing.sample_dataset import CONFIG, Window, build, mark
from windowing.dataset.labelled import codes_of
from windowing.dataset.reader import open_dataset
from windowing.dataset.status import dataset_status, render_status, status_of


def labels(*names: str | None) -> WindowLabels:
    classes = tuple(sorted({name for name in names if name is not None}))
    label = np.array([-1 if name is None else classes.index(name) for name in names], np.int64)
    return WindowLabels(classes, label, np.ones(len(names)), np.full(len(names), -1, np.int64))


def test_known_numbers_stay_and_new_labels_come_behind() -> None:
    codes = codes_of(labels("run", None, "accel", "run"), (), ("run", "stop"))
    assert (codes.classes, codes.y.tolist(), codes.unknown) == (("run", "stop", "accel"), [0, -1, 2, 0], {})


def test_named_classes_are_all_there_are() -> None:
    codes = codes_of(labels("run", "odd", None, "odd"), ("stop", "run"), ("run", "odd"))
    assert (codes.classes, codes.y.tolist(), codes.unknown) == (("stop", "run"), [1, -1, -1, -1], {"odd": 2})
    assert codes_of(labels(), ("a",), ()).classes == ("a",)


def test_a_label_that_is_no_class_is_left_out_counted_and_told(tmp_path: Path) -> None:
    windows = [[Window("a", "r", k) for k in range(4)]]
    marks = [mark("run", 0, 4), mark("odd", 4, 8), mark("run", 8, 12)]
    root = build(tmp_path / "d", windows, marks, CONFIG + 'classes = ["stop", "run"]\n')
    dataset = open_dataset(root)
    assert dataset.classes == ("stop", "run")
    assert dataset.arrays().y.tolist() == [1, 1]
    assert dataset.arrays(unlabelled="keep").y.tolist() == [1, -1, 1, -1]
    assert dataset.windows()["label"].to_list() == ["run", "odd", "run", None]
    assert dataset.unknown == {"odd": 1}
    assert re.search('no class +1 window labelled "odd"', render_status(dataset_status(root)))


@pytest.mark.parametrize(("device", "start", "end"), [("A", 0, 4), ("a", 400, 404), ("a", -9, 0)])
def test_status_tells_of_marks_over_no_window(tmp_path: Path, device: str, start: float, end: float) -> None:
    windows = [[Window("a", "r", k) for k in range(4)]]
    root = build(tmp_path / "d", windows, [mark("run", 0, 4), mark("lost", start, end, device=device)])
    status = dataset_status(root)
    assert status == status_of(open_dataset(root)), "it reads less of the index, and says the same"
    assert (status.marks["counted"], status.marks["over_no_window"]) == (2, 1)
    assert [stray.marks for stray in status.strays] == [1]
    shown = render_status(status)
    assert re.search(f'touch nothing +"{device}": 1 mark', shown)
    assert device == "a" or 'did you mean "a"?' in shown
