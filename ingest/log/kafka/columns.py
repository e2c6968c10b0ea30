"""Record batches of a fetch answer, straight into columns; what is damaged is told, and passed by what follows it.

Pure. A batch is laid out as https://kafka.apache.org/documentation/#recordbatch says (format 2). Its checksum covers
all from the attributes on. What stands before them (base offset, length) is covered by nothing: it is believed where
the checksum is right at that length, and the offsets go on from the batch before.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from aiokafka.errors import KafkaError
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords

from ingest.errors import CorruptLogError
from ingest.log.protocol import LogBatch

_NS_PER_MS: Final = 1_000_000
_LOG_APPEND_TIME: Final = 1
_FRAME: Final = struct.Struct(">qi")
"""Base offset, and the length of what follows the two."""
_CLAIMS: Final = struct.Struct(">q15xi30xi")
"""Base offset, the last record's distance from it, number of records."""
_SMALLEST: Final = 49
"""The length of a batch of format 2 without a record."""
_SMALLEST_LEGACY: Final = 14
_MAGIC_AT: Final = 16
_MAGIC: Final = 2


class _Batch(NamedTuple):
    """A whole batch whose checksum is right."""

    start: int
    stop: int
    base_offset: int
    next_offset: int
    content: Any
    """aiokafka's reader of it."""


class _Columns:
    """Records of several batches, by column."""

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.times: list[int] = []
        self.keys: list[bytes] = []
        self.values: list[bytes] = []

    def add(self, batch: Any, position: int) -> None:
        """The records at and after `position`."""
        records = list(batch)
        if records and records[0].offset < position:
            records = [record for record in records if record.offset >= position]
        if not records:
            return
        first, last = records[0], records[-1]
        dense = last.offset - first.offset == len(records) - 1  # but for compacted topics
        self.offsets += range(first.offset, last.offset + 1) if dense else [record.offset for record in records]
        if first.timestamp_type == _LOG_APPEND_TIME:  # one for all of the batch
            self.times += [first.timestamp * _NS_PER_MS] * len(records)
        else:
            self.times += [record.timestamp * _NS_PER_MS for record in records]
        self.keys += [record.key or b"" for record in records]
        self.values += [record.value or b"" for record in records]


class _Aborted:
    """Whose records are those of an aborted transaction, at the place that was reached.

    A broker names each such transaction of an answer by its producer and the offset at which it begins; it ends with
    the producer's next control batch.
    """

    def __init__(self, transactions: Iterable[tuple[int, int]]) -> None:
        self._coming = sorted(transactions, key=lambda transaction: -transaction[1])
        self._producers: set[int] = set()

    def drops(self, batch: _Batch) -> bool:
        """Whether a batch, each in its turn, is no data: of an aborted transaction, or the end of a transaction."""
        while self._coming and self._coming[-1][1] < batch.next_offset:
            self._producers.add(self._coming.pop()[0])
        content = batch.content
        if content.is_control_batch:
            self._producers.discard(content.producer_id)
            return True
        return bool(self._producers and content.is_transactional and content.producer_id in self._producers)


def read_columns(
    topic: str,
    partition: int,
    position: int,
    data: bytes,
    *,
    end: int,
    begins: bool = False,
    aborted: Sequence[tuple[int, int]] = (),
) -> tuple[LogBatch | None, CorruptLogError | None]:
    """The records at and after `position` in a fetch answer's record batches, up to the first damaged one.

    `end` is where the partition ended when the broker answered; `begins` says that a batch begins at `position`;
    `aborted` are the aborted transactions of the answer as (producer id, first offset). A batch of no records says that
    compaction, or an aborted transaction, left a hole; None, that there is nothing new.
    """
    columns, aborted_ones = _Columns(), _Aborted(aborted)
    next_offset, at = position, 0
    begin = position if begins else None
    damage = None
    while at < len(data) and not _is_cut(data, at):
        found = _batch_at(data, at)
        fits = found is not None and _fits(found, begin, position, data, end)
        if found is not None and fits and _read(found, columns, aborted_ones, position):
            next_offset, at, begin = max(next_offset, found.next_offset), found.stop, found.next_offset
            continue
        intact = _intact_behind(data, at, end)
        behind = _claimed_end(data, at, next_offset, end) if intact is None else intact.base_offset
        if intact is None or behind > next_offset:
            damage = _damage(topic, partition, next_offset, max(behind, next_offset + 1))
            break
        at = intact.start  # what was damaged lies before all that is wanted
    if next_offset == position:
        return None, damage
    return LogBatch(topic, partition, columns.offsets, columns.times, columns.keys, columns.values, next_offset), damage


