"""What lies in a log."""

from __future__ import annotations

import asyncio

from ingest.draining import drain
from ingest.log.protocol import READINGS, Bounds
from ingest.opening import open_log
from ingest.records import Record
from ingest.wire import decode


def read_log(url: str, topic: str = READINGS) -> list[Record]:
    """All records of a topic; none where nobody has begun it."""

    async def main() -> list[Record]:
        log = open_log(url)
        try:
            if topic not in await log.topics():
                return []
            bounds: dict[int, Bounds] = await log.bounds(topic)
            return [decode(bytes(value)) async for batch in drain(log, topic, bounds) for value in batch.values]
        finally:
            await log.close()

    return asyncio.run(main())
