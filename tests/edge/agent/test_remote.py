"""Configurations through the log, of an agent that runs: what is touched, what is lost, what is answered."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path

import pytest

from edge.agent.remote import kept
from edge.remote import revision_of
from ingest.log.protocol import CONFIG, STATUS, STREAMS, Entry
from ingest.records import Birth, Change, Configuration, Death, Heartbeat, RecordingEnd, StreamDescription
from ingest.wire import encode
from tests.edge.feeding import FedSource, FlakyLog, Running, fed, fed_config, running
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import connect_session, publish

pytestmark = pytest.mark.usefixtures("fed")
__all__ = ["fed"]

SECOND = """
[[source]]
name = "still"
type = "fed"
decoder = "csv"
stream = "still"
channels = { x = "g" }
"""
TEMPLATE = """
[template.acc]
type = "fed"
decoder = "csv"
channels = { x = "g" }
"""
_times = itertools.count(1)


def remote(tmp_path: Path, allow: str = '"change", "add", "remove"', more: str = "") -> Path:
    config = fed_config(tmp_path, more=f'[remote]\nallow = [{allow}]\npatience = "300ms"\n{TEMPLATE}')
    config.write_text(config.read_text() + SECOND + more)
    return config


async def put(log: FlakyLog, text: str, device: str = "pump", revision: str | None = None) -> str:
    found = revision_of(text) if revision is None else revision
    order = Configuration(device, found, text, "ann", next(_times))
    await log.append(CONFIG, [Entry(device.encode(), encode(order))])
    return found


def answers(log: FlakyLog) -> list[tuple[str, str, str]]:
    changes = dict.fromkeys(record for record in log.records(STATUS) if isinstance(record, Change))  # each once
    assert all(change.what == "configuration" and change.device == "pump" for change in changes)
    return [(change.old, change.new, change.outcome) for change in changes]


def reason(log: FlakyLog) -> str:
    return [record.reason for record in log.records(STATUS) if isinstance(record, Change)][-1]


def source(agent: Running, name: str) -> FedSource:
    """Of those that are read: checking a configuration makes others."""
    found = next(one.source for one in agent.agent.pipelines if one.config.name == name)
    assert isinstance(found, FedSource)
    return found


async def answered(agent: Running, count: int) -> list[tuple[str, str, str]]:
    await agent.until(lambda: len(answers(agent.log)) >= count)
    return answers(agent.log)


def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.agent.following.LOOK_S", 0.02)
    monkeypatch.setattr("edge.agent.remote.configuring.LOOK_S", 0.02)
    monkeypatch.setattr("edge.remote._LEAST_NS", 1_000_000)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    fast(monkeypatch)


async def talk(agent: Running, name: str, first: int, until: int) -> int:
    """Say numbers until so many answers are there; the next number."""
    number = first
    while len(answers(agent.log)) < until:
        source(agent, name).feed(b"%d\n" % number, number)
        number += 1
        await asyncio.sleep(0.05)
    return number


def test_what_is_changed_begins_anew_and_the_rest_is_not_touched(tmp_path: Path) -> None:
    async def main() -> None:
        log = FlakyLog()
        async with running(remote(tmp_path), log) as agent:
            await agent.until(lambda: bool(agent.agent.pipelines))
            before, still = source(agent, "fed"), source(agent, "still")
            before.feed(b"1\n2\n", 1)
            still.feed(b"100\n", 1)
            await agent.until(lambda: len(log.values()) == 3)
            revision = await put(log, '[[source]]\nname = "fed"\nscale = 2\nsensor = "new"\n')
            await agent.until(lambda: source(agent, "fed") is not before)
            said = await talk(agent, "fed", 3, 2)
            assert answers(log) == [("", revision, "trying"), ("", revision, "taken")]
            assert (bool(before.closed), still.closed, source(agent, "still") is still) == (True, 0, True)
            still.feed(b"101\n", 3)
            await agent.until(lambda: 101 in log.values() and said - 1 in log.values())
            assert agent.agent.overview().revision == revision
            assert agent.agent.config.digest != agent.agent.config.local_digest
        assert sorted(log.values()) == [*range(1, said), 100, 101]
        assert [end.reason for end in log.records() if isinstance(end, RecordingEnd)] == ["configured", "stopped"]
        scales = {d.channels[0].scale for d in log.records(STREAMS) if isinstance(d, StreamDescription)}
        assert scales == {1.0, 2.0}
        death = [record for record in log.records(STATUS) if isinstance(record, Death)][-1]
        assert (death.version, death.config_hash) == ("0", agent.agent.config.digest)
        beat = next(record for record in log.records(STATUS) if isinstance(record, Heartbeat))
        assert (beat.version, beat.config_hash) == ("0", agent.agent.config.local_digest)
        assert {gap.reason for gap in log.gaps()} <= {"configured", "not_open"}

    asyncio.run(main())


def test_a_sensor_that_falls_silent_brings_the_last_one_back(tmp_path: Path) -> None:
    async def main() -> None:
        log, config = FlakyLog(), remote(tmp_path)
        config.write_text(config.read_text().replace('"300ms"', '"4s"'))  # no busy machine stands still for so long
        async with running(config, log) as agent:
            await agent.until(lambda: bool(agent.agent.pipelines))
            first = source(agent, "fed")

            async def speak() -> None:
                """What the first one takes, and one with a `min` does not."""
                for number in itertools.count():
                    source(agent, "fed").feed(b"%d\n" % (number % 40), time.clock_gettime(time.CLOCK_BOOTTIME))
                    await asyncio.sleep(0.02)

            speaking = asyncio.create_task(speak())
            await agent.until(lambda: len(log.values()) > 5)
            bad = await put(log, '[[source]]\nname = "fed"\nmin = 50\n')
            await answered(agent, 1)
            good = await put(log, "")  # has its turn behind the trial
            found = await answered(agent, 3)
            assert found == [("", bad, "trying"), ("", bad, "rolled_back"), ("", good, "taken")]
            reasons = [record.reason for record in log.records(STATUS) if isinstance(record, Change)]
            assert reasons[1].startswith("fed: no sample in ")
            assert reasons[2] == "it ran already"
            count = len(log.values())
            await agent.until(lambda: len(log.values()) > count + 5)
            assert source(agent, "fed") is not first
            speaking.cancel()
            assert sum(agent.agent.recorders["pump"].counters["acc"].lost.values()) > 0

    asyncio.run(main())


def test_the_last_good_one_needs_no_network_and_nothing_is_tried_twice(tmp_path: Path) -> None:
    async def main() -> None:
        log, config = FlakyLog(), remote(tmp_path)
        async with running(config, log) as agent:
            good = await put(log, '[[source]]\nname = "still"\nscale = 3\n')
            await answered(agent, 2)
            silent = await put(log, 'without = ["still"]\n[[source]]\nname = "gone"\nrate = "1Hz"\n', revision="0" * 16)
            await answered(agent, 3)
            assert answers(log)[2] == (good, silent, "refused")
            assert "put it again" in reason(log)
        async with running(config, FlakyLog(), boot=2) as agent:  # a log that has none of it
            assert agent.agent.config.revision == good
            assert dict(agent.agent.config.sources[1].scales) == {"x": 3.0}
            await agent.until(lambda: bool(agent.agent.pipelines))
            source(agent, "fed").feed(b"1\n", 1)
            await agent.until(lambda: agent.log.values() == [1])
        async with running(config, log, boot=3) as agent:
            await agent.until(
                lambda: any(r.boot == bytes([3]) * 16 for r in log.records(STATUS) if isinstance(r, Birth))
            )
            birth = [record for record in log.records(STATUS) if isinstance(record, Birth)][-1]
            assert birth.revision == good
            await agent.until(lambda: agent.agent._configurator is not None and agent.agent._configurator._next == 2)
            assert len(answers(log)) == 3

    asyncio.run(main())


def test_sources_come_and_go(tmp_path: Path) -> None:
    async def main() -> None:
        log = FlakyLog()
        async with running(remote(tmp_path), log) as agent:
            await agent.until(lambda: bool(agent.agent.pipelines))
            source(agent, "still").feed(b"1\n", 1)
            await agent.until(lambda: log.values() == [1])
            new = '[[source]]\nname = "more"\ntemplate = "acc"\nstream = "more"\ndevice = "fan"\n'
            first = await put(log, f'without = ["still"]\n{new}')
            assert await answered(agent, 2) == [("", first, "trying"), ("", first, "taken")]
            assert [one.config.name for one in agent.agent.pipelines] == ["fed", "more"]
            source(agent, "more").feed(b"2\n", 2)
            await agent.until(lambda: log.values() == [1, 2])
            await put(log, "")
            assert (await answered(agent, 4))[3] == (first, "", "taken")
            source(agent, "still").feed(b"3\n", 3)
            await agent.until(lambda: log.values() == [1, 2, 3])
        chunks = [(chunk.device, chunk.stream, chunk.seq) for chunk in log.chunks()]
        assert chunks == [("pump", "still", 0), ("fan", "more", 0), ("pump", "still", 1)]
        lives = [(type(r).__name__, r.device) for r in log.records(STATUS) if isinstance(r, Birth | Death)]
        assert lives == [("Birth", "pump"), ("Birth", "fan"), ("Death", "fan"), ("Death", "pump")]

    asyncio.run(main())


REFUSED = {
    "nothing": ('[[source]]\nname = "fedd"\nrate = "1Hz"\n', 'configuration {}: source "fedd": template: a new source'),
    "path": ('[[source]]\nname = "fed"\nrate = "fast"\n', 'configuration {}: source "fed": rate: '),
    "type": ('[[source]]\nname = "fed"\ntype = "exec"\n', 'source "fed": type: is taken from the local file only'),
    "program": ('[[source]]\nname = "n"\ntemplate = "prog"\n', 'template "prog" runs a program'),
    "secret": (
        '[[source]]\nname = "fed"\nsensor = "${{HOME}}"\n',
        "variables of the environment are for the local file",
    ),
    "table": ('[spool]\ndir = "x"\n', "configuration {}: spool: is taken from the local file only"),
    "toml": ("[[source]\n", "configuration {}: is no TOML"),
    "unknown": ('[[source]]\nname = "fed"\nrat = "1Hz"\n', 'unknown key "rat"'),
    "taken": ('[[source]]\nname = "fed"\nstream = "still"\n', 'stream "pump/still" is taken'),
    "none": ('without = ["fed", "still"]\n', "no [[source]] table"),
    "template": ('[template.x]\ntype = "exec"\n', "template: is taken from the local file only"),
}


def test_refusals_name_hash_path_and_reason_and_change_nothing(tmp_path: Path) -> None:
    program = '[template.prog]\ntype = "exec"\ncommand = ["true"]\n'

    async def main() -> None:
        log = FlakyLog()
        async with running(remote(tmp_path, more=program), log) as agent:
            await agent.until(lambda: bool(agent.agent.pipelines))
            before = list(agent.agent.pipelines)
            for number, (text, words) in enumerate(REFUSED.values(), 1):
                revision = await put(log, text.replace("{{", "{").replace("}}", "}"))
                assert (await answered(agent, number))[-1] == ("", revision, "refused"), text
                assert words.format(revision) in reason(log), reason(log)
            assert agent.agent.pipelines == before
            await put(log, "x", device="other")
            source(agent, "fed").feed(b"1\n", 1)
            await agent.until(lambda: log.values() == [1])
        assert len(answers(log)) == len(REFUSED)

    asyncio.run(main())


def test_only_what_the_local_file_allows(tmp_path: Path) -> None:
    async def main() -> None:
        log = FlakyLog()
        config = remote(tmp_path, '"change"', "")
        config.write_text(config.read_text().replace('"300ms"', '"300ms"\nkeys = ["scale"]'))
        async with running(config, log) as agent:
            for number, (text, words) in enumerate(
                (
                    ('without = ["fed"]\n', "does not allow it"),
                    ('[[source]]\nname = "n"\ntemplate = "acc"\n', '[remote] allow = ["add"]'),
                    ('[[source]]\nname = "fed"\nsensor = "x"\n', "is not among [remote] keys"),
                ),
                1,
            ):
                await put(log, text)
                assert (await answered(agent, number))[-1][2] == "refused"
                assert words in reason(log)
            config.write_text(config.read_text() + "# more\n")  # says the same
            await put(log, '[[source]]\nname = "fed"\nscale = 2\n')
            assert (await answered(agent, 5))[-1][2] == "taken"
            config.write_text(config.read_text().replace('"20ms"', '"30ms"'))
            await put(log, '[[source]]\nname = "fed"\nscale = 3\n')
            assert (await answered(agent, 6))[-1][2] == "refused"
            assert "was changed since this agent began" in reason(log)

    asyncio.run(main())


def test_a_trial_that_ends_the_agent_is_not_made_for_ever(tmp_path: Path) -> None:
    async def main() -> None:
        log, config = FlakyLog(), remote(tmp_path)
        async with running(config, log):
            pass
        asked = ""
        for boot in range(2, 2 + kept.TRIES):
            async with running(config, log, boot, killed=True) as agent:
                assert agent.agent.config.revision == ""
                if not asked:
                    asked = await put(log, '[[source]]\nname = "fed"\nscale = 2\n')
                await answered(agent, boot - 1)
        async with running(config, log, 9) as agent:
            assert (await answered(agent, kept.TRIES + 1))[-1] == ("", asked, "refused")
            assert "ended 3 times" in reason(log)

    asyncio.run(main())


def test_a_local_file_that_allows_it_no_more_holds_alone(tmp_path: Path) -> None:
    async def main() -> None:
        log, config = FlakyLog(), remote(tmp_path)
        async with running(config, log) as agent:
            good = await put(log, '[[source]]\nname = "fed"\nscale = 2\n')
            await answered(agent, 2)
            await agent.until(lambda: kept.load(tmp_path / "spool")[0].revision == good)  # behind its answer
        config.write_text(config.read_text().replace('name = "fed"', 'name = "other"').replace('"add"', '"command"'))
        found, told = kept.last_good(config)
        assert (found.revision, "the local file alone holds" in told) == ("", True)
        async with running(config, log, 2) as agent:
            assert (await answered(agent, 3))[-1] == (good, "", "rolled_back")
        (tmp_path / "spool" / kept.NAME).write_text("?")
        assert "cannot be read" in kept.last_good(config)[1]

    asyncio.run(main())


def test_a_topic_that_is_changed_is_drained_left_and_taken_anew(tmp_path: Path) -> None:
    """Nothing of either topic is lost, and the session at the broker keeps nothing of the old one."""

    async def main() -> None:
        log, config = FlakyLog(), remote(tmp_path)
        with Mosquitto() as broker:
            at = broker.host, broker.port
            config.write_text(
                config.read_text() + f'[[source]]\nname = "temp"\ntype = "mqtt"\nbroker = "{broker.url}"\ntopic = "a"\n'
                'client_id = "own"\ndecoder = "csv"\nstream = "temp"\nchannels = { c = "degC" }\n'
            )
            async with running(config, log) as agent:
                await agent.until(
                    lambda: any(one.config.name == "temp" and one.is_open for one in agent.agent.pipelines)
                )
                await asyncio.to_thread(publish, *at, "a", [f"{n}" for n in range(500)])
                await put(log, '[[source]]\nname = "temp"\ntopic = "b"\n')
                await agent.until(lambda: agent.agent.config.revision != "" and agent.agent.pipelines[2].is_open)
                await asyncio.to_thread(publish, *at, "b", [f"{n}" for n in range(500, 1000)])
                await agent.until(lambda: len(log.values()) >= 1000)
                assert sorted(log.values()) == list(range(1000))
                assert agent.agent.figures()["repeated"] == 0
            await asyncio.to_thread(publish, *at, "a", ["1"])
            await asyncio.to_thread(publish, *at, "b", ["2"])
            kept_for_it: list[str] = []
            client = connect_session(*at, "own")
            client.on_message = lambda _client, _data, message: kept_for_it.append(message.topic)
            deadline = time.monotonic() + 60
            while not kept_for_it and time.monotonic() < deadline:
                client.loop(0.2)
            client.loop(0.2)
            client.disconnect()
            assert kept_for_it == ["b"]

    asyncio.run(main())
