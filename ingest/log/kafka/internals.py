"""The private members of aiokafka that are used here, each behind a function that says why.

Nothing else in this package touches a name that begins with an underscore of that library. Its version is held below
the next minor one, and `tests/ingest/log/test_kafka_internals.py` looks at each name and signature: who raises the
version sees there what has changed.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer


class _Forgiving(set[Any]):
    """A set whose `remove` passes over what is not in it."""

    def remove(self, element: Any) -> None:
        self.discard(element)


def set_patience(producer: AIOKafkaProducer, patience_s: float) -> None:
    """Let a batch wait for its partition's leader for so long: the library's own bound is that of one request."""
    producer._message_accumulator._batch_ttl = patience_s


def fail_batches(producer: AIOKafkaProducer, error: Exception) -> None:
    """End all that a producer still holds, for one that is thrown away: its `stop` would wait for the broker.

    The library ends batches only from within its sender, and trips over it where they end from outside: a batch that
    waits to be sent again is in no set of pending ones when its end takes it out of there. Whatever the sender says
    afterwards, nobody waits for it, so none of it is for the event loop to complain of.
    """
    sender, accumulator = producer._sender, producer._message_accumulator
    if sender.sender_task is not None:
        sender.sender_task.remove_done_callback(sender._fail_all)
        sender.sender_task.add_done_callback(_look)
    batches = [*itertools.chain(*accumulator._batches.values()), *accumulator._pending_batches]
    accumulator._pending_batches = _Forgiving(accumulator._pending_batches)
    accumulator.fail_all(error)
    for batch in batches:
        for future in (batch.future, batch._drain_waiter):
            if future.done():
                _look(future)


def on_lost_place(consumer: AIOKafkaConsumer, note: Callable[[], None]) -> None:
    """Call `note` whenever the group no longer knows a started consumer: the library joins again and says nothing."""
    coordinator = consumer._coordinator
    reset = coordinator.reset_generation

    def note_and_reset() -> None:
        note()
        reset()

    coordinator.reset_generation = note_and_reset


def leave_when_stopped(consumer: AIOKafkaConsumer) -> None:
    """Let `stop` say goodbye: the library does not for a member with an instance id, whose partitions would wait for
    the session to end. The broker knows it by its member id too."""
    consumer._coordinator._group_instance_id = None


async def close_connections(consumer: AIOKafkaConsumer) -> None:
    """Close what a consumer whose `stop` was given up still has open."""
    await consumer._client.close()


def _look(future: asyncio.Future[Any]) -> None:
    """Take note of how it ended: what nobody looks at, asyncio prints."""
    if not future.cancelled():
        future.exception()
