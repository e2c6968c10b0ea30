"""The marks of a log, read to where it ends now."""

from __future__ import annotations

import sys

from ingest.commandline import complaint
from ingest.draining import drain
from ingest.errors import CorruptLogError, WireError
from ingest.log.protocol import MARKS, Log
from ingest.records import Mark
from ingest.wire import decode
from labeling.changing import Book
from labeling.marks import histories


async def read_book(log: Log) -> Book:
    """All that was ever said of the log's marks; what cannot be read is told on stderr and passed over."""
    if MARKS not in await log.topics():
        return Book()

    def tell(error: CorruptLogError) -> None:
        print(complaint(f"sensorloom: {error}"), file=sys.stderr)

    events: dict[int, list[tuple[Mark, int]]] = {}
    async for batch in drain(log, MARKS, await log.bounds(MARKS), tell):
        kept = events.setdefault(batch.partition, [])
        for value, append_ns in zip(batch.values, batch.append_ns, strict=True):
            try:
                record = decode(value)
            except WireError:
                continue  # the labels operator counts it
            if isinstance(record, Mark):
                kept.append((record, append_ns))
    told = [pair for partition in sorted(events) for pair in events[partition]]
    return Book(histories((event for event, _ in told), (append_ns for _, append_ns in told))[0])
