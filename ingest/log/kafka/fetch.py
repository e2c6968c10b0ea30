"""Records of given partitions from given offsets, straight into columns.

One fetch request per broker is under way at any time, also while the caller works on what the last one brought.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from aiokafka import errors as kafka_errors
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition

from ingest.errors import CorruptLogError, SensorloomError, TruncatedLogError
from ingest.log.kafka.cluster import Cluster, is_transient
from ingest.log.kafka.columns import read_columns
from ingest.log.kafka.offsets import READ_COMMITTED
from ingest.log.protocol import LogBatch

MAX_WAIT_MS: Final = 250
"""How long a broker may hold an empty answer back; also how long a newly sought partition may wait."""
MAX_BYTES: Final = 8 << 20
MAX_PARTITION_BYTES: Final = 2 << 20
_RETRY_S: Final = 0.1
_LOOKS: Final = 3
"""How often a damaged batch is asked for before it is believed to be damaged where it lies, not on its way."""
_NO_LEADER: Final = -1
_FIRST_WITH_ABORTED: Final = 4
"""The version of fetch responses that has no begin of the log before the aborted transactions."""
_UNKNOWN_END: Final = 1 << 62
_MISSING: Final[int] = kafka_errors.OffsetOutOfRangeError.errno


class Fetched(NamedTuple):
    """What one fetch brought: record batches, and wanted offsets by partition that the log does not have."""

    batches: list[LogBatch]
    out_of_range: dict[int, int]


class _Row(NamedTuple):
    """What a broker says of one partition."""

    partition: int
    code: int
    end: int
    """Up to where records can be read: the last stable offset."""
    aborted: list[tuple[int, int]]
    data: bytes


class _Answer(NamedTuple):
    wanted: dict[int, int]
    """The offset asked for, by partition."""
    rows: list[_Row]
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
        self._asking_since: dict[int, float] = {}
        """When each partition was first asked for since it was last answered."""
        self._begins: dict[int, int] = {}
        """Where the last batch that was read ended."""
        self._doubted: dict[int, tuple[int, int]] = {}
        """Where a damaged batch was seen, and how often."""
        self._rotten: dict[int, CorruptLogError] = {}
        self._failures: list[SensorloomError] = []
        self._interrupted: asyncio.Future[None] | None = None

    def seek(self, partition: int, offset: int) -> None:
        """Fetch the partition from `offset` on."""
        self._positions[partition] = offset

    def drop(self, partition: int) -> None:
        """Fetch the partition no more."""
        self._positions.pop(partition, None)
        self._answered(partition)

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

    def _answered(self, partition: int) -> None:
        self._asking_since.pop(partition, None)
        self._cluster.silence.answered((self.topic, partition))

    async def close(self) -> None:
        """Let go of the connections."""
        for partition in self._asking_since:
            self._cluster.silence.given_up((self.topic, partition), time.monotonic())
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
                now_s = time.monotonic()
                for partition in offsets:
                    self._asking_since.setdefault(partition, now_s)
                    self._cluster.silence.asked((self.topic, partition), f'reading topic "{self.topic}"', now_s)
                self._under_way[node] = asyncio.create_task(self._request(node, offsets))

    async def _request(self, node: int, wanted: dict[int, int]) -> _Answer:
        try:
            if node == _NO_LEADER:
                raise kafka_errors.LeaderNotAvailableError(f"partitions {sorted(wanted)} have no leader")
            asked = [(partition, offset, MAX_PARTITION_BYTES) for partition, offset in wanted.items()]
            request = FetchRequest(MAX_WAIT_MS, 1, MAX_BYTES, READ_COMMITTED, [(self.topic, asked)])
            rows = _rows(await self._client.send(node, request))
            for row in rows:
                if row.code in (
                    0,
                    _MISSING,
                ):  # here: who seals, or waits, may not call `fetch` for long
                    self._answered(row.partition)
            codes = {row.code for row in rows} - {0, _MISSING}
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
            for row in answer.rows:
                wanted, missing = answer.wanted[row.partition], row.code == _MISSING
                if self._positions.get(row.partition) != wanted:
                    continue
                if missing:
                    fetched.out_of_range[row.partition] = wanted
                elif row.data and not row.code:
                    self._read(row, wanted, fetched)
            if answer.error is not None:
                self._judge(answer.wanted, answer.error)
        return fetched

    def _read(self, row: _Row, wanted: int, fetched: Fetched) -> None:
        partition = row.partition
        batch, rotten = read_columns(
            self.topic,
            partition,
            wanted,
            row.data,
            end=row.end,
            begins=self._begins.get(partition) == wanted,
            aborted=row.aborted,
        )
        if batch is not None:
            # To the end of the order, so that full answers of one partition do not starve the others.
            del self._positions[partition]
            self._positions[partition] = self._begins[partition] = batch.next_offset
            fetched.batches.append(batch)
        elif rotten is not None:
            seen, looks = self._doubted.get(partition, (wanted, 0))
            self._doubted[partition] = (wanted, looks + 1 if seen == wanted else 1)
            if self._doubted[partition][1] >= _LOOKS:
                self._rotten[partition] = rotten

    def _judge(self, wanted: dict[int, int], error: BaseException) -> None:
        """Note that patience is over, with what cannot pass or with partitions that nobody answers for."""
        what = f'fetch from topic "{self.topic}"'
        if not is_transient(error):
            self._failures.append(self._cluster.refusal(what, error))
            return
        patience_s = time.monotonic() - self._cluster.timeout_s
        late = [p for p in wanted if p in self._positions and self._asking_since.get(p, math.inf) < patience_s]
        if late:
            for partition in late:
                del self._asking_since[partition]
            self._failures.append(self._cluster.unavailable(what, error))


def _rows(response: Any) -> list[_Row]:
    """What a fetch response says of each partition, whatever version it has (4 or later: brokers since 0.11)."""
    rows = []
    for _, partitions in response.topics:
        for partition, code, high_watermark, stable, *more, data in partitions:
            aborted = more[0] if response.API_VERSION == _FIRST_WITH_ABORTED else more[1]
            end = stable if stable >= 0 else high_watermark
            rows.append(_Row(partition, code, end if end >= 0 else _UNKNOWN_END, list(aborted or ()), data))
    return rows


async def begin_after_loss(cluster: Cluster, topic: str, partition: int, wanted: int) -> int | None:
    """Where a partition begins whose broker says that `wanted` is out of range; None where it is in range by now.

    Raises:
        TruncatedLogError: the partition ends before `wanted`.
    """
    begin, end = (await cluster.written(topic))[partition]
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
