"""Reading a partition from an offset on: over rolled, deleted and compacted segments, past damage where asked to."""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from ingest.errors import CorruptLogError, LogUnavailableError, TruncatedLogError
from ingest.files import read_exactly
from ingest.log.protocol import LogBatch
from ingest.log.segments.head import Head
from ingest.log.segments.index import place_of
from ingest.log.segments.partition import Partition
from ingest.log.segments.segment import locate, parse, resync

FETCH_BYTES: Final = 4 << 20
"""About how much one read of a partition takes; a single record may be greater."""
_TRIES: Final = 100


class Place(NamedTuple):
    """Where reading goes on: the record `offset`, if known at byte `position` of the segment `base`."""

    offset: int
    base: int = -1
    position: int = 0


class PastBeginError(TruncatedLogError):
    """The partition begins at `begin`, later than the wanted offset."""

    def __init__(self, message: str, *, partition: int, wanted: int, begin: int) -> None:
        super().__init__(message)
        self.partition = partition
        self.wanted = wanted
        self.begin = begin


class Cursor:
    """Reads one partition. It keeps a file open, but no position: a read that nobody waited for loses nothing.

    Not for two threads at once.
    """

    def __init__(self, topic: str, partition: Partition, *, dense: bool, durable: bool) -> None:
        self.partition = partition
        self._topic = topic
        self._dense = dense
        self._durable = durable
        self._file: tuple[int, int] | None = None
        """Base and open file of the segment read last."""

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file[1])
            self._file = None

    def read(self, place: Place) -> tuple[LogBatch | None, Place]:
        """The records at `place`, None where none are there yet, and the place behind them.

        Raises:
            PastBeginError: retention has deleted that offset.
            TruncatedLogError: the log ends before that offset.
            CorruptLogError: the record there cannot be read.
            OSError: as the disk says.
        """
        for _ in range(_TRIES):
            try:
                return self._read(place, self.partition.head())
            except FileNotFoundError:  # deleted or compacted between the listing and the opening
                place = Place(place.offset)
        self.partition.check_there()
        raise LogUnavailableError(f"{self.partition.folder}: segments vanish while they are read; see who deletes them")

    def _read(self, place: Place, head: Head) -> tuple[LogBatch | None, Place]:
        limit = head.durable if self._durable else head.next_offset
        if place.offset > head.next_offset:
            raise TruncatedLogError(
                f"{self.partition.folder}: offset {place.offset} is wanted, the log ends at {head.next_offset}: "
                "it is another log than was read before, or it has lost its end; rebuild what was made from it"
            )
        while True:
            if place.base < 0:
                place = self._find(place.offset, head)
            if place.offset >= limit:
                return None, place
            size = self._size(place.base, head)
            if place.position < size:
                return self._take(place, size, limit, head)
            place = self._next_segment(place, head)

    def _take(self, place: Place, size: int, limit: int, head: Head) -> tuple[LogBatch | None, Place]:
        fd, left = self._open(place.base), size - place.position
        data = read_exactly(fd, min(FETCH_BYTES, left), place.position)
        run = parse(data, place.offset, limit, holes=not self._dense)
        if not run.offsets and len(data) < run.need <= left:
            data = read_exactly(fd, run.need, place.position)
            run = parse(data, place.offset, limit, holes=not self._dense)
        if not run.offsets:
            cut_short = not data and place.offset < head.durable  # what was durable is in the head, not in the file
            if run.need < 0 and not cut_short:  # what comes is not durable yet
                return None, place
            raise self._corrupt(place, size, head)
        batch = LogBatch(
            self._topic, self.partition.number, run.offsets, run.append_ns, run.keys, run.values, run.expected
        )
        return batch, Place(run.expected, place.base, place.position + run.used)

    def _corrupt(self, place: Place, size: int, head: Head) -> CorruptLogError:
        """Where the records behind the damage go on: in this segment, else with the next one, else at the end."""
        after = min((base for base in self.partition.bases(head) if base > place.base), default=head.next_offset)
        data = read_exactly(self._open(place.base), size - place.position, place.position)
        found = resync(data, 0, place.offset, after)
        next_offset = found.offset if found is not None else after
        return self._error(place, next_offset)

    def _error(self, place: Place, next_offset: int) -> CorruptLogError:
        return CorruptLogError(
            f"{self.partition.path(place.base)}: byte {place.position}: the records {place.offset} to "
            f"{next_offset - 1} cannot be read: their checksums do not match, or they are gone; restore the file from "
            f"a backup, or go on from offset {next_offset} without them",
            partition=self.partition.number,
            offset=place.offset,
            next_offset=next_offset,
        )

    def _find(self, offset: int, head: Head) -> Place:
        """The place of an offset."""
        bases = self.partition.bases(head) or self.partition.mended()[1]
        below = [base for base in bases if base <= offset]
        if not below:
            begin = bases[0]
            raise PastBeginError(
                f"{self.partition.folder}: offset {offset} is wanted, the log begins at {begin}: "
                "retention has deleted what was before; go on from there",
                partition=self.partition.number,
                wanted=offset,
                begin=begin,
            )
        base = below[-1]
        self.close()
        if offset == base:
            return Place(offset, base, 0)
        if base == head.base and offset >= head.next_offset:  # whoever has read all: nobody need walk there
            return Place(offset, base, head.position)
        near = place_of(self.partition, offset, base)
        if near is not None:
            return Place(offset, base, near)
        size = self._size(base, head)
        data = read_exactly(self._open(base), size, 0)
        after = min((b for b in bases if b > base), default=head.next_offset)
        return Place(offset, base, locate(data, base, offset, after))

    def _next_segment(self, place: Place, head: Head) -> Place:
        """Behind the end of a segment that is closed."""
        bases = self.partition.bases(head)
        at = max((base for base in bases if base <= place.offset), default=-1)
        if at < 0 or at != place.base or self._replaced(place.base):
            return Place(place.offset)
        after = min((base for base in bases if base > at), default=None)
        if after is None:
            raise self._error(place, max(head.next_offset, place.offset + 1))
        if self._dense:
            raise self._error(place, after)
        return Place(after, after, 0)

    def _replaced(self, base: int) -> bool:
        """Whether compaction has put another file in the place of the open one."""
        try:
            return self.partition.path(base).stat().st_ino != os.fstat(self._open(base)).st_ino
        except FileNotFoundError:
            return True

    def _size(self, base: int, head: Head) -> int:
        return head.position if base == head.base else os.fstat(self._open(base)).st_size

    def _open(self, base: int) -> int:
        if self._file is not None and self._file[0] == base:
            return self._file[1]
        fd = os.open(self.partition.path(base), os.O_RDONLY | os.O_CLOEXEC)
        self.close()
        self._file = (base, fd)
        return fd
