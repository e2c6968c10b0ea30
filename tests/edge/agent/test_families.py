"""Several devices in one source: each with recordings, books and a status of its own."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from edge.agent import pipeline
from edge.agent.agent import Agent
from edge.agent.clones import CloneWatch
from edge.agent.pipeline import refusal
from edge.agent.trial import Trial
from edge.config import load_config
from edge.devices import BAD_DEVICE
from edge.sources.clock import now
from ingest.log.protocol import STATUS, STREAMS
from ingest.records import Birth, Death, Heartbeat, RecordingEnd, RecordingStart, StreamDescription, schema_id
from simulators.doubles.agent import Running, fed_config, running
from simulators.doubles.broker import ScriptedBroker
from simulators.doubles.log import FlakyLog
from simulators.doubles.source import source_type
from tests.edge.configs import source_config
from tests.support.data import data_dir


@pytest.fixture(autouse=True)
def _fed() -> Iterator[None]:
    with source_type("fed"):
        yield


def family(folder: Path, url: str, *, topic: str = "site/{device}/acc", more: str = "", decoder: str = "csv") -> Path:
    table = f"""[[source]]
name = "all"
type = "mqtt"
broker = "{url}"
topic = "{topic}"
decoder = "{decoder}"
stream = "acc"
channels = {{ x = "g" }}
{more}
"""
    return fed_config(folder, more=table)


def with_broker(scenario: Callable[[ScriptedBroker], Awaitable[None]], *session_present: bool) -> None:
    async def run() -> None:
        async with ScriptedBroker(*session_present) as broker:
            await scenario(broker)

    asyncio.run(run())


def values(log: FlakyLog) -> dict[str, list[float]]:
    """By device."""
    found: dict[str, list[float]] = {}
    for chunk in log.chunks():
        found.setdefault(chunk.device, []).extend(memoryview(chunk.values).cast("f").tolist())
    return found


def views(agent: Running) -> dict[str, int]:
    return {view.stream: view.samples for view in agent.agent.overview().sources}


def test_each_device_has_its_own_recording_books_and_status(tmp_path: Path) -> None:
    async def scenario(broker: ScriptedBroker) -> None:
        log = FlakyLog()
        async with running(family(tmp_path, broker.url), log) as agent:
            await broker.until(subscriptions=1)
            for number, (device, value) in enumerate([("p-1", 1.0), ("p-2", 2.0), ("p-1", 1.5), ("p-2", 2.5)], 1):
                broker.send(f"site/{device}/acc", b"%g" % value, number)
            broker.send("site/p-2/acc", b"no number", 5)
            await agent.until(lambda: sum(map(len, values(log).values())) == 4 and bool(log.gaps()))
            await broker.until(acknowledged=5)
            assert values(log) == {"p-1": [1.0, 1.5], "p-2": [2.0, 2.5]}
            assert {(gap.device, gap.reason) for gap in log.gaps()} == {("p-2", "number")}
            assert views(agent) == {"pump/acc": 0, "{device}/acc": 0, "p-1/acc": 2, "p-2/acc": 2}
            figures = agent.agent.figures()
            assert (figures["p-1/acc.samples"], figures["p-2/acc.lost.number"]) == (2, 1)
            await agent.until(lambda: len([r for r in log.records(STATUS) if isinstance(r, Birth)]) == 3)
        starts = [record for record in log.records() if isinstance(record, RecordingStart)]
        ends = [record for record in log.records() if isinstance(record, RecordingEnd)]
        assert sorted(record.device for record in starts) == sorted(record.device for record in ends) == ["p-1", "p-2"]
        assert {r.device for r in log.records(STATUS) if isinstance(r, Death)} == {"pump", "p-1", "p-2"}

    with_broker(scenario, False)


def test_too_many_and_nameless_devices_are_left_out_counted_and_told(tmp_path: Path) -> None:
    async def scenario(broker: ScriptedBroker) -> None:
        log = FlakyLog()
        async with running(family(tmp_path, broker.url, more="max_devices = 2"), log) as agent:
            await broker.until(subscriptions=1)
            for number, device in enumerate(["a", "", "b", "c", "d", "a", " x", "a\u001b"], 1):
                broker.send(f"site/{device}/acc", b"1", number)
            await broker.until(acknowledged=8)
            assert {device: len(own) for device, own in values(log).items()} == {"a": 2, "b": 1}
            figures = agent.agent.figures()
            found = {name.split(".")[2]: value for name, value in figures.items() if name.startswith("all.refused")}
            assert found == {"no_device": 1, "too_many_devices": 2, "bad_device": 2}
            assert any(
                'all: 1 left out, too_many_devices: "c" is one more than max_devices = 2' in t for t in agent.said
            )
            (whole,) = (view for view in agent.agent.overview().sources if view.stream == "{device}/acc")
            assert whole.lost == found

    with_broker(scenario, False)


def test_a_device_of_two_sources_has_one_recording(tmp_path: Path) -> None:
    """`pump/temp` joins `pump/acc`, which the fed source brings."""

    async def scenario(broker: ScriptedBroker) -> None:
        log = FlakyLog()
        config = family(tmp_path, broker.url)
        config.write_text(config.read_text().replace('stream = "acc"', 'stream = "temp"', 1))
        async with running(config, log) as agent:
            await broker.until(subscriptions=1)
            agent.source.feed(b"7\n", 1)
            await agent.until(lambda: len(log.chunks()) == 1)
            broker.send("site/pump/acc", b"1", 1)
            await agent.until(lambda: len(log.chunks()) == 2)
            assert {(chunk.device, chunk.stream) for chunk in log.chunks()} == {("pump", "acc"), ("pump", "temp")}
            assert len({chunk.recording for chunk in log.chunks()}) == 1
            assert len([record for record in log.records(STATUS) if isinstance(record, Birth)]) == 1

    with_broker(scenario, False)


def test_a_stream_that_another_source_has_is_refused(tmp_path: Path) -> None:
    async def scenario(broker: ScriptedBroker) -> None:
        log = FlakyLog()
        async with running(family(tmp_path, broker.url), log) as agent:
            await broker.until(subscriptions=1)
            broker.send("site/pump/acc", b"1", 1)
            await broker.until(acknowledged=1)
            assert not log.chunks()
            assert agent.agent.figures()["all.refused.stream_taken"] == 1
            assert any('another source has the stream "pump/acc" already' in text for text in agent.said)

    with_broker(scenario, False)


def streams_config(folder: Path, url: str, topic: str) -> Path:
    """Without a `stream` of its own: the topic has one."""
    path = family(folder, url, topic=topic)
    own, _, fed = path.read_text().partition('[[source]]\nname = "fed"')
    path.write_text(own.replace('stream = "acc"\n', "") + '[[source]]\nname = "fed"' + fed)
    return path


@pytest.mark.parametrize("topic", ["site/{device}/{stream}", "site/{stream}"])
def test_streams_are_told_apart_by_the_topic(tmp_path: Path, topic: str) -> None:
    has_devices = "{device}" in topic
    devices = ["p-1", "p-2"] if has_devices else ["pump"]

    async def scenario(broker: ScriptedBroker) -> None:
        log = FlakyLog()
        async with running(streams_config(tmp_path, broker.url, topic), log) as agent:
            await broker.until(subscriptions=1)
            wanted = [(device, stream) for device in devices for stream in ("left", "right")]
            for number, (device, stream) in enumerate(wanted * 2, 1):
                at = topic.replace("{device}", device).replace("{stream}", stream)
                broker.send(at, b"%d" % number, number)
            await agent.until(lambda: sum(chunk.count for chunk in log.chunks()) == 2 * len(wanted))
            broker.send(topic.replace("{device}", devices[0]).replace("{stream}", "left"), b"no number", 90)
            broker.send(topic.replace("{device}", devices[0]).replace("{stream}", "a.b"), b"1", 91)
            await agent.until(lambda: bool(log.gaps()))
            await broker.until(acknowledged=2 * len(wanted) + 2)
            got: dict[tuple[str, str], list[float]] = {}
            for chunk in log.chunks():
                own = got.setdefault((chunk.device, chunk.stream), [])
                own += memoryview(chunk.values).cast("f").tolist()
            assert got == {whose: [n + 1.0, n + 1.0 + len(wanted)] for n, whose in enumerate(wanted)}
            assert {(gap.device, gap.stream, gap.reason) for gap in log.gaps()} == {(devices[0], "left", "number")}
            assert agent.agent.figures()["all.refused.bad_stream"] == 1
            assert any('"a.b" can be no stream' in text or "a.b" in text for text in agent.said)
            names = {view.name for view in agent.agent.overview().sources}
            assert f"all of {devices[0]}/right" in names
            known = {schema_id(one) for one in log.records(STREAMS) if isinstance(one, StreamDescription)}
            assert {chunk.schema for chunk in log.chunks()} <= known
        recordings = {(chunk.device, chunk.recording) for chunk in log.chunks()}
        assert len(recordings) == len(devices)
        starts = [record for record in log.records() if isinstance(record, RecordingStart)]
        assert len(starts) == len(devices)
        order = [type(record) for record in log.records()]
        assert order.count(RecordingEnd) == len(devices)

    with_broker(scenario, False)


def test_a_stream_that_is_found_before_the_agent_knows_that_its_source_is_open_was_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker's messages may come with its answer to the subscription, which a busy agent sees later."""
    late_ns = 50_000_000_000
    monkeypatch.setattr(pipeline, "now", lambda: tuple(at_ns + late_ns for at_ns in now()))

    async def scenario(broker: ScriptedBroker) -> None:
        log = FlakyLog()
        async with running(streams_config(tmp_path, broker.url, "site/{device}/{stream}"), log) as agent:
            await broker.until(subscriptions=1)
            for number, stream in enumerate(["left", "right"], 1):
                broker.send(f"site/p-1/{stream}", b"1", number)
            await agent.until(lambda: len(log.chunks()) == 2)
        assert not log.gaps()

    with_broker(scenario, False)


