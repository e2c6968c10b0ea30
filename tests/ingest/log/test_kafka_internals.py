"""aiokafka's private members are what `internals` takes them for; a new version that fails here needs a look there."""

from __future__ import annotations

import ast
import asyncio
import gc
import inspect
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.producer.message_accumulator import MessageAccumulator, MessageBatch
from aiokafka.producer.sender import Sender
from aiokafka.structs import TopicPartition

from ingest.log.kafka import internals


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


def a_producer() -> AIOKafkaProducer:
    """One that has never been started: no broker is asked for anything."""
    return AIOKafkaProducer(bootstrap_servers="127.0.0.1:1", enable_idempotence=True)


def test_nothing_else_here_touches_a_private_member() -> None:
    for path in sorted(Path(internals.__file__).parent.glob("*.py")):
        if path == Path(internals.__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
                assert own, f"{path.name}:{node.lineno}: .{node.attr}; put it behind a function of internals.py"


def test_a_producer_holds_what_it_is_taken_to_hold() -> None:
    async def main() -> None:
        producer = a_producer()
        accumulator, sender = producer._message_accumulator, producer._sender
        assert type(accumulator) is MessageAccumulator
        assert type(accumulator._pending_batches) is set
        assert accumulator._batches == {}
        assert parameters(accumulator.fail_all) == ["exception"]
        assert type(sender) is Sender
        assert sender.sender_task is None
        assert parameters(sender._fail_all) == ["task"]
        batch = MessageBatch(TopicPartition("t", 0), accumulator.create_builder(), 1.0, 0.0)
        assert isinstance(batch.future, asyncio.Future)
        assert isinstance(batch._drain_waiter, asyncio.Future)
        await producer.stop()

    asyncio.run(main())


async def hold(producer: AIOKafkaProducer, count: int) -> list[MessageBatch]:
    """Batches of as many partitions, which wait to be sent."""
    producer._txn_manager.set_pid_and_epoch(1, 0)
    accumulator = producer._message_accumulator
    batches = []
    for partition in range(count):
        builder = accumulator.create_builder()
        builder.append(key=b"k", value=b"v", timestamp=None)
        acknowledged = await accumulator.add_batch(builder, TopicPartition("t", partition), 1.0)
        acknowledged.add_done_callback(lambda future: future.exception())
        batches += accumulator._batches[TopicPartition("t", partition)]
    return batches


def test_patience_is_that_of_every_batch_from_then_on() -> None:
    async def main() -> None:
        producer = a_producer()
        internals.set_patience(producer, -1.0)
        (impatient,) = await hold(producer, 1)
        assert impatient.expired()
        await producer.stop()

    asyncio.run(main())


def test_what_a_producer_holds_is_ended_wherever_it_is_and_nobody_complains() -> None:
    """One batch waits, one is on its way, one waits to be sent again, one comes back from its way afterwards."""

    async def scenario() -> list[str]:
        complaints: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(str(context)))
        producer = a_producer()
        accumulator = producer._message_accumulator
        batches = await hold(producer, 4)
        for batch in batches[1:]:
            accumulator._pop_batch(batch.tp)
        accumulator.reenqueue(batches[2])
        internals.fail_batches(producer, ConnectionError("away"))
        await asyncio.sleep(0)
        accumulator.reenqueue(batches[3])
        for batch in batches:
            assert isinstance(batch.future.exception(), ConnectionError)
        await asyncio.sleep(0)
        await producer.stop()
        return complaints

    complaints = asyncio.run(scenario())
    gc.collect()
    assert complaints == []


def test_a_sender_that_trips_over_ended_batches_is_nobodys_complaint() -> None:
    async def scenario() -> list[str]:
        complaints: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(str(context)))
        producer = a_producer()

        async def trip() -> None:
            await asyncio.sleep(0)
            raise KeyError("a batch")

        producer._sender._sender_task = asyncio.create_task(trip())
        producer._sender._sender_task.add_done_callback(producer._sender._fail_all)
        internals.fail_batches(producer, ConnectionError("away"))
        await asyncio.sleep(0.01)
        producer._sender._sender_task = None
        await producer.stop()
        gc.collect()
        return complaints

    assert asyncio.run(scenario()) == []


@pytest.mark.kafka
def test_a_consumer_holds_what_it_is_taken_to_hold(kafka_bootstrap: str) -> None:
    name = f"internals-{uuid.uuid4().hex[:8]}"

    async def main() -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka_bootstrap, group_id=name, group_instance_id="a")
        await consumer.start()
        coordinator = consumer._coordinator
        assert type(coordinator) is GroupCoordinator
        assert coordinator._group_instance_id == "a"
        assert parameters(coordinator.reset_generation) == []
        assert type(consumer._client) is AIOKafkaClient
        noted: list[int] = []
        internals.on_lost_place(consumer, lambda: noted.append(1))
        coordinator.reset_generation()
        assert noted == [1]
        assert coordinator.member_id == ""
        internals.leave_when_stopped(consumer)
        assert coordinator._group_instance_id is None
        await consumer.stop()
        await internals.close_connections(consumer)

    asyncio.run(main())
