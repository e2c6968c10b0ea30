"""What only Kafka can get wrong: topics set up by others, dead brokers, killed members. On a broker of its own."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from ingest.errors import LogConfigError, LogUnavailableError, RecordTooLargeError, UsageError
from ingest.log.kafka import KafkaLog
from ingest.log.kafka import member as member_module
from ingest.log.kafka.cluster import DEFAULT_PARTITIONS
from ingest.log.kafka.member import evictions_max
from ingest.log.protocol import (
    DEADLETTER,
    MARKS,
    READINGS,
    STREAMS,
    Assigned,
    Entry,
    Event,
    LogBatch,
    Member,
    Position,
    Reader,
    Revoked,
)
from tests.support.kafka import KafkaBroker
from tests.support.server import PROJECT, free_ports

pytestmark = [pytest.mark.kafka]


@pytest.fixture(scope="module")
def nobody() -> Iterator[str]:
    """An address that is taken, and answers nobody."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture(scope="module")
def misleading() -> str:
    """Where the broker listens too, and sends its clients on to `nobody`."""
    return f"127.0.0.1:{free_ports(1)[0]}"


@pytest.fixture(scope="module")
def one_broker(misleading: str, nobody: str) -> Iterator[KafkaBroker]:
    with KafkaBroker(misleading=(misleading, nobody)) as broker:
        yield broker


@pytest.fixture
def broker(one_broker: KafkaBroker) -> KafkaBroker:
    """Up again, should an earlier test have failed while it was down."""
    if not one_broker.running:
        one_broker.restart()
    return one_broker


@pytest.fixture
def topic() -> str:
    return f"topic-{uuid.uuid4().hex[:8]}"


