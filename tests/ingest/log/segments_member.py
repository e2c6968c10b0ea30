"""A member of a group in a process of its own: `python -m tests.ingest.log.segments_member DIR INSTANCE`.

Prints `owns P P …` whenever its partitions change, until it is killed.
"""

from __future__ import annotations

import asyncio
import sys

from ingest.log.protocol import Assigned, Revoked
from ingest.log.segments import SegmentLog


async def follow(folder: str, instance: str) -> None:
    log = SegmentLog(folder)
    member = await log.join("readings", "group", instance)
    owned: set[int] = set()
    while True:
        for event in await member.poll(1.0):
            if isinstance(event, Assigned):
                owned |= set(event.partitions)
            elif isinstance(event, Revoked):
                owned -= set(event.partitions)
            print("owns", *sorted(owned), flush=True)


if __name__ == "__main__":
    asyncio.run(follow(sys.argv[1], sys.argv[2]))
