"""A real Kafka broker passes the suite of all logs."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition

from ingest.log.kafka import KafkaLog
from ingest.log.kafka.member import KafkaMember
from ingest.log.protocol import Log
from tests.ingest.log.contract import LogContract
from tests.ingest.log.world import World

T = TypeVar("T")

pytestmark = [pytest.mark.kafka]


class MortalKafkaLog(KafkaLog):
    """Knows its members, so that they can be cut off."""

    members: list[KafkaMember]

    async def join(self, topic: str, group: str, instance: str, *, owner: str = "") -> KafkaMember:
        member = await super().join(topic, group, instance, owner=owner)
        self.members = [*getattr(self, "members", []), member]
        return member


class KafkaWorld:
    """The broker that all tests share; topics, and the groups over them, get names of their own."""

    patience_s = 60.0
    _numbers = itertools.count()

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._mark = f"{uuid.uuid4().hex[:8]}-{next(self._numbers)}"

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        return asyncio.run(main)

    def open(self, partitions: int | None = None) -> Log:
        return MortalKafkaLog(self._bootstrap, partitions=partitions)

    def topic(self, name: str) -> str:
        return f"{name}-{self._mark}"

    async def trim(self, log: Log, topic: str, partition: int, before: int) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        await admin.start()
        try:
            await admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(before)})
        finally:
            await admin.close()

    async def crash(self, log: Log) -> None:
        """A killed process says goodbye to no one: the broker hears nothing more, and waits for the session's end."""
        dead = cast(MortalKafkaLog, log)
        for member in dead.members:
            await member.disconnect()
        await dead.close()


class TestKafkaLog(LogContract):
    @pytest.fixture
    def world(self, kafka_bootstrap: str) -> World:
        return KafkaWorld(kafka_bootstrap)
