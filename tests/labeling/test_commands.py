"""`sensorloom rules check` and `sensorloom rules test`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

import sensorloom
from ingest.log.protocol import STREAMS, Entry
from ingest.opening import open_log
from ingest.records import Channel, StreamDescription, schema_id
from ingest.wire import encode

RULES = """version: 1
let:
  mag: norm(acc.x, acc.y)
rules:
  - label: free_fall
    when: max(mag, 80ms) < 0.35g
    for: 120ms
tests:
  - name: a fall
    every: 10ms
    units: {acc: g}
    values:
      acc.x: [1.0 * 50, 0.1 * 30, 1.0 * 20]
      acc.y: [0 * 100]
    expect:
      - {label: free_fall, start: 570ms, end: 800ms}
  - name: a short one
    every: 10ms
    units: {acc.x: m/s2, acc.y: m/s2}
    values: {acc.x: [9.8 * 50, 0.1 * 15, -, 9.8 * 20], acc.y: [0 * 86]}
    expect: []
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return path


def describe(url: str, *descriptions: StreamDescription) -> None:
    async def run() -> None:
        log = open_log(url)
        await log.ensure(STREAMS)
        await log.append(STREAMS, [Entry(schema_id(d), encode(d)) for d in descriptions])
        await log.close()

    asyncio.run(run())


def test_check_says_what_a_file_holds(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sensorloom.main(["rules", "check", str(file)]) == 0
    assert "free_fall  reads acc  revision " in capsys.readouterr().out
    assert sensorloom.main(["rules", "check", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rules"][0]["streams"] == ["acc"]


def test_check_against_a_log(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"segments:{tmp_path / 'log'}"
    assert sensorloom.main(["rules", "check", str(file), "--log", url]) == 2
    assert "there is no log" in capsys.readouterr().err
    describe(url, StreamDescription("gps", (Channel("speed", "m/s"),), "float32"))
    assert sensorloom.main(["rules", "check", str(file), "--log", url]) == 0
    assert "has no description of the stream acc" in capsys.readouterr().err
    describe(url, StreamDescription("acc", (Channel("x", "degC"), Channel("y", "degC")), "int16", 100))
    assert sensorloom.main(["rules", "check", str(file), "--log", url]) == 2
    assert "rules.yaml:3:13: a temperature in degC cannot be multiplied" in capsys.readouterr().err


def test_check_tells_all_that_is_wrong_and_what_is_hardly_meant(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(RULES.replace("0.35g", "0.35gg").replace("120ms", "120"))
    assert sensorloom.main(["rules", "check", str(file)]) == 2
    said = capsys.readouterr().err
    assert 'rules.yaml:6:32: unknown unit "gg"' in said
    assert 'rules.yaml:7:10: rules[0].for: duration: found "120"' in said
    file.write_text(RULES.replace("for: 120ms", "until: max(mag, 80ms) > 0.3g"))
    assert sensorloom.main(["rules", "check", str(file)]) == 1
    assert 'rules.yaml:7:12: "when" and "until" are both true of some values' in capsys.readouterr().err
    assert sensorloom.main(["rules", "check", str(file), "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["doubts"]) == 1


def test_a_wrong_or_missing_file_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rules.yaml"
    assert sensorloom.main(["rules", "check", str(path)]) == 2
    assert "there is no such rule file" in capsys.readouterr().err
    path.write_text(RULES.replace("0.35g", "0.35 x"))
    assert sensorloom.main(["rules", "check", str(path)]) == 2
    assert 'rules.yaml:6:33: found "x"' in capsys.readouterr().err
    path.write_bytes(b"\xff\xfe")
    assert sensorloom.main(["rules", "check", str(path)]) == 2


def test_tests_in_the_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sensorloom.main(["rules", "test", str(file)]) == 0
    assert "ok      a fall" in capsys.readouterr().out
    file.write_text(RULES.replace("570ms", "580ms"))
    assert sensorloom.main(["rules", "test", str(file)]) == 1
    shown = capsys.readouterr().out
    assert "FAILED  a fall" in shown
    assert "expected, did not come: free_fall from 0.58s to 0.8s" in shown
    assert "came, not expected: free_fall from 0.57s to 0.8s" in shown
    assert sensorloom.main(["rules", "test", str(file), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["failed"] == 1
    text = (
        RULES.replace("570ms", "580ms").replace("free_fall", '"free\\e[2J_fall"').replace("a fall", '"a\\nfall\\e[2J"')
    )
    file.write_text(text)
    assert sensorloom.main(["rules", "test", str(file)]) == 1
    shown = capsys.readouterr().out
    assert r"FAILED  a\nfall\x1b[2J" in shown
    assert r"came, not expected: free\x1b[2J_fall from 0.57s" in shown
    assert sensorloom.main(["rules", "check", str(file)]) == 0
    assert r"free\x1b[2J_fall  reads" in capsys.readouterr().out
    file.write_text(RULES.partition("tests:")[0])
    assert sensorloom.main(["rules", "test", str(file)]) == 1
    assert "there are no tests; write them under the key tests" in capsys.readouterr().err
