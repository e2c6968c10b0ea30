"""Ranges that people take out leave at every opening, are counted, and come back when that is taken back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import sensorloom
from ingest.errors import CorruptError
from tests.windowing.sample_dataset import PERIOD_NS, sample
from windowing.dataset.exclusions import Exclusion, excluded_windows, read_exclusions
from windowing.dataset.reader import open_dataset
from windowing.dataset.status import dataset_status
from windowing.dataset.verify import Verification


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return sample(tmp_path / "d")


def exclude(root: Path, *words: str) -> int:
    return sensorloom.main(["dataset", "exclude", str(root), *words])


def ks(root: Path, device: str) -> list[int]:
    found: list[int] = open_dataset(root).windows().filter(device=device)["k"].to_list()
    return found


RANGE = ("--from", "1970-01-01T00:00:04Z", "--to", "1970-01-01T00:00:09Z", "--reason", "loose")


def test_windows_that_touch_the_range_leave_and_come_back(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exclude(root, "a", *RANGE) == 0
    assert ks(root, "a") == [0, 3, 4, 5, 6]
    assert ks(root, "b") == list(range(7))
    assert len(open_dataset(root).arrays("keep").X) == 12
    assert exclude(root, "--undo", "0", "--reason", "it was not") == 0
    assert ks(root, "a") == list(range(7))
    capsys.readouterr()
    assert exclude(root, "--json") == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["undone"], listed["windows"], listed["reason"]) == (True, 0, "loose")
    assert listed["start"] == "1970-01-01T00:00:04.000000000Z"
    assert exclude(root, "--undo", "0") == 2
    assert "no such exclusion stands" in capsys.readouterr().err


def test_a_recording_can_be_taken_out_whole(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exclude(root, "a", "--recording", "r", "--reason", "wrong unit") == 0
    assert "7 windows (wrong unit; " in capsys.readouterr().out
    assert ks(root, "a") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a", "--reason", "why"), "say what of the device"),
        (("A", *RANGE), 'Did you mean "a"'),
        (("a", "--recording", "q", "--reason", "why"), 'no window has the recording "q"'),
        (("a", *RANGE[:4]), "say why"),
        (("a", "--from", RANGE[3], "--to", RANGE[1], "--reason", "why"), "does not lie before"),
        (("a", "--undo", "0"), "give a device, or --undo"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    root: Path, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exclude(root, *words) == 2
    assert said in capsys.readouterr().err
    assert read_exclusions(root) == []


def test_status_counts_them_and_names_what_is_taken_out(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exclude(root, "a", *RANGE)
    capsys.readouterr()
    assert sensorloom.main(["dataset", "status", str(root)]) == 0
    assert "2 windows, 0: a, 1970-01-01T00:00:04" in " ".join(capsys.readouterr().out.split())


def test_marks_over_what_was_taken_out_are_not_told_as_touching_nothing(root: Path) -> None:
    words = ("--from", "1970-01-01T00:00:16Z", "--to", "1970-01-01T00:00:20Z", "--reason", "loose")
    before = dataset_status(root)
    assert exclude(root, "a", *words) == 0
    after = dataset_status(root)
    assert after.windows < before.windows
    assert after.strays == before.strays == ()
    assert exclude(root, "b", "--recording", "r", "--reason", "gone") == 0
    assert [stray.device for stray in dataset_status(root).strays] == ["b"]  # of these nobody says when they were


def test_the_ledger_is_missed(root: Path) -> None:
    exclude(root, "a", *RANGE)
    exclude(root, "b", *RANGE)
    for lost in (
        "exclusions",
        "exclusions/000000.json",
        "exclusions/000001.json",
        "belongs/exclusions.json",
        "belongs",
    ):
        kept = root.parent / "kept"
        shutil.move(root / lost, kept)
        with pytest.raises(CorruptError, match="exclusions"):
            open_dataset(root, damaged="skip")
        assert any("exclusions" in problem.file for problem in Verification(root).run(lambda count: None).problems)
        shutil.move(kept, root / lost)
    (root / "exclusions/000001.json").write_bytes(b"{}")
    with pytest.raises(CorruptError, match=r"000001\.json"):
        open_dataset(root, damaged="skip")


def test_bounds_are_those_of_the_windows(root: Path) -> None:
    index = open_dataset(root).windows().filter(device="a").sort("k")
    second = PERIOD_NS

    def taken(start: int | None, end: int | None) -> list[int]:
        (mask,) = excluded_windows(index, [Exclusion("a", "", start, end)])
        return [k for k, gone in zip(index["k"], mask, strict=True) if gone]

    assert taken(4 * second, 8 * second) == [1]  # windows are of four seconds, ends exclusive
    assert taken(4 * second - 1, 8 * second + 1) == [0, 1, 2]
    assert taken(None, 1) == [0]
    assert taken(24 * second, None) == [6]