def test_a_streams_meaning_is_durable_before_its_samples(tmp_path: Path) -> None:
    """The agent dies before the log has anything; what the next one publishes is known."""

    async def scenario(broker: ScriptedBroker) -> None:
        log = FlakyLog()
        log.away = True
        config = streams_config(tmp_path, broker.url, "site/{stream}")
        async with running(config, log, killed=True) as agent:
            await broker.until(subscriptions=1)
            broker.send("site/left", b"1", 1)
            await broker.until(acknowledged=1)
            assert agent.agent.spool is not None
        log.away = False
        async with running(config, log, boot=2) as agent:
            await agent.until(lambda: bool(log.chunks()))
        known = {schema_id(one) for one in log.records(STREAMS) if isinstance(one, StreamDescription)}
        assert log.chunks()[0].stream == "left"
        assert log.chunks()[0].schema in known

    with_broker(scenario, False, True)


def test_a_boot_that_died_ends_and_the_device_goes_on(tmp_path: Path) -> None:
    log = FlakyLog()

    async def scenario(broker: ScriptedBroker) -> None:
        config = family(tmp_path, broker.url)
        async with running(config, log, killed=True) as agent:
            await broker.until(subscriptions=1)
            broker.send("site/p-1/acc", b"1", 1)
            await agent.until(lambda: len(log.values()) == 1)
            await broker.until(acknowledged=1)
        async with running(config, log, boot=2) as agent:
            await broker.until(subscriptions=2)
            broker.send("site/p-1/acc", b"2", 2)
            await agent.until(lambda: len(log.values()) == 2)
        ends = [record.reason for record in log.records() if isinstance(record, RecordingEnd)]
        assert ends == ["agent_died", "stopped"]
        first, second = (record for record in log.records() if isinstance(record, RecordingStart))
        assert (second.previous_boot, second.device) == (first.boot, "p-1")

    with_broker(scenario, False, False)


