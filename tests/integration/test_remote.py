"""Configurations from afar, with real parts: agents as processes, kills, a serial line, the command line."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

import sensorloom
from edge.agent.answering import ask
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


def run_kills(folder: Path, kills: int) -> None:
    """Kill an agent at random while configurations change: each number is in the log, once."""
    rng, upstream, log = random.Random(7), folder / "upstream", f"segments:{folder}/log"
    upstream.touch()
    times = itertools.count(1)
    for number in range(kills):
        process = doomed(folder, upstream)
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
    process = at_work(doomed(folder, upstream), upstream)
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


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_many_kills_while_configurations_change(tmp_path: Path) -> None:
    run_kills(tmp_path, int(os.environ.get("SENSORLOOM_KILLS", "60")))


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
