"""The source `sparkplug`: its folder, and a real broker between it and an edge node of paho's."""

from __future__ import annotations

import asyncio
import threading
import time
import tomllib
from collections.abc import Callable
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

import edge.sources.sparkplug
from edge.config import load_config
from edge.decoders.scans.decoder import row_type
from edge.protocol import Arrival, Interruption, SourceConfig
from edge.sources.sparkplug.payload import read_payload
from edge.sources.sparkplug.session import Session
from edge.sources.sparkplug.source import SparkplugSource
from ingest.errors import UsageError
from ingest.times import NS
from simulators.doubles.agent import running
from simulators.doubles.log import FlakyLog
from simulators.doubles.source import source_type
from tests.edge.configs import source_config
from tests.edge.sources.sparkplug import Said, payload
from tests.support.mosquitto import Mosquitto

FOLDER = Path(edge.sources.sparkplug.__file__).parent
CASES = tomllib.loads((FOLDER / "cases.toml").read_text())["case"]
AT = time.time_ns() // 1_000_000 - 60_000
"""A minute ago, ms."""


def test_the_sample_is_a_configuration_with_every_key(tmp_path: Path) -> None:
    sample = (FOLDER / "sample.toml").read_text()
    path = tmp_path / "agent.toml"
    path.write_text('device = "pump-7"\nlog = "segments:log"\n[spool]\ndir = "spool"\n' + sample)
    (source,) = load_config(path).sources
    assert (source.type, source.clock, source.decoder) == ("sparkplug", "device", "scans")
    assert set(SparkplugSource.keys) <= set(tomllib.loads(sample)["source"][0])


