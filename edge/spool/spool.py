"""The spool: what was read and is not yet in the log, on this device's disk.

Two queues of segments (`ingest.log.segments`): `readings`, in which everything of all devices stands in order, and
`urgent` for marks and status, which need not wait behind a backlog. A commit is one write and one fsync. Segments are
deleted once the log has acknowledged what they hold; when the spool is full, `edge.spool.condensing` makes the closed
ones smaller. Memory does not depend on the backlog: one segment at most is held at a time.

Methods may wait for the disk: never call them on an event loop.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from zlib import crc32

import msgspec

from edge.errors import SpoolBusyError
from edge.spool.condensing import SPOOL_FULL, DropPolicy, choose, condense, entries_of
from edge.spool.entries import Tail, closing, is_closing, plain, read_tail
from ingest.errors import CorruptLogError, TruncatedLogError
from ingest.log.protocol import Entry, LogBatch
from ingest.log.segments.cursor import Cursor, Place
from ingest.log.segments.files import as_log_errors, make_folder, sync_folder, try_lock, write_all, write_synced
from ingest.log.segments.head import HEAD_BYTES
from ingest.log.segments.partition import Partition, create_partition
from ingest.log.segments.segment import frames

SEGMENT_BYTES: Final = (64_000, 4_000_000)
"""Least and most of a segment: a sixteenth of the spool in between."""
PLAUSIBLE_NS: Final = 1_735_689_600_000_000_000
"""2025: a clock that says less was never set, and no age follows from it."""
_TAIL_SEGMENTS: Final = 2
"""Of the newest that hold anything, so many stay: one is hardly begun now and then, and who an MQTT broker delivers
again after a kill (it may not have seen acknowledgements of seconds) must be known."""
_MARK_BYTES: Final = 20


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """How much is kept, for how long, and what goes first."""

    max_bytes: int = 2_000_000_000
    max_age_ns: int | None = None
    drop: DropPolicy = "oldest"

    @property
    def segment_bytes(self) -> int:
        """The size of a segment."""
        least, most = SEGMENT_BYTES
        return min(most, max(least, self.max_bytes // 16))


@dataclass(slots=True)
class SpoolStats:
    """What a queue has come to since it was opened."""

    dropped_samples: int = 0
    dropped_chunks: int = 0
    damaged_records: int = 0
    payload_bytes: int = 0
    """Keys and values that were committed."""
    written_bytes: int = 0
    """What was written for them: segments, heads and marks, and what condensing wrote anew."""
    fsyncs: int = 0


class Queue:
    """One queue of the spool."""

    def __init__(
        self, folder: Path, limits: SpoolLimits, clock_ns: Callable[[], int] = time.time_ns, number: int = 0
    ) -> None:
        if not folder.exists():
            create_partition(folder)
            sync_folder(folder.parent)
        self.stats = SpoolStats()
        self._folder = folder
        self._limits = limits
        self._clock_ns = clock_ns
        self._partition = Partition(
            folder, number, segment_bytes=limits.segment_bytes, clock_ns=clock_ns, ends_write=is_closing
        )
        self._cursor = Cursor(folder.name, self._partition, dense=False, durable=True)
        self._lock = threading.RLock()
        with self._partition.locked() as head:  # mends what a power cut left
            self._bases = self._partition.bases(head)
            self._end = head.next_offset
        self._mark = os.open(folder / "acknowledged", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._acknowledged = self._load_mark()
        self._place = Place(self._acknowledged)
        self._bytes = self._measure()

    def close(self) -> None:
        """Let go of the files."""
        with self._lock:
            self._cursor.close()
            self._partition.close()
            os.close(self._mark)

    @property
    def size_bytes(self) -> int:
        """What the segments take."""
        return self._bytes

    @property
    def backlog(self) -> int:
        """Entries that are not acknowledged."""
        return self._end - self._acknowledged

    # --- writing

    def commit(self, entries: Sequence[Entry]) -> None:
        """Write entries behind the last one; durable when this returns. Nothing of them is there when it raises, and
        after a kill or a power cut meanwhile there is all of them or nothing: a sample without the identity of the
        message that brought it would come twice.

        Raises:
            StoreFullError: the disk is full. What is durable is not given up for that: only the spool's own bound
                drops anything.
            LogUnavailableError: the disk says something else.
        """
        with self._lock, as_log_errors(self._folder):
            payload = sum(len(key) + len(value) for key, value in entries)
            self._end = self._append(entries)
            self.stats.payload_bytes += payload
            self.stats.written_bytes += 2 * HEAD_BYTES
            self.stats.fsyncs += 1
            self._bound()

    def _append(self, entries: Sequence[Entry]) -> int:
        with self._partition.locked() as before:
            pass
        written = self._partition.append([*entries[:-1], *map(closing, entries[-1:])])
        try:
            self._partition.sync(written)
        except BaseException:
            self._bytes = self._measure()
            raise
        if written.head.base == before.base:
            grown = written.head.position - before.position
            self._bytes += grown
            self.stats.written_bytes += grown
        else:
            size = self._measure()
            self.stats.written_bytes += size - self._bytes
            self._bytes = size
        return written.head.next_offset

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more keep within the bound."""
        return self._bytes + size <= self._limits.max_bytes

    # --- reading

    def read(self) -> LogBatch | None:
        """The next entries that were not read yet, about a megabyte; None where there are none.

        Damaged records are stepped over and counted.
        """
        with self._lock, as_log_errors(self._folder):
            while True:
                try:
                    batch, self._place = self._cursor.read(self._place)
                except CorruptLogError as error:
                    self.stats.damaged_records += error.next_offset - error.offset
                    self._place = Place(error.next_offset)
                except TruncatedLogError as error:
                    begin = getattr(error, "begin", self._end)
                    self.stats.damaged_records += max(0, begin - self._place.offset)
                    self._place = Place(begin)
                else:
                    return None if batch is None else replace(batch, keys=[*map(plain, batch.keys)])

    def rewind(self) -> None:
        """Read again from what was acknowledged on."""
        with self._lock:
            self._place = Place(self._acknowledged)

    def acknowledge(self, next_offset: int) -> None:
        """The log has everything before `next_offset`; it may be deleted."""
        with self._lock, as_log_errors(self._folder):
            if next_offset <= self._acknowledged:
                return
            self._acknowledged = next_offset
            data = msgspec.msgpack.encode(next_offset).rjust(16, b"\0")
            write_all(self._mark, data + crc32(data).to_bytes(4, "little"), 0)
            self.stats.written_bytes += _MARK_BYTES
            with self._partition.locked() as head:
                bases = self._partition.bases(head)
            keep = bases[: None if head.position else -1][-_TAIL_SEGMENTS:]  # the story that the next start reads
            if len(bases) > 1 and bases[1] <= min(next_offset, keep[0]):
                self._partition.trim(min(next_offset, keep[0]))
                self._bytes = self._measure()

    def tail_entries(self) -> list[tuple[bytes, bytes]]:
        """Keys and values of the newest segments."""
        with self._lock, as_log_errors(self._folder):
            with self._partition.locked() as head:
                bases = self._partition.bases(head)
            entries: list[tuple[bytes, bytes]] = []
            written = [(base, below) for base, below in itertools.pairwise([*bases, head.next_offset]) if base < below]
            for base, below in written[-_TAIL_SEGMENTS:]:
                entries += entries_of(self._partition.path(base).read_bytes(), base, below)
            return entries

    def tail(self) -> Tail:
        """What the newest segments say about the boots before."""
        return read_tail(self.tail_entries())

    def _load_mark(self) -> int:
        data = os.pread(self._mark, _MARK_BYTES, 0)
        first = self._bases[0]
        if len(data) != _MARK_BYTES or crc32(data[:16]).to_bytes(4, "little") != data[16:]:
            return first
        found: int = msgspec.msgpack.decode(data[:16].lstrip(b"\0") or b"\0")
        return found if first <= found <= self._end else (first if found < first else self._end)

    # --- keeping the bound

    def _measure(self) -> int:
        with self._partition.locked() as head:
            self._bases = self._partition.bases(head)
            total = 0
            for base in self._bases[:-1]:
                with suppress(FileNotFoundError):
                    total += self._partition.path(base).stat().st_size
            return total + head.position

    def _bound(self) -> None:
        """Make the spool smaller while it is over its bound."""
        if self._limits.max_age_ns is not None:
            self._age(self._clock_ns() - self._limits.max_age_ns)
        policy: DropPolicy = "oldest" if self._limits.drop == "newest" else self._limits.drop
        while self._bytes > self._limits.max_bytes:
            if not self._condense_one(policy):
                if policy == "oldest":
                    return
                policy = "oldest"

    def _closed(self) -> list[tuple[int, int]]:
        """The closed segments that hold anything that was not read yet: base, and the next one's."""
        with self._partition.locked() as head:
            bases = self._partition.bases(head)
        return [(base, below) for base, below in itertools.pairwise(bases) if below > self._place.offset]

    def _condense_one(self, policy: DropPolicy) -> bool:
        """Make one closed segment smaller; whether that was possible."""
        closed = self._closed()
        if not closed:
            with self._partition.locked() as head:
                if not head.position or head.next_offset <= self._place.offset:
                    return False
                self._partition.roll(head)
            closed = self._closed()
        sizes = [self._partition.path(base).stat().st_size for base, _ in closed]
        index = choose(sizes, policy)
        return self._condense(*closed[index], policy, SPOOL_FULL) > 0

    def _condense(self, base: int, below: int, policy: DropPolicy, reason: str) -> int:
        path = self._partition.path(base)
        data = path.read_bytes()
        smaller = condense(data, base, below, self._place.offset, policy, reason)
        if len(smaller.data) >= len(data):
            return 0
        temporary = self._folder / "condensed.tmp"
        write_synced(temporary, smaller.data)
        temporary.replace(path)
        sync_folder(self._folder)
        self._cursor.close()
        self._place = Place(self._place.offset)
        self.stats.dropped_samples += smaller.dropped_samples
        self.stats.dropped_chunks += smaller.dropped_chunks
        self.stats.written_bytes += len(smaller.data)
        self._bytes -= len(data) - len(smaller.data)
        return len(data) - len(smaller.data)

    def _age(self, before_ns: int) -> None:
        """Condense the segments whose records are all older."""
        for (base, below), after in itertools.pairwise(self._closed()):
            with self._partition.path(after[0]).open("rb") as file:
                first = next((frame.append_ns for frame in frames(file.read(1 << 16), *after)), 0)
            if not PLAUSIBLE_NS < first < before_ns:
                return
            if not self._condense(base, below, "oldest", "spool_age"):
                continue


class Spool:
    """Both queues of an agent, held against other processes."""

    def __init__(self, folder: Path, limits: SpoolLimits, clock_ns: Callable[[], int] = time.time_ns) -> None:
        with as_log_errors(folder):
            make_folder(folder)
            lock = try_lock(folder / "agent.lock")
        if lock is None:
            raise SpoolBusyError(f"{folder}: another agent is running on this spool; stop it, or give this one its own")
        self._lock = lock
        self.folder = folder
        try:
            with as_log_errors(folder):
                self.readings = Queue(folder / "readings", limits, clock_ns)
                self.urgent = Queue(folder / "urgent", SpoolLimits(max(1_000_000, limits.max_bytes // 16)), clock_ns)
        except BaseException:
            os.close(lock)
            raise

    def close(self) -> None:
        """Let go of everything."""
        self.readings.close()
        self.urgent.close()
        os.close(self._lock)
