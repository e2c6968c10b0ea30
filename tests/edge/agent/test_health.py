"""Whether an agent is worse off than before a change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

import sensorloom
from edge.agent.health import Steadiness, complaints
from tests.edge.agent.views import source_view, view

CONFIG = """device = "pump"
log = "segments:log"
[spool]
dir = "spool"
[[source]]
name = "imu"
type = "serial"
port = "port"
decoder = "csv"
stream = "acc"
channels = { x = "g" }
"""


@pytest.mark.parametrize(
    ("now", "before", "words"),
    [
        ({"silent_s": 0.1, "samples": 5}, {"silent_s": 0.2, "samples": 900}, ""),
        ({"waiting_for": "port: no such port"}, {}, "imu: waits for port: no such port, and did not before"),
        ({"waiting_for": "port: no such port"}, {"waiting_for": "port: busy"}, ""),
        ({"silent_s": None}, {"silent_s": 0.2}, "imu: nothing was heard of it, and was before"),
        ({"silent_s": None}, {"silent_s": 600.0}, ""),
        ({"silent_s": 0.1, "samples": 0}, {"silent_s": 0.2, "samples": 9}, "imu: gives no sample, and did before"),
        ({"silent_s": 0.1, "samples": 0}, {"silent_s": 0.2, "samples": 0}, ""),
    ],
)
def test_what_is_worse_than_before_is_said(now: dict[str, Any], before: dict[str, Any], words: str) -> None:
    then = view(sources=[source_view(**before)])
    assert complaints(view(sources=[source_view(**now), source_view("new", waiting_for="x")]), then) == [words] * bool(
        words
    )
    assert complaints(view(sources=[source_view(**now)]), None) == []


def test_who_begins_anew_is_well_from_then_on_only() -> None:
    steadiness = Steadiness()
    assert [steadiness.well_s(view(pid=pid), found, at) for pid, found, at in [
        (7, [], 1.0), (7, [], 3.0), (8, [], 4.0), (8, [], 6.5), (8, ["imu: waits"], 7.0), (8, [], 8.0), (8, [], 9.0),
    ]] == [0.0, 2.0, 0.0, 2.5, 0.0, 0.0, 1.0]  # fmt: skip


def test_where_no_agent_runs_it_is_not_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(CONFIG)
    before = tmp_path / "before"
    before.write_bytes(msgspec.json.encode(view()))
    words = ["agent", "health", "-c", str(path), "--for", "10ms", "--before", str(before), "--json"]
    assert sensorloom.main(words) == 1
    assert "no agent runs on the spool" in json.loads(capsys.readouterr().out)["complaints"][0]
    before.write_text("{")
    assert sensorloom.main(words) == 2
    assert "give what `sensorloom agent status --json` said" in capsys.readouterr().err
