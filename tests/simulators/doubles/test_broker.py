from __future__ import annotations

import asyncio

import pytest

from edge.protocol import Arrival
from edge.sources.mqtt.source import MqttSource
from simulators.doubles.broker import ScriptedBroker
from tests.edge.configs import source_config
from tests.edge.sources.collecting import Taker


def test_an_agent_takes_it_for_a_broker_and_every_step_is_the_scripts() -> None:
    async def scenario() -> None:
        async with ScriptedBroker(False, True) as broker:
            config = source_config(kind="mqtt", broker=broker.url, topic="a/b")
            source = MqttSource.from_config(config)
            await source.open()
            taker = Taker(source)
            await broker.until(subscriptions=1)
            broker.send("a/b", b"1,2,3", 7)
            await taker.until(lambda taker: len(taker.items) == 1)
            source.ack(taker.items[0].token)  # type: ignore[union-attr]
            await broker.until(acknowledged=1)
            broker.drop()
            taking = asyncio.create_task(taker.until(lambda taker: b"4,5,6" in taker.data))
            await broker.until(subscriptions=2)
            broker.send("a/b", b"4,5,6", 8, duplicate=True)
            await taking
            assert [item.redelivered for item in taker.items if isinstance(item, Arrival)] == [False, True]
            assert broker.acknowledged == [7]
            assert broker.client_ids == ["sensorloom-pump-acc"] * 2
            await source.close()

    asyncio.run(scenario())


def test_nothing_can_be_sent_to_nobody() -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            with pytest.raises(BrokenPipeError, match="no client"):
                broker.send("a/b", b"", 1)

    asyncio.run(scenario())
