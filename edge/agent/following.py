"""What somebody says to a running agent through a log: a topic, read from where it matters on, for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from edge.sources.backoff import Backoff
from ingest.errors import SensorloomError, TransientError
from ingest.log.protocol import Log, LogBatch

LOOK_S: Final = 1.0
"""How often it is looked."""
_RETRY_S: Final = (1.0, 60.0)
Start: TypeAlias = Callable[[Log, str], Awaitable[Mapping[int, int]]]
"""Where reading a topic begins, by partition."""


async def end_of(log: Log, topic: str) -> dict[int, int]:
    """Behind all that is there."""
    return {partition: found.end for partition, found in (await log.bounds(topic)).items()}


async def follow(
    log: Log,
    topic: str,
    start: Start,
    see: Callable[[LogBatch], Awaitable[None]],
    report: Callable[[str], None],
) -> None:
    """Show what comes, until cancelled. A log that is away is waited for; then reading begins anew at `start`. What no
    waiting mends is told, once, and tried again all the same: a person may mend it."""
    backoff, told = Backoff(*_RETRY_S), ""
    while True:
        try:
            await log.ensure(topic)
            reader = log.reader(topic, await start(log, topic))
            try:
                while True:
                    batches = await reader.fetch(0.0)  # to wait in it costs a hundred looks a second
                    backoff.reset()
                    for batch in batches:
                        await see(batch)
                    if not batches:
                        await asyncio.sleep(LOOK_S)
            finally:
                await reader.close()
        except SensorloomError as error:
            text = "" if isinstance(error, TransientError) else str(error)  # that the log is away others tell
            if text and text != told:
                report(f"{topic}: what is said through the log is not heard: {text}")
            told = text or told
            await asyncio.sleep(backoff.next_s())
