"""`sensorloom marks agreement` on a real log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import sensorloom

ROWS = [
    ("pump-7", 0, 60, "run", "anna"),
    ("pump-7", 60, 100, "stop", "anna"),
    ("pump-7", 0, 54, "run", "ben"),
    ("pump-7", 54, 100, "stop", "ben"),
    ("pump-8", 0, 30, "run", "anna"),
]
CARLA = [("pump-7", 0, 60, "run", "carla"), ("pump-7", 60, 100, "stop", "carla")]


def told(folder: Path, rows: list[tuple[str, int, int, str, str]], *words: str, code: int = 0) -> None:
    url = f"segments:{folder / 'log'}"

    def at(second: int) -> str:
        return f"2026-01-05T08:{second // 60:02d}:{second % 60:02d}Z"

    lines = [f"{device},{at(start)},{at(end)},{label},{who}" for device, start, end, label, who in rows]
    path = folder / "marks.csv"
    path.write_text("\n".join(["device,start,end,label,author", *lines, ""]))
    assert sensorloom.main(["import", "marks", str(path), "--log", url, "--json"]) == 0
    assert sensorloom.main(["marks", "agreement", "--log", url, *words]) == code


def test_it_says_who_agrees_with_whom_and_on_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(tmp_path, [*ROWS, *CARLA])
    out = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "anna, ben 100.0 s 94.0% 0.88" in lines
    assert "anna, carla 100.0 s 100.0% 1.00" in lines
    assert any(line.startswith("alpha of all 0.9") for line in lines)
    assert "stop anna, ben 87.0%" in lines  # 40 of 46 s
    assert lines.index("annotator likely right") < lines.index("carla 100.0%")
    assert max(len(line) for line in out.splitlines() if not line.startswith("{")) <= 80


def test_machines_get_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(tmp_path, ROWS, "--json", "--device", "pump-7")
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    (pair,) = found["pairs"]
    assert pair | {"kappa": 0} == {"one": "anna", "other": "ben", "seconds": 100.0, "share": 0.94, "kappa": 0}
    assert found["likely_right"] == {}
    assert {each["label"] for each in found["labels"]} == {"run", "stop"}


def test_who_is_alone_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(tmp_path, ROWS[:2], code=2)
    assert "found ranges marked by anna: two who mark the same are needed" in capsys.readouterr().err


def test_those_who_never_met_are_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(tmp_path, [ROWS[4], ROWS[2]], code=1)
    assert "nobody has marked what another one did" in capsys.readouterr().out
