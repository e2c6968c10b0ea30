"""Fetching without a broker: record batches to columns, and which answers count."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import errors as kafka_errors
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from ingest.errors import CorruptLogError, LogConfigError, LogUnavailableError, SensorloomError
from ingest.log.kafka.cluster import Cluster
from ingest.log.kafka.fetch import Fetched, PartitionFetcher, read_columns


def record_batch(base_offset: int, values: list[bytes], *, codec: int = 4) -> bytes:
    """A batch as a broker stores it; codec 4 is zstd."""
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 20)
    for delta, value in enumerate(values):
        assert builder.append(delta, 1_700_000_000_000 + delta, b"key", value, [])
    # The base offset is the broker's to fill in, and outside the checksum.
    return struct.pack(">q", base_offset) + bytes(builder.build())[8:]


def rotten(batch: bytes) -> bytes:
    return batch[:-1] + bytes([batch[-1] ^ 1])


@pytest.mark.parametrize("codec", [0, 1, 3, 4], ids=["plain", "gzip", "lz4", "zstd"])
def test_batches_become_columns(codec: int) -> None:
    data = record_batch(10, [b"a", b"b"], codec=codec) + record_batch(12, [b"c"], codec=codec)
    batch, error = read_columns("readings", 3, 10, data)
    assert error is None
    assert batch is not None
    assert (batch.topic, batch.partition, batch.next_offset) == ("readings", 3, 13)
    assert (batch.offsets, batch.keys, batch.values) == ([10, 11, 12], [b"key"] * 3, [b"a", b"b", b"c"])
    assert batch.append_ns == [1_700_000_000_000_000_000, 1_700_000_000_001_000_000, 1_700_000_000_000_000_000]


def test_a_batch_may_be_entered_in_its_middle() -> None:
    batch, _ = read_columns("readings", 0, 12, record_batch(10, [b"a", b"b", b"c", b"d"]))
    assert batch is not None
    assert (batch.offsets, batch.values, batch.next_offset) == ([12, 13], [b"c", b"d"], 14)


def test_a_batch_cut_short_by_the_size_limit_is_left_for_the_next_fetch() -> None:
    whole, cut = record_batch(0, [b"a"]), record_batch(1, [b"b"])[:-3]
    batch, error = read_columns("readings", 0, 0, whole + cut)
    assert batch is not None
    assert (batch.values, batch.next_offset, error) == ([b"a"], 1, None)
    assert read_columns("readings", 0, 1, cut) == (None, None)


def test_nothing_is_nothing() -> None:
    assert read_columns("readings", 0, 5, b"") == (None, None)


def test_records_before_a_corrupt_batch_are_read_and_the_corrupt_one_is_named() -> None:
    bad = rotten(record_batch(2, [b"c", b"d", b"e"]))
    batch, error = read_columns("readings", 7, 0, record_batch(0, [b"a", b"b"]) + bad + record_batch(5, [b"f"]))
    assert batch is not None
    assert error is not None
    assert (batch.values, batch.next_offset) == ([b"a", b"b"], 2)
    assert (error.partition, error.offset, error.next_offset) == (7, 2, 5)

    batch, error = read_columns("readings", 7, 2, bad)
    assert batch is None
    assert error is not None
    assert (error.offset, error.next_offset) == (2, 5)
    assert "readings-7" in str(error)


class FakeCluster:
    """One broker that answers a fetch of `{partition: offset}` with rows of (partition, error code, record batches)."""

    timeout_s = 0.0

    def __init__(self, answer: Callable[[dict[int, int]], list[tuple[int, int, bytes]]]) -> None:
        self.answer = answer
        self.asked: list[dict[int, int]] = []
        self.cluster = SimpleNamespace(leader_for_partition=lambda tp: 1)

    async def call(self, what: str, operation: Callable[[Any], Awaitable[Any]]) -> Any:
        return await operation(self)

    async def connect(self) -> FakeCluster:
        return self

    async def set_topics(self, topics: list[str]) -> None:
        pass

    def force_metadata_update(self) -> None:
        pass

    async def send(self, node: int, request: Any) -> Any:
        ((topic, rows),) = request.topics
        wanted = {partition: offset for partition, offset, _ in rows}
        self.asked.append(wanted)
        await asyncio.sleep(0)
        return SimpleNamespace(topics=[(topic, self.answer(wanted))])

    async def close(self) -> None:
        pass

    def unavailable(self, what: str, error: BaseException) -> SensorloomError:
        return LogUnavailableError(f"{what}: {error}")

    def refusal(self, what: str, error: BaseException) -> SensorloomError:
        return LogConfigError(f"{what}: {error}")


def fetch_with(cluster: FakeCluster, steps: Callable[[PartitionFetcher], Awaitable[None]]) -> None:
    async def main() -> None:
        fetcher = PartitionFetcher(cast(Cluster, cluster), "readings")
        await steps(fetcher)
        await fetcher.close()

    asyncio.run(main())


def places(fetched: Fetched) -> list[tuple[int, int]]:
    return [(batch.partition, offset) for batch in fetched.batches for offset in batch.offsets]


def test_an_answer_for_a_partition_that_was_sought_or_dropped_is_not_delivered() -> None:
    cluster = FakeCluster(lambda wanted: [(p, 0, record_batch(o, [b"v"])) for p, o in wanted.items()])

    async def steps(fetcher: PartitionFetcher) -> None:
        for partition in range(3):
            fetcher.seek(partition, 0)
        assert places(await fetcher.fetch(1.0)) == [(0, 0), (1, 0), (2, 0)]
        # The next fetch, from offset 1 on, is under way by now.
        fetcher.drop(0)
        fetcher.seek(1, 40)
        assert places(await fetcher.fetch(1.0)) == [(2, 1)]
        assert places(await fetcher.fetch(1.0)) == [(1, 40), (2, 2)]

    fetch_with(cluster, steps)


def test_who_was_served_last_asks_last() -> None:
    """A broker fills its answer in the order of the request, up to a size."""
    cluster = FakeCluster(lambda wanted: [(p, 0, record_batch(o, [b"v"])) for p, o in list(wanted.items())[:1]])

    async def steps(fetcher: PartitionFetcher) -> None:
        for partition in range(3):
            fetcher.seek(partition, 0)
        served = [places(await fetcher.fetch(1.0)) for _ in range(6)]
        assert served == [[(0, 0)], [(1, 0)], [(2, 0)], [(0, 1)], [(1, 1)], [(2, 1)]]

    fetch_with(cluster, steps)


def test_a_corrupt_batch_is_told_while_others_go_on_and_once_it_is_passed_no_more() -> None:
    def answer(wanted: dict[int, int]) -> list[tuple[int, int, bytes]]:
        batches = {p: record_batch(o, [b"v"]) for p, o in wanted.items()}
        return [(p, 0, rotten(batch) if (p, wanted[p]) == (1, 0) else batch) for p, batch in batches.items()]

    async def steps(fetcher: PartitionFetcher) -> None:
        fetcher.seek(0, 0)
        fetcher.seek(1, 0)
        assert places(await fetcher.fetch(1.0)) == [(0, 0)]
        for _ in range(2):
            with pytest.raises(CorruptLogError) as told:
                await fetcher.fetch(1.0)
            assert (told.value.partition, told.value.offset, told.value.next_offset) == (1, 0, 1)
            assert places(await fetcher.fetch(1.0))[0][0] == 0
        fetcher.seek(1, 1)
        seen: list[tuple[int, int]] = []
        while (1, 1) not in seen:
            seen += places(await fetcher.fetch(1.0))

    fetch_with(FakeCluster(answer), steps)


def test_an_offset_that_is_not_there_is_told_with_what_was_wanted() -> None:
    out_of_range = kafka_errors.OffsetOutOfRangeError.errno
    cluster = FakeCluster(lambda wanted: [(p, out_of_range, b"") for p in wanted])

    async def steps(fetcher: PartitionFetcher) -> None:
        fetcher.seek(3, 17)
        assert await fetcher.fetch(1.0) == Fetched([], {3: 17})

    fetch_with(cluster, steps)


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (kafka_errors.NotLeaderForPartitionError, LogUnavailableError),
        (kafka_errors.TopicAuthorizationFailedError, LogConfigError),
    ],
)
def test_a_refusal_is_an_error_once_patience_is_over(
    refusal: type[kafka_errors.BrokerResponseError], error: type[SensorloomError]
) -> None:
    cluster = FakeCluster(lambda wanted: [(p, refusal.errno, b"") for p in wanted])

    async def steps(fetcher: PartitionFetcher) -> None:
        fetcher.seek(0, 0)
        with pytest.raises(error, match="fetch from topic"):
            await fetcher.fetch(5.0)

    fetch_with(cluster, steps)


def test_an_interrupt_ends_the_wait() -> None:
    async def steps(fetcher: PartitionFetcher) -> None:
        waiting = asyncio.create_task(fetcher.fetch(60.0))
        await asyncio.sleep(0)
        fetcher.interrupt()
        assert await waiting == Fetched([], {})

    fetch_with(FakeCluster(lambda wanted: []), steps)
