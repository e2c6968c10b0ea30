"""An import that is taken back leaves every dataset of the log, and comes back when that is taken back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import sensorloom
from ingest.log.protocol import MARKS
from tests.service.test_run import Site, append, mark, record


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    record(site.log, "a", 4)
    record(site.log, "b", 4)
    append(site.log, MARKS, mark("a", 0, 2, "run"))
    assert site.drain() == 0
    return site


def undo(site: Site, *words: str, device: str = "a", recording: str = "r", reason: str = "wrong unit") -> int:
    asked = ["import", "undo", "--device", device, "--recording", recording, "--log", site.log]
    return sensorloom.main([*asked, "--reason", reason, *words])


def devices(site: Site) -> list[str]:
    found: list[str] = sensorloom.open(site.out).windows()["device"].unique().sort().to_list()
    return found


def test_its_windows_leave_and_come_back(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = sensorloom.open(site.out).windows()
    assert undo(site) == 0
    assert devices(site) == ["a", "b"], "a dataset knows of it when its labels have read it"
    assert site.drain() == 0
    assert devices(site) == ["b"]
    capsys.readouterr()
    assert sensorloom.main(["dataset", "status", str(site.out), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["undone"], status["marks"]["standing"]) == ({"a/r": 7}, 1)
    site.out = tmp_path / "another"
    assert site.drain() == 0
    assert devices(site) == ["b"], "a dataset to come knows it from the log"
    assert undo(site, "--back") == 0
    assert site.drain() == 0
    assert sensorloom.open(site.out).windows().drop("shard", "row").equals(whole.drop("shard", "row"))


def test_what_the_log_does_not_have_cannot_be_taken_back(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert undo(site, recording="R") == 2
    assert 'a has no recording "R"; known: r. Did you mean "r"?' in capsys.readouterr().err
    assert undo(site, device="c") == 2
    assert "has no recording of the device c" in capsys.readouterr().err
    assert undo(site, reason=" ") == 2
    assert "say why" in capsys.readouterr().err
    assert site.drain() == 0
    assert devices(site) == ["a", "b"]


def test_who_imports_again_what_was_taken_back_is_told(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.csv"
    file.write_text("x,y\n" + "".join(f"{number % 7},1\n" for number in range(200)))
    words = ["import", "readings", str(file), "--device", "p", "--stream", "acc", "--log", site.log, "--json"]
    words += ["--columns", "x,y", "--unit", "g", "--rate", "50Hz", "--start", "2026-01-01T00:00:00Z"]

    def again() -> tuple[str, str]:
        assert sensorloom.main(words) == 0
        out, err = capsys.readouterr()
        (recording,) = json.loads(out)["recordings"]
        return recording, err

    recording, err = again()
    assert err == ""
    assert undo(site, device="p", recording=recording) == 0
    capsys.readouterr()
    assert "was taken back: its windows stay out of every dataset" in again()[1]
    assert undo(site, "--back", device="p", recording=recording) == 0
    capsys.readouterr()
    assert again()[1] == ""
