"""Fetching without a broker: which answers count, and whose patience is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import errors as kafka_errors

from ingest.errors import CorruptLogError, LogConfigError, LogUnavailableError, SensorloomError
from ingest.log.kafka import fetch as fetch_module
from ingest.log.kafka.cluster import Cluster
from ingest.log.kafka.fetch import Fetched, PartitionFetcher
from ingest.log.kafka.silence import Silence
from tests.ingest.log.record_batches import record_batch, rotten

END = 1000


class FakeCluster:
    """One broker that answers a fetch of `{partition: offset}` with rows of (partition, error code, record batches)."""

    timeout_s = 0.0

    def __init__(self, answer: Callable[[dict[int, int]], list[tuple[int, int, bytes]]]) -> None:
        self.answer = answer
        self.asked: list[dict[int, int]] = []
        self.silence = Silence()
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
        rows = [(partition, code, END, END, 0, [], -1, data) for partition, code, data in self.answer(wanted)]
        return SimpleNamespace(topics=[(topic, rows)], API_VERSION=11)

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
        assert places(await fetcher.fetch(60.0)) == [(0, 0), (1, 0), (2, 0)]
        # The next fetch, from offset 1 on, is under way by now.
        fetcher.drop(0)
        fetcher.seek(1, 40)
        assert places(await fetcher.fetch(60.0)) == [(2, 1)]
        assert places(await fetcher.fetch(60.0)) == [(1, 40), (2, 2)]

    fetch_with(cluster, steps)


def test_who_was_served_last_asks_last() -> None:
    """A broker fills its answer in the order of the request, up to a size."""
    cluster = FakeCluster(lambda wanted: [(p, 0, record_batch(o, [b"v"])) for p, o in list(wanted.items())[:1]])

    async def steps(fetcher: PartitionFetcher) -> None:
        for partition in range(3):
            fetcher.seek(partition, 0)
        served = [places(await fetcher.fetch(60.0)) for _ in range(6)]
        assert served == [[(0, 0)], [(1, 0)], [(2, 0)], [(0, 1)], [(1, 1)], [(2, 1)]]

    fetch_with(cluster, steps)


def test_a_corrupt_batch_is_told_while_others_go_on_and_once_it_is_passed_no_more() -> None:
    def answer(wanted: dict[int, int]) -> list[tuple[int, int, bytes]]:
        batches = {p: record_batch(o, [b"v"]) for p, o in wanted.items()}
        return [(p, 0, rotten(batch) if (p, wanted[p]) == (1, 0) else batch) for p, batch in batches.items()]

    async def steps(fetcher: PartitionFetcher) -> None:
        fetcher.seek(0, 0)
        fetcher.seek(1, 0)
        for look in range(3):
            assert places(await fetcher.fetch(60.0)) == [(0, look)]
        for _ in range(2):
            with pytest.raises(CorruptLogError) as told:
                await fetcher.fetch(60.0)
            assert (told.value.partition, told.value.offset, told.value.next_offset) == (1, 0, 1)
            assert places(await fetcher.fetch(60.0))[0][0] == 0
        fetcher.seek(1, 1)
        seen: list[tuple[int, int]] = []
        while (1, 1) not in seen:
            seen += places(await fetcher.fetch(60.0))

    fetch_with(FakeCluster(answer), steps)


def test_an_offset_that_is_not_there_is_told_with_what_was_wanted() -> None:
    out_of_range = kafka_errors.OffsetOutOfRangeError.errno
    cluster = FakeCluster(lambda wanted: [(p, out_of_range, b"") for p in wanted])

    async def steps(fetcher: PartitionFetcher) -> None:
        fetcher.seek(3, 17)
        assert await fetcher.fetch(60.0) == Fetched([], {3: 17})

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


def test_each_silence_of_a_partition_has_its_own_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a leader, answered, without a leader again much later: the second silence is as long as itself."""
    now_s = [0.0]
    monkeypatch.setattr(fetch_module, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    monkeypatch.setattr(fetch_module, "_RETRY_S", 0.0)
    cluster = FakeCluster(lambda wanted: [(p, 0, b"") for p in wanted])
    cluster.timeout_s = 120.0

    async def steps(fetcher: PartitionFetcher) -> None:
        async def for_s(seconds: float, leader: int | None) -> None:
            cluster.cluster.leader_for_partition = lambda tp: leader
            until_s = now_s[0] + seconds
            while now_s[0] < until_s:
                assert await fetcher.fetch(0.0) == Fetched([], {})
                await asyncio.sleep(0)
                now_s[0] += 0.5

        fetcher.seek(0, 0)
        fetcher.seek(1, 0)
        for _ in range(3):
            await for_s(100.0, None)
            await for_s(60.0, 1)
        assert cluster.silence.longest(now_s[0]) is None
        await for_s(110.0, None)
        longest = cluster.silence.longest(now_s[0])
        assert longest is not None
        assert longest.what == 'reading topic "readings"'
        with pytest.raises(LogUnavailableError, match=r"partitions \[0, 1\] have no leader"):
            await for_s(20.0, None)

    fetch_with(cluster, steps)


def test_an_answer_that_nobody_has_taken_yet_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who seals, or waits for a disk or a schema, does not ask for minutes: the broker has answered all the same."""
    now_s = [0.0]
    monkeypatch.setattr(fetch_module, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    cluster = FakeCluster(lambda wanted: [(p, 0, record_batch(wanted[p], [b"v"])) for p in wanted])

    async def steps(fetcher: PartitionFetcher) -> None:
        fetcher.seek(0, 0)
        while not (await fetcher.fetch(60.0)).batches:
            pass
        for _ in range(10):  # the next answer comes meanwhile
            await asyncio.sleep(0)
        now_s[0] += 600.0
        assert cluster.silence.longest(now_s[0]) is None
        assert places(await fetcher.fetch(0.0)) == [(0, 1)]

    fetch_with(cluster, steps)


def test_a_damaged_batch_that_came_right_the_second_time_is_no_damage() -> None:
    answers = iter([rotten(record_batch(0, [b"v"])), record_batch(0, [b"v"])])

    async def steps(fetcher: PartitionFetcher) -> None:
        fetcher.seek(0, 0)
        assert places(await fetcher.fetch(60.0)) == [(0, 0)]

    fetch_with(FakeCluster(lambda wanted: [(p, 0, next(answers, b"")) for p in wanted]), steps)


@pytest.mark.parametrize(
    ("version", "row"),
    [
        (4, (3, 0, 20, 10, [(7, 4)], b"data")),
        (5, (3, 0, 20, 10, 0, [(7, 4)], b"data")),
        (11, (3, 0, 20, 10, 0, [(7, 4)], -1, b"data")),
    ],
)
def test_answers_of_any_version_say_what_was_aborted_and_where_it_ends(version: int, row: tuple[Any, ...]) -> None:
    (found,) = fetch_module._rows(SimpleNamespace(topics=[("readings", [row])], API_VERSION=version))
    assert found == (3, 0, 10, [(7, 4)], b"data")
