"""The samples of a stream between two instants: from an archive, from a log, or from both together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar

from ingest.archive.history import History
from ingest.archive.operator import ArchiveOperator, ArchiveRunning
from ingest.archive.reading import Answer, Question, Tables, Volume, answer, volumes_of
from ingest.draining import drain
from ingest.errors import UsageError
from ingest.log.protocol import READINGS, Bounds, Log, LogBatch, partition_of
from ingest.schemas import SchemaRegistry

_T = TypeVar("_T")
_ALL: Final = 1 << 62
"""More points than there are nanoseconds: samples are asked for, never tiles."""
_TAKEN_BYTES: Final = 64 << 20


async def samples_between(
    device: str, stream: str, start_ns: int, end_ns: int, *, archive: Path | None = None, log: Log | None = None
) -> Answer | None:
    """All samples of `[start_ns, end_ns)` that count, in float64, as `Answer.times` and `Answer.values`; None where
    there are none. A log alone is read from its beginning; of an archive what is needed, and of its log what is newer.

    Raises:
        UsageError: neither is given, or the archive is another log's.
        CorruptError: a file is damaged.
        LogUnavailableError: the log gives no answer.
    """
    question = Question(device, stream, start_ns, end_ns, _ALL)
    if archive is not None:
        return await History(archive, log).ask(question)
    if log is None:
        raise UsageError("samples: name an archive or a log to read them from")
    return await _of_log(log, question)


async def _of_log(log: Log, question: Question) -> Answer | None:
    """Fold the device's records as an archive would, and keep what meets the span."""
    bounds = await log.bounds(READINGS)
    key = question.device.encode()
    number = partition_of(key, len(bounds))
    registry = SchemaRegistry(log)
    await registry.refresh()
    operator, volumes, tables = ArchiveOperator(READINGS), list[Volume](), Tables()
    running = operator.start(None)
    async for batch in drain(log, READINGS, {number: Bounds(bounds[number].begin, bounds[number].end)}):
        rest = _of_key(batch, key)
        while len(rest):
            rest = rest.tail(running.feed(rest))
            if running.missing_schema is not None:
                await registry.refresh()
                found = registry.get(running.missing_schema)
                if found is None:
                    raise UsageError(f"{log.url}: nobody has described the stream of a chunk of {question.device} yet")
                operator.learn(running.missing_schema, found)
        if running.pending_bytes >= _TAKEN_BYTES:
            volumes += _taken(running, question, tables)
    volumes += _taken(running, question, tables)
    return answer(volumes, registry.known, question)


def _of_key(batch: LogBatch, key: bytes) -> LogBatch:
    """The records of one device."""
    own = [place for place, found in enumerate(batch.keys) if found == key]

    def of(column: Sequence[_T]) -> list[_T]:
        return [column[place] for place in own]

    times, keys, values = of(batch.append_ns), of(batch.keys), of(batch.values)
    return LogBatch(batch.topic, batch.partition, of(batch.offsets), times, keys, values, batch.next_offset)


def _taken(running: ArchiveRunning, question: Question, tables: Tables) -> list[Volume]:
    """What was folded, where it meets the span; the rest is let go."""
    files = {draft.name: b"".join(map(bytes, draft.parts)) for draft in running.take("span").drafts}
    return [volume for volume in volumes_of(files, files.__getitem__, tables) if volume.has(question)]