def _is_cut(data: bytes, at: int) -> bool:
    """Whether the answer's size ends it within the batch at `at`. The first one a broker sends whole."""
    return at > 0 and (len(data) - at < _FRAME.size or _stop(data, at) > len(data))


def _stop(data: bytes, at: int) -> int:
    """Where the batch at `at` ends, as it says itself."""
    return at + _FRAME.size + int(_FRAME.unpack_from(data, at)[1])


def _batch_at(data: bytes, at: int) -> _Batch | None:
    """The batch at `at`; None where there is no whole one with the right checksum."""
    if at < 0 or len(data) - at <= _MAGIC_AT:
        return None
    base_offset, length = _FRAME.unpack_from(data, at)
    stop = at + _FRAME.size + length
    if length < _SMALLEST_LEGACY or stop > len(data) or base_offset < 0:
        return None
    part = memoryview(data)[at:stop]
    content = _content(part, legacy=data[at + _MAGIC_AT] < _MAGIC)
    if content is None or content.next_offset <= base_offset:
        return None
    return _Batch(at, stop, base_offset, content.next_offset, content)


def _content(part: memoryview, *, legacy: bool) -> Any:
    """aiokafka's reader of these bytes; None where their checksum is wrong. The format's number has no checksum."""
    if len(part) >= _FRAME.size + _SMALLEST:
        batch: Any = DefaultRecordBatch(part)
        if batch.validate_crc():
            return batch
    if legacy:
        with contextlib.suppress(KafkaError):
            message: Any = MemoryRecords(bytes(part)).next_batch()
            if message.validate_crc() and message.next_offset:
                return message
    return None


def _fits(batch: _Batch, begin: int | None, position: int, data: bytes, end: int) -> bool:
    """Whether the offsets of a batch go on from `begin`, where one is known; a base offset has no checksum."""
    if begin is None and batch.base_offset <= position < batch.next_offset:
        return True
    if begin is not None and batch.base_offset <= begin:
        return batch.base_offset == begin
    # A hole, or a base offset that is wrong: what follows, or the partition's end, gives that away.
    following = _batch_at(data, batch.stop)
    bound = end if following is None else following.base_offset
    return position < batch.next_offset <= bound


def _read(batch: _Batch, columns: _Columns, aborted: _Aborted, position: int) -> bool:
    """Whether what a batch holds could be read: its checksum may be right and its content nonsense."""
    try:
        if not aborted.drops(batch):
            columns.add(batch.content, position)
    except MemoryError:
        raise
    except Exception:  # each codec has errors of its own
        return False
    return True


def _intact_behind(data: bytes, at: int, end: int) -> _Batch | None:
    """The first intact batch behind a damaged one: where that says, else wherever one begins."""
    if len(data) - at >= _FRAME.size:
        found = _batch_at(data, _stop(data, at))
        if found is not None and found.start > at:
            return found
    while (magic := data.find(_MAGIC, at + 1 + _MAGIC_AT)) >= 0:
        at = magic - _MAGIC_AT
        found = _batch_at(data, at)
        if found is not None and found.base_offset <= end:
            return found
    return None


def _claimed_end(data: bytes, at: int, position: int, end: int) -> int:
    """Where a damaged batch ends that nothing follows: the smaller of what it says twice, and never behind `end`."""
    if len(data) - at < _CLAIMS.size:
        return end
    base_offset, distance, count = _CLAIMS.unpack_from(data, at)
    claims = (base_offset + distance + 1, base_offset + count)
    return min((claim for claim in claims if position < claim <= end), default=end)


def _damage(topic: str, partition: int, offset: int, next_offset: int) -> CorruptLogError:
    return CorruptLogError(
        f"kafka topic {topic}-{partition}: the record batch at offset {offset} does not match its checksum; its disk "
        "or network is failing, compare with another replica",
        partition=partition,
        offset=offset,
        next_offset=next_offset,
    )
