"""Trims: marks by which windows leave every dataset at opening, until they are taken back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import sensorloom
from ingest.log.protocol import MARKS
from ingest.records import MarkAdd, MarkEdit
from labeling.marks import ResolvedMark
from tests.service.test_run import Site, append, at, mark, record
from windowing.dataset.digest import dataset_digest
from windowing.dataset.exclusions import without_trimmed
from windowing.dataset.verify import Verification


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    record(site.log, "a", 10)
    record(site.log, "b", 8)
    append(site.log, MARKS, mark("a", 0, 10, "run"))
    assert site.drain() == 0
    return site


def starts(site: Site, device: str = "a") -> list[float]:
    """When its windows of a second start, in seconds."""
    found = sensorloom.open(site.out).windows().filter(device=device)["t0_ns"]
    return [(t0_ns - at(0)) / 10**9 for t0_ns in found]


def trim(site: Site, start_s: float, end_s: float, *words: str) -> int:
    bounds = ["--from", f"{at(start_s)}", "--to", f"{at(end_s)}", "--author", "ann", "--log", site.log]
    return sensorloom.main(["marks", "trim", "a", *bounds, *(words or ("--reason", "belt off"))])


ALL = [half / 2 for half in range(19)]


def test_windows_that_touch_it_leave_and_come_back(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    whole = dataset_digest(site.out)
    assert trim(site, 3, 4.5) == 0
    assert "trim 2023-" in capsys.readouterr().out
    assert site.drain() == 0
    assert starts(site) == [0, 0.5, 1, 1.5, 2, *ALL[9:]]
    assert starts(site, "b") == ALL[:15]
    dataset = sensorloom.open(site.out)
    assert (dataset.classes, len(dataset.arrays().X)) == (("run",), 15)
    assert dataset_digest(site.out) != whole
    assert Verification(site.out).run(lambda count: None).problems == []
    (found,) = dataset.contents.trims
    append(site.log, MARKS, MarkEdit("a", found.id, "bob", "operator", end_ns=at(3.25), label="x", reason="shorter"))
    assert site.drain() == 0
    assert starts(site) == [0, 0.5, 1, 1.5, 2, *ALL[7:]]
    assert sensorloom.main(["marks", "retract", found.id, "--author", "ann", "--log", site.log]) == 0
    assert site.drain() == 0
    assert starts(site) == ALL
    assert dataset_digest(site.out) == whole


def test_status_counts_them_and_says_where_and_why(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert trim(site, 3, 4) == trim(site, 3.5, 4.5) == 0
    append(site.log, MARKS, mark("a", 3.2, 3.4, "in the trim"))
    assert site.drain() == 0
    capsys.readouterr()
    assert sensorloom.main(["dataset", "status", str(site.out), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["windows"], status["drops"]["drop.trim"]) == (19 + 15 - 4, 4)
    assert [(each["windows"], each["reason"], each["author"]) for each in status["trims"]] == [
        (3, "belt off", "ann")
    ] * 2
    assert (status["marks"]["standing"], status["marks"]["over_no_window"]) == (2, 0)
    assert sensorloom.main(["dataset", "status", str(site.out)]) == 0
    out = capsys.readouterr().out
    assert "  trim " in out
    assert ": a, 2023-11-14T22:13:23.000000000Z to 2023-11-14T22:13:24.000000000Z (belt off)" in out


def test_a_dataset_that_goes_on_knows_what_became_of_the_older_ones_trims(site: Site, tmp_path: Path) -> None:
    assert trim(site, 3, 4.5) == trim(site, 6, 7) == 0
    assert site.drain() == 0
    old, site.out = site.out, tmp_path / "new"
    first, _ = sensorloom.open(old).contents.trims
    assert sensorloom.main(["marks", "retract", first.id, "--author", "ann", "--log", site.log]) == 0
    record(site.log, "c", 4)
    assert site.drain("--after", str(old)) == 0
    joined = sensorloom.open([old, site.out])
    assert len(joined.windows().filter(device="a")) == 19 - 3
    assert joined.contents.trimmed == 3
    assert set(joined.windows()["device"]) == {"a", "b", "c"}


def test_a_stream_and_its_archive_give_one_digest(site: Site, tmp_path: Path) -> None:
    assert trim(site, 3, 4.5) == site.drain() == 0
    assert sensorloom.main(["archive", "run", "--log", site.log, "--out", f"{tmp_path}/archive", "--until-idle"]) == 0
    words = ["window", "batch", "-c", str(site.config), "--archive", f"{tmp_path}/archive", "--out"]
    assert sensorloom.main([*words, f"{tmp_path}/batch"]) == 0
    assert dataset_digest(tmp_path / "batch") == dataset_digest(site.out)
    assert dataset_digest(site.out).windows == 15 + 15


@pytest.mark.parametrize(
    ("bounds", "words", "said"),
    [
        ((4, 4), ("--reason", "x"), "does not lie before"),
        ((3, 4), ("--reason", " "), "say why"),
        ((3, 4), ("--dry-run",), "say why"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    site: Site, capsys: pytest.CaptureFixture[str], bounds: tuple[int, int], words: tuple[str, ...], said: str
) -> None:
    assert trim(site, *bounds, *words) == 2
    assert said in capsys.readouterr().err


def test_a_trim_gets_no_label_and_a_file_that_replaces_leaves_it(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trim(site, 3, 4) == site.drain() == 0
    (found,) = sensorloom.open(site.out).contents.trims
    assert sensorloom.main(["marks", "edit", found.id, "--label", "x", "--author", "ann", "--log", site.log]) == 2
    assert "is a trim, which has no label" in capsys.readouterr().err
    (tmp_path / "marks.csv").write_text(f"device,start,end,label,author\na,{at(0)},{at(10)},other,ann\n")
    words = ["import", "marks", f"{tmp_path}/marks.csv", "--log", site.log, "--replace", "--unchecked"]
    assert sensorloom.main(words) == site.drain() == 0
    assert list(sensorloom.open(site.out).contents.trims) == [found]
    assert set(sensorloom.open(site.out).windows().filter(device="a")["label"]) == {"other"}


spans = st.tuples(st.sampled_from("ab"), st.integers(0, 60), st.integers(0, 9))


@example([("a", 7)], [("a", 7, 0)])  # an instant that is a window's first
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50)), max_size=30), st.lists(spans, max_size=6))
def test_a_window_leaves_where_a_trim_of_its_device_touches_it(
    windows: list[tuple[str, int]], ranges: list[tuple[str, int, int]]
) -> None:
    index = pl.DataFrame(
        [(device, t0_ns, t0_ns + 5) for device, t0_ns in windows],
        {"device": pl.String, "t0_ns": pl.Int64, "t1_ns": pl.Int64},
        orient="row",
    )
    trims = [
        ResolvedMark(f"{number}", device, start, start + length, "", "ann", "operator", 1.0, trim=True)
        for number, (device, start, length) in enumerate(ranges)
    ]

    def touches(window: tuple[str, int], span: tuple[str, int, int]) -> bool:
        (device, t0_ns), (of, start, length) = window, span
        return device == of and t0_ns < start + max(length, 1) and start < t0_ns + 5

    left, counts = without_trimmed(index, trims)
    assert left.select("device", "t0_ns").rows() == [w for w in windows if not any(touches(w, span) for span in ranges)]
    assert counts == [sum(touches(window, span) for window in windows) for span in ranges]
    assert np.all(np.array(counts) >= 0)


def test_an_add_of_a_former_release_is_no_trim(site: Site) -> None:
    append(site.log, MARKS, MarkAdd("a", "old", at(0), at(9), "trim", "ann", "operator"))
    assert site.drain() == 0
    assert starts(site) == ALL