@pytest.mark.parametrize("topic", ["site/{device}/acc", "site/pump/acc"])
def test_a_copy_that_comes_after_a_kill_is_none(tmp_path: Path, topic: str) -> None:
    """A second gateway's, of a frame that is in the spool: whether the topic or a field says whose it is."""
    log, more = FlakyLog(), 'unique = ["dev", "n"]' + ('\ndevice = "{dev}"' if "{" not in topic else "")
    config = family(tmp_path, "URL", topic=topic, decoder="json", more=more)

    async def scenario(broker: ScriptedBroker) -> None:
        config.write_text(config.read_text().replace("URL", broker.url))
        async with running(config, log, killed=True) as agent:
            await broker.until(subscriptions=1)
            broker.send(topic.replace("{device}", "pump-1"), frame(1), 1)
            await broker.until(acknowledged=1)
        async with running(config, log, boot=2) as agent:
            await broker.until(subscriptions=2)
            for number, frames in enumerate([1, 2, 1, 2], 2):
                broker.send(topic.replace("{device}", "pump-1"), frame(frames), number)
            await broker.until(acknowledged=5)
            await agent.until(lambda: len(log.values()) == 2)
            assert agent.agent.figures()["pump-1/acc.lost.repeated"] == 3
        assert log.values() == [1.0, 2.0]

    def frame(number: int) -> bytes:
        return b'{"dev": "pump-1", "n": %d, "x": %d}' % (number, number)

    with_broker(scenario, False, False)


def test_a_loss_of_one_is_said_of_it_and_one_of_all_of_each(tmp_path: Path) -> None:
    async def scenario(broker: ScriptedBroker) -> None:
        log = FlakyLog()
        async with running(family(tmp_path, broker.url, more='max_message = "9B"'), log) as agent:
            await broker.until(subscriptions=1)
            broker.send("site/a/acc", b"1", 1)
            broker.send("site/b/acc", b"2", 2)
            broker.send("site/b/acc", b"2" * 10, 3)
            await agent.until(lambda: len(log.gaps()) == 1)
            await broker.until(acknowledged=3)
            assert [(gap.device, gap.reason) for gap in log.gaps()] == [("b", "message_too_large")]
            await agent.until(lambda: bool(agent.agent.pipelines[0].source.heard_ns))
            broker.drop()
            await broker.until(subscriptions=2)
            broker.send("site/a/acc", b"3", 4)
            await agent.until(lambda: len(log.gaps()) == 3)
            assert Counter(gap.device for gap in log.gaps() if gap.reason == "may_be_dropped") == {"a": 1, "b": 1}

    with_broker(scenario, False, True)


