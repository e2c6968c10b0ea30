"""The demo on a real Kafka broker of its own: what is cut is the same, whichever log it went through."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import wavemark
from tests.support.kafka import KafkaBroker
from windowing.digest import dataset_digest

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("kafka")]


def report_of(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    assert wavemark.main(["demo", *map(str, words), "--json"]) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


def test_both_logs_give_the_same_windows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--seconds", "60")
    segments = report_of(capsys, "--out", tmp_path / "segments", *words)
    with KafkaBroker() as broker:
        log = f"kafka://{broker.bootstrap}"
        kafka = report_of(capsys, "--out", tmp_path / "kafka", "--log", log, *words)
        assert kafka["log"] == log
        for name in ("simulated", "samples", "chunks", "bytes", "windows", "labels", "others", "drops", "counts"):
            assert kafka[name] == segments[name], name
        assert dataset_digest(kafka["dataset"]) == dataset_digest(segments["dataset"])

        beside = report_of(capsys, "--out", tmp_path / "beside", "--log", log, *words, "--seed", "2")
        assert beside["others"] == kafka["windows"] > 0
        assert sum(beside["labels"].values()) == beside["windows"]
