"""A producer in a process of its own: `python -m tests.ingest.log.segments_writer DIR NAME COUNT`.

Appends values `NAME.NUMBER` with a few keys, many calls at once, and prints a line for each call that was
acknowledged: the numbers of its first and last value. COUNT 0: until it is killed.
"""

from __future__ import annotations

import asyncio
import sys

from ingest.log.protocol import Entry
from ingest.log.segments import SegmentLog

KEYS = 5
AT_ONCE = 4
EACH = 20


async def write(folder: str, name: str, count: int) -> None:
    log = SegmentLog(folder, partitions=2, segment_bytes=64 << 10)

    async def call(first: int) -> None:
        numbers = range(first, first + EACH)
        await log.append("readings", [Entry(b"%d" % (n % KEYS), f"{name}.{n}".encode().ljust(200)) for n in numbers])
        sys.stdout.write(f"{first} {first + EACH}\n")
        sys.stdout.flush()

    number = 0
    under_way: set[asyncio.Task[None]] = set()
    while not count or number < count:
        under_way.add(asyncio.create_task(call(number)))
        number += EACH
        if len(under_way) >= AT_ONCE:
            done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    await asyncio.gather(*under_way)
    await log.close()


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], sys.argv[2], int(sys.argv[3])))
