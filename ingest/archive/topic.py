"""One archived topic on a disk: its chains, and the records in its files. Waits for the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from ingest.archive.rows import Row
from ingest.archive.tables import RECORDS, read_table, record_values, rows_in
from ingest.engine.chain import Chain, missing_entry, read_chain
from ingest.engine.genesis import NAME, Genesis, decode_genesis
from ingest.engine.heads import decode_head, head_name
from ingest.engine.history import newest_entry
from ingest.engine.ledger import BELONGS
from ingest.engine.manifest import FileRef, Merged, chain_folder, decode_entry, entry_name, sha256_of
from ingest.errors import CorruptError, UsageError
from ingest.log.protocol import READINGS, Bounds, LogBatch

_BATCH_BYTES: Final = 4 << 20


class ArchivedPartition:
    """The chain of one partition, as far as it had come when this was made.

    Raises:
        CorruptError: an entry is damaged, or missing: the chain is shorter than it is known to have been.
    """

    def __init__(self, folder: Path, topic: str, number: int) -> None:
        self._folder = folder
        self._topic = topic
        self._number = number
        chain = _read_chain(folder, chain_folder(topic, number))
        files = () if chain is None else chain.files
        self._merged = None if chain is None else chain.merged
        self._files = {ref.name: ref for ref in files}
        self.records = [ref for ref in files if ref.name.startswith(f"{RECORDS}/")]
        """The files of records, in the log's order."""
        self.head = None if chain is None else chain.head
        """The newest entry."""
        end = 0 if chain is None else chain.head.through
        self.bounds = Bounds(self._first_offset(0) if self.records else end, end)

    def check(self, advance: Callable[[int], None]) -> Iterator[str]:
        """Read every file; what is wrong with which. `advance` is told how many bytes were read."""
        for ref in self._files.values():
            try:
                self._read(ref)
            except CorruptError as error:
                yield str(error)
            advance(ref.bytes)
        if self._merged is not None:
            yield from self._check_merged(self._merged)

    def _check_merged(self, merged: Merged) -> Iterator[str]:
        """What is wrong with the entries whose files were merged: readers do not ask for them any more."""
        previous = ""
        for seq in range(merged.last + 1):
            path = self._folder / entry_name(chain_folder(self._topic, self._number), seq)
            try:
                data = path.read_bytes()
                if decode_entry(data, str(path)).previous != previous:
                    yield f"{path}: does not follow the entry before it; restore it from a backup"
            except FileNotFoundError:
                yield f"{path}: is missing from its chain; restore it from a backup"
                return
            except CorruptError as error:
                yield str(error)
                return
            previous = sha256_of(data)
        if previous != merged.last_sha256:
            yield f"{path}: is another entry than was merged; restore it from a backup"

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(ref.bytes for ref in self._files.values())

    @property
    def kept_since_ns(self) -> int | None:
        """When the first record was appended that is kept; None where none has gone, or none is left."""
        if not self.bounds.begin or not self.records:
            return None
        first: int = read_table(self._read(self.records[0]), ["append_ns"]).column(0)[0].as_py()
        return first

    @property
    def names(self) -> list[str]:
        """Of all files, in the order in which they were sealed."""
        return list(self._files)

    def read_file(self, name: str) -> bytes:
        """A file's bytes, by its name. Raises `CorruptError` where they are not those that were written."""
        return self._read(self._files[name])

    def batches(self, offset: int) -> Iterator[LogBatch]:
        """The records from `offset` on, in batches of about 4 MB; each ends where the next one begins."""
        for rows, end in self.outputs(offset):
            yield from self._in_batches(rows, offset, end)

    def outputs(self, offset: int) -> Iterator[tuple[list[Row], int]]:
        """The rows of each file of records from the one that has `offset` on, and where the next one begins."""
        for number in range(self._file_of(offset), len(self.records)):
            rows = rows_in(read_table(self._read(self.records[number])))
            last = number + 1 == len(self.records)
            yield rows, self.bounds.end if last else self._first_offset(number + 1)

    def rows_at(self, offsets: Sequence[int]) -> Iterator[tuple[Row, bytes]]:
        """The records at these offsets, which rise; a file is read once."""
        wanted = [(number, list(few)) for number, few in groupby(offsets, self._file_of)]
        for number, few in wanted:
            asked = set(few)
            rows = [row for row in rows_in(read_table(self._read(self.records[number]))) if row.offset in asked]
            yield from zip(rows, record_values(rows, self.read_file), strict=True)

    def _in_batches(self, rows: list[Row], offset: int, end: int) -> Iterator[LogBatch]:
        values = record_values(rows, self.read_file)
        start, size = 0, 0
        for index, value in enumerate(values):
            size += len(value)
            if rows[index].offset < offset:
                start, size = index + 1, 0
            elif size >= _BATCH_BYTES and index + 1 < len(rows):
                yield self._batch(rows[start : index + 1], values[start : index + 1], rows[index + 1].offset)
                start, size = index + 1, 0
        if start < len(rows):
            yield self._batch(rows[start:], values[start:], end)

    def _batch(self, rows: list[Row], values: list[bytes], next_offset: int) -> LogBatch:
        offsets, append_ns, keys = zip(*((row.offset, row.append_ns, row.key) for row in rows), strict=True)
        return LogBatch(self._topic, self._number, offsets, append_ns, keys, values, next_offset)

    def _read(self, ref: FileRef) -> bytes:
        """A file's bytes. Raises `CorruptError` where they are not those that were written."""
        path = self._folder / ref.name
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise CorruptError(f"{path}: is missing; restore it from a backup") from None
        if hashlib.sha256(data).hexdigest() != ref.sha256:
            raise CorruptError(f"{path}: its hash is not that in the archive's manifest; restore it from a backup")
        return data

    def _file_of(self, offset: int) -> int:
        """The file that has `offset`, or the one before it where none has."""
        low, high = 0, len(self.records)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._first_offset(middle) <= offset else (low, middle)
        return low

    def _first_offset(self, number: int) -> int:
        """The offset of a file's first record: out of its footer."""
        path = self._folder / self.records[number].name
        try:
            return int(pq.read_metadata(path).row_group(0).column(0).statistics.min)
        except (OSError, ValueError) as error:
            raise CorruptError(f"{path}: {error}; restore it from a backup") from None