def lorawan() -> list[bytes]:
    with gzip.open(data_dir() / "lorawan_campusiot" / "helium_ems_B1C1.ndjson.gz") as file:
        return file.read().splitlines()


def test_repeats_of_each_node_are_known_by_its_own_counter(tmp_path: Path) -> None:
    """A gateway's lines of two nodes, one field of which says whose a message is."""
    first = lorawan()[:800]
    nodes = [line.replace(b"A81758FFFE04B1C1", b"A81758FFFE0000%02d" % number) for line in first for number in (1, 2)]
    (tmp_path / "lines.ndjson").write_bytes(b"".join(line + b"\n" for line in nodes) + b'{"fcnt":1}\nno JSON\n')
    (tmp_path / "agent.toml").write_text(
        """log = "segments:log"
[spool]
dir = "spool"
[[source]]
name = "nodes"
type = "replay"
file = "lines.ndjson"
speed = "max"
decoder = "json"
device = "node-{dev_eui}"
unique = ["dev_eui", "fcnt"]
time_field = "reported_at"
time_unit = "ms"
stream = "air"
channels = { temp = "degC" }
fields = { temp = "decoded.payload.temperature" }
"""
    )
    log = FlakyLog()
    agent = Agent(load_config(tmp_path / "agent.toml"), log, b"1" * 16, "0", lambda text: None)
    figures = asyncio.run(agent.run(asyncio.Event()))
    frames = {(json.loads(line)["dev_eui"], json.loads(line)["fcnt"], json.loads(line)["devaddr"]) for line in first}
    counted = Counter(chunk.device for chunk in log.chunks() for _ in range(chunk.count))
    assert set(counted) == {"node-A81758FFFE000001", "node-A81758FFFE000002"}
    assert len(set(counted.values())) == 1
    repeated = figures["node-A81758FFFE000001/air.lost.repeated"]
    assert 0 < repeated == figures["node-A81758FFFE000002/air.lost.repeated"]
    assert repeated == 800 - len(frames)
    lost = sum(figures.get(f"node-A81758FFFE000001/air.lost.{why}", 0) for why in ("time", "missing"))
    assert counted["node-A81758FFFE000001"] + repeated + lost == 800
    assert figures["nodes.refused.no_device"] == 1
    assert {gap.device for gap in log.gaps() if gap.reason == "json"} == set(counted)


def test_a_trial_shows_each_device(tmp_path: Path) -> None:
    async def scenario(broker: ScriptedBroker) -> None:
        config = load_config(family(tmp_path, broker.url))
        trial = Trial(config, "t")
        assert {view.stream for view in trial.views()} == {"pump/acc", "{device}/acc"}
        task = asyncio.create_task(trial.run(30, stop := asyncio.Event()))
        await broker.until(subscriptions=1)
        broker.send("site/a/acc", b"1", 1)
        async with asyncio.timeout(200):
            while not any(view.stream == "a/acc" and view.values for view in trial.views()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        stop.set()
        assert {view.name for view in await task} == {"fed", "all of a"}

    with_broker(scenario, False)


def test_what_is_wrong_with_one_is_told_of_it_alone(tmp_path: Path) -> None:
    async def scenario(broker: ScriptedBroker) -> None:
        async with running(family(tmp_path, broker.url), FlakyLog()) as agent:
            await broker.until(subscriptions=1)
            for number in range(1, 40):
                broker.send(f"site/{'ab'[number % 2]}/acc", b"1" if number % 2 else b"one", number)
            await broker.until(acknowledged=39)
            await agent.until(lambda: any("all of a: " in text and "number" in text for text in agent.said))
            assert not any(text.startswith(("all: ", "all of b: ")) for text in agent.said)

    with_broker(scenario, False)


def test_heartbeats_and_clones_know_what_was_found() -> None:
    """A card that is a copy of this one speaks for the same devices."""
    watch = CloneWatch((), b"1" * 16)
    beat = Heartbeat("p-1", "other", b"2" * 16, 0, {})
    assert watch.see(beat) is None
    watch.found("p-1")
    assert watch.see(beat) is not None


def test_a_name_that_is_too_long_is_told_as_that() -> None:
    config = source_config(kind="mqtt", topic="site/{device}/acc")
    assert "can be no name: it has 402 bytes, and may have 200" in refusal(config, BAD_DEVICE, "ä" * 201)
    assert "it has a slash" in refusal(config, BAD_DEVICE, "a/b")