async def create(broker: KafkaBroker, topic: str, **settings: str) -> None:
    """As somebody else would, with Kafka's own tools."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    config = {name.replace("_", "."): value for name, value in settings.items()}
    await admin.create_topics([NewTopic(topic, 2, 1, topic_configs=config)])
    await admin.close()


async def settings_of(broker: KafkaBroker, topic: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    await admin.close()
    ((_, _, _, _, entries),) = response.resources
    return {name: value for name, value, *_ in entries}


async def remove(broker: KafkaBroker, *topics: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    await admin.delete_topics(list(topics))
    while set(await admin.list_topics()) & set(topics):
        pass
    await admin.close()


async def read_until(reader: Reader, value: bytes) -> None:
    while value not in [v for batch in await reader.fetch(0.2) for v in batch.values]:
        pass


async def until_appended(log: KafkaLog, topic: str, value: bytes) -> None:
    """Append with a log that has little patience, on a machine that may be slow."""
    while True:
        with contextlib.suppress(LogUnavailableError):
            await log.append(topic, [Entry(b"k", value)])
            return


# --- topics


def test_topics_are_created_as_they_must_be(broker: KafkaBroker) -> None:
    async def main() -> None:
        log = KafkaLog(broker.bootstrap)
        for topic in (READINGS, MARKS, STREAMS, DEADLETTER):
            assert await log.ensure(topic) == DEFAULT_PARTITIONS
        await log.close()
        letters = await settings_of(broker, DEADLETTER)
        assert (letters["retention.ms"], letters["retention.bytes"]) == ("2592000000", "256000000")
        readings, marks, streams = [await settings_of(broker, topic) for topic in (READINGS, MARKS, STREAMS)]
        assert {s["message.timestamp.type"] for s in (readings, marks, streams)} == {"LogAppendTime"}
        assert (readings["cleanup.policy"], streams["cleanup.policy"]) == ("delete", "compact")
        assert marks["retention.ms"] == "-1"
        await remove(broker, READINGS, MARKS, STREAMS, DEADLETTER)

    asyncio.run(main())


def test_asking_creates_nothing(broker: KafkaBroker, topic: str) -> None:
    async def main() -> None:
        log = KafkaLog(broker.bootstrap)
        assert await log.committed(topic, "group") == {}
        with pytest.raises(LogConfigError, match="does not exist"):
            await log.bounds(topic)
        assert topic not in await log.topics()
        await log.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("topic", "found", "wanted"),
    [
        (READINGS, "message.timestamp.type=CreateTime", "message.timestamp.type=LogAppendTime"),
        (MARKS, "message.timestamp.type=CreateTime", "message.timestamp.type=LogAppendTime"),
        (READINGS, "cleanup.policy=compact", "cleanup.policy=delete"),
        (STREAMS, "cleanup.policy=delete", "cleanup.policy=compact"),
    ],
)
def test_a_topic_that_breaks_a_promise_is_refused(broker: KafkaBroker, topic: str, found: str, wanted: str) -> None:
    async def main() -> None:
        name, value = found.split("=")
        await create(broker, topic, **{"message.timestamp.type": "LogAppendTime", name: value})
        log = KafkaLog(broker.bootstrap)
        for attempt in (log.ensure(topic), log.append(topic, [Entry(b"k", b"v")]), log.join(topic, "g", "i")):
            with pytest.raises(LogConfigError) as refused:
                await attempt
            assert found in str(refused.value)
            assert f"kafka-configs.sh --bootstrap-server {broker.bootstrap}" in str(refused.value)
            assert f"--entity-name {topic} --add-config {wanted}" in str(refused.value)
        assert (await log.bounds(topic))[0].end == 0
        await log.close()
        await remove(broker, topic)

    asyncio.run(main())


def test_another_number_of_partitions_is_refused(broker: KafkaBroker, topic: str) -> None:
    async def main() -> None:
        await create(broker, topic)
        willing, strict = KafkaLog(broker.bootstrap), KafkaLog(broker.bootstrap, partitions=8)
        assert await willing.ensure(topic) == 2
        with pytest.raises(LogConfigError, match="found 2 partitions, asked for 8"):
            await strict.ensure(topic)
        await willing.close()
        await strict.close()

    asyncio.run(main())


# --- records


def test_a_record_too_large_is_refused_and_harms_no_other(broker: KafkaBroker, topic: str) -> None:
    async def main() -> None:
        log = KafkaLog(broker.bootstrap, partitions=1)
        with pytest.raises(RecordTooLargeError, match=r"max\.message\.bytes") as refused:
            await log.append(topic, [Entry(b"k", b"small"), Entry(b"k", bytes(2_000_000))])
        await log.append(topic, [Entry(b"k", random.randbytes(refused.value.bytes_max - 1))])
        assert (await log.bounds(topic))[0].end == 1
        await log.close()

    asyncio.run(main())


def test_holes_are_passed(broker: KafkaBroker, topic: str) -> None:
    """A foreign transaction ends with a marker that has an offset and is no record."""

    async def main() -> None:
        log = KafkaLog(broker.bootstrap, partitions=1)
        await log.ensure(topic)
        producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, transactional_id=topic)
        await producer.start()
        async with producer.transaction():
            await producer.send(topic, b"foreign", key=None)
        await producer.stop()
        while (await log.bounds(topic))[0].end < 2:  # the marker follows the commit
            pass
        reader = log.reader(topic, {0: 0})
        batches: list[LogBatch] = []
        while not batches or batches[-1].next_offset < 2:
            batches += await reader.fetch(1.0)
        assert [(k, v) for b in batches for k, v in zip(b.keys, b.values, strict=True)] == [(b"", b"foreign")]
        assert batches[-1].next_offset == 2
        await reader.close()
        await log.close()

    asyncio.run(main())


# --- brokers that do not answer


def test_an_address_where_nobody_answers_is_named(nobody: str) -> None:
    async def main() -> None:
        log = KafkaLog(nobody, timeout_s=3.0)
        for attempt in (log.identity(), log.append("readings", [Entry(b"k", b"v")])):
            with pytest.raises(LogUnavailableError, match=f"kafka://{nobody}: .*nobody answers"):
                await attempt
        await log.close()

    asyncio.run(main())


@pytest.mark.usefixtures("broker")
def test_a_broker_that_advertises_another_address_is_told_apart(misleading: str, nobody: str) -> None:
    async def main() -> None:
        log = KafkaLog(misleading, timeout_s=0.5)
        with pytest.raises(LogUnavailableError) as unavailable:
            await log.topics()
        await log.close()
        assert f"kafka://{misleading}: " in str(unavailable.value)
        assert f"find it at {nobody}" in str(unavailable.value)
        assert "advertised.listeners" in str(unavailable.value)

    asyncio.run(main())


def test_a_dead_broker_is_an_error_in_time_and_its_return_mends_all(broker: KafkaBroker, topic: str) -> None:
    complaints: list[str] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(str(context)))
        patient, log = KafkaLog(broker.bootstrap, partitions=1), KafkaLog(broker.bootstrap, timeout_s=1.0)
        await patient.append(topic, [Entry(b"k", b"before")])
        await until_appended(log, topic, b"before")
        reader = log.reader(topic, {0: (await patient.bounds(topic))[0].end})
        assert await reader.fetch(0.1) == []
        broker.kill()
        started = time.monotonic()
        await give_up(patient, topic)
        await patient.close()  # waits for no broker where no append waits for it

        lost = [asyncio.create_task(log.append(topic, [Entry(b"k", b"lost")])) for _ in range(3)]
        for append in lost:
            with pytest.raises(LogUnavailableError, match=f'kafka://{broker.bootstrap}: append to topic "{topic}"'):
                await append
        with pytest.raises(LogUnavailableError, match="fetch from topic"):
            await read_until(reader, b"never")
        assert time.monotonic() - started < 35.0  # the client's own limit is 40 s

        broker.restart()
        await until_appended(log, topic, b"after")
        await read_until(reader, b"after")
        await reader.close()
        await log.close()

    asyncio.run(main())
    gc.collect()
    assert complaints == []


def test_closing_while_the_broker_is_away_leaves_nothing_for_the_event_loop_to_complain_of(
    broker: KafkaBroker, topic: str
) -> None:
    async def scenario() -> list[str]:
        complaints: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(str(context)))
        log = KafkaLog(broker.bootstrap, timeout_s=3)
        await log.append(topic, [Entry(b"k", b"before")])
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            appends = [asyncio.create_task(log.append(topic, [Entry(b"k", b"%d" % n)])) for n in range(20)]
            await asyncio.sleep(0.5)
            for append in appends:
                append.cancel()
            await asyncio.gather(*appends, return_exceptions=True)
            await log.close()
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        del appends
        await asyncio.sleep(0.1)
        gc.collect()
        await asyncio.sleep(0.1)
        return complaints

    assert asyncio.run(scenario()) == []


def test_a_silent_broker_is_told_to_whom_it_concerns_and_no_more_once_it_answers(
    broker: KafkaBroker, topic: str
) -> None:
    async def main() -> None:
        log = KafkaLog(broker.bootstrap, partitions=1)
        await log.ensure(topic)
        reader = log.reader(topic, {0: 0})
        await reader.fetch(0.1)
        assert log.trouble == ""
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            while not log.trouble:
                await reader.fetch(0.1)
            assert f"kafka://{broker.bootstrap}: no answer for " in log.trouble
            assert f'(reading topic "{topic}"), waiting: a connection, but no answer' in log.trouble
            told = log.trouble
            await reader.fetch(2.0)
            assert log.trouble == told
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        while log.trouble:
            await reader.fetch(0.1)
        await reader.close()
        await log.close()

    asyncio.run(main())


async def give_up(log: KafkaLog, topic: str) -> None:
    """Begin to append, and be cancelled."""
    append = asyncio.create_task(log.append(topic, [Entry(b"k", b"given up")]))
    await asyncio.wait([append], timeout=0.3)
    append.cancel()
    with pytest.raises(asyncio.CancelledError):
        await append


def test_what_is_acknowledged_while_the_broker_is_killed_is_there_once(broker: KafkaBroker, topic: str) -> None:
    """kill -9 of the broker with appends under way: aiokafka's retries must not double, drop or reorder."""
    keys, per_key, kills = [b"device-%d" % i for i in range(6)], 150, (150, 500)
    acknowledged: dict[tuple[bytes, int], Position] = {}
    progress = asyncio.Condition()

    async def write(log: KafkaLog, key: bytes) -> None:
        for number in range(per_key):
            (acknowledged[key, number],) = await log.append(topic, [Entry(key, b"%d" % number)])
            async with progress:
                progress.notify()

    async def kill_now_and_then() -> None:
        for threshold in kills:
            async with progress:
                await progress.wait_for(lambda threshold=threshold: len(acknowledged) >= threshold)  # type: ignore[misc]
            await asyncio.to_thread(broker.kill)
            await asyncio.to_thread(broker.restart)

    async def main() -> None:
        log = KafkaLog(broker.bootstrap, partitions=3)
        await asyncio.gather(kill_now_and_then(), *(write(log, key) for key in keys))
        reader = log.reader(topic, dict.fromkeys(range(3), 0))
        found: list[tuple[tuple[bytes, int], Position]] = []
        while len(found) < len(keys) * per_key:
            for batch in await reader.fetch(1.0):
                columns = zip(batch.keys, batch.values, batch.offsets, strict=True)
                found += [((key, int(value)), Position(batch.partition, offset)) for key, value, offset in columns]
        assert await reader.fetch(0.3) == []
        assert dict(found) == acknowledged
        assert len(found) == len(acknowledged) == len(keys) * per_key
        for key in keys:
            assert [number for (k, number), _ in found if k == key] == list(range(per_key))
        await reader.close()
        await log.close()

    asyncio.run(main())


