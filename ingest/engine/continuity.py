"""Proof that a log is still the one that a chain has read: its offsets alone prove nothing.

A topic that was deleted and made anew has the same name and the same offsets, a log that was restored from yesterday's
backup has the same identity. So each entry keeps what its last record is known by, and whoever goes on with the chain
looks at that one record first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from ingest.engine.manifest import LastRecord
from ingest.errors import CorruptLogError, ReplacedLogError, TruncatedLogError
from ingest.forgetting import stands_in
from ingest.log.protocol import Bounds, Log, LogBatch
from ingest.units import format_time

_FETCH_S: Final = 1.0
_WHAT_TO_DO: Final = (
    "it was made anew, or restored from an older backup. Go on with the log that this was made from, "
    "or use another --out for this one"
)


def last_of(batch: LogBatch, count: int) -> LastRecord:
    """What the last of the first `count` records of a batch is known by."""
    at = count - 1
    return known_by(int(batch.offsets[at]), int(batch.append_ns[at]), batch.values[at])


def known_by(offset: int, append_ns: int, value: bytes) -> LastRecord:
    """What a record is known by. What stands in an archive for an erased one is known by place and time alone: the log
    may still have that."""
    return LastRecord(offset, append_ns, "" if stands_in(value) else hashlib.sha256(value).hexdigest()[:16])


def check_length(where: str, through: int, bounds: Bounds) -> None:
    """Raise `ReplacedLogError` where a log is shorter than what was read of it."""
    if bounds.end < through:
        raise ReplacedLogError(
            f"{where}: the log ends at offset {bounds.end}, but it was read up to {through}: {_WHAT_TO_DO}"
        )


def check_record(where: str, last: LastRecord, found: LastRecord | None) -> None:
    """Raise `ReplacedLogError` where a log holds another record than was read, or none, at the same offset."""
    if found is None:
        raise ReplacedLogError(
            f"{where}: the log has no record at offset {last.offset}, where one was read: {_WHAT_TO_DO}"
        )
    stands_in_one = "" in (found.sha256, last.sha256)
    another = (found.offset, found.append_ns) != (last.offset, last.append_ns)
    if another or (found.sha256 != last.sha256 and not stands_in_one):
        raise ReplacedLogError(
            f"{where}: the record at offset {last.offset} is another one than was read (it was appended at "
            f"{format_time(found.append_ns)}, the one that was read at {format_time(last.append_ns)}): {_WHAT_TO_DO}"
        )


async def check_continuity(
    log: Log, topic: str, number: int, through: int, last: LastRecord | None, bounds: Mapping[int, Bounds]
) -> str:
    """See that a partition still holds what was read of it up to `through`; a note where that cannot be seen.

    Where retention has taken the record, only the begin is known, and what is missing behind it is `lost`.

    Raises:
        ReplacedLogError: it does not.
        LogUnavailableError: the log cannot be asked.
    """
    where = f"{topic}-{number}"
    check_length(where, through, bounds[number])
    if last is None or last.offset < bounds[number].begin:
        return ""
    try:
        check_record(where, last, await _read_one(log, topic, number, last.offset))
    except CorruptLogError as rotten:
        return f"{rotten}; it is the last record that was read, so that nothing shows that this is still the same log"
    except TruncatedLogError:  # retention was quicker
        return ""
    return ""


async def _read_one(log: Log, topic: str, number: int, offset: int) -> LastRecord | None:
    """What the record at an offset is known by; None where there are only later ones."""
    reader = log.reader(topic, {number: offset})
    try:
        while True:
            for batch in await reader.fetch(_FETCH_S):
                if len(batch):
                    found = last_of(batch, 1)
                    return found if found.offset == offset else None
                if batch.next_offset > offset:
                    return None
    finally:
        await reader.close()
