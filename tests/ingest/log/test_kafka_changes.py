"""What others do to a topic while it is used: transactions, settings, partitions. On a real broker."""

from __future__ import annotations

import asyncio
import os
import re
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from ingest.errors import LogConfigError, LogUnavailableError
from ingest.log.kafka import KafkaLog, silence, watch
from ingest.log.kafka import member as member_module
from ingest.log.protocol import MARKS, READINGS, STREAMS, Assigned, Bounds, Entry, LogBatch, Reader

pytestmark = [pytest.mark.kafka]


@pytest.fixture
def address(kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A site of the test's own, whose settings are looked at often."""
    monkeypatch.setattr(watch, "LOOK_S", 0.2)
    return f"{kafka_bootstrap}/changes-{uuid.uuid4().hex[:8]}"


@asynccontextmanager
async def administered(address: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=address.partition("/")[0])
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


def name_of(address: str, topic: str) -> str:
    return f"{address.partition('/')[2]}.{topic}"


async def change(address: str, topic: str, **settings: str) -> None:
    """As somebody else would; what is not named goes back to the broker's own."""
    named = {name.replace("_", "."): value for name, value in settings.items()}
    async with administered(address) as admin:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name_of(address, topic), named)])


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # nobody tells that a remark was made
        await asyncio.sleep(0.05)


async def read_to(reader: Reader, offset: int) -> list[bytes]:
    """The values before an offset."""
    batches: list[LogBatch] = []
    while not batches or batches[-1].next_offset < offset:
        batches += await reader.fetch(1.0)
    assert batches[-1].next_offset == offset
    return [value for batch in batches for value in batch.values]


# --- transactions of other producers


def test_what_was_aborted_is_no_data_and_an_open_transaction_is_not_read_past(address: str) -> None:
    async def main() -> None:
        log = KafkaLog(address, partitions=1)
        await log.append(READINGS, [Entry(b"k", b"0")])
        topic = name_of(address, READINGS)
        producer = AIOKafkaProducer(bootstrap_servers=address.partition("/")[0], transactional_id=topic)
        await producer.start()

        async def transaction(*values: bytes) -> None:
            await producer.begin_transaction()
            for value in values:
                await producer.send_and_wait(topic, value, key=b"k", partition=0)

        await transaction(b"aborted 1", b"aborted 2")
        await producer.abort_transaction()
        await transaction(b"3", b"4")
        await producer.commit_transaction()
        await log.append(READINGS, [Entry(b"k", b"5")])
        reader, end = log.reader(READINGS, {0: 0}), 8  # six records and two marks of an end
        while (await log.bounds(READINGS))[0].end < end:
            pass
        assert await read_to(reader, end) == [b"0", b"3", b"4", b"5"]
        assert not any("transaction" in remark for remark in log.remarks)

        await transaction(b"open")
        await log.append(READINGS, [Entry(b"k", b"behind it")])
        assert await log.bounds(READINGS) == {0: Bounds(0, end)}
        assert await reader.fetch(0.5) == []
        assert [remark for remark in log.remarks if f"is open at offset {end} of partition 0" in remark]
        await producer.commit_transaction()
        assert await read_to(reader, end + 3) == [b"open", b"behind it"]
        await producer.stop()
        await reader.close()
        await log.close()

    asyncio.run(main())


def test_what_is_written_meanwhile_is_no_open_transaction(address: str) -> None:
    async def main() -> None:
        log, writer = KafkaLog(address, partitions=1), KafkaLog(address, partitions=1)
        await writer.append(READINGS, [Entry(b"k", b"0")])
        over = asyncio.Event()

        async def write() -> None:
            while not over.is_set():
                await writer.append(READINGS, [Entry(b"k", b"v")] * 3)

        writing = asyncio.create_task(write())
        ends = [(await log.bounds(READINGS))[0].end for _ in range(50)]
        over.set()
        await writing
        assert len(set(ends)) > 1
        assert log.remarks == []
        await writer.close()
        await log.close()

    asyncio.run(main())


# --- settings


