"""Records into a topic, batched, with a few batches on their way at once; their order is kept."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ingest.log.protocol import Entry, Log, Position
from ingest.progress import Progress
from ingest.records import Chunk, Record
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

    Raises what `Log.append` raises; earlier batches may then be in the log, later ones are not.
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
        for entries, steps, size in _batches(encoded_key, records):
            under_way.append((asyncio.create_task(log.append(topic, entries)), steps, size))
            await asyncio.sleep(0)  # the append starts before the next batch is encoded
            await finish(BATCHES_UNDER_WAY - 1)
        await finish(0)
    finally:
        await asyncio.gather(*(task for task, _, _ in under_way), return_exceptions=True)
    return published


def _batches(key: bytes, records: Iterable[Record]) -> Iterable[tuple[list[Entry], int, int]]:
    """Entries with how many samples (or other records) and bytes they hold."""
    entries: list[Entry] = []
    steps = size = 0
    for record in records:
        value = encode(record)
        entries.append(Entry(key, value))
        steps += record.count if type(record) is Chunk else 1
        size += len(value)
        if len(entries) >= BATCH_ENTRIES or size >= BATCH_BYTES:
            yield entries, steps, size
            entries, steps, size = [], 0, 0
    if entries:
        yield entries, steps, size
