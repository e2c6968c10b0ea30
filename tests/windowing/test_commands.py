"""`sensorloom dataset …` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import sensorloom
from tests.windowing.dataset.test_reader import flip, shards
from tests.windowing.sample_dataset import sample
from windowing.dataset.digest import dataset_digest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return sample(tmp_path / "d")


def run(*words: str | Path) -> int:
    return sensorloom.main([str(word) for word in words])


def test_status_tells_all_figures(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("dataset", "status", root) == 0
    text = capsys.readouterr().out
    plain = [" ".join(line.split()) for line in text.splitlines()]
    for line in ("windows 14 in 6 shards,", "run 4", "stop 1", "(no label) 9", "gap 6", "standing 3"):
        assert any(found.startswith(line) for found in plain), line
    assert any(found.startswith("readings-1 entry 2, through offset 7, at 20") for found in plain)


def test_status_as_json(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("dataset", "status", root, "--json") == 0
    status = json.loads(capsys.readouterr().out)
    assert status["labels"] == {"": 9, "run": 4, "stop": 1}
    assert status["drops"] == {"drop.gap": 6}
    assert [chain["through"] for chain in status["chains"]] == [3, 7, 7]


def test_digest(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    digest, windows = dataset_digest(root)
    assert run("dataset", "digest", root) == 0
    assert capsys.readouterr().out == f"{digest}  14 windows\n"
    assert run("dataset", "digest", root, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"digest": digest, "windows": windows}


def test_verify_a_whole_dataset(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("dataset", "verify", root) == 0
    assert "14 windows: all as written" in capsys.readouterr().out


def test_verify_a_damaged_dataset_fails_and_names_it(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = shards(root)[0]
    flip(bad, -1)
    assert run("dataset", "verify", root) == 1
    out, err = capsys.readouterr()
    assert "1 problems" in out
    assert bad.name in err
    assert "[1 windows: " in err
    assert run("dataset", "verify", root, "--json") == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["file"].endswith(bad.name)


def test_damage_and_wrong_usage_have_their_own_exit_codes(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("dataset", "status", tmp_path) == 2
    assert "no dataset" in capsys.readouterr().err
    shards(root)[0].unlink()
    assert run("dataset", "digest", root) == 1
    assert run("dataset", "status", root) == 1
    assert "is missing; restore it" in capsys.readouterr().err
