"""The sink over a real embedded log into real databases: what it writes, also when somebody is killed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sensorloom
from ingest.chunker import Limits, Origin, periodic_chunks
from ingest.log.protocol import MARKS, READINGS, STATUS, STREAMS, Entry
from ingest.opening import open_log
from ingest.records import (
    Birth,
    Channel,
    Death,
    Heartbeat,
    MarkAdd,
    MarkEdit,
    MarkRetract,
    Record,
    RecordingEnd,
    RecordingStart,
    StreamDescription,
    schema_id,
)
from ingest.wire import encode
from tests.support.influx import Influx, Victoria
from tests.support.kafka import KafkaBroker
from tests.support.server import PROJECT

START_NS = 1_700_000_000 * 10**9 + 123_456_789
PERIOD_NS = 10_000_000
STREAM = StreamDescription("acc", (Channel("x", "g"), Channel("y", "g", 0.5, 1.0)), "float32", 100)


def at(seconds: float) -> int:
    return START_NS + round(seconds * 10**9)


def append(log: str, topic: str, *records: Record) -> None:
    async def run() -> None:
        opened = open_log(log, partitions=2)
        await opened.ensure(topic)
        keys = [getattr(record, "device", "").encode() for record in records]
        await opened.append(topic, [Entry(key, encode(record)) for key, record in zip(keys, records, strict=True)])
        await opened.close()

    asyncio.run(run())


def signal_of(device: str, samples: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.random.default_rng([*device.encode()]).normal(size=(samples, 2)).astype(np.float32)


def record(log: str, device: str, samples: int, *, recording: str = "r", start_ns: int = START_NS) -> None:
    """A whole recording of a device, as its agent writes it."""

    async def describe() -> None:
        opened = open_log(log, partitions=2)
        await opened.ensure(STREAMS)
        await opened.append(STREAMS, [Entry(schema_id(STREAM), encode(STREAM))])
        await opened.close()

    asyncio.run(describe())
    boot = (device + recording).encode().ljust(16, b"-")
    origin = Origin(device, recording, "acc", boot, schema_id(STREAM))
    chunks = list(periodic_chunks(origin, start_ns, (PERIOD_NS, 1), signal_of(device, samples), Limits()))
    start = RecordingStart(device, recording, boot, start_ns, "test")
    end = RecordingEnd(device, recording, boot, start_ns + samples * PERIOD_NS, "test")
    append(log, READINGS, start, *chunks, end)


def expected(device: str, samples: int, start_ns: int = START_NS) -> dict[int, tuple[float, float]]:
    values = signal_of(device, samples).astype(np.float64) * [1.0, 0.5] + [0.0, 1.0]
    return {start_ns + at * PERIOD_NS: (x, y) for at, (x, y) in enumerate(values.tolist())}


def found(influx: Influx, device: str) -> dict[int, tuple[float, float]]:
    rows = influx.rows(f"SELECT x, y FROM acc WHERE device = '{device}'")
    assert len({row[0] for row in rows}) == len(rows)
    return {row[0]: (row[1], row[2]) for row in rows}


@pytest.fixture
def influx() -> Iterator[Influx]:
    with Influx() as server:
        server.create()
        yield server


@pytest.fixture
def log(tmp_path: Path) -> str:
    return f"segments:{tmp_path}/log"


def words(log: str, out: Path, url: str, *more: str, database: str = "sensors") -> list[str]:
    kind = ("--database", database) if database else ("--bucket", "sensors")
    return ["sink", "influx", "--log", log, "--out", str(out), "--url", url, *kind, *more]


def drain(capsys: pytest.CaptureFixture[str], *sink: str) -> dict[str, Any]:
    """Run a sink to the log's end; what it prints."""
    capsys.readouterr()
    assert sensorloom.main([*sink, "--until-idle", "--json"]) == 0
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return printed


def wait_until(true: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.02)


