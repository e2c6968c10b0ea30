"""The embedded log: append-only files on one machine's disk, for any number of its processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from ingest.files import as_log_errors
from ingest.log.protocol import Bounds, Entry, Position
from ingest.log.segments.catalog import Catalog, Keeping, Topic
from ingest.log.segments.compaction import compact
from ingest.log.segments.group import GroupFolder, SegmentMember, committed, join
from ingest.log.segments.index import current, since
from ingest.log.segments.partition import Stats
from ingest.log.segments.reader import SegmentReader
from ingest.log.segments.writer import Append, Job, Writer, check_entries, tell

T = TypeVar("T")


class SegmentLog:
    """A log in a folder of a local disk; see `ingest.log.protocol.Log`.

    `partitions`, `segment_bytes` and retention are for topics that this process creates; a topic keeps what it was
    created with (and what its own `TopicSpec` says counts before the retention given here). Retention deletes whole
    segments: records live at least so long, and a partition keeps at least so many bytes. Unset, nothing is deleted.
    `fsync_interval_s` is the least time between two fsyncs; at 0 the next one begins when the last one ends.

    Raises:
        LogConfigError: the folder is on a network file system, or `partitions` is out of range.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        partitions: int | None = None,
        fsync_interval_s: float = 0.0,
        segment_bytes: int | None = None,
        retention_ms: int | None = None,
        retention_bytes: int | None = None,
    ) -> None:
        self.url = f"segments:{path}"
        self.trouble = ""
        self.remarks: tuple[str, ...] = ()
        self._catalog = Catalog(Path(path), Keeping(partitions, segment_bytes, retention_ms, retention_bytes))
        self._writer = Writer(self._catalog, fsync_interval_s=fsync_interval_s, tend=tend)
        self._opened: set[SegmentReader | SegmentMember] = set()

    async def identity(self) -> str:
        """The log's UUID; made by whoever asks first."""
        return await asyncio.to_thread(self._catalog.identity)

    async def topics(self) -> dict[str, int]:
        """The topics that exist, with their number of partitions."""
        return await asyncio.to_thread(self._catalog.topics)

    async def ensure(self, topic: str) -> int:
        """The topic's number of partitions; creates it where it is missing.

        Raises:
            LogConfigError: it has another number of partitions than this log was opened for.
        """
        return len((await asyncio.to_thread(self._catalog.ensure, topic)).partitions)

    async def check(self, topic: str, entries: Sequence[Entry]) -> None:
        """Raise `PermanentError` for an entry that is too long for any log."""
        check_entries(topic, entries)

    async def append(self, topic: str, entries: Sequence[Entry]) -> list[Position]:
        """Append, and return when every entry is fsynced; see `ingest.log.protocol.Log.append`.

        Raises:
            StoreFullError: no room; what was there before is whole, and appending works again once there is room.
            LogUnavailableError: the disk failed, or the log was closed.
            PermanentError: an entry is too long for any log.
        """
        if not entries:
            return []
        check_entries(topic, entries)
        loop = asyncio.get_running_loop()
        append = Append(topic, tuple(entries), loop, loop.create_future())
        self._writer.submit(append)  # before anything is awaited: calls under way at once keep their order
        return await append.future

    async def bounds(self, topic: str) -> dict[int, Bounds]:
        """Begin and durable end of every partition. Raises `LogConfigError` where there is no such topic."""
        return {stats.partition: Bounds(stats.begin, stats.durable_end) for stats in await self.stats(topic)}

    async def stats(self, topic: str) -> list[Stats]:
        """What each partition holds, and what was cut off its torn tails. Raises as `bounds`."""

        def read() -> list[Stats]:
            with as_log_errors(self._catalog.folder):
                return [partition.stats() for partition in self._catalog.find(topic).partitions]

        return await asyncio.to_thread(read)

    async def since(self, topic: str, append_ns: int) -> dict[int, int]:
        """Where to begin reading for what was appended then or later. Raises as `bounds`."""

        def look() -> dict[int, int]:
            with as_log_errors(self._catalog.folder):
                found = self._catalog.find(topic)
                if found.meta.compacted:  # it is small, and has no index
                    return {partition.number: partition.stats().begin for partition in found.partitions}
                return {partition.number: since(partition, append_ns) for partition in found.partitions}

        return await asyncio.to_thread(look)

    async def committed(self, topic: str, group: str) -> dict[int, int]:
        """The offsets that the group's members last committed."""
        return await committed(GroupFolder(self._catalog.folder, topic, group))

    def reader(self, topic: str, start: Mapping[int, int], *, durable: bool = True) -> SegmentReader:
        """Read the partitions in `start` from their offsets; `durable=False` may also see what is not yet fsynced."""
        reader = SegmentReader(
            lambda: self._catalog.find(topic),
            self._catalog.folder,
            start,
            durable=durable,
            on_close=self._opened.discard,
        )
        self._opened.add(reader)
        return reader

    async def join(self, topic: str, group: str, instance: str, *, owner: str = "") -> SegmentMember:
        """Become a member of a group over a topic, which is created where it is missing.

        In a log that can only be read every member is alone and has all partitions, and a remark says so.

        Raises:
            LogConfigError: a living process is the member `instance` already, or the group works for another owner.
        """
        found = await asyncio.to_thread(self._catalog.ensure, topic)
        folder = GroupFolder(self._catalog.folder, topic, group)
        member = await join(found, folder, instance, owner, self._opened.discard)
        remark = (
            f"{self._catalog.folder}: the log can only be read from here, so workers do not see one another: each "
            "takes all partitions; run one for a dataset"
        )
        if found.is_read_only and remark not in self.remarks:
            self.remarks += (remark,)
        self._opened.add(member)
        return member

    async def trim(self, topic: str, before: Mapping[int, int]) -> None:
        """Delete the segments of each given partition that end at that offset or below."""
        found = await asyncio.to_thread(self._catalog.find, topic)

        def run() -> None:
            for partition, offset in before.items():
                found.partitions[partition].trim(offset)

        await self._between_groups(run)

    async def close(self) -> None:
        """Finish what is under way and let go, of readers and members too."""
        for opened in list(self._opened):
            await opened.close()
        await asyncio.to_thread(self._writer.close)
        await asyncio.to_thread(self._catalog.close)

    async def _between_groups(self, run: Callable[[], None]) -> None:
        """Work on files by the writing thread, and wait for it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def done(error: Exception | None) -> None:
            if not future.done():
                future.set_exception(error) if error is not None else future.set_result(None)

        def job() -> None:
            try:
                with as_log_errors(self._catalog.folder):
                    run()
            except Exception as error:
                failure = error
                tell(loop, lambda: done(failure))
            else:
                tell(loop, lambda: done(None))

        self._writer.submit(Job(job))
        await future


def tend(topic: Topic) -> None:
    """Retention and compaction of a topic, as its meta says, and its index: the writing thread, as segments roll."""
    meta = topic.meta
    for partition in topic.partitions:
        if meta.compacted:
            compact(partition)
        elif meta.retention_ms is not None or meta.retention_bytes is not None:
            before_ns = None if meta.retention_ms is None else time.time_ns() - meta.retention_ms * 1_000_000
            partition.forget(before_ns, meta.retention_bytes)
    if not meta.compacted:
        for partition in topic.partitions:
            current(partition)
