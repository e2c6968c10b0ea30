"""Group commit: one thread writes what all tasks of a process want to append, and fsyncs it together.

While one fsync runs, the next groups are written, so that the one behind it is shared by all who wait. There is never
more than one at a time: what an fsync says of a file that failed holds for all that was written to it before.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, repeat
from typing import Final, NamedTuple, TypeVar

from ingest.errors import LogUnavailableError, RecordTooLargeError, SensorloomError
from ingest.files import as_log_errors
from ingest.log.protocol import Entry, Position
from ingest.log.segments.catalog import Catalog, Topic
from ingest.log.segments.partition import Partition, Written
from ingest.log.segments.segment import FIXED_BYTES, MAX_KEY_BYTES, MAX_LENGTH, size_of

T = TypeVar("T")
GROUP_BYTES: Final = 16 << 20
"""A group takes no more calls once it has so many bytes: it bounds how long a lock is held."""
MAX_FSYNCS: Final = 8
"""How many files are fsynced at once: a file system joins what it does for them."""
TEND_S: Final = 60.0
"""How often retention looks at a topic that is written but rolls no segment."""
_NOWHERE: Final = Position(-1, -1)


@dataclass(eq=False, slots=True)
class Append:
    """One call of `append`, under way."""

    topic: str
    entries: Sequence[Entry]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[list[Position]]
    positions: list[Position] = field(default_factory=list)
    partitions: list[Partition] = field(default_factory=list)
    """Where its entries were written."""
    error: Exception | None = None


class Share(NamedTuple):
    """The entries of a call, by index, that go to one partition."""

    append: Append
    indices: Sequence[int]


@dataclass(eq=False, slots=True)
class Job:
    """Work on the log's files that goes between groups."""

    run: Callable[[], object]


def check_entries(topic: str, entries: Sequence[Entry]) -> None:
    """Raise `RecordTooLargeError` for an entry that no frame can hold."""
    if max(map(len, chain.from_iterable(entries))) <= MAX_KEY_BYTES:
        return
    for key, value in entries:
        if len(key) > MAX_KEY_BYTES or FIXED_BYTES + len(key) + len(value) > MAX_LENGTH:
            raise RecordTooLargeError(
                f"{topic}: a record with a key of {len(key)} and a value of {len(value)} bytes; the log takes keys up "
                f"to {MAX_KEY_BYTES} and values up to {MAX_LENGTH >> 20} MiB: make smaller chunks",
                bytes_max=MAX_LENGTH - FIXED_BYTES,
            )