# --- groups


async def follow(member: Member, owned: set[int]) -> list[Event]:
    events = await member.poll(0.2)
    for event in events:
        match event:
            case Assigned(partitions):
                owned |= set(partitions)
            case Revoked(partitions):
                owned -= set(partitions)
    return events


def test_of_a_services_groups_one_decides_whether_it_gives_way(broker: KafkaBroker, topic: str) -> None:
    """Two of one name once gave way both: the one in one group, the other in another."""

    async def main() -> None:
        log = KafkaLog(broker.bootstrap)
        windows = await log.join(topic, "windows", "w")
        assert windows.decides()
        labels = await log.join(topic, "labels", "w")
        assert (windows.decides(), labels.decides()) == (False, True)
        again = await log.join(topic, "windows", "w")
        assert (again.decides(), labels.decides()) == (False, True)
        for member in (windows, labels, again):
            await member.close()
        await log.close()

    asyncio.run(main())


def test_who_gives_way_is_new_and_in_the_group_that_decides() -> None:
    assert evictions_max(1, decides=True) < evictions_max(1, decides=False)
    assert evictions_max(1, decides=False) == evictions_max(60, decides=True) == evictions_max(60, decides=False)


def test_a_place_that_many_answers_call_lost_is_lost_once(broker: KafkaBroker, topic: str) -> None:
    """Brokers that stood still refuse a heartbeat and all commits under way at once: a worker took that for another
    one of its name, and gave up."""

    async def main() -> None:
        log = KafkaLog(broker.bootstrap, partitions=3)
        member, owned = await log.join(topic, "g", "a"), set[int]()
        for _ in range(2):
            while len(owned) < 3:
                await follow(member, owned)
            for _ in range(8):
                member._consumer._coordinator.reset_generation()
            while owned:
                await follow(member, owned)
        assert len(member._listener.evicted_s) == 2
        await member.close()
        await log.close()

    asyncio.run(main())


