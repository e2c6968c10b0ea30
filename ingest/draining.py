"""Reading a topic up to an end that is known beforehand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final

from ingest.errors import LogUnavailableError
from ingest.log.protocol import Bounds, Log, LogBatch

FETCH_TIMEOUT_S: Final = 1.0
EMPTY_FETCHES_MAX: Final = 30


async def drain(log: Log, topic: str, ranges: Mapping[int, Bounds]) -> AsyncIterator[LogBatch]:
    """The records of each partition's range, in batches; done when all ranges are read.

    Raises:
        LogUnavailableError: an end was not reached: the log delivers nothing.
        TruncatedLogError, CorruptError: as `Reader.fetch`.
    """
    position = {partition: begin for partition, (begin, end) in ranges.items() if begin < end}
    if not position:
        return
    reader = log.reader(topic, dict(position))
    empty = 0
    try:
        while any(at < ranges[partition].end for partition, at in position.items()):
            batches = await reader.fetch(FETCH_TIMEOUT_S)
            empty = 0 if batches else empty + 1
            if empty >= EMPTY_FETCHES_MAX:
                where = ", ".join(f"{p}: {at} of {ranges[p].end}" for p, at in sorted(position.items()))
                raise LogUnavailableError(
                    f"{log.url}: {topic}: {empty} reads brought nothing before the end ({where}); "
                    "check that the log's servers are up"
                )
            for batch in batches:
                position[batch.partition] = batch.next_offset
                yield batch.before(ranges[batch.partition].end)
    finally:
        await reader.close()
