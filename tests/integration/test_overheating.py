"""A machine's temperature from a real Mosquitto, through the agent, to marks: those of a few lines of Python."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import sensorloom
from ingest.log.protocol import MARKS, READINGS
from ingest.records import Chunk, MarkAdd, RecordingEnd
from ingest.wire import decode, encode
from tests.integration.following import Follower
from tests.integration.recordings import command
from tests.integration.site import PROJECT, wait_for
from tests.support.logs import read_log
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import begin_session, publish
from tests.support.nab import OVERHEATING, machine_temperature, overheated

TOPIC = "site/machine/temperature"
AGENT = """device = "machine"
log = "{log}"
rules = "rules.yaml"
[spool]
dir = "spool"
[[source]]
name = "probe"
type = "mqtt"
broker = "{broker}"
topic = "{topic}"
decoder = "json"
time_field = "at"
stream = "motor"
channels = {{ temp = "degF" }}
dtype = "float64"
"""
DATASET = """name = "machine"
rules = "rules.yaml"
[window]
length = "30min"
hop = "30min"
rate = "1/300Hz"
channels = ["motor.temp"]
max_gap = "20min"
"""


@contextlib.contextmanager
def agent(folder: Path) -> Iterator[None]:
    """`sensorloom agent run`; told to end behind the block, it ends with 0."""
    words = [sys.executable, "-m", "sensorloom", "agent", "run", "-c", str(folder / "agent.toml")]
    process = subprocess.Popen(words, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(200) == 0, process.communicate()[1]
    finally:
        process.kill()
        process.communicate()


def messages(recordings: list[tuple[list[int], list[float]]]) -> list[str]:
    """What a probe says, in the file's order."""
    return [
        json.dumps({"at": datetime.fromtimestamp(t // 10**9, UTC).isoformat(), "temp": value})
        for times, values in recordings
        for t, value in zip(times, values, strict=True)
    ]


def marks(log: str) -> list[MarkAdd]:
    return [record for record in read_log(log, MARKS) if isinstance(record, MarkAdd)]


class Arrived:
    """How many samples have come into the log: each record is read once, however often somebody asks."""

    def __init__(self) -> None:
        self.samples = 0
        self._known = set[tuple[bytes, int]]()

    def see(self, value: bytes) -> None:
        record = decode(value)
        if isinstance(record, Chunk) and (record.boot, record.seq) not in self._known:
            self._known.add((record.boot, record.seq))
            self.samples += record.count


def around_the_step(recordings: list[tuple[list[int], list[float]]]) -> list[tuple[list[int], list[float]]]:
    """Five weeks: 11 of the 20 times that it overheats, and the hour that the machine's clock goes back."""
    (times, values), (then, after) = recordings
    return [(times[2390:], values[2390:]), (then[:2700], after[:2700])]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("weeks", [5, pytest.param(11, marks=pytest.mark.soak)])
def test_overheating_over_mosquitto_is_marked_as_the_oracle_does(tmp_path: Path, weeks: int) -> None:
    log = f"segments:{tmp_path}/log"
    recordings = machine_temperature() if weeks == 11 else around_the_step(machine_temperature())
    wanted = sorted(span for times, values in recordings for span in overheated(times, values))
    (tmp_path / "rules.yaml").write_text(OVERHEATING)
    (tmp_path / "dataset.toml").write_text(DATASET)
    with Mosquitto("max_queued_messages 0") as broker:
        begin_session(broker.host, broker.port, "sensorloom-machine-probe", TOPIC)
        (tmp_path / "agent.toml").write_text(AGENT.format(log=log, broker=broker.url, topic=TOPIC))
        arrived = Arrived()
        with agent(tmp_path), Follower(log, arrived.see):
            published = publish(broker.host, broker.port, TOPIC, messages(recordings))
            wait_for(lambda: arrived.samples >= published, "every message in the log", 240)
    assert published == {5: 10_459, 11: 22_695}[weeks]
    readings = read_log(log, READINGS)
    assert sum(record.count for record in readings if isinstance(record, Chunk)) == published
    ends = [record.reason for record in readings if isinstance(record, RecordingEnd)]
    assert ends == ["clock_step", "stopped"]  # the hour that the machine's clock goes back begins a new recording

    by_agent = marks(log)
    assert len(wanted) >= 10
    assert sorted((mark.start_ns, mark.end_ns) for mark in by_agent) == wanted

    command("window", "run", "-c", tmp_path / "dataset.toml", "--log", log, "--out", tmp_path / "out", "--until-idle")
    by_windowing = marks(log)[len(by_agent) :]
    assert sorted(map(encode, by_windowing)) == sorted(map(encode, by_agent))
    assert {mark.id for mark in by_windowing} == {mark.id for mark in by_agent}  # nobody counts them twice

    table = sensorloom.open(tmp_path / "out").windows()
    hot = [
        sum(max(0, min(end, t0 + 1800 * 10**9) - max(start, t0)) for start, end in wanted) >= 900 * 10**9
        for t0 in table["t0_ns"]
    ]
    assert [label == "overheating" for label in table["label"]] == hot
    assert 0 < sum(hot) < len(hot)
