"""A member of a group in a process of its own, started with bootstrap address, topic, group and instance.

Prints `owns P P …` whenever its partitions change, until it is killed.
"""

from __future__ import annotations

import asyncio
import sys

from ingest.log.kafka import KafkaLog
from ingest.log.protocol import Assigned, Revoked


async def main(bootstrap: str, topic: str, group: str, instance: str) -> None:
    log = KafkaLog(bootstrap)
    member = await log.join(topic, group, instance)
    owned: set[int] = set()
    while True:
        for event in await member.poll(0.5):
            match event:
                case Assigned(partitions):
                    owned |= set(partitions)
                    print("owns", *sorted(owned), flush=True)
                case Revoked(partitions):
                    owned -= set(partitions)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
