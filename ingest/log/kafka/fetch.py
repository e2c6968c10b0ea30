"""Records of given partitions from given offsets, straight into columns.

One fetch request per broker is under way at any time, also while the caller works on what the last one brought.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from aiokafka import errors as kafka_errors
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from ingest.errors import CorruptLogError, SensorloomError, TruncatedLogError
from ingest.log.kafka.cluster import Cluster, is_transient
from ingest.log.protocol import LogBatch

MAX_WAIT_MS: Final = 250
"""How long a broker may hold an empty answer back; also how long a newly sought partition may wait."""
MAX_BYTES: Final = 8 << 20
MAX_PARTITION_BYTES: Final = 2 << 20
_RETRY_S: Final = 0.1
_NS_PER_MS: Final = 1_000_000
_NO_LEADER: Final = -1


class Fetched(NamedTuple):
    """What one fetch brought: record batches, and wanted offsets by partition that the log does not have."""

    batches: list[LogBatch]
    out_of_range: dict[int, int]


class _Answer(NamedTuple):
    wanted: dict[int, int]
    """The offset asked for, by partition."""
    partitions: list[Any]
    """aiokafka's rows of a fetch response: (partition, error code, …, record batches)."""
    error: BaseException | None


class PartitionFetcher:
    """Fetches every partition of one topic that has a position; positions may change between and during fetches.

    An answer counts only where its partition's position is still the one that was asked for: what was under way for
    a partition that was since revoked or sought is dropped.
    """

    def __init__(self, cluster: Cluster, topic: str) -> None:
        self.topic: Final = topic
        self._cluster = cluster
        self._positions: dict[int, int] = {}
        self._client: Any = None
        self._under_way: dict[int, asyncio.Task[_Answer]] = {}
        self._failing_since: dict[int, float] = {}
        self._rotten: dict[int, CorruptLogError] = {}
        self._failures: list[SensorloomError] = []
        self._interrupted: asyncio.Future[None] | None = None

    def seek(self, partition: int, offset: int) -> None:
        """Fetch the partition from `offset` on."""
        self._positions[partition] = offset

    def drop(self, partition: int) -> None:
        """Fetch the partition no more."""
        self._positions.pop(partition, None)

    def interrupt(self) -> None:
        """Make a `fetch` that waits return."""
        if self._interrupted is not None and not self._interrupted.done():
            self._interrupted.set_result(None)

    async def fetch(self, timeout_s: float) -> Fetched:
        """What the brokers have, or nothing after `timeout_s` or an `interrupt`.

        Raises:
            LogUnavailableError: a broker did not answer for the cluster's timeout.
            CorruptLogError: a record batch does not match its checksum; the position stays before it.
        """
        self._raise_pending()
        deadline = time.monotonic() + timeout_s
        self._interrupted = asyncio.get_running_loop().create_future()
        if self._client is None:
            self._client = await self._cluster.call("connect", lambda _: self._connect())
        while True:
            self._ask()
            remaining_s = max(0.0, deadline - time.monotonic())
            waiting: set[asyncio.Future[Any]] = {self._interrupted, *self._under_way.values()}
            await asyncio.wait(waiting, timeout=remaining_s, return_when=asyncio.FIRST_COMPLETED)
            fetched = self._take()
            if any(fetched):
                self._ask()
                return fetched
            self._raise_pending()
            if self._interrupted.done() or remaining_s == 0.0:
                return fetched

    def _raise_pending(self) -> None:
        """Raise what an earlier answer brought besides records, where it still counts."""
        while self._rotten:
            partition, rotten = self._rotten.popitem()
            if self._positions.get(partition) == rotten.offset:
                raise rotten
        if self._failures:
            raise self._failures.pop(0)

    async def close(self) -> None:
        """Let go of the connections."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _connect(self) -> Any:
        client = await self._cluster.connect()
        await client.set_topics([self.topic])
        return client

    def _ask(self) -> None:
        wanted: dict[int, dict[int, int]] = defaultdict(dict)
        for partition, offset in self._positions.items():
            node = self._client.cluster.leader_for_partition(TopicPartition(self.topic, partition))
            wanted[_NO_LEADER if node is None else node][partition] = offset
        for node, offsets in wanted.items():
            if node not in self._under_way:
                self._under_way[node] = asyncio.create_task(self._request(node, offsets))

    async def _request(self, node: int, wanted: dict[int, int]) -> _Answer:
        try:
            if node == _NO_LEADER:
                raise kafka_errors.LeaderNotAvailableError(f"partitions {sorted(wanted)} have no leader")
            asked = [(partition, offset, MAX_PARTITION_BYTES) for partition, offset in wanted.items()]
            request = FetchRequest(MAX_WAIT_MS, 1, MAX_BYTES, 0, [(self.topic, asked)])
            response = await self._client.send(node, request)
            rows = [row for _, partitions in response.topics for row in partitions]
            codes = {row[1] for row in rows} - {0, kafka_errors.OffsetOutOfRangeError.errno}
            error = kafka_errors.for_code(min(codes))(f"from broker {node}") if codes else None
        except (kafka_errors.KafkaError, OSError, TimeoutError) as failure:
            rows, error = [], failure
        if error is not None:
            self._client.force_metadata_update()
            await asyncio.sleep(_RETRY_S)
        return _Answer(wanted, rows, error)

    def _take(self) -> Fetched:
        fetched = Fetched([], {})
        for node in [node for node, task in self._under_way.items() if task.done()]:
            answer = self._under_way.pop(node).result()
            for partition, code, *_, data in answer.partitions:
                wanted = answer.wanted[partition]
                if self._positions.get(partition) != wanted:
                    continue
                if code == kafka_errors.OffsetOutOfRangeError.errno:
                    fetched.out_of_range[partition] = wanted
                elif data and not code:
                    self._read(partition, wanted, data, fetched)
            self._judge(node, answer.error)
        return fetched

    def _read(self, partition: int, wanted: int, data: bytes, fetched: Fetched) -> None:
        batch, rotten = read_columns(self.topic, partition, wanted, data)
        if batch is not None:
            # To the end of the order, so that full answers of one partition do not starve the others.
            del self._positions[partition]
            self._positions[partition] = batch.next_offset
            fetched.batches.append(batch)
        elif rotten is not None:
            self._rotten[partition] = rotten

    def _judge(self, node: int, error: BaseException | None) -> None:
        if error is None:
            self._failing_since.pop(node, None)
            return
        what = f'fetch from topic "{self.topic}"'
        since = self._failing_since.setdefault(node, time.monotonic())
        if not is_transient(error):
            self._failures.append(self._cluster.refusal(what, error))
        elif time.monotonic() - since > self._cluster.timeout_s:
            del self._failing_since[node]
            self._failures.append(self._cluster.unavailable(what, error))


def read_columns(
    topic: str, partition: int, position: int, data: bytes
) -> tuple[LogBatch | None, CorruptLogError | None]:
    """The records at and after `position` in a fetch answer's record batches, up to the first corrupt one.

    A batch of no records says that compaction or a foreign transaction left a hole; None, that there is nothing new.
    """
    memory: Any = MemoryRecords(data)
    offsets: list[int] = []
    times: list[int] = []
    keys: list[bytes] = []
    values: list[bytes] = []
    next_offset, rotten = position, None
    while memory.has_next():
        found = memory.next_batch()
        if not found.validate_crc():
            rotten = CorruptLogError(
                f"kafka topic {topic}-{partition}: the record batch at offset {found.base_offset} does not match its "
                "checksum; its disk or network is failing, compare with another replica",
                partition=partition,
                offset=next_offset,
                next_offset=max(next_offset + 1, found.next_offset),
            )
            break
        next_offset = max(next_offset, found.next_offset)
        if found.is_control_batch:
            continue
        records = list(found)
        if records and records[0].offset < position:
            records = [record for record in records if record.offset >= position]
        offsets += [record.offset for record in records]
        times += [record.timestamp * _NS_PER_MS for record in records]
        keys += [record.key or b"" for record in records]
        values += [record.value or b"" for record in records]
    if next_offset == position:
        return None, rotten
    return LogBatch(topic, partition, offsets, times, keys, values, next_offset), rotten


async def begin_after_loss(cluster: Cluster, topic: str, partition: int, wanted: int) -> int | None:
    """Where a partition begins whose broker says that `wanted` is out of range; None where it is in range by now.

    Raises:
        TruncatedLogError: the partition ends before `wanted`.
    """
    begin, end = (await cluster.bounds(topic))[partition]
    if wanted > end:
        raise TruncatedLogError(
            f"kafka://{cluster.bootstrap}: {topic}-{partition} ends at offset {end}, before the wanted {wanted}: "
            "the topic was created anew or lost its newest records; read it from a new dataset"
        )
    return begin if wanted < begin else None


class KafkaReader:
    """Reads partitions of one topic from given offsets, in no group; see `ingest.log.protocol.Reader`."""

    def __init__(self, cluster: Cluster, topic: str, start: Mapping[int, int]) -> None:
        self._cluster, self._topic = cluster, topic
        self._missing: dict[int, int] = {}
        self._fetcher = PartitionFetcher(cluster, topic)
        for partition, offset in start.items():
            self._fetcher.seek(partition, offset)

    async def fetch(self, timeout_s: float) -> list[LogBatch]:
        """What is there now, or after at most `timeout_s`."""
        await self._cluster.ensure(self._topic)
        await self._check_missing()
        batches, self._missing = await self._fetcher.fetch(timeout_s)
        if not batches:
            await self._check_missing()
        return batches

    async def _check_missing(self) -> None:
        while self._missing:
            partition, wanted = self._missing.popitem()
            begin = await begin_after_loss(self._cluster, self._topic, partition, wanted)
            if begin is not None:
                raise TruncatedLogError(
                    f"kafka://{self._cluster.bootstrap}: {self._topic}-{partition} begins at offset {begin}, "
                    f"later than the wanted {wanted}: retention has removed what lay between"
                )

    async def close(self) -> None:
        """Let go of the connections."""
        await self._fetcher.close()
