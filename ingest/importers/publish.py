"""Records into a topic, batched, with a few batches on their way at once; their order is kept."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ingest.log.protocol import Entry, Log, Position
from ingest.progress import Progress
from ingest.records import Chunk, Record, RecordingEnd
from ingest.wire import encode

BATCH_ENTRIES: Final = 1000
BATCH_BYTES: Final = 4_000_000
BATCHES_UNDER_WAY: Final = 4


@dataclass(slots=True)
class Published:
    """What was acknowledged."""

    records: int = 0
    bytes: int = 0


async def publish(log: Log, topic: str, key: str, records: Iterable[Record], progress: Progress | None) -> Published:
    """Append `records` under one key and return when the last one is durable; progress counts samples
    (and records that hold none as one).

    Raises what `Log.append` raises; earlier batches may then be in the log, and some that were under way beside. The
    end of a recording is written only when everything before it is durable: it would keep out who tries again.
    """
    published = Published()
    under_way: deque[tuple[asyncio.Task[list[Position]], int, int]] = deque()
    encoded_key = key.encode()

    async def finish(most: int) -> None:
        while len(under_way) > most:
            task, steps, size = under_way[0]
            published.records += len(await task)
            published.bytes += size
            under_way.popleft()
            if progress is not None:
                progress.advance(steps)

    try:
        for entries, steps, size, ends in _batches(encoded_key, records):
            if ends:
                await finish(0)
            under_way.append((asyncio.create_task(log.append(topic, entries)), steps, size))
            await asyncio.sleep(0)  # the append starts before the next batch is encoded
            await finish(BATCHES_UNDER_WAY - 1)
        await finish(0)
    finally:
        await asyncio.gather(*(task for task, _, _ in under_way), return_exceptions=True)
    return published


def _batches(key: bytes, records: Iterable[Record]) -> Iterable[tuple[list[Entry], int, int, bool]]:
    """Entries, how many samples (or other records) and bytes they hold, and whether they begin with an end."""
    entries: list[Entry] = []
    steps = size = 0
    ends = False
    for record in records:
        if type(record) is RecordingEnd:
            if entries:
                yield entries, steps, size, ends
            entries, steps, size, ends = [], 0, 0, True
        value = encode(record)
        entries.append(Entry(key, value))
        steps += record.count if type(record) is Chunk else 1
        size += len(value)
        if len(entries) >= BATCH_ENTRIES or size >= BATCH_BYTES:
            yield entries, steps, size, ends
            entries, steps, size, ends = [], 0, 0, False
    if entries:
        yield entries, steps, size, ends