def test_the_page_has_each_key() -> None:
    page = (FOLDER / "README.md").read_text()
    assert all(f"`{name}`" in page for name in SparkplugSource.keys)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_cases(case: dict[str, Any]) -> None:
    session, samples, losses, asked = Session(("temp", "rpm"), ""), list[list[float]](), list[str](), 0
    for number, (kind, seq, metrics) in enumerate(case["node"], 1):
        said = [Said(name, None if alias < 0 else alias, value, 0, *at) for name, alias, value, *at in metrics]
        item = Arrival(payload(seq, said, number * 1000), number, number)
        for found in session.take(f"spBv1.0/g/{kind}/n", item):
            if isinstance(found, Interruption):
                losses.append(found.reason)
            else:
                rows = np.frombuffer(found.data, row_type(2))
                samples += [[int(row["time_ns"]) // 1_000_000, *row["values"].tolist()] for row in rows]
        asked += session.asks(number * NS)
    assert samples == [[pytest.approx(value, nan_ok=True) for value in row] for row in case["samples"]]
    assert losses == case.get("losses", [])
    assert asked == case.get("rebirths", 0)


def config(device: str = "pump", channels: tuple[str, ...] = ("temp",), **options: Any) -> SourceConfig:
    found = source_config("scans", channels, clock="device", kind="sparkplug")
    known = {"broker": "mqtt://broker", "group_id": "plant", "edge_node_id": "gate"}
    return SourceConfig(
        **{name: getattr(found, name) for name in ("where", "base", "name", "type", "decoder", "stream")},
        channels=found.channels,
        device=device,
        options=known | options,
    )


@pytest.mark.parametrize(
    ("device", "options", "message"),
    [
        ("pump", {"group_id": "a/b"}, "group_id: found 'a/b'; an id of Sparkplug has no"),
        ("pump", {"edge_node_id": "+"}, "edge_node_id: found '\\+'"),
        ("{node}", {}, r'device: found "\{node\}"; of an edge node it is made of \{device\}'),
        ("{device}", {"device_id": "press"}, "take device_id out"),
        ("pump", {"metrics": {"x": "a"}}, "metrics: x = 'a': expected one of temp"),
        ("pump", {"qos": 2}, "qos: found 2"),
    ],
)
def test_what_would_not_work_is_refused(device: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SparkplugSource.from_config(config(device, **options))


class EdgeNode:
    """An edge node with one device, `press`, as a gateway's client publishes it: with QoS 0, and a last will."""

    def __init__(self, broker: Mosquitto, bd_seq: int = 0) -> None:
        self.rebirths = 0
        self._seq = 0
        self._bd = Said("bdSeq", value=bd_seq, datatype=8)
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
        self._client.will_set("spBv1.0/plant/NDEATH/gate", payload(None, [self._bd]), qos=1)
        self._client.on_message = self._commanded
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()
        self.born()
        heard = threading.Event()
        self._client.on_subscribe = lambda *_: heard.set()
        self._client.subscribe("spBv1.0/plant/NCMD/gate", 1)
        assert heard.wait(200)  # and so are the births: the broker answers in order

    def _commanded(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        (metric,) = read_payload(bytes(message.payload)).metrics
        assert (metric.name, metric.value) == ("Node Control/Rebirth", True)
        self.rebirths += 1
        self.born()

    def born(self) -> None:
        """Both births: with the values of now."""
        self._seq = 0
        self._publish("NBIRTH", [self._bd, Said("Node Control/Rebirth", 1, False, 11)], AT)
        self._publish("DBIRTH", [Said("Motor/Temperature", 5, 20.0, at_ms=AT)], AT, "/press")

    def say(self, value: float, at_ms: int, **more: Any) -> None:
        self._publish("DDATA", [Said(alias=5, value=value, datatype=0, at_ms=AT + at_ms, **more)], AT + at_ms, "/press")

    def skip(self) -> None:
        """A message that nobody hears."""
        self._seq = (self._seq + 1) % 256

    def _publish(self, kind: str, metrics: list[Said], at_ms: int, device: str = "") -> None:
        data = payload(self._seq, metrics, at_ms)
        self._seq = (self._seq + 1) % 256
        self._client.publish(f"spBv1.0/plant/{kind}/gate{device}", data, qos=0)

    def die(self) -> None:
        """Without a word: the broker says the last will."""
        socket = self._client.socket()
        self._client.loop_stop()
        if socket is not None:
            socket.close()


def agent_toml(folder: Path, broker: Mosquitto) -> Path:
    path = folder / "agent.toml"
    path.write_text(
        f"""device = "hub"
log = "segments:log"
[spool]
dir = "spool"
fsync_interval = "20ms"
[[source]]
name = "gate"
type = "sparkplug"
broker = "{broker.url}"
group_id = "plant"
edge_node_id = "gate"
device = "hall-{{device}}"
stream = "motor"
channels = {{ temp = "degC" }}
metrics = {{ temp = "Motor/Temperature" }}
[[source]]
name = "fed"
type = "fed"
decoder = "csv"
stream = "acc"
channels = {{ x = "g" }}
"""
    )
    return path


def values(log: FlakyLog, device: str) -> list[float]:
    return [v for chunk in log.chunks() if chunk.device == device for v in memoryview(chunk.values).cast("f").tolist()]


def test_a_node_that_was_born_before_is_born_again_and_its_death_is_a_gap(tmp_path: Path) -> None:
    log = FlakyLog()

    def reasons() -> set[str]:
        return {gap.reason for gap in log.gaps() if gap.device == "hall-press"}

    async def scenario(broker: Mosquitto) -> None:
        node = EdgeNode(broker)
        async with running(agent_toml(tmp_path, broker), log) as agent:
            await agent.until(lambda: bool(agent.agent.pipelines) and agent.agent.pipelines[0].is_open)
            gate = agent.agent.pipelines
            node.say(21.0, 1000)  # its alias was given before anybody listened
            await agent.until(lambda: values(log, "hall-press") == [21.0])
            assert node.rebirths == 1
            assert not reasons()
            node.say(22.0, 2000)
            node.skip()
            node.say(23.0, 3000)
            await agent.until(lambda: values(log, "hall-press") == [21.0, 22.0, 23.0] and "seq_gap" in reasons())
            node.die()
            await agent.until(lambda: "node_dead" in reasons())
            assert "dead" in gate[0].source.trouble
            other = EdgeNode(broker, 1)
            other.say(24.0, 4000)
            await agent.until(lambda: values(log, "hall-press")[-1] == 24.0)
            assert not gate[0].source.trouble
            other.die()
            assert {chunk.device for chunk in log.chunks()} == {"hall-press"}
            assert not any(isnan(value) for value in values(log, "hall-press"))

    with source_type("fed"), Mosquitto() as broker:
        asyncio.run(scenario(broker))


def test_a_node_that_takes_no_commands_is_told() -> None:
    source = SparkplugSource.from_config(config())
    session = source._session
    session.take("spBv1.0/plant/NDATA/gate", Arrival(payload(1, [Said(alias=1, value=1.0)]), 1, 1))
    ask: Callable[[int], bool] = session.asks
    assert [ask(at * NS) for at in (1, 11)] == [True, True]
    assert "may this client publish to spBv1.0/plant/NCMD/gate?" in source.trouble
    assert source.heard_ns == 0
