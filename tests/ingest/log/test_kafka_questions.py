"""How often a Kafka cluster is asked: each question is a way there and back, for which a person may wait."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import aiokafka.client
import pytest
from aiokafka.conn import AIOKafkaConnection

from ingest.log.kafka import KafkaLog
from ingest.log.protocol import MARKS, Bounds, Entry

pytestmark = [pytest.mark.kafka]


@pytest.fixture
def url(kafka_bootstrap: str) -> str:
    """Of a site whose topic has its leaders: one that has just been made may have none for a moment."""
    url = f"{kafka_bootstrap}/site-{uuid.uuid4().hex[:8]}"

    async def make() -> None:
        log = KafkaLog(url, partitions=3)
        await log.append(MARKS, [Entry(b"pump", b"mark")] * 2)
        await log.close()

    asyncio.run(make())
    return url


@pytest.fixture
def log(url: str) -> KafkaLog:
    return KafkaLog(url, partitions=3)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What goes to the brokers from now on, and new connections to them."""
    found: list[str] = []
    send, connect = AIOKafkaConnection.send, aiokafka.client.create_conn

    def sent(self: Any, request: Any, **options: Any) -> Any:
        found.append(type(request).__name__)
        return send(self, request, **options)

    async def connected(*where: Any, **options: Any) -> Any:
        found.append("connection")
        return await connect(*where, **options)

    monkeypatch.setattr(AIOKafkaConnection, "send", sent)
    monkeypatch.setattr(aiokafka.client, "create_conn", connected)
    return found


def test_the_first_append_after_a_check_asks_for_nothing_else(log: KafkaLog, asked: list[str]) -> None:
    """Who waits for a mark waits for one way to the broker and back."""

    async def run() -> list[str]:
        await log.check(MARKS, [Entry(b"", b"")])
        before = len(asked)
        await log.append(MARKS, [Entry(b"pump", b"mark")])
        await log.close()
        return [name for name in asked[before:] if name != "InitProducerIdRequest"]  # that one comes when it likes

    names = asyncio.run(run())
    assert [name for name in names if name != "MetadataRequest"] == ["ProduceRequest"]
    assert names.count("MetadataRequest") <= 1  # the client looks by a clock of its own, too; three were waited for


def test_bounds_are_asked_for_under_one_look_at_the_leaders(log: KafkaLog, asked: list[str]) -> None:
    """Begins, ends, and ends before open transactions each asked who leads: six ways rather than four."""

    async def run() -> tuple[dict[int, Bounds], list[str]]:
        await log.append(MARKS, [Entry(b"pump", b"mark")] * 2)
        before = len(asked)
        bounds = await log.bounds(MARKS)
        await log.close()
        return bounds, [name for name in asked[before:] if name != "connection"]

    bounds, names = asyncio.run(run())
    assert sorted(bounds.values()) == [Bounds(0, 0), Bounds(0, 0), Bounds(0, 4)]
    assert names == ["MetadataRequest", *["OffsetRequest"] * 3]
