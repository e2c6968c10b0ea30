"""Reading several partitions, and waiting for what comes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from ingest.errors import LogConfigError, SensorloomError
from ingest.files import as_log_errors
from ingest.log.protocol import LogBatch
from ingest.log.segments.catalog import Topic
from ingest.log.segments.cursor import FETCH_BYTES, Cursor, Place

POLL_S: Final = 0.01
"""How soon a waiting reader looks at its partitions' heads again: a read of 100 bytes each that lie in memory."""
POLL_S_MAX: Final = 0.25
"""The same, where nothing has come for a while: 64 partitions looked at a hundred times a second are 5 % of a core."""
_SLOWER: Final = 1.1

THERE_S: Final = 1.0
"""How often it looks whether the partitions are still under their names."""


class Fetcher:
    """The places of the partitions that are read, and one read over all of them."""

    def __init__(self, topic: Topic, *, durable: bool) -> None:
        self._topic = topic
        self._durable = durable
        self._cursors: dict[int, Cursor] = {}
        self.places: dict[int, Place] = {}
        self._seen: dict[int, bytes] = {}
        self._busy = threading.Lock()
        self._looked_s = time.monotonic()
        self._pause_s = POLL_S

    def seek(self, partition: int, offset: int) -> None:
        """Read a partition from `offset` on."""
        self.places[partition] = Place(offset)
        self._seen.pop(partition, None)
        self._pause_s = POLL_S

    def drop(self, partition: int) -> None:
        """Read a partition no more."""
        self.places.pop(partition, None)

    def close(self) -> None:
        """Let go of the files. Waits for a read that is under way."""
        with self._busy:
            for cursor in self._cursors.values():
                cursor.close()
            self._cursors.clear()
            self.places.clear()

    def is_stale(self) -> bool:
        """Whether a head changed since the last read found nothing: a read may find something.

        Raises:
            FolderGoneError: nothing will ever come, for the folder was deleted or replaced.
        """
        now_s = time.monotonic()
        if now_s - self._looked_s >= THERE_S:
            self._looked_s = now_s
            for partition in self.places:
                self._topic.partitions[partition].check_there()
        return any(self._topic.partitions[p].peek() != self._seen.get(p) for p in self.places)

    async def pause(self, most_s: float) -> None:
        """Wait before the next look: longer from time to time while nothing comes, and at most `most_s`."""
        await asyncio.sleep(min(self._pause_s, most_s))
        self._pause_s = min(POLL_S_MAX, self._pause_s * _SLOWER)

    async def fetch(self) -> list[LogBatch]:
        """What is there now, of all partitions up to about twice `FETCH_BYTES`; who was read comes last next time.

        An error is raised alone: where there are records beside it, they come first, and the error with the next call.
        """
        asked = dict(self.places)
        found, seen = await asyncio.to_thread(self._read, asked)
        batches: list[LogBatch] = []
        errors: list[SensorloomError] = []
        for partition, result in found.items():
            if self.places.get(partition) is not asked[partition]:  # moved in the meantime: this was not asked for
                continue
            if isinstance(result, SensorloomError):
                errors.append(result)
                continue
            batch, place = result
            del self.places[partition]
            self.places[partition] = place
            if batch is not None:
                self._pause_s = POLL_S
                batches.append(batch)
            else:
                self._seen[partition] = seen[partition]
        if errors and not batches:
            raise errors[0]
        return batches

    def _read(
        self, asked: Mapping[int, Place]
    ) -> tuple[dict[int, tuple[LogBatch | None, Place] | SensorloomError], dict[int, bytes]]:
        found: dict[int, tuple[LogBatch | None, Place] | SensorloomError] = {}
        seen: dict[int, bytes] = {}
        read_bytes = 0
        with self._busy:
            for number, place in asked.items():
                if read_bytes >= FETCH_BYTES:
                    break
                partition = self._topic.partitions[number]
                cursor = self._cursors.get(number)
                if cursor is None:
                    cursor = self._cursors[number] = Cursor(
                        self._topic.name, partition, dense=not self._topic.meta.compacted, durable=self._durable
                    )
                seen[number] = partition.peek()
                try:
                    with as_log_errors(partition.folder):
                        batch, _ = found[number] = cursor.read(place)
                    read_bytes += sum(map(len, batch.values)) if batch is not None else 0
                except SensorloomError as error:
                    found[number] = error
        return found, seen


class SegmentReader:
    """Reads given partitions alone; see `ingest.log.protocol.Reader`."""

    def __init__(
        self,
        find: Callable[[], Topic],
        folder: Path,
        start: Mapping[int, int],
        *,
        durable: bool,
        on_close: Callable[[SegmentReader], None],
    ) -> None:
        self._on_close = on_close
        self._find = find
        self._folder = folder
        self._start = dict(start)
        self._durable = durable
        self._fetcher: Fetcher | None = None

    async def fetch(self, timeout_s: float) -> list[LogBatch]:
        """What is there now, or after at most `timeout_s`; an empty list when nothing came.

        Raises:
            TruncatedLogError: a wanted offset is no longer in the log, or not yet by more than the next one.
            CorruptLogError: a record cannot be read; a new reader may go on from its `next_offset`.
            LogConfigError: there is no such topic, or no such partition.
            LogUnavailableError: as the disk says.
        """
        fetcher = self._fetcher or await self._open()
        return await wait_for_batches(fetcher, timeout_s)

    async def close(self) -> None:
        """Let go of the files."""
        if self._fetcher is not None:
            await asyncio.to_thread(self._fetcher.close)
            self._fetcher = None
        self._on_close(self)

    async def _open(self) -> Fetcher:
        topic = await asyncio.to_thread(self._find)
        self._fetcher = Fetcher(topic, durable=self._durable)
        for partition, offset in self._start.items():
            if not 0 <= partition < len(topic.partitions):
                raise LogConfigError(
                    f"{self._folder}: partition {partition} of {topic.name} is wanted, it has {len(topic.partitions)}"
                )
            self._fetcher.seek(partition, offset)
        return self._fetcher


async def wait_for_batches(fetcher: Fetcher, timeout_s: float) -> list[LogBatch]:
    """Batches, as soon as there are any, or none after `timeout_s`."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + timeout_s
    while True:
        if fetcher.is_stale():
            batches = await fetcher.fetch()
            if batches:
                return batches
        left_s = deadline_s - loop.time()
        if left_s <= 0:
            return []
        await fetcher.pause(left_s)