def test_a_worker_that_comes_back_by_its_name_in_time_disturbs_nobody(broker: KafkaBroker, topic: str) -> None:
    async def main() -> None:
        log = KafkaLog(broker.bootstrap, partitions=4)
        first, second = await log.join(topic, "g", "a"), await log.join(topic, "g", "b")
        owned: tuple[set[int], set[int]] = (set(), set())
        while owned != ({0, 1}, {2, 3}):
            await asyncio.gather(follow(first, owned[0]), follow(second, owned[1]))
        await first.disconnect()
        again, owned_again = await log.join(topic, "g", "a"), set[int]()
        noticed: list[Event] = []
        while owned_again != {0, 1}:
            _, events = await asyncio.gather(follow(again, owned_again), follow(second, owned[1]))
            noticed += events
        assert noticed == []
        assert owned[1] == {2, 3}
        await again.close()
        await second.close()
        await log.close()

    asyncio.run(main())


def test_a_killed_process_is_replaced_within_its_session(broker: KafkaBroker, topic: str) -> None:
    async def main() -> None:
        log = KafkaLog(broker.bootstrap, partitions=4)
        survivor, owned = await log.join(topic, "g", "survivor"), set[int]()
        # What the broker is asked for; a busy machine takes longer than that, so that no clock can tell it from 10 s.
        assert survivor._consumer._coordinator._session_timeout_ms == 6000
        words = ["-m", "tests.ingest.log.kafka_member", broker.bootstrap, topic, "g", "doomed"]
        doomed = await asyncio.create_subprocess_exec(sys.executable, *words, cwd=PROJECT, stdout=subprocess.PIPE)
        try:
            while owned != {2, 3}:
                await follow(survivor, owned)
            assert doomed.stdout is not None
            assert (await doomed.stdout.readline()).split()[0] == b"owns"
        finally:
            doomed.kill()
            await doomed.communicate()
        killed = time.monotonic()
        while owned != {0, 1, 2, 3}:
            await follow(survivor, owned)
        assert 3.0 < time.monotonic() - killed < 30.0
        await survivor.close()
        await log.close()

    asyncio.run(main())