class Writer:
    """The thread, and the queue before it."""

    def __init__(self, catalog: Catalog, *, fsync_interval_s: float, tend: Callable[[Topic], None]) -> None:
        self._catalog = catalog
        self._interval_s = fsync_interval_s
        self._tend = tend
        self._queue: list[Append | Job] = []
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._unsynced: dict[Partition, list[Written]] = {}
        self._waiting: list[Append] = []
        self._pool = ThreadPoolExecutor(MAX_FSYNCS + 1, thread_name_prefix="sensorloom-fsync")
        self._syncing: Future[None] | None = None
        """The fsync that is under way."""
        self._touched: list[Topic] = []
        self._tended: dict[str, tuple[float, list[int]]] = {}
        self._looked_s = time.monotonic()
        """When topics were tended last that nobody writes here."""
        self._synced_s = 0.0

    def submit(self, append: Append | Job) -> None:
        """Queue a call; calls are taken in this order."""
        with self._wake:
            if self._closing:
                raise LogUnavailableError(f"{self._catalog.folder}: this log was closed; open it again")
            self._queue.append(append)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sensorloom-segments", daemon=True)
                self._thread.start()
            self._wake.notify()

    def close(self) -> None:
        """Finish what is queued and end the thread. Waits for it."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()
        self._pool.shutdown()

    def _is_syncing(self) -> bool:
        return self._syncing is not None and not self._syncing.done()

    def _finish_sync(self) -> None:
        """Wait for the fsync that is under way, if any."""
        if self._syncing is not None:
            self._syncing.result()

    def _run(self) -> None:
        while True:
            group = self._next_group()
            if group is None:
                self._finish_sync()
                return
            for job in (item for item in group if isinstance(item, Job)):
                self._finish_sync()
                job.run()
            appends = [item for item in group if isinstance(item, Append)]
            if appends:
                self._write(appends)
            if self._due_s() <= 0 and not self._is_syncing():
                self._begin_sync()
                self._tend_due()

    def _due_s(self) -> float:
        """How long until the next fsync may be."""
        return 0.0 if self._closing else self._synced_s + self._interval_s - time.monotonic()

    def _next_group(self) -> list[Append | Job] | None:
        """What is queued, up to a bound; empty when an fsync is due first, None at the end."""
        with self._wake:
            while not self._queue:
                if self._closing and not self._waiting:
                    return None
                due_s = self._due_s() if self._waiting and not self._is_syncing() else None
                if due_s is not None and due_s <= 0:
                    return []
                self._wake.wait(due_s)
            size, count = 0, 0
            for item in self._queue:
                count += 1
                if isinstance(item, Append):
                    size += size_of(item.entries)
                if size >= GROUP_BYTES:
                    break
            group, self._queue = self._queue[:count], self._queue[count:]
            return group

    def _write(self, appends: list[Append]) -> None:
        """Write the calls' entries, each partition's with one lock and, within a segment, one write."""
        shares: dict[Partition, list[Share]] = {}
        for append in appends:
            try:
                topic = self._catalog.ensure(append.topic)
            except Exception as error:
                append.error = error
                continue
            if topic not in self._touched:
                self._touched.append(topic)
            append.positions = [_NOWHERE] * len(append.entries)
            for number, indices in topic.spread(append.entries).items():
                shares.setdefault(topic.partitions[number], []).append(Share(append, indices))
        for partition, partition_shares in shares.items():
            self._write_partition(partition, partition_shares)
        self._waiting += appends

    def _write_partition(self, partition: Partition, shares: list[Share]) -> None:
        try:
            with as_log_errors(partition.folder):
                written = partition.append(_gathered(shares))
        except Exception as error:
            for append, _ in shares:
                append.error = error
            return
        self._unsynced.setdefault(partition, []).append(written)
        offset = written.first
        for append, indices in shares:
            append.partitions.append(partition)
            stop = offset + len(indices)
            positions = map(Position, repeat(partition.number), range(offset, stop))
            if len(indices) == len(append.entries):
                append.positions = list(positions)
            else:
                for index, position in zip(indices, positions, strict=True):
                    append.positions[index] = position
            offset = stop

    def _begin_sync(self) -> None:
        """Let what was written become durable while more is written."""
        unsynced, self._unsynced = self._unsynced, {}
        waiting, self._waiting = self._waiting, []
        self._syncing = self._pool.submit(self._sync, unsynced, waiting)
        self._syncing.add_done_callback(self._on_synced)

    def _on_synced(self, _: Future[None]) -> None:
        with self._wake:
            self._wake.notify()

    def _sync(self, unsynced: Mapping[Partition, list[Written]], waiting: Sequence[Append]) -> None:
        """Make durable what was written, all files at once, and tell those who wait."""
        failed: dict[Partition, Exception] = {}
        syncs = [(partition, self._pool.submit(_sync_all, partition, w)) for partition, w in unsynced.items()]
        for partition, sync in syncs:
            error = sync.exception()
            if isinstance(error, Exception):
                failed[partition] = error
        self._synced_s = time.monotonic()
        told: dict[asyncio.AbstractEventLoop, list[Append]] = {}
        for append in waiting:
            for partition in failed.keys() & append.partitions:
                append.error = append.error or failed[partition]
            told.setdefault(append.loop, []).append(append)
        for loop, appends in told.items():
            tell(loop, partial(_settle, appends))

    def _tend_due(self) -> None:
        """Let retention and compaction work where a segment was closed, and now and then."""
        for topic in self._touched:
            with suppress(SensorloomError, OSError):  # what cannot be deleted now is deleted later
                bases = [partition.head().base for partition in topic.partitions]
                last_s, last_bases = self._tended.get(topic.name, (-TEND_S, []))
                if bases != last_bases or time.monotonic() - last_s >= TEND_S:
                    self._tended[topic.name] = time.monotonic(), bases
                    self._tend(topic)
        self._touched.clear()
        if time.monotonic() - self._looked_s >= TEND_S:
            self._looked_s = time.monotonic()
            with suppress(SensorloomError, OSError):
                for topic in self._catalog.closed():
                    self._tend(topic)


def tell(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
    """Run something on a loop; one that is closed wants no answer any more."""
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        if not loop.is_closed():
            raise


def _gathered(shares: list[Share]) -> Sequence[Entry]:
    """The entries of all the shares, in order."""
    (append, indices), *others = shares
    if not others and len(indices) == len(append.entries):
        return append.entries
    return [append.entries[index] for append, indices in shares for index in indices]


def _sync_all(partition: Partition, writes: list[Written]) -> None:
    """Make several writes to a partition durable; each must be tried, for its file must be closed."""
    failure: Exception | None = None
    for written in writes:
        try:
            with as_log_errors(partition.folder):
                partition.sync(written)
        except Exception as error:
            failure = error
    if failure is not None:
        raise failure


def _settle(appends: list[Append]) -> None:
    for append in appends:
        if append.future.done():  # its caller was cancelled
            continue
        if append.error is not None:
            append.future.set_exception(append.error)
        else:
            append.future.set_result(append.positions)