def test_every_sample_is_a_point_with_its_nanoseconds(
    influx: Influx, log: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(log, "pump 7,é=", 250)
    record(log, "b", 130)
    sink = words(log, tmp_path / "out", influx.url)
    assert drain(capsys, *sink)["points"] == 380
    assert found(influx, "pump 7,é=") == expected("pump 7,é=", 250)
    assert found(influx, "b") == expected("b", 130)
    assert drain(capsys, *sink)["points"] == 0  # it goes on behind what was written
    record(log, "b", 40, recording="s", start_ns=at(100))
    assert drain(capsys, *sink)["points"] == 40
    assert found(influx, "b") == expected("b", 130) | expected("b", 40, at(100))
    again = words(log, tmp_path / "again", influx.url)  # all of it once more: nothing is there twice
    assert drain(capsys, *again)["points"] == 420
    assert found(influx, "b") == expected("b", 130) | expected("b", 40, at(100))


def test_marks_are_annotations_that_stand_or_do_not(
    influx: Influx, log: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sink = words(log, tmp_path / "out", influx.url)
    record(log, "a", 10)
    append(
        log,
        MARKS,
        MarkAdd("a", "m1", at(0), at(2), 'run "hot"', "ann", "operator", 0.5),
        MarkAdd("a", "m2", at(3), at(3), "stop", "ann", "button"),
        MarkAdd("a", "m3", at(4), at(5), "rise", "rules.yaml", "rule", revision="abc"),
    )
    drain(capsys, *sink)
    standing = "SELECT id, label, author, tool, duration_s, end_ns, confidence FROM sensorloom_marks WHERE active = 1"
    assert influx.rows(standing) == [
        [at(0), "m1", 'run "hot"', "ann", "operator", 2, at(2), 0.5],
        [at(3), "m2", "stop", "ann", "button", 0, at(3), 1],
        [at(4), "m3", "rise", "rules.yaml", "rule", 1, at(5), 1],
    ]
    append(
        log,
        MARKS,
        MarkEdit("a", "m1", "bea", "operator", start_ns=at(1), client_ns=5),
        MarkRetract("a", "m2", "ann", "button", client_ns=6),
        MarkEdit("a", "m3", "rules.yaml", "rule", end_ns=at(6), client_ns=7),
    )
    drain(capsys, *sink)
    assert influx.rows(standing) == [
        [at(1), "m1", 'run "hot"', "bea", "operator", 1, at(2), 0.5],
        [at(4), "m3", "rise", "rules.yaml", "rule", 2, at(6), 1],
    ]
    append(log, MARKS, MarkEdit("a", "m2", "ann", "button", client_ns=8, undoes_ns=6))
    drain(capsys, *sink)
    assert [row[1] for row in influx.rows(standing)] == ["m1", "m2", "m3"]


def test_agents_say_how_they_are(influx: Influx, log: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(log, "a", 10)
    boot = b"-" * 16
    append(
        log,
        STATUS,
        Birth("a", "agent-1", boot, at(0), "0.1.0"),
        Heartbeat("a", "agent-1", boot, at(1), {"spool_bytes": 12.0, "up": 3.0, "odd": float("nan")}),
        Death("a", "agent-1", boot, at(2), "stopped"),
    )
    drain(capsys, *words(log, tmp_path / "out", influx.url))
    fields = "up, event, version, spool_bytes, up_, reason, agent"
    assert influx.rows(f"SELECT {fields} FROM sensorloom_agents WHERE device = 'a'") == [
        [at(0), 1, "birth", "0.1.0", None, None, None, "agent-1"],
        [at(1), 1, "heartbeat", None, 12, 3, None, "agent-1"],
        [at(2), 0, "death", None, None, None, "stopped", "agent-1"],
    ]


def test_thinned_points_tell_of_every_sample_once(
    influx: Influx, log: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(log, "a", 250)
    sink = words(log, tmp_path / "out", influx.url, "--thin", "1s")
    drain(capsys, *sink)
    record(log, "a", 77, recording="s", start_ns=at(2.5))  # shares its first span with the one before
    drain(capsys, *sink)
    rows = influx.rows("SELECT count, x_min, x_max, x_mean, y_min, y_max, y_mean FROM acc")
    samples = [*expected("a", 250).items(), *expected("a", 77, at(2.5)).items()]
    spans: dict[tuple[bool, int], list[tuple[int, tuple[float, float]]]] = {}
    for number, (t_ns, pair) in enumerate(samples):
        spans.setdefault((number >= 250, t_ns // 10**9), []).append((t_ns, pair))
    assert len(rows) == len(spans)
    for row, span in zip(rows, spans.values(), strict=True):
        values = np.array([both for _, both in span])
        assert row[:2] == [span[0][0], len(span)]
        assert row[2:4] == [values[:, 0].min(), values[:, 0].max()]
        assert row[5:7] == [values[:, 1].min(), values[:, 1].max()]
        assert np.allclose([row[4], row[7]], values.mean(axis=0), rtol=1e-12)


def test_what_the_database_refuses_is_counted_and_told(
    influx: Influx, log: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now_ns = time.time_ns()
    influx.create("short", "WITH DURATION 1d")
    record(log, "old", 20)
    record(log, "new", 30, start_ns=now_ns)
    result = drain(capsys, *words(log, tmp_path / "out", influx.url, database="short"))
    assert (result["points"], result["refused"]) == (50, {"retention": 20})
    count = "SELECT count(x) FROM acc"
    assert influx.query(count, "short")[0]["values"][0][1] == 30
    influx.create("typed")
    influx.write("acc x=1i", "typed")  # types hold for a shard: what is old has another one
    assert sensorloom.main([*words(log, tmp_path / "typed", influx.url, database="typed"), "--until-idle"]) == 0
    captured = capsys.readouterr()
    assert "50 points, 30 of them refused (type_conflict)" in captured.out
    assert captured.err.count('input field "x" on measurement "acc" is type float, already exists as type integer') == 1
    again = drain(capsys, *words(log, tmp_path / "typed", influx.url, database="typed"))
    assert (again["refused"], again["refused_ever"]) == ({}, {"type_conflict": 30})


def test_a_missing_database_is_a_wrong_configuration(
    influx: Influx, log: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(log, "a", 10)
    assert sensorloom.main([*words(log, tmp_path / "out", influx.url, database="nope"), "--until-idle"]) == 2
    assert 'CREATE DATABASE "nope"' in capsys.readouterr().err
    drain(capsys, *words(log, tmp_path / "out", influx.url))
    influx.create("other")
    assert sensorloom.main([*words(log, tmp_path / "out", influx.url, database="other"), "--until-idle"]) == 2
    assert "use another --out" in capsys.readouterr().err


def test_secrets_open_a_database_that_wants_them(log: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Influx(http="auth-enabled = true") as influx:
        admin = {"u": "admin", "p": "s3cret"}
        influx.query("CREATE USER admin WITH PASSWORD 's3cret' WITH ALL PRIVILEGES")
        influx.create(**admin)
        record(log, "a", 10)
        sink = words(log, tmp_path / "out", influx.url)
        assert sensorloom.main([*sink, "--until-idle"]) == 2
        assert "password_file" in capsys.readouterr().err
        (tmp_path / "password").write_text("s3cret\n")
        config = tmp_path / "sink.toml"
        config.write_text('[influx]\nuser = "admin"\npassword_file = "password"\n')
        assert drain(capsys, *sink, "-c", str(config))["points"] == 10
        assert influx.query("SELECT count(x) FROM acc", **admin)[0]["values"][0][1] == 10


class Sink:
    """A sink in a process of its own, and what it says."""

    def __init__(self, *sink: str) -> None:
        command = [sys.executable, "-m", "sensorloom", *sink]
        self.process = subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True)
        self.said: list[str] = []
        assert self.process.stderr is not None
        self._reading = threading.Thread(target=lambda lines: self.said.extend(lines), args=(self.process.stderr,))
        self._reading.start()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reading.join()
        assert self.process.stderr is not None
        self.process.stderr.close()


def count_of(influx: Influx) -> int:
    rows = influx.rows("SELECT count(x) FROM acc")
    return rows[0][1] if rows else 0


def wait_for_points(influx: Influx, wanted: int) -> None:
    """As long as points come, however slowly."""
    known = -1
    while known != wanted:
        before = known
        wait_until(lambda: count_of(influx) > before, f"{before:,} points came, expected {wanted:,}")  # noqa: B023
        known = count_of(influx)


def killed_at_work(influx: Influx, log: str, out: Path, samples: int, kills: int) -> None:
    """Kill the database and the sink while points flow; then compare."""
    devices = [f"d{number}" for number in range(4)]
    for device in devices:
        record(log, device, samples // 4)
    sink = Sink(*words(log, out, influx.url, "--seal-seconds", "0.05", "--instance", "one"))
    try:
        for number in range(kills):
            wait_until(lambda: count_of(influx) > samples * number // (kills + 1), "no points came")  # noqa: B023
            influx.kill()
            told = len(sink.said)
            record(log, f"more{number}", 100)
            wait_until(lambda: any("does not answer" in line for line in sink.said[told:]), "nobody waits")  # noqa: B023
            influx.restart()
            wait_until(lambda: any("answers again" in line for line in sink.said[told:]), "nobody goes on")  # noqa: B023
            away = [line.partition("sensorloom: ")[2] for line in sink.said[told:] if "does not answer" in line]
            assert len(set(away)) == len(away), "each partition says the same"
        sink.kill()
        sink = Sink(*words(log, out, influx.url, "--instance", "two"))
        wanted = samples + 100 * kills
        wait_for_points(influx, wanted)
    finally:
        sink.kill()
    for device in devices:
        assert found(influx, device) == expected(device, samples // 4)
    for number in range(kills):
        assert found(influx, f"more{number}") == expected(f"more{number}", 100)


def test_kills_cost_no_point_and_make_none_twice(influx: Influx, log: str, tmp_path: Path) -> None:
    killed_at_work(influx, log, tmp_path / "out", 20_000, 1)
    assert len(list((tmp_path / "out").rglob("manifest/*/*.json"))) <= 6 * 9  # old entries go


@pytest.mark.soak
def test_a_million_points_come_through_two_kills(influx: Influx, log: str, tmp_path: Path) -> None:
    killed_at_work(influx, log, tmp_path / "out", 1_000_000, 2)


def test_a_target_that_keeps_repeats_is_told(log: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(log, "a", 100)
    with Victoria() as victoria:
        sink = words(log, tmp_path / "out", victoria.url, database="")
        assert sensorloom.main([*sink, "--until-idle"]) == 0
        captured = capsys.readouterr()
        assert "keeps both" in captured.err
        assert "100 points" in captured.out
        (x,) = victoria.export('acc_x{device="a"}')
        wanted = expected("a", 100)
        assert x["timestamps"] == [t_ns // 1_000_000 for t_ns in wanted]
        assert x["values"] == pytest.approx([value for value, _ in wanted.values()], rel=1e-12)
        assert sensorloom.main([*words(log, tmp_path / "again", victoria.url, database=""), "--until-idle"]) == 0
        (x,) = victoria.export('acc_x{device="a"}')
        assert len(x["values"]) == 200  # as was told


def test_the_sink_ends_on_a_signal_with_nothing_lost(influx: Influx, log: str, tmp_path: Path) -> None:
    record(log, "a", 500)
    sink = Sink(*words(log, tmp_path / "out", influx.url, "--seal-seconds", "0.05"))
    wait_until(lambda: count_of(influx) > 0, "no points came")
    sink.process.terminate()
    assert sink.process.wait(200) == 0
    sink.kill()
    assert sensorloom.main([*words(log, tmp_path / "out", influx.url), "--until-idle"]) == 0
    assert found(influx, "a") == expected("a", 500)


@pytest.mark.kafka
def test_a_log_in_kafka_is_written_as_any_other(
    influx: Influx, kafka_bootstrap: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = f"kafka://{kafka_bootstrap}/sink-{uuid.uuid4().hex[:8]}"
    record(log, "a", 250)
    append(log, MARKS, MarkAdd("a", "m", at(0), at(1), "run", "ann", "operator"))
    sink = words(log, tmp_path / "out", influx.url)
    assert drain(capsys, *sink)["points"] == 251
    record(log, "b", 40)
    assert drain(capsys, *sink)["points"] == 40
    assert (found(influx, "a"), found(influx, "b")) == (expected("a", 250), expected("b", 40))


@pytest.mark.soak
def test_a_log_that_is_away_is_waited_for_with_one_line(influx: Influx, tmp_path: Path) -> None:
    with KafkaBroker() as broker:
        log = f"kafka://{broker.bootstrap}"
        record(log, "a", 5000)
        sink = Sink(*words(log, tmp_path / "out", influx.url, "--seal-seconds", "0.2"))
        try:
            wait_until(lambda: count_of(influx) == 5000, "points are missing")
            told = len(sink.said)
            broker.kill()
            wait_until(lambda: any(broker.bootstrap in line for line in sink.said[told:]), "nobody says so")
            broker.restart()
            record(log, "b", 3000)
            wait_until(lambda: count_of(influx) == 8000, "points are missing")
            assert sum("reach" in line for line in sink.said[told:]) <= 2
        finally:
            sink.kill()
    assert (found(influx, "a"), found(influx, "b")) == (expected("a", 5000), expected("b", 3000))
