"""Appends with acks=all through aiokafka's idempotent producer, in batches that this module fills.

Each partition has a lane. While a batch of a lane is on its way, what is appended gathers for the next one, so batches
grow with the load and no record lingers without one. aiokafka retries a batch under its sequence number until the
broker has it; here is decided how long that may take. A producer that failed once is thrown away with all that it
held: its sequence numbers have a hole, and sending a record again under a new number could double it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka_errors

from ingest.errors import PermanentError, RecordTooLargeError, SensorloomError
from ingest.log.kafka import internals
from ingest.log.kafka.cluster import Cluster, is_transient
from ingest.log.protocol import Entry, Position, partition_of

BATCH_BYTES: Final = 512 << 10
BATCH_OVERHEAD: Final = 256
RECORD_OVERHEAD: Final = 32
"""At least what the format adds to a batch, and to the key and value of a record, rounded up."""
_STOP_S: Final = 5.0

_partition_of = lru_cache(maxsize=1 << 14)(partition_of)


class _Call:
    """One `append` under way."""

    def __init__(self, count: int) -> None:
        self.positions = [Position(-1, -1)] * count
        self.left = count
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def finish(self, error: SensorloomError | None = None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(type(error)(*error.args))


class _Lane:
    """What waits to go to one partition, oldest first: (entry, its call, its index in the call)."""

    def __init__(self, topic: str, partition: int) -> None:
        self.topic, self.partition, self.batch_bytes = topic, partition, BATCH_BYTES
        self.queue: deque[tuple[Entry, _Call, int]] = deque()
        self.pump: asyncio.Task[None] | None = None

    def fill(self, builder: Any) -> list[tuple[_Call, int]]:
        """Move what fits into a batch, one record at least; whose they were, in order."""
        taken: list[tuple[_Call, int]] = []
        room = self.batch_bytes - BATCH_OVERHEAD
        while self.queue:
            entry, call, index = self.queue[0]
            room -= len(entry.key) + len(entry.value) + RECORD_OVERHEAD
            if taken and room < 0:
                break
            if builder.append(key=entry.key, value=entry.value, timestamp=None) is None:
                break
            self.queue.popleft()
            taken.append((call, index))
        builder.close()
        return taken


class Publisher:
    """Appends to the topics of one cluster, each call within the cluster's timeout."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._producer: Any = None
        self._lock = asyncio.Lock()
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._lanes: dict[tuple[str, int], _Lane] = {}
        self._calls: set[_Call] = set()
        self._discards: set[asyncio.Task[None]] = set()

    async def check(self, topic: str, entries: Sequence[Entry]) -> None:
        """Raise `PermanentError` for an entry that is larger than the topic takes; else `append` has all it needs."""
        _, bytes_max = await self._cluster.ensure(topic)
        self._check_sizes(topic, entries, bytes_max)
        producer = await self._started()
        what = f'find the partitions of topic "{topic}"'
        await self._cluster.call(what, lambda _: producer.partitions_for(topic))  # it has a client of its own

    async def append(self, topic: str, entries: Sequence[Entry]) -> list[Position]:
        """Where each entry lies, once all in-sync replicas have it."""
        if not entries:
            return []
        call, silence = _Call(len(entries)), self._cluster.silence
        self._calls.add(call)
        silence.asked(call, f'append to topic "{topic}"', time.monotonic())
        try:
            async with asyncio.timeout(self._cluster.timeout_s):
                # Taken in the order of the calls, so that none overtakes one that still asks about the topic.
                async with self._turns[topic]:
                    partitions, bytes_max = await self._cluster.ensure(topic)
                    self._check_sizes(topic, entries, bytes_max)
                    self._enqueue(call, topic, entries, partitions, bytes_max)
                await call.done
            silence.answered(call)
        except TimeoutError:
            error = self._cluster.unavailable(
                f'append to topic "{topic}"', f"not acknowledged in {self._cluster.timeout_s} s"
            )
            self._fail(error)
            raise error from None
        except PermanentError:
            silence.answered(call)
            raise
        finally:
            self._calls.discard(call)
            silence.given_up(call, time.monotonic())
        return call.positions

    def _check_sizes(self, topic: str, entries: Sequence[Entry], bytes_max: int) -> None:
        size = max(len(entry.key) + len(entry.value) for entry in entries) + BATCH_OVERHEAD
        if size > bytes_max:
            refusal = self._cluster.refusal(
                f'append to topic "{topic}"',
                f"a record of {size} bytes, the topic takes {bytes_max}; make chunks smaller, or raise the topic's "
                "max.message.bytes",
            )
            raise RecordTooLargeError(*refusal.args, bytes_max=bytes_max - BATCH_OVERHEAD)

    def _enqueue(self, call: _Call, topic: str, entries: Sequence[Entry], partitions: int, bytes_max: int) -> None:
        for index, entry in enumerate(entries):
            lane = self._lane(topic, _partition_of(entry.key, partitions), bytes_max)
            lane.queue.append((entry, call, index))
            if lane.pump is None:
                lane.pump = asyncio.create_task(self._run(lane))

    def _lane(self, topic: str, partition: int, bytes_max: int) -> _Lane:
        lane = self._lanes.get((topic, partition))
        if lane is None:
            lane = self._lanes[topic, partition] = _Lane(topic, partition)
        lane.batch_bytes = min(BATCH_BYTES, bytes_max)
        return lane

    async def _run(self, lane: _Lane) -> None:
        try:
            while lane.queue:
                producer = await self._started()
                batch = producer.create_batch()
                taken = lane.fill(batch)
                acknowledged = await self._send(producer, lane, batch)
                acknowledged.add_done_callback(self._settle(producer, lane, taken, batch.size()))
            lane.pump = None
        except Exception as error:
            lane.pump = None
            self._fail(self._explain(lane.topic, error))

    async def _send(self, producer: Any, lane: _Lane, batch: Any) -> asyncio.Future[Any]:
        while True:
            # Waits while the batch before this one is waiting: that is the back-pressure.
            with contextlib.suppress(kafka_errors.KafkaTimeoutError):
                future: asyncio.Future[Any] = await producer.send_batch(batch, lane.topic, partition=lane.partition)
                return future

    def _settle(
        self, producer: Any, lane: _Lane, taken: list[tuple[_Call, int]], size: int
    ) -> Callable[[asyncio.Future[Any]], None]:
        def settle(acknowledged: asyncio.Future[Any]) -> None:
            error = asyncio.CancelledError() if acknowledged.cancelled() else acknowledged.exception()
            if error is None and acknowledged.result().offset < 0:
                error = kafka_errors.DuplicateSequenceNumber("acknowledged without an offset")
            if error is not None:
                if producer is self._producer:
                    self._fail(self._explain(lane.topic, error, size))
                return
            base = acknowledged.result().offset
            for step, (call, index) in enumerate(taken):
                call.positions[index] = Position(lane.partition, base + step)
                call.left -= 1
                if call.left == 0:
                    call.finish()

        return settle

    def _explain(self, topic: str, error: BaseException, size: int = 0) -> SensorloomError:
        if isinstance(error, SensorloomError):
            return error
        what = f'append to topic "{topic}"'
        if isinstance(error, kafka_errors.MessageSizeTooLargeError):
            taken = self._cluster.limit(topic)
            self._cluster.doubt(topic)
            return self._cluster.unavailable(
                what,
                f"a batch of {size} bytes is more than the topic takes since its max.message.bytes was changed "
                f"({taken} when it was last asked); asking again, to send smaller ones",
            )
        if isinstance(error, kafka_errors.TopicAuthorizationFailedError) and not is_transient(error):
            return self._cluster.refusal(what, error)
        return self._cluster.unavailable(what, error)

    async def _started(self) -> Any:
        async with self._lock:
            if self._producer is None:
                self._producer = await self._cluster.call("start a producer", lambda _: self._start())
            return self._producer

    async def _start(self) -> Any:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._cluster.bootstrap,
            enable_idempotence=True,
            acks="all",
            compression_type="zstd",
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=self._cluster.request_timeout_ms,
        )
        try:
            async with asyncio.timeout(self._cluster.request_timeout_ms / 1000):
                await producer.start()
        except BaseException:
            await producer.stop()
            raise
        internals.set_patience(producer, self._cluster.timeout_s)  # as long as its call
        return producer

    def _fail(self, error: SensorloomError) -> None:
        """Fail every call under way, and begin anew with the next one."""
        for call in self._calls:
            call.finish(error)
        producer = self._forget()
        if producer is not None:
            task = asyncio.create_task(self._discard(producer, error))
            self._discards.add(task)
            task.add_done_callback(self._discards.discard)

    def _forget(self) -> Any:
        producer, self._producer = self._producer, None
        for lane in self._lanes.values():
            lane.queue.clear()
            if lane.pump is not None:
                lane.pump.cancel()
                lane.pump = None
        return producer

    async def _discard(self, producer: Any, error: SensorloomError) -> None:
        internals.fail_batches(producer, error)
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_STOP_S):
                await producer.stop()
        await producer.client.close()

    async def close(self) -> None:
        """Wait for the calls under way, each within its own time, and let go."""
        while self._calls:
            await asyncio.wait([call.done for call in self._calls])
            await asyncio.sleep(0)
        producer = self._forget()
        if producer is not None:
            await self._discard(producer, self._cluster.unavailable("append", "the log was closed"))
        await asyncio.gather(*self._discards, return_exceptions=True)
