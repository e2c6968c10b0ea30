"""Stream descriptions by schema id, read from the compacted topic `streams`."""

from __future__ import annotations

import asyncio
from typing import Final

from ingest.errors import LogUnavailableError, WireError
from ingest.log.protocol import STREAMS, Log, LogBatch
from ingest.records import StreamDescription
from ingest.wire import decode

FETCH_TIMEOUT_S: Final = 1.0
EMPTY_FETCHES_MAX: Final = 30


class SchemaRegistry:
    """Knows the stream descriptions that `refresh` has read so far.

    A description is known by its record's key, not by a hash computed here: a newer producer may have hashed fields
    that this version does not decode.
    """

    def __init__(self, log: Log) -> None:
        self.unreadable = 0
        """Records of `streams` that are no stream description: counted, never in the way of the others."""
        self._log = log
        self._known: dict[bytes, StreamDescription] = {}
        self._next: dict[int, int] = {}
        self._refreshing = asyncio.Lock()

    def get(self, schema: bytes) -> StreamDescription | None:
        """The description with this id, or None where no refresh has met it."""
        return self._known.get(schema)

    async def refresh(self) -> int:
        """Read `streams` on from where the last refresh stopped to its present end; how many descriptions are new.

        Raises:
            LogUnavailableError: the end was not reached: the log delivers nothing.
        """
        async with self._refreshing:
            if STREAMS not in await self._log.topics():
                return 0
            before = len(self._known)
            ends: dict[int, int] = {}
            start: dict[int, int] = {}
            for partition, (begin, end) in (await self._log.bounds(STREAMS)).items():
                position = max(begin, self._next.get(partition, begin))
                if position < end:
                    start[partition], ends[partition] = position, end
            if start:
                await self._read(start, ends)
            return len(self._known) - before

    async def _read(self, start: dict[int, int], ends: dict[int, int]) -> None:
        self._next |= start
        reader = self._log.reader(STREAMS, start)
        empty = 0
        try:
            while any(self._next[partition] < end for partition, end in ends.items()):
                batches = await reader.fetch(FETCH_TIMEOUT_S)
                empty = 0 if batches else empty + 1
                if empty >= EMPTY_FETCHES_MAX:
                    where = ", ".join(f"{p}: {self._next[p]} of {end}" for p, end in sorted(ends.items()))
                    raise LogUnavailableError(
                        f"{self._log.url}: streams: {empty} reads brought nothing before the end ({where}); "
                        "check that the log's servers are up"
                    )
                for batch in batches:
                    self._take(batch)
        finally:
            await reader.close()

    def _take(self, batch: LogBatch) -> None:
        for key, value in zip(batch.keys, batch.values, strict=True):
            try:
                record = decode(bytes(value))
            except WireError:
                record = None
            if isinstance(record, StreamDescription):
                self._known[bytes(key)] = record
            else:
                self.unreadable += 1
        self._next[batch.partition] = batch.next_offset
