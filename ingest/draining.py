"""Reading a topic up to an end that is known beforehand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final, TypeAlias

from ingest.errors import CorruptLogError, LogUnavailableError
from ingest.log.protocol import Bounds, Log, LogBatch, Reader

FETCH_TIMEOUT_S: Final = 1.0
EMPTY_FETCHES_MAX: Final = 30


OnDamage: TypeAlias = Callable[[CorruptLogError], None]
"""Is told of records that cannot be read; reading goes on behind them."""


async def drain(
    log: Log, topic: str, ranges: Mapping[int, Bounds], on_damage: OnDamage | None = None
) -> AsyncIterator[LogBatch]:
    """The records of each partition's range, in batches; done when all ranges are read.

    Without `on_damage`, records that cannot be read are an error.

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
            try:
                batches = await reader.fetch(FETCH_TIMEOUT_S)
            except CorruptLogError as error:
                reader = await pass_damage(log, topic, reader, position, error, on_damage)
                continue
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


async def pass_damage(
    log: Log, topic: str, reader: Reader, position: dict[int, int], error: CorruptLogError, on_damage: OnDamage | None
) -> Reader:
    """A reader that goes on behind records that `reader` could not read; `position` is moved on. Raises `error`
    where nobody wants to be told of it."""
    if on_damage is None:
        raise error
    on_damage(error)
    position[error.partition] = error.next_offset
    await reader.close()
    return log.reader(topic, dict(position))
