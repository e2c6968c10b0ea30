"""Stream descriptions by schema id, read from the compacted topic `streams`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from ingest.draining import drain
from ingest.errors import CorruptLogError, WireError
from ingest.log.protocol import STREAMS, Bounds, Log, LogBatch
from ingest.records import StreamDescription
from ingest.wire import decode


class SchemaRegistry:
    """Knows the stream descriptions that `refresh` has read so far.

    A description is known by its record's key, not by a hash computed here: a newer producer may have hashed fields
    that this version does not decode.
    """

    def __init__(self, log: Log) -> None:
        self.unreadable = 0
        """Records of `streams` that are no stream description: counted, never in the way of the others."""
        self.damage = ""
        """What of `streams` could not be read last: a description that is missing may have been there."""
        self._log = log
        self._known: dict[bytes, StreamDescription] = {}
        self._next: dict[int, int] = {}
        self._fruitless = 0
        """Refreshes in a row that met nothing new."""
        self._refreshing = asyncio.Lock()

    def get(self, schema: bytes) -> StreamDescription | None:
        """The description with this id, or None where no refresh has met it."""
        return self._known.get(schema)

    @property
    def known(self) -> Mapping[bytes, StreamDescription]:
        """All that are known, by id."""
        return self._known

    @property
    def descriptions(self) -> tuple[StreamDescription, ...]:
        """All that are known, in the order in which they were met."""
        return tuple(self._known.values())

    async def refresh(self) -> int:
        """Read `streams` on from where the last refresh stopped to its present end; how many descriptions are new.

        Who waits for one in vain reads from the beginning now and then: the topic may have been deleted and made anew.

        Raises:
            LogUnavailableError: the end was not reached: the log delivers nothing.
        """
        async with self._refreshing:
            if STREAMS not in await self._log.topics():
                self._next = {}
                return 0
            before = len(self._known)
            bounds = await self._log.bounds(STREAMS)
            if self._fruitless.bit_count() == 1 or any(end < self._next.get(p, 0) for p, (_, end) in bounds.items()):
                self._next, self.unreadable = {}, 0
            ranges = {p: Bounds(max(begin, self._next.get(p, begin)), end) for p, (begin, end) in bounds.items()}
            async for batch in drain(self._log, STREAMS, ranges, self._pass):
                self._take(batch)
            new = len(self._known) - before
            self._fruitless = 0 if new else self._fruitless + 1
            return new

    def _pass(self, error: CorruptLogError) -> None:
        self.damage = str(error)
        self.unreadable += error.next_offset - error.offset
        self._next[error.partition] = error.next_offset

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
