"""The MQTT source within an agent: new messages and repetitions, across crashes, with a broker that does as told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from edge.agent.pipeline import Pipeline
from ingest.records import Progress
from simulators.doubles.agent import Running, fed_config, running
from simulators.doubles.broker import ScriptedBroker
from simulators.doubles.log import FlakyLog
from simulators.doubles.source import source_type


@pytest.fixture(autouse=True)
def _fed() -> Iterator[None]:
    with source_type("fed"):
        yield


def agent_toml(folder: Path, url: str) -> Path:
    """An agent with a source `temp`: the topic `t`."""
    more = f'''[[source]]
name = "temp"
type = "mqtt"
broker = "{url}"
topic = "t"
decoder = "csv"
stream = "temp"
channels = {{ c = "degC" }}
'''
    return fed_config(folder, more=more)


def with_broker(scenario: Callable[[ScriptedBroker], Awaitable[None]], *session_present: bool) -> None:
    async def run() -> None:
        async with ScriptedBroker(*session_present) as broker:
            await scenario(broker)

    asyncio.run(run())


async def has(agent: Running, *values: float) -> None:
    """Wait until these samples, and no others, are in the log."""
    await agent.until(lambda: len(agent.log.values()) >= len(values))
    assert agent.log.values() == list(values)


def temp(agent: Running) -> Pipeline:
    """The MQTT source's."""
    return next(pipeline for pipeline in agent.agent.pipelines if pipeline.config.name == "temp")


def test_a_new_message_that_equals_the_last_one_is_a_sample_of_its_own(tmp_path: Path) -> None:
    """A broker that uses the freed packet id 1 again, and whose second message is lost with the link."""

    async def scenario(broker: ScriptedBroker) -> None:
        async with running(agent_toml(tmp_path, broker.url), FlakyLog()) as agent:
            await broker.until(subscriptions=1)
            broker.send("t", b"20.5", 1)
            await broker.until(acknowledged=1)
            await agent.until(lambda: _is_settled(agent))
            broker.drop()
            await broker.until(subscriptions=2)
            broker.send("t", b"20.5", 1, duplicate=True)
            await has(agent, 20.5, 20.5)
            assert agent.agent.figures()["repeated"] == 0
            await broker.until(acknowledged=2)

    with_broker(scenario, False, True)


def _is_settled(agent: Running) -> bool:
    """Whether nothing of what came may be repeated, as far as the agent knows."""
    return not temp(agent)._identities.is_known("temp", b"1 t\x0020.5")


@pytest.mark.parametrize("is_read", [True, False])
def test_after_a_kill_a_repetition_is_known_and_a_new_message_is_new(tmp_path: Path, is_read: bool) -> None:
    """Killed when the acknowledgement was surely read; or after the fsync, before the acknowledgement could be said."""
    log = FlakyLog()

    async def scenario(broker: ScriptedBroker) -> None:
        config = agent_toml(tmp_path, broker.url)
        async with running(config, log, killed=True) as agent:
            await broker.until(subscriptions=1)
            broker.send("t", b"20.5", 1)
            if not is_read:
                temp(agent).source.ack = lambda token: None  # type: ignore[method-assign]
            await has(agent, 20.5)
            if is_read:
                await agent.until(lambda: _is_settled(agent))
                broker.send("t", b"21", 2)  # the note that says so is written with the next one
                await has(agent, 20.5, 21)
        async with running(config, log, boot=2) as agent:
            await broker.until(subscriptions=2)
            broker.send("t", b"20.5", 1, duplicate=True)
            if is_read:
                await has(agent, 20.5, 21, 20.5)
            else:
                await agent.until(lambda: agent.agent.figures()["repeated"] == 1)
                assert log.values() == [20.5]
            await broker.until(acknowledged=1)

    with_broker(scenario, False, True)


def test_no_progress_is_said_while_the_broker_is_away_and_the_gap_covers_it(tmp_path: Path) -> None:
    async def scenario(broker: ScriptedBroker) -> None:
        async with running(agent_toml(tmp_path, broker.url), FlakyLog()) as agent:
            await broker.until(subscriptions=1)
            broker.send("t", b"1", 1)
            await has(agent, 1.0)
            await broker.until(acknowledged=1)
            await agent.until(lambda: bool(temp(agent).source.heard_ns))
            broker.drop()
            await broker.until(subscriptions=2)
            broker.send("t", b"2", 2)
            await has(agent, 1.0, 2.0)
            await agent.until(lambda: any(gap.reason == "may_be_dropped" for gap in agent.log.gaps()))
            (gap,) = agent.log.gaps()
            assert (gap.stream, gap.samples) == ("temp", -1)
            records = agent.log.records()
            before = [
                record.complete_to_ns
                for record in records[: records.index(gap)]
                if isinstance(record, Progress) and record.stream == "temp"
            ]
            assert all(complete_ns <= gap.start_ns for complete_ns in before)
            assert gap.end_ns - gap.start_ns > 50_000_000  # the back-off alone is 0.2 s

    with_broker(scenario, False, True)


def test_a_password_that_is_no_text_ends_its_own_source_alone(tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(b"caf\xe9")
    config = agent_toml(tmp_path, "mqtt://127.0.0.1:1")
    config.write_text(
        config.read_text().replace('topic = "t"', 'topic = "t"\nusername = "me"\npassword_file = "password"')
    )

    async def scenario() -> None:
        async with running(config, FlakyLog(), killed=True) as agent:
            await agent.until(lambda: any("is no text: byte 3 is not UTF-8" in line for line in agent.said))
            agent.source.feed(b"7\n", 1)
            await has(agent, 7.0)

    asyncio.run(scenario())
