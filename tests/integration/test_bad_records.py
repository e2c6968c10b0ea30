"""Records that nobody understands, and Kafka set up wrongly, through the command line: counted or refused, loudly."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic

from ingest.log.protocol import DEADLETTER, MARKS, READINGS, STREAMS
from ingest.records import (
    Channel,
    Chunk,
    Gap,
    MarkAdd,
    MarkEdit,
    Progress,
    Reading,
    RecordingEnd,
    StreamDescription,
    schema_id,
)
from ingest.wire import encode
from tests.integration.site import DEVICES, FILES, RATE, START_NS, Running, Site, wait_for

STREAM = StreamDescription("acc", (Channel("x", "g"), Channel("y", "g")), "float32", RATE)
INT64, UINT64 = 2**63, 2**64 - 1


def chunk(**changes: Any) -> Chunk:
    """Two samples of a device that is not among the others."""
    usual = Chunk("stray", "r", "acc", b"boot", 0, schema_id(STREAM), START_NS, 20_000_000, 1, 0, 0, b"", 2, bytes(16))
    return msgspec.structs.replace(usual, **changes)


def test_a_service_ended_by_a_signal_before_it_is_done_says_so(whole: Site, fresh: Site) -> None:
    device = DEVICES[0].encode()
    fresh.append(READINGS, (device, encode(chunk(schema=b"unknown" * 2))))
    service = fresh.start(*fresh.window_words("--until-idle"))
    service.says("not in streams yet")
    assert service.ends(signal.SIGTERM) == 1
    assert service.err.splitlines()[-1] == "sensorloom: ended before the log was drained; run it again to go on"
    fresh.append(STREAMS, (b"unknown" * 2, encode(STREAM)))
    assert fresh.drain().code == 0
    assert fresh.digest() == whole.digest()


def test_an_unknown_schema_is_waited_for_and_then_read(whole: Site, fresh: Site) -> None:
    later = msgspec.structs.replace(STREAM, sensor="a newer one")
    fresh.append(READINGS, (b"stray", encode(chunk(schema=schema_id(later)))))
    service = fresh.start(*fresh.window_words("--seal-seconds", "0.1"))
    service.says(f"needs schema {schema_id(later).hex()}, not in streams yet")
    fresh.append(STREAMS, (schema_id(later), encode(later)))
    wait_for(lambda: through(fresh) == len(fresh.records(READINGS)), "everything sealed")
    assert service.ends(signal.SIGTERM) == 0
    assert fresh.windows() == whole.windows()


def through(site: Site) -> int:
    done = site("dataset", "status", site.out, "--json")
    chains = msgspec.json.decode(done.out)["chains"] if done.code == 0 else []
    return sum(chain["through"] for chain in chains if chain["chain"].startswith("readings"))


UNREADABLE = {
    "no bytes": b"",
    "a later version": b"\x02" + encode(chunk())[1:],
    "no MessagePack": b"\x01\xc1",
    "an unknown kind": b"\x01" + msgspec.msgpack.encode([99, "pump-0"]),
    "a kind that is long text": b"\x01" + msgspec.msgpack.encode(["A" * 100_000]),
    "too deep": b"\x01" + b"\x91" * 100_000,
    "half a record": encode(chunk())[:30],
    "very long": b"\xff" * 3_000_000,
    "a time past int64": encode(MarkAdd("pump-0", "m", INT64, INT64, "run", "a", "operator")),
    "a stamp past int64": encode(MarkEdit("pump-0", "m", "a", "operator", client_ns=UINT64)),
    "samples past counting": encode(Gap("stray", "r", "acc", b"boot", 0, 1, UINT64, "x")),
    "a lack past counting": encode(chunk(missing=UINT64)),
    "a sequence number past int64": encode(chunk(seq=INT64)),
    "a period past int64": encode(chunk(period_num=INT64)),
    "ticks past int64": encode(chunk(period_den=0, tick_ns=UINT64, deltas=bytes([0, 0, 0, 0, 1, 0, 0, 0]))),
    "no samples": encode(chunk(count=0)),
    "values of another size": encode(chunk(values=bytes(8))),
    "an end past int64": encode(RecordingEnd("pump-0", "r0", b"boot", UINT64, "x")),
}


@pytest.mark.parametrize("topic", [READINGS, MARKS])
def test_what_cannot_be_understood_is_counted_and_kept_in_the_dead_letters(
    whole: Site, fresh: Site, topic: str
) -> None:
    fresh.append(topic, *((b"\xff stray", value) for value in UNREADABLE.values()))
    fresh.append(STREAMS, (schema_id(STREAM), encode(STREAM)))
    done = fresh.drain()
    assert (done.code, done.err) == (0, "")
    assert fresh.windows() == whole.windows()
    status = fresh.status()
    if topic == READINGS:
        assert status["counts"]["undecodable"] == len(UNREADABLE)
    assert len(fresh.records(DEADLETTER)) == len(UNREADABLE)
    assert status["marks"]["standing"] == len(DEVICES)
    assert fresh("dataset", "verify", fresh.out).code == 0
    for words in (["cat", topic, "--until-idle"], ["cat", DEADLETTER, "--until-idle"], ["stats"]):
        assert fresh("log", *words, "--log", fresh.log).code == 0
    assert fresh("log", "stats", "--device", "stray", "--log", fresh.log).code == 2  # its name has a byte more


def test_odd_but_whole_records_harm_nobody_else(whole: Site, fresh: Site) -> None:
    fresh.append(STREAMS, (schema_id(STREAM), encode(STREAM)))
    odd: list[Reading] = [
        chunk(t0_ns=-(2**62) + 1),
        chunk(seq=2**61, boot=b"c", t0_ns=START_NS - 10**18),
        chunk(seq=1, values=b"\xff" * 16),
        chunk(seq=2, missing=2**44, missing_reason="x\0\n" * 1000),
        chunk(device="a/../b\0", recording="../..", boot=b""),
        Progress("stray", "r", "acc", b"", 2**62),
        Gap("stray", "r", "acc", b"", -(2**62), -(2**62), 2**44, "x" * 10_000),
        RecordingEnd("stray", "r", b"", -(2**62), ""),
        chunk(seq=9),
    ]
    fresh.append(READINGS, *((b"stray", encode(record)) for record in odd))
    marks = [MarkAdd("pump-0", "m", 2**62, 2**62, "run", "", "", float("nan"), evidence={"x": float("inf")})]
    fresh.append(MARKS, *((b"pump-0", encode(mark)) for mark in marks))
    done = fresh.drain()
    assert (done.code, done.err) == (0, "")
    assert fresh.windows() == whole.windows()
    assert fresh("dataset", "verify", fresh.out).code == 0


# --- Kafka ------------------------------------------------------------------------------------------------------------


def administer(bootstrap: str, act: Callable[[Any], Awaitable[object]]) -> None:
    async def run() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            await act(admin)
        finally:
            await admin.close()

    asyncio.run(run())


@pytest.fixture
def on_kafka(whole: Site, kafka_bootstrap: str, tmp_path: Path) -> Site:
    site = Site(tmp_path, f"kafka://{kafka_bootstrap}/bad-{uuid.uuid4().hex[:8]}")
    return site.prepare()


@pytest.mark.kafka
def test_a_topic_without_log_append_time_is_refused_with_the_command_that_changes_it(
    on_kafka: Site, kafka_bootstrap: str
) -> None:
    topic = f"{on_kafka.log.rpartition('/')[2]}.{READINGS}"
    config = {"message.timestamp.type": "CreateTime"}
    administer(kafka_bootstrap, lambda admin: admin.create_topics([NewTopic(topic, 2, 1, topic_configs=config)]))
    command = f"--entity-name {topic} --add-config message.timestamp.type=LogAppendTime"
    for words in (on_kafka.window_words("--until-idle"), on_kafka.import_words(*FILES[0])):
        on_kafka(*words).refused(2, topic, "kafka-configs.sh", command)


@pytest.mark.kafka
def test_added_partitions_are_refused_on_kafka(whole: Site, on_kafka: Site, kafka_bootstrap: str) -> None:
    on_kafka.fill()
    assert on_kafka.drain().code == 0
    assert on_kafka.digest() == whole.digest()
    topic = f"{on_kafka.log.rpartition('/')[2]}.{READINGS}"
    administer(kafka_bootstrap, lambda admin: admin.create_partitions({topic: NewPartitions(6)}))
    on_kafka.drain().refused(2, "topic readings had 4 partitions, now it has 6", "use another --out")
    assert on_kafka.digest() == whole.digest()


@pytest.mark.kafka
def test_of_two_services_of_one_name_one_goes_on_kafka(whole: Site, on_kafka: Site) -> None:
    on_kafka.fill()
    words = on_kafka.window_words("--instance", "w", "--seal-seconds", "0.1")
    (on_kafka.folder / "other").mkdir()
    services = [on_kafka.start(*words)]
    try:
        wait_for(lambda: through(on_kafka) > 0, "a seal")
        services.append(Running(on_kafka.folder / "other", words))
        wait_for(lambda: any(service.process.poll() is not None for service in services), "one gives way")
        loser, winner = sorted(services, key=lambda service: service.process.poll() is None)
        assert (loser.ends(), loser.err.count("\n")) == (2, 1)
        assert "another worker has the same name; give each worker a name of its own" in loser.err
        assert winner.ends(signal.SIGTERM) == 0
    finally:
        for service in services:
            service.kill()
    assert on_kafka.drain().code == 0
    assert on_kafka.digest() == whole.digest()


@pytest.mark.kafka
def test_an_undecodable_record_is_a_dead_letter_on_kafka_whatever_its_size(whole: Site, on_kafka: Site) -> None:
    on_kafka.fill()
    on_kafka.append(READINGS, (b"stray", b"\xff" * 1_040_000))
    done = on_kafka.drain()
    assert (done.code, done.err) == (0, "")
    assert on_kafka.status()["counts"]["undecodable"] == 1
    assert len(on_kafka.records(DEADLETTER)) == 1
    assert on_kafka.digest() == whole.digest()
