"""A partition of a test, what is written into it, and what is read from it."""

from __future__ import annotations

from pathlib import Path

from ingest.errors import CorruptLogError
from ingest.log.protocol import Entry
from ingest.log.segments.cursor import Cursor, Place
from ingest.log.segments.partition import Partition, create_partition

Records = list[tuple[int, bytes]]


def entries(start: int, stop: int, size: int = 20) -> list[Entry]:
    return [Entry(b"pump-%d" % (i % 3), (b"%d|" % i).ljust(size, b"x")) for i in range(start, stop)]


class Clock:
    """Append times that a test sets."""

    now_ns = 1_000

    def __call__(self) -> int:
        return self.now_ns


class Disk:
    """Opens the partition of a folder; every one is closed at the test's end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.opened: list[Partition] = []
        create_partition(folder)

    def open(self, segment_bytes: int = 1 << 20) -> Partition:
        found = Partition(self.folder, 0, segment_bytes=segment_bytes, clock_ns=self.clock)
        self.opened.append(found)
        return found

    def close(self) -> None:
        while self.opened:
            self.opened.pop().close()

    def segments(self) -> list[Path]:
        return sorted(self.folder.glob("*.log"))


def append(partition: Partition, batch: list[Entry]) -> int:
    """Durably; the first offset."""
    written = partition.append(batch)
    partition.sync(written)
    return written.first


def read_from(partition: Partition, offset: int = 0, *, dense: bool = True, durable: bool = True) -> Records:
    cursor = Cursor("readings", partition, dense=dense, durable=durable)
    place = Place(offset)
    found: Records = []
    try:
        while True:
            batch, place = cursor.read(place)
            if batch is None:
                return found
            found += zip(batch.offsets, batch.values, strict=True)
    finally:
        cursor.close()


def read_around_damage(partition: Partition) -> tuple[Records, list[tuple[int, int]]]:
    """What can be read, and the ranges that cannot."""
    found: Records = []
    lost = []
    offset = 0
    cursor = Cursor("readings", partition, dense=True, durable=True)
    place = Place(offset)
    while True:
        try:
            batch, place = cursor.read(place)
        except CorruptLogError as error:
            assert error.offset < error.next_offset
            lost.append((error.offset, error.next_offset))
            place = Place(error.next_offset)
            continue
        if batch is None:
            cursor.close()
            return found, lost
        found += zip(batch.offsets, batch.values, strict=True)


def values(start: int, stop: int, size: int = 20) -> Records:
    return [(i, entry.value) for i, entry in zip(range(start, stop), entries(start, stop, size), strict=True)]
