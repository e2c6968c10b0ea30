"""Configurations from afar, with real parts: agents as processes, kills, a serial line, the command line."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

import sensorloom
from edge.agent.answering import NAME, ask
from edge.agent.remote import kept
from edge.remote import revision_of
from ingest.log.protocol import CONFIG, STATUS, Entry
from ingest.opening import open_log
from ingest.records import Change, Chunk, CommandResult, Configuration
from ingest.wire import encode
from tests.edge.agent.test_troubles import agent, configure, goes_on_sampling, samples, spooled
from tests.integration.sensors import Line
from tests.integration.site import wait_for
from tests.integration.test_edge import acknowledged, at_work, doomed, numbers
from tests.support.logs import read_log
from tests.support.pty import SerialPort

REMOTE = '[remote]\nallow = ["change"]\npatience = "4s"\n'


def put(log: str, text: str, number: int) -> None:
    async def main() -> None:
        opened = open_log(log)
        try:
            order = Configuration("pump", revision_of(text), text, "test", number)
            await opened.append(CONFIG, [Entry(b"pump", encode(order))])
        finally:
            await opened.close()

    asyncio.run(main())


def run_kills(folder: Path, kills: int, log: str = "") -> None:
    """Kill an agent at random while configurations change: each number is in the log, once."""
    rng, upstream, log = random.Random(7), folder / "upstream", log or f"segments:{folder}/log"
    upstream.touch()
    times = itertools.count(1)
    for number in range(kills):
        process = doomed(folder, upstream, log)
        until = acknowledged(upstream) + rng.randrange(200, 2500)
        put(log, f'[[source]]\nname = "numbers"\nscale = {number + 2}\n', next(times))
        deadline, is_bad = time.monotonic() + 60, rng.random() < 0.3
        while acknowledged(upstream) < until and process.poll() is None and time.monotonic() < deadline:
            if is_bad and acknowledged(upstream) > until - 150:
                put(log, '[[source]]\nname = "numbers"\nupstream = "/etc/passwd"\n', next(times))
                is_bad = False
            time.sleep(0.002)
        assert process.poll() is None
        process.kill()
        process.wait()
    good = kept.load(folder / "spool")[0].revision
    process = at_work(doomed(folder, upstream, log), upstream)
    wait_for(lambda: ask(folder / "spool").samples > 0, "samples")
    assert kept.load(folder / "spool")[0].revision in (good, ask(folder / "spool").revision)
    process.send_signal(signal.SIGTERM)
    assert process.wait(200) == 0
    records = read_log(log)
    found = numbers(records)
    assert sorted(found) == list(range(len(found)))
    assert len(found) >= acknowledged(upstream)
    assert len({chunk.schema for chunk in records if isinstance(chunk, Chunk)}) > 1
    outcomes = [change.outcome for change in read_log(log, STATUS) if isinstance(change, Change)]
    assert "trying" in outcomes


def test_kills_while_configurations_change_lose_and_double_nothing(tmp_path: Path) -> None:
    run_kills(tmp_path, 2)


@pytest.mark.kafka
@pytest.mark.xdist_group("kafka")
def test_a_kill_while_a_configuration_changes_on_kafka(tmp_path: Path, kafka_bootstrap: str) -> None:
    run_kills(tmp_path, 1, f"kafka://{kafka_bootstrap}/kills-{uuid.uuid4().hex[:8]}")


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_many_kills_while_configurations_change(tmp_path: Path) -> None:
    run_kills(tmp_path, int(os.environ.get("SENSORLOOM_KILLS", "60")))


@pytest.mark.soak
@pytest.mark.kafka
@pytest.mark.xdist_group("kafka")
@pytest.mark.timeout(1800)
def test_many_kills_while_configurations_change_on_kafka(tmp_path: Path, kafka_bootstrap: str) -> None:
    log = f"kafka://{kafka_bootstrap}/kills-{uuid.uuid4().hex[:8]}"
    run_kills(tmp_path, int(os.environ.get("SENSORLOOM_KILLS", "60")), log)


def test_with_broker_names_configuration_and_clock_absent_it_samples_as_it_last_did_well(tmp_path: Path) -> None:
    configure(tmp_path, "kafka://nowhere.invalid:9092", f'{REMOTE}[clock]\ntrust = "ntp"')
    text = '[[source]]\nname = "line"\nsensor = "new"\n'
    (tmp_path / "spool").mkdir()
    kept.save(tmp_path / "spool", kept.Kept(revision_of(text), text))
    with Line(tmp_path / "port", 100):
        with agent(tmp_path):
            goes_on_sampling(tmp_path)
            assert ask(tmp_path / "spool").revision == revision_of(text)
        before = spooled(tmp_path)
        assert len(before) >= 50
        with agent(tmp_path) as second:
            goes_on_sampling(tmp_path)
            assert second.ends(signal.SIGTERM) == 0
        assert spooled(tmp_path) > before


def ask_kafka(bootstrap: str, act: Callable[[AIOKafkaAdminClient], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            return await act(admin)
        finally:
            await admin.close()

    return asyncio.run(run())


def policy(bootstrap: str, topic: str) -> str:
    """How the broker keeps a topic."""
    wanted = ConfigResource(ConfigResourceType.TOPIC, topic)
    (found,) = ask_kafka(bootstrap, lambda admin: admin.describe_configs([wanted]))
    ((_, _, _, _, entries),) = found.resources
    return str(next(entry[1] for entry in entries if entry[0] == "cleanup.policy"))


@pytest.mark.kafka
@pytest.mark.xdist_group("kafka")
def test_configurations_and_commands_go_through_kafka(
    tmp_path: Path, kafka_bootstrap: str, capsys: pytest.CaptureFixture[str]
) -> None:
    site, file = f"remote-{uuid.uuid4().hex[:8]}", tmp_path / "new.toml"
    log, text = f"kafka://{kafka_bootstrap}/{site}", '[[source]]\nname = "line"\nsensor = "new"\n'
    path = configure(tmp_path, log, REMOTE.replace('"change"', '"change", "command"'))
    path.write_text(path.read_text() + 'commands = { zero = "ZERO\\r" }\n')
    file.write_text(text)

    def said(*words: object) -> tuple[int, str]:
        code = sensorloom.main(["agent", *map(str, words), "--log", log])
        found = capsys.readouterr()
        return code, found.out + found.err

    with Line(tmp_path / "port", 100), agent(tmp_path) as running:
        wait_for(lambda: (tmp_path / "spool" / NAME).exists(), "an agent that answers")
        wait_for(lambda: ask(tmp_path / "spool").samples > 0, "samples")
        code, words = said("configure", "pump", file, "-c", path, "--wait", "60s")
        assert (code, words.split()[-1]) == (0, "taken"), words
        code, words = said("command", "pump", "line", "zero", "--wait", "60s")
        assert (code, words.split()[-1]) == (0, "done"), words
        file.write_text('[[source]]\nname = "line"\nport = "/dev/mem"\n')
        code, words = said("configure", "pump", file, "--wait", "60s")
        assert (code, "is taken from the local file only" in words) == (1, True)
        assert policy(kafka_bootstrap, f"{site}.{CONFIG}") == "compact"
        assert running.ends(signal.SIGTERM) == 0
    code, words = said("configure", "--list", "--json")
    (row,) = json.loads(words)
    assert (row["outcome"], row["runs"]) == ("refused", revision_of(text))


@pytest.mark.kafka
@pytest.mark.xdist_group("kafka")
def test_a_config_topic_that_forgets_is_refused_and_told(
    tmp_path: Path, kafka_bootstrap: str, capsys: pytest.CaptureFixture[str]
) -> None:
    site, file = f"remote-{uuid.uuid4().hex[:8]}", tmp_path / "new.toml"
    log, topic = f"kafka://{kafka_bootstrap}/{site}", f"{site}.{CONFIG}"
    made = NewTopic(topic, 2, 1, topic_configs={"cleanup.policy": "delete"})
    ask_kafka(kafka_bootstrap, lambda admin: admin.create_topics([made]))
    configure(tmp_path, log, REMOTE)
    file.write_text('[[source]]\nname = "line"\nsensor = "new"\n')
    command = f"--entity-name {topic} --add-config cleanup.policy=compact"
    assert sensorloom.main(["agent", "configure", "pump", str(file), "--log", log]) == 2
    assert command in capsys.readouterr().err
    with SerialPort(tmp_path / "port"), agent(tmp_path) as running:
        running.says("config: what is said through the log is not heard")
        assert command in (tmp_path / "stderr.txt").read_text()


@pytest.mark.soak
@pytest.mark.kafka
@pytest.mark.xdist_group("kafka")
@pytest.mark.timeout(600)
def test_what_compaction_leaves_is_what_an_agent_takes(tmp_path: Path, kafka_bootstrap: str) -> None:
    """Kafka keeps the newest of each device: who starts then runs it."""
    site = f"remote-{uuid.uuid4().hex[:8]}"
    log, topic = f"kafka://{kafka_bootstrap}/{site}", f"{site}.{CONFIG}"
    settings = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"}
    settings |= {"message.timestamp.type": "LogAppendTime", "max.compaction.lag.ms": "1000"}
    made = NewTopic(topic, 1, 1, topic_configs=settings)
    ask_kafka(kafka_bootstrap, lambda admin: admin.create_topics([made]))
    texts = [f'[[source]]\nname = "line"\nsensor = "number {number}"\n' for number in range(30)]

    def left() -> int:
        return len(read_log(log, CONFIG))

    for number, text in enumerate(texts):
        put(log, text, number + 1)
        time.sleep(0.12)  # a segment each
    deadline = time.monotonic() + 300
    while left() > 5 and time.monotonic() < deadline:
        put(log, texts[-1], len(texts))
        time.sleep(5)
    assert 0 < left() <= 5
    configure(tmp_path, log, REMOTE)
    with Line(tmp_path / "port", 100), agent(tmp_path):
        wait_for(lambda: (tmp_path / "spool" / NAME).exists(), "an agent that answers")
        wait_for(lambda: ask(tmp_path / "spool").revision == revision_of(texts[-1]), "the newest runs")


def test_a_field_engineer_configures_an_agent_from_afar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, text, file = f"segments:{tmp_path}/log", '[[source]]\nname = "line"\nsensor = "new"\n', tmp_path / "new.toml"
    path = configure(tmp_path, log, REMOTE)
    file.write_text(text)

    def said(*words: object) -> tuple[int, str]:
        code = sensorloom.main(["agent", *map(str, words), "--log", log])
        found = capsys.readouterr()
        return code, found.out + found.err

    with Line(tmp_path / "port", 100), agent(tmp_path):
        wait_for(lambda: len(samples(read_log(log))) > 50, "samples in the log")
        assert said("configure", "pump", file, "-c", path, "--dry-run")[0] == 0
        code, words = said("configure", "pump", file, "-c", path, "--wait", "60s")
        assert (code, '+sensor = "new"' in words, "trying" in words, words.split()[-1]) == (0, True, True, "taken")
        file.write_text(text + 'port = "/dev/mem"\n')
        code, words = said("configure", "pump", file, "--wait", "60s")
        assert (code, 'source "line": port: is taken from the local file only' in words) == (1, True)
        code, words = said("configure", "pump", file, "-c", path, "--dry-run")
        assert (code, "is taken from the local file only" in words) == (2, True)
        file.write_text('[[source]]\nname = "line"\ndecoder = "json"\n')
        code, words = said("configure", "pump", file, "--wait", "60s")
        assert (code, "rolled back: line: no sample in" in words) == (1, True), words
        code, words = said("configure", "--list")
        assert f"runs {revision_of(text)}" in words or "runs its file alone" in words
        code, words = said("configure", "--list", "--json")
        (row,) = json.loads(words)
        assert (code, row["outcome"], row["given"]["revision"]) == (0, "rolled_back", revision_of(file.read_text()))
        assert said("configure", "nobody", "--reset", "--wait", "1s")[0] == 1
        assert said("configure", "pump")[0] == 2
        assert ask(tmp_path / "spool").revision == revision_of(text)
        count = len(samples(read_log(log)))
        wait_for(lambda: len(samples(read_log(log))) > count, "samples go on")
        code, words = said("command", "pump", "line", "zero", "--wait", "1s")
        assert (code, "no answer within 1 s" in words) == (1, True)
    assert not [record for record in read_log(log, STATUS) if isinstance(record, CommandResult)]