def test_a_lowered_message_size_makes_smaller_batches(address: str) -> None:
    async def main() -> None:
        log = KafkaLog(address, partitions=1)
        entries = [Entry(b"k", os.urandom(800)) for _ in range(40)]
        await log.append(READINGS, entries)
        await change(address, READINGS, message_timestamp_type="LogAppendTime", max_message_bytes="3000")
        # The broker takes a moment to do as it was told; a log that looks meanwhile knows before it is refused.
        while not any("max.message.bytes is 3000 now" in remark for remark in log.remarks):
            try:
                await log.append(READINGS, entries)
            except LogUnavailableError as refused:
                assert re.search(r"a batch of 3\d{4} bytes is more than .* max\.message\.bytes", str(refused))
                break
        end = (await log.bounds(READINGS))[0].end
        await log.append(READINGS, entries)
        reader = log.reader(READINGS, {0: end})
        assert await read_to(reader, end + 40) == [entry.value for entry in entries]
        assert any("max.message.bytes is 3000 now, was 1048588" in remark for remark in log.remarks)
        await reader.close()
        await log.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("topic", "wrong", "right", "found"),
    [
        (READINGS, {"message_timestamp_type": "CreateTime"}, {"message_timestamp_type": "LogAppendTime"}, "CreateTime"),
        (
            READINGS,
            {"message_timestamp_type": "LogAppendTime", "cleanup_policy": "compact"},
            {"message_timestamp_type": "LogAppendTime"},
            "cleanup.policy=compact",
        ),
        (
            STREAMS,
            {"cleanup_policy": "compact,delete", "retention_ms": "600000"},
            {"cleanup_policy": "compact"},
            "cleanup.policy=compact,delete",
        ),
    ],
)
def test_a_setting_that_breaks_a_promise_is_told_and_waited_out(
    address: str, topic: str, wrong: dict[str, str], right: dict[str, str], found: str
) -> None:
    async def main() -> None:
        log = KafkaLog(address, partitions=1)
        await log.append(topic, [Entry(b"k", b"v")])
        await change(address, topic, **wrong)
        await until(lambda: any(found in remark for remark in log.remarks))
        with pytest.raises(LogUnavailableError, match="kafka-configs.sh"):
            await log.append(topic, [Entry(b"k", b"v")])
        starting = KafkaLog(address)
        with pytest.raises(LogConfigError, match="kafka-configs.sh"):
            await starting.append(topic, [Entry(b"k", b"v")])
        await starting.close()
        await change(address, topic, **right)
        await until(lambda: "is set up right again" in log.remarks[-1])
        await log.append(topic, [Entry(b"k", b"v")])
        await log.close()

    asyncio.run(main())


def test_marks_that_begin_to_forget_are_told(address: str) -> None:
    async def main() -> None:
        log = KafkaLog(address, partitions=1)
        await log.append(MARKS, [Entry(b"k", b"v")])
        assert log.remarks == []
        await change(address, MARKS, message_timestamp_type="LogAppendTime", retention_ms="86400000")
        await until(lambda: bool(log.remarks))
        assert "its records are kept for 1 days" in log.remarks[0]
        await log.append(MARKS, [Entry(b"k", b"v")])
        await log.close()
        later = KafkaLog(address)
        await later.ensure(MARKS)
        assert "its records are kept for 1 days" in later.remarks[0]
        await later.close()

    asyncio.run(main())


def test_who_waits_for_a_topic_that_was_deleted_and_made_anew_says_so_and_goes_on_when_it_is_mended(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a broker's auto.create.topics.enable."""
    monkeypatch.setattr(silence, "SILENT_S", 0.3)
    monkeypatch.setattr(watch, "LISTEN_S", 0.1)
    monkeypatch.setattr(watch, "LOOK_S", 1000.0)  # who waits looks
    entries = [Entry(b"%d" % number, b"v") for number in range(8)]  # of both partitions

    async def main() -> None:
        log, name = KafkaLog(address, partitions=2), name_of(address, READINGS)
        await log.append(READINGS, entries)
        async with administered(address) as admin:
            await admin.delete_topics([name])
            while name in await admin.list_topics():  # noqa: ASYNC110 - the broker rings no bell
                await asyncio.sleep(0.02)
            await admin.create_topics([NewTopic(name, 1, 1)])
            waiting = asyncio.create_task(log.append(READINGS, entries))
            await until(lambda: f"--topic {name} --partitions 2; and found message.timestamp.type" in log.trouble)
            assert "it has 1 partition, had 2 as this process began: somebody deleted it" in log.trouble
            await admin.create_partitions({name: NewPartitions(total_count=2)})
        assert {position.partition for position in await waiting} == {0, 1}
        await log.close()

    asyncio.run(main())


def test_partitions_that_are_added_are_told_and_handed_out(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member_module, "METADATA_AGE_MS", 500)

    async def main() -> None:
        log = KafkaLog(address, partitions=2)
        member, owned = await log.join(READINGS, "g", "a"), set[int]()

        async def follow() -> None:
            for event in await member.poll(0.1):
                if isinstance(event, Assigned):
                    owned.update(event.partitions)

        while owned != {0, 1}:
            await follow()
        async with administered(address) as admin:
            await admin.create_partitions({name_of(address, READINGS): NewPartitions(total_count=5)})
        while owned != {0, 1, 2, 3, 4}:
            await follow()
        await until(lambda: any("it has 5 partitions now, had 2" in remark for remark in log.remarks))
        assert await log.ensure(READINGS) == 2  # keys stay where they are until the next start
        await member.close()
        await log.close()

    asyncio.run(main())
