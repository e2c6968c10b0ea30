"""The demo on a real Kafka broker: the books are as good there, and demos that share a log stay apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import sensorloom

pytestmark = [pytest.mark.kafka]


def report_of(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    code = sensorloom.main(["demo", *map(str, words), "--json"])
    out, err = capsys.readouterr()
    assert code == 0, err + out
    report: dict[str, Any] = json.loads(out)
    return report


def test_two_demos_share_a_log(tmp_path: Path, kafka_bootstrap: str, capsys: pytest.CaptureFixture[str]) -> None:
    log = f"kafka://{kafka_bootstrap}/demo-test"
    first = report_of(capsys, "--out", tmp_path / "first", "--log", log, "--seconds", "3")
    second = report_of(capsys, "--out", tmp_path / "second", "--log", log, "--seconds", "3", "--seed", "2")
    for report in (first, second):
        assert report["log"] == log
        for device in report["devices"]:
            assert device["samples"] == device["said"] > 0
            assert device["read"] == device["samples"] + device["announced"]
        assert sum(rule["right"] for rule in report["rules"]) > 0
        assert report["windows"] == sum(report["labels"].values()) > 50
    assert first["others"] == 0
    assert second["others"] == first["windows"]