def test_a_commit_that_fails_later_than_anybody_waits_is_no_traceback(
    kafka_bootstrap: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member_module, "_COMMIT_S", 0.2)
    said: list[str] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(str(context)))
        log = KafkaLog(kafka_bootstrap, partitions=4)
        member, owned = await log.join(topic, "g", "a"), set[int]()
        while owned != {0, 1, 2, 3}:
            await follow(member, owned)
        coordinator = member._consumer._coordinator
        request = coordinator._do_commit_offsets

        async def late(*args: object) -> None:  # as when the group's coordinator is killed
            coordinator._do_commit_offsets = request
            await asyncio.sleep(0.5)
            raise kafka_errors.NotCoordinatorForGroupError

        coordinator._do_commit_offsets = late
        await member.commit(dict.fromkeys(owned, 0))
        await asyncio.sleep(1.0)
        await member.close()
        await log.close()

    asyncio.run(main())
    gc.collect()
    assert said == []


def test_a_member_that_leaves_at_once_waits_for_none_of_its_commits(kafka_bootstrap: str, topic: str) -> None:
    """A worker that finds nothing to do: it has only just said for whom its group works."""
    said: list[str] = []

    async def main() -> dict[int, int]:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(str(context)))
        log = KafkaLog(kafka_bootstrap, partitions=4)
        member, owned = await log.join(topic, "g", "a", owner="dataset"), set[int]()
        while owned != {0, 1, 2, 3}:
            await follow(member, owned)
        for partition in owned:
            member.seek(partition, 0)
        await member.close()
        assert not member._committing
        found = await log.committed(topic, "g")
        await log.close()
        return found

    assert asyncio.run(main()) == dict.fromkeys(range(4), 0)
    gc.collect()
    assert said == []


def test_sites_share_a_cluster_and_do_not_meet(kafka_bootstrap: str) -> None:
    async def main() -> None:
        north, south = (KafkaLog(f"{kafka_bootstrap}/{name}-{uuid.uuid4().hex[:8]}") for name in ("north", "south"))
        assert await north.identity() != await south.identity()
        (position,) = await north.append("readings", [Entry(b"pump-7", b"cold")])
        assert (await north.bounds("readings"))[position.partition].end == 1
        assert await north.topics() == {"readings": 4}
        assert await south.topics() == {}
        await south.append("streams", [Entry(b"k", b"v")])
        plain = KafkaLog(kafka_bootstrap)
        assert f"{north.url.rpartition('/')[2]}.readings" in await plain.topics()
        for log in (north, south, plain):
            await log.close()

    asyncio.run(main())


def test_a_site_that_cannot_begin_a_topic_is_refused() -> None:
    with pytest.raises(UsageError, match='"a/b" cannot begin a topic'):
        KafkaLog("127.0.0.1:9092/a/b")