def _read_chain(folder: Path, place: str) -> Chain | None:
    head = folder / head_name(place)  # first: it is a bound from below
    try:
        known = decode_head(head.read_bytes(), str(head))
        newest = newest_entry(folder, place)
        if newest < known.seq:
            raise CorruptError(f"{folder}/{missing_entry(place, newest + 1)}")
        return read_chain(lambda name: (folder / name).read_bytes(), lambda name: (folder / name).exists(), place)
    except FileNotFoundError as error:
        raise CorruptError(f"{error.filename}: is missing; restore it from a backup") from None


class ArchivedTopic:
    """A topic's folder in an archive. Raises `CorruptError` where its genesis is damaged or missing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / NAME
        try:
            self.genesis: Genesis = decode_genesis(path.read_bytes(), str(path))
        except FileNotFoundError:
            raise CorruptError(f"{path}: is missing; restore it from a backup") from None

    def partitions(self) -> dict[int, ArchivedPartition]:
        """Each partition, as far as the archive has come now."""
        return {number: self.partition(number) for number in range(self.genesis.partitions)}

    def partition(self, number: int) -> ArchivedPartition:
        """One of them. Raises `CorruptError`."""
        return ArchivedPartition(self.folder, self.genesis.topic, number)


def archived_topics(archive: Path) -> dict[str, ArchivedTopic]:
    """The topics of an archive, by name: all that its workers began with.

    Raises:
        UsageError: the folder is no archive.
        CorruptError: a topic is missing or damaged.
    """
    found = {path.parent.name for path in archive.glob(f"*/{NAME}")}
    for path in (archive / BELONGS).glob("archive-*.json"):
        found.add(decode_genesis(path.read_bytes(), str(path)).topic)
    if READINGS not in found:
        raise UsageError(f"{archive}: no archive: there is no {READINGS}/{NAME}; `sensorloom archive run` makes one")
    return {topic: ArchivedTopic(archive / topic) for topic in sorted(found)}
