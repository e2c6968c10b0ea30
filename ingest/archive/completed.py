"""An archived topic with what came late in its place, on a disk: see `ingest.archive.complete`. Waits for the disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from ingest.archive.collected import CHUNK, COUNTS
from ingest.archive.complete import EVER, PLACES_BITS, Order, Part, Told, in_order, order_of
from ingest.archive.rows import Row
from ingest.archive.tables import read_table, record_values
from ingest.archive.topic import ArchivedPartition, ArchivedTopic
from ingest.engine.genesis import Genesis
from ingest.log.protocol import Bounds, LogBatch
from ingest.logtime import NEVER
from ingest.records import Chunk, Progress
from ingest.times import sample_times
from ingest.wire import decode, encode

_BATCH_BYTES: Final = 4 << 20
_COLUMNS: Final = ("offset", "append_ns", "kind", "verdict", "device", "recording", "stream", "start_ns", "end_ns")


class CompletePartition:
    """A partition of an archive; its offsets are those of the log, shifted by `PLACES_BITS`."""

    def __init__(self, topic: str, number: int, partition: ArchivedPartition, order: Order | None = None) -> None:
        self._topic = topic
        self._number = number
        self._partition = partition
        self.bounds = Bounds(partition.bounds.begin << PLACES_BITS, partition.bounds.end << PLACES_BITS)
        self.order = order
        """Where late chunks belong; None: it was not asked for yet."""

    def batches(self, offset: int) -> Iterator[LogBatch]:
        """As `ArchivedPartition.batches`."""
        if self.order is None:
            self.order = order_of(self._tell)
        for rows, end in self._partition.outputs(offset >> PLACES_BITS):
            found: list[tuple[int, Row, bytes]] = []
            size = 0
            for row, values in self._in_order(rows, self.order):
                place = row.offset << PLACES_BITS
                if size >= _BATCH_BYTES:
                    yield self._batch(found, place)
                    found, size = [], 0
                new = [(place + n, row, value) for n, value in enumerate(values) if place + n >= offset]
                found += new
                size += sum(len(value) for _, _, value in new)
            yield self._batch(found, end << PLACES_BITS)  # of nothing, where all has gone to other places

    def _batch(self, found: list[tuple[int, Row, bytes]], next_offset: int) -> LogBatch:
        offsets, values = [place for place, _, _ in found], [value for *_, value in found]
        append_ns, keys = [row.append_ns for _, row, _ in found], [row.key for _, row, _ in found]
        return LogBatch(self._topic, self._number, offsets, append_ns, keys, values, next_offset)

    def _tell(self) -> Iterator[Told]:
        """All records; of progress, how far it says."""
        for ref in self._partition.records:
            table = read_table(self._partition.read_file(ref.name), [*_COLUMNS, "value"])
            columns = [table.column(name).to_pylist() for name in (*_COLUMNS, "value")]
            for *row, value in zip(*columns, strict=True):
                told = Told(*row)
                if told.kind == "progress" and isinstance(record := decode(value), Progress):
                    told = told._replace(complete_to_ns=record.complete_to_ns)
                yield told

    def _in_order(self, rows: list[Row], order: Order) -> Iterator[tuple[Row, list[bytes]]]:
        """Each row with what is to be read in its place."""
        pieces = sorted({piece.offset for row in rows for piece in order.before.get(row.offset, ())})
        late = {row.offset: _chunk(value) for row, value in self._partition.rows_at(pieces)}
        for row, value in zip(rows, record_values(rows, self._partition.read_file), strict=True):
            if row.offset not in order.before and row.offset not in order.rest and not _is_unsorted(row, value):
                yield row, [value]
            else:
                yield row, _instead(row, value, order, late)


def _instead(row: Row, value: bytes, order: Order, late: Mapping[int, Chunk]) -> list[bytes]:
    """What is read in the place of a record: what goes before it, and what of it stays."""
    by_stream: dict[str, list[Part]] = {}
    for piece in order.before.get(row.offset, ()):
        chunk = late[piece.offset]
        by_stream.setdefault(chunk.stream, []).append((chunk, piece.from_ns, piece.to_ns))
    own: list[bytes] = [value]
    if row.kind == CHUNK and (row.verdict == COUNTS or row.offset in order.rest):
        parts = by_stream.pop(row.stream, [])
        from_ns = order.rest.get(row.offset, NEVER)
        if from_ns <= row.end_ns:
            parts.append((_chunk(value), from_ns, EVER))
        own = [encode(chunk) for chunk in in_order(parts)] if parts else []
    return [encode(chunk) for parts in by_stream.values() for chunk in in_order(parts)] + own


def _chunk(value: bytes) -> Chunk:
    record = decode(value)
    assert isinstance(record, Chunk), "the archive calls it a chunk"
    return record


def _is_unsorted(row: Row, value: bytes) -> bool:
    """Is it a chunk that counts, with samples that come before others of its own?"""
    if row.kind != CHUNK or row.verdict != COUNTS or not row.delta_bytes:
        return False
    return bool((np.diff(sample_times(_chunk(value))) <= 0).any())


class CompleteTopic:
    """See `ingest.archive.topic.ArchivedTopic`."""

    def __init__(self, topic: ArchivedTopic) -> None:
        self._archived = topic
        self.genesis: Genesis = topic.genesis
        self._known: dict[int, tuple[Bounds, CompletePartition]] = {}

    def partitions(self) -> dict[int, CompletePartition]:
        """Each partition, as far as the archive has come now."""
        for number, partition in self._archived.partitions().items():
            if number not in self._known or self._known[number][0] != partition.bounds:
                complete = CompletePartition(self.genesis.topic, number, partition)
                self._known[number] = partition.bounds, complete
        return {number: complete for number, (_, complete) in self._known.items()}
