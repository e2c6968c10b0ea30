"""The plan beside what there is; what is not in a dataset; tests for drift that know how much there is; the page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import sensorloom
from curation.planning.drift import holm, ks_distance, permuted, share_range, variation_distance
from curation.planning.progress import Progress, balance_of, progress_of
from curation.planning.report import findings_of
from curation.planning.summaries import by_class, robust, summaries
from curation.planning.svg import shortened
from tests.windowing.sample_dataset import CONFIG, Window, build, grow, mark, sample
from windowing.plan import ClassPlan, Plan

PLAN = """
[plan.classes.run]
windows = 8
per = { device = 2, site = 1 }
[plan.classes.stop]
windows = 1
[plan.groups]
device = 2
"""


def run(*words: str | Path) -> int:
    return sensorloom.main(["dataset", *map(str, words)])


def planned(root: Path) -> Path:
    windows = [[Window(device, "r", k) for k in range(7)] for device in ("a", "b")]
    return build(
        root, windows, [mark("run", 0, 12), mark("stop", 16, 20), mark("run", 4, 6, device="b")], CONFIG + PLAN
    )


def test_progress_counts_what_is_wanted() -> None:
    rows = [("run", "a", "north"), ("run", "a", None), ("run", "b", "north"), (None, "b", "south")]
    windows = pl.DataFrame(rows, schema=["label", "device", "site"], orient="row")
    plan = Plan(
        classes={"run": ClassPlan("", 5, {"device": 2})},
        attributes={"site": {"north": 4, "west": 1}},
        groups={"device": 3, "age": 2},
    )
    *found, unknown = progress_of(plan, windows)
    assert found == [
        Progress("run", "windows", 5, 3),
        Progress("run, of device a", "windows", 2, 2),
        Progress("run, of device b", "windows", 2, 1),
        Progress("site north", "windows", 4, 2),
        Progress("site west", "windows", 1, 0),
        Progress("different device", "values", 3, 2),
    ]
    assert unknown.have == 0
    assert "no recording says its age" in unknown.note


def test_balance() -> None:
    assert balance_of({"a": 10, "b": 10, "": 99}).evenness == pytest.approx(1)
    assert balance_of({"a": 30, "b": 10}).ratio == 3
    assert balance_of({"a": 30, "": 5}).ratio is None


def test_status_says_how_far_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = planned(tmp_path / "d")
    assert run("status", root) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert any("4 of 8 windows: run" in line for line in lines)
    assert any("no recording says its site" in line for line in lines)
    assert "labels by none 9, person 5" in lines
    assert any(line.startswith("why gap: a hole") for line in lines)
    assert run("status", root, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["labels"] == {"": 9, "run": 4, "stop": 1}
    assert told["plan"][0] == {"what": "run", "unit": "windows", "wanted": 8, "have": 4, "note": ""}
    assert told["balance"]["ratio"] == 4


def test_dropped_lists_place_and_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = sample(tmp_path / "d")
    since, until = "1970-01-01T00:00:00Z", "1970-01-01T00:00:04Z"
    assert run("exclude", root, "a", "--from", since, "--to", until, "--reason", "loose") == 0
    capsys.readouterr()
    assert run("dropped", root) == 0
    assert "excluded         1 window  a, 1970-01-01T00:00:00" in capsys.readouterr().out
    assert run("dropped", root, "--reason", "gap", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_distances_equal_their_definitions() -> None:
    rng = np.random.default_rng(1)
    values, new = rng.normal(size=60).round(1), rng.random(60) < 0.4
    grid = np.unique(values)
    wanted = max(abs((values[new] <= at).mean() - (values[~new] <= at).mean()) for at in grid)
    assert ks_distance(values, new) == pytest.approx(wanted)
    assert variation_distance(np.array([0, 0, 1, 1]), np.array([True, True, False, False])) == 1
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_a_drift_needs_recordings_not_windows() -> None:
    rng = np.random.default_rng(2)
    # Recordings differ among themselves, and not between old and new: many windows are no evidence.
    own = rng.normal(size=20)
    groups = np.repeat(np.arange(20), 100)
    new = groups >= 10
    values = own[groups] + rng.normal(scale=0.01, size=2000)
    assert permuted(lambda which: ks_distance(values, which), groups, new, seed=1, draws=199) > 0.05
    moved = values + 5.0 * new
    assert permuted(lambda which: ks_distance(moved, which), groups, new, seed=1, draws=199) <= 0.01
    few = groups % 10 == 0  # one old and one new recording: nobody can tell
    assert permuted(lambda w: ks_distance(moved[few], w), groups[few] // 10, new[few], seed=1, draws=199) > 0.4


def test_a_share_is_as_sure_as_there_are_recordings() -> None:
    groups = np.repeat(np.arange(40), 25)
    low, high = share_range(groups % 2 == 0, groups, seed=1)
    assert 0.3 < low < 0.5 < high < 0.7
    assert share_range(groups[:25] == 0, groups[:25], seed=1) == (1, 1)


def test_summaries_and_outliers() -> None:
    X = np.ones((20, 4, 2), np.float32) * np.arange(20, dtype=np.float32)[:, None, None]
    X[3, :, 1], X[5, 2, 0] = np.nan, np.nan
    found = summaries([X[:7], X[7:]], 2)
    assert found.shape == (20, 4)
    assert found[5].tolist() == [5, 5, 0, 0]
    assert np.isnan(found[3]).tolist() == [False, True, False, True]
    assert robust(found)[3, 1] == 0
    labels = np.repeat([0, 1], [12, 8])
    assert not by_class(found, labels, 10)[12:].any()


def test_the_report_is_one_page_without_a_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = planned(tmp_path / "d")
    assert run("version", root) == 0
    grow(root, [[Window("a", "r2", k, seed=9) for k in range(7, 11)]], [mark("run", 28, 44)])
    capsys.readouterr()
    page = tmp_path / "report.html"
    assert run("report", root, "--out", page) == 0
    out = capsys.readouterr().out
    assert "18 windows" in out
    assert "drift: nothing differs by more than chance" in out
    text = page.read_text()
    for title in ("Plan", "Balance", "Coverage", "Where labels come from", "Examples", "Drift"):
        assert f"<h2>{title}</h2>" in text
    assert not re.search(r"(src|href)=|https?://|@import|<script", text)
    findings = findings_of(sensorloom.open(root), sensorloom.open(root, version="latest"))
    assert findings.new_windows == 4
    assert run("report", root, "--out", page, "--against", "none") == 0
    assert "<h2>Drift</h2>" not in page.read_text()
    build(tmp_path / "empty", [[]], [])
    assert run("report", tmp_path / "empty", "--out", page) == 2


def test_names_that_are_too_long_stay_apart() -> None:
    assert shortened("phone-user01", 18) == "phone-user01"
    assert [shortened(f"phone-user0{n}", 6) for n in (1, 2)] == ["ph…r01", "ph…r02"]
    long = shortened("WALKING_DOWNSTAIRS", 18)
    assert long.startswith("WALK")
    assert long.endswith("AIRS")
    assert len(long) <= 15
    assert shortened("", 3) == ""
