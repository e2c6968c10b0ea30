"""What the MQTT source's folder says: its sample works, its page has each key, its cases hold."""

from __future__ import annotations

import asyncio
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import edge.sources.mqtt
from edge.config import load_config
from edge.protocol import Interruption
from edge.sources.mqtt.source import MqttSource
from simulators.doubles.broker import ScriptedBroker
from tests.edge.sources.collecting import Taker, until
from tests.edge.sources.test_mqtt import config, messages

FOLDER = Path(edge.sources.mqtt.__file__).parent
CASES = tomllib.loads((FOLDER / "cases.toml").read_text())["case"]


def test_the_sample_is_a_configuration_with_every_key(tmp_path: Path) -> None:
    sample = (FOLDER / "sample.toml").read_text()
    path = tmp_path / "agent.toml"
    path.write_text('device = "pump-7"\nlog = "segments:log"\n[spool]\ndir = "spool"\n' + sample)
    assert load_config(path).sources[0].type == "mqtt"
    assert set(MqttSource.keys) <= set(tomllib.loads(sample)["source"][0])


def test_the_page_has_each_key_with_its_default() -> None:
    rows = {
        line.split("`")[1]: line for line in (FOLDER / "README.md").read_text().splitlines() if line.startswith("| `")
    }
    assert set(rows) == set(MqttSource.keys)
    for name, key in MqttSource.keys.items():
        for part in (key.default or "must be given").split("; "):
            assert part.split()[0] in rows[name]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_cases(case: dict[str, Any]) -> None:
    async def scenario() -> None:
        async with ScriptedBroker(False) as broker:
            options = {key: case[key] for key in ("max_message",) if key in case}
            own = config(broker.url, topic=case["topic"], device_named=True, **options)
            whose = {key: case[key] for key in ("device", "stream") if key in case}
            source = MqttSource.from_config(replace(own, **whose))
            await asyncio.wait_for(source.open(), 60)
            for topic, packet_id, text, *more in case["broker"]:
                broker.send(topic, text.encode(), packet_id, duplicate=bool(more))
            losses = case.get("losses", [])
            taker = Taker(source)
            await taker.until(lambda taker: len(taker.items) == len(case["taken"]) + len(losses))
            assert [item.data.decode() for item in messages(taker)] == case["taken"]
            assert [item.device for item in messages(taker)] == case.get("devices", [""] * len(case["taken"]))
            assert [item.stream for item in messages(taker)] == case.get("streams", [""] * len(case["taken"]))
            assert [item.reason for item in taker.items if isinstance(item, Interruption)] == losses
            assert [item.redelivered for item in messages(taker)] == [
                len(sent) > 3 for sent in case["broker"] if sent[1] not in case.get("acknowledged", [])
            ]
            await until(lambda: broker.acknowledged == case.get("acknowledged", []))
            await source.close()

    asyncio.run(scenario())
