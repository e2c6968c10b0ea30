"""Real processes, really killed: every acknowledged chunk is in, once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.integration.recordings import digest_of
from tests.integration.storm import Storm
from tests.support.kafka import KafkaBroker


def weather(storm: Storm, rounds: int, capsys: pytest.CaptureFixture[str]) -> None:
    chunks = storm.run(rounds)
    storm.check(chunks)
    assert digest_of(storm.dataset, capsys) == digest_of(storm.calm(chunks), capsys), storm.happened


@pytest.mark.timeout(900)
def test_workers_killed_on_segments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weather(Storm(f"segments:{tmp_path}/log", tmp_path, seed=1), 10, capsys)


@pytest.mark.kafka
@pytest.mark.timeout(900)
def test_workers_and_broker_killed_on_kafka(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with KafkaBroker() as broker:

        def kill_broker() -> None:
            broker.kill()
            broker.restart()

        weather(Storm(f"kafka://{broker.bootstrap}", tmp_path, seed=2, kill_log=kill_broker), 10, capsys)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(int(os.environ.get("SENSORLOOM_KILL_STORMS", "20"))))
def test_many_storms(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weather(Storm(f"segments:{tmp_path}/log", tmp_path, seed=seed + 100), 50, capsys)
