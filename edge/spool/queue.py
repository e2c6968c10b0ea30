"""One queue of the spool: commits in, batches out, on segments that are deleted once the log has what they hold.

A commit is one write and one fsync; after a kill or a power cut it is there as a whole, or not at all. When the queue
is full, `edge.spool.condensing` makes its closed segments smaller. Memory does not depend on the backlog: two segments
at most are held at a time.

Methods may wait for the disk: never call them on an event loop.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from edge.spool.closed import Closed, ClosedSegments, Reserve
from edge.spool.condensing import SPOOL_FULL, DropPolicy, choose, condense, entries_of, sum_up
from edge.spool.entries import Tail, closing, is_closing, plain, read_tail
from edge.spool.limits import SpoolLimits, SpoolStats
from edge.spool.mark import MARK_BYTES, Mark
from ingest.errors import CorruptLogError, SensorloomError, TruncatedLogError
from ingest.files import FULL_ERRORS, as_log_errors, sync_folder
from ingest.log.protocol import Entry, LogBatch
from ingest.log.segments.cursor import Cursor, Place
from ingest.log.segments.head import HEAD_BYTES
from ingest.log.segments.partition import FolderGoneError, Partition, create_partition, restore_partition

PLAUSIBLE_NS: Final = 1_735_689_600_000_000_000
"""2025: a clock that says less was never set, and no age follows from it."""
_TAIL_SEGMENTS: Final = 2
"""Of the newest that hold anything, so many stay while there is room: one is hardly begun now and then, and who an MQTT
broker delivers again after a kill (it may not have seen acknowledgements of seconds) must be known."""


class Queue:
    """One queue of the spool. `before_renewal` is called before a folder that was deleted is made anew."""

    def __init__(
        self,
        folder: Path,
        limits: SpoolLimits,
        clock_ns: Callable[[], int] = time.time_ns,
        before_renewal: Callable[[], None] = lambda: None,
    ) -> None:
        self.stats = SpoolStats()
        self.trouble = ""
        """What keeps it from holding its bound, for people; empty when nothing does."""
        self.renewals = 0
        """How often its folder was made anew after somebody had deleted it."""
        self.folder = folder
        self._limits = limits
        self._clock_ns = clock_ns
        self._before_renewal = before_renewal
        self._lock = threading.RLock()
        if not folder.exists():
            create_partition(folder)
            sync_folder(folder.parent)
        self._open()
        self._acknowledged = self._mark.load(self._begin(), self._head.next_offset)
        self._write_mark()  # a disk that is full later has room for it
        self._place = Place(self._acknowledged)
        self._summed_up = 0
        """What the log has is summed up to here: that gives no room a second time."""

    def _open(self) -> None:
        """Open what is in the folder; where that fails, what was open before stays."""
        folder, room_bytes = self.folder, self._limits.room_bytes
        partition = Partition(
            folder,
            0,
            segment_bytes=self._limits.segment_bytes,
            clock_ns=self._clock_ns,
            ends_write=is_closing,
            sectors=True,
        )
        try:
            closed = ClosedSegments(partition)
            closed.finish()
            with partition.locked() as head:  # mends what a power cut left
                closed.load(head)
            mark = Mark(folder)
        except BaseException:
            partition.close()
            raise
        self._partition, self._closed, self._head, self._mark = partition, closed, head, mark
        self._cursor = Cursor(folder.name, partition, dense=False, durable=True)
        self._firm: dict[int, bool] = {}
        """First offsets of closed segments that do not get smaller: while something is spared, or at all."""
        self._aged = 0
        """What was committed before this offset was looked at for its age."""
        self._reserve = Reserve(folder / "reserve", room_bytes)
        self._reserve.take()

    def close(self) -> None:
        """Let go of the files."""
        with self._lock:
            self._cursor.close()
            self._partition.close()
            self._mark.close()

    @property
    def size_bytes(self) -> int:
        """What the segments take."""
        return self._closed.bytes + self._head.position

    @property
    def backlog(self) -> int:
        """Entries that are not acknowledged."""
        return self._head.next_offset - self._acknowledged

    # --- writing

    def commit(self, entries: Sequence[Entry], *, last: bool = False) -> None:
        """Write entries behind the last one; durable when this returns. Nothing of them is there when it raises, and
        after a kill or a power cut meanwhile there is all of them or nothing: a sample without the identity of the
        message that brought it would come twice. The `last` commit may take what is set aside.

        Raises:
            StoreFullError: the disk is full, also without what the log has. What it has not is not given up for that:
                only the spool's own bound drops anything.
            LogUnavailableError: the disk says something else.
        """
        with self._lock, as_log_errors(self.folder):
            try:
                self._append(entries)
            except FolderGoneError:
                self._renew()
                self._append(entries)
            except OSError as error:
                if error.errno not in FULL_ERRORS:
                    raise
                self._append_to_full(entries, last=last)
            self.stats.payload_bytes += sum(len(key) + len(value) for key, value in entries)
            self.stats.written_bytes += 2 * HEAD_BYTES
            self.stats.fsyncs += 1
            self._hold_bound()

    def _append(self, entries: Sequence[Entry]) -> None:
        before = self._head
        try:
            written = self._partition.append([*entries[:-1], *map(closing, entries[-1:])])
            self._partition.sync(written)
        except BaseException:
            with suppress(SensorloomError, OSError):
                self._see_head()
            raise
        self._head = written.head
        if written.head.base == before.base:
            self.stats.written_bytes += written.head.position - before.position
        else:
            self.stats.written_bytes += written.head.position
            self._closed.load(written.head)

    def _append_to_full(self, entries: Sequence[Entry], *, last: bool) -> None:
        """Once more, in the room of what the log has; the last time also in that which is set aside."""
        self._reserve.give()
        try:
            if not self._free() and not last:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._append(entries)
        finally:
            self._reserve.take()

    def _see_head(self) -> None:
        with self._partition.locked() as head:
            self._closed.load(head)
        self._head = head

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more keep within the bound."""
        return self.size_bytes + self._reserve.bytes + size <= self._limits.max_bytes

    # --- reading

    def read(self) -> LogBatch | None:
        """The next entries that were not read yet, about a megabyte; None where there are none.

        Damaged records are stepped over and counted.
        """
        with self._lock, as_log_errors(self.folder):
            self._look()
            while True:
                try:
                    batch, self._place = self._cursor.read(self._place)
                except CorruptLogError as error:
                    self.stats.damaged_records += error.next_offset - error.offset
                    self._place = Place(error.next_offset)
                except TruncatedLogError as error:
                    begin = getattr(error, "begin", self._head.next_offset)
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
        with self._lock, as_log_errors(self.folder):
            self._look()
            if next_offset <= self._acknowledged:
                return
            self._acknowledged = next_offset
            self._closed.trim(min(next_offset, self._newest()[0].base))
            self._write_mark()

    def tail_entries(self) -> list[tuple[bytes, bytes]]:
        """Keys and values of the newest segments."""
        with self._lock, as_log_errors(self.folder):
            entries: list[tuple[bytes, bytes]] = []
            for part in self._closed.read(self._newest()):
                entries += entries_of(*part)
            return entries

    def tail(self) -> Tail:
        """What the newest segments say about the boots before."""
        return read_tail(self.tail_entries())

    def _newest(self) -> list[Closed]:
        """The newest segments that hold anything, the open one among them: at least `_TAIL_SEGMENTS`, and as much as
        fills half of one, if there is so much. Some were closed when they had hardly begun."""
        head, found, total = self._head, list[Closed](), 0
        active = Closed(head.base, head.next_offset, head.position)
        for closed in reversed(
            [*self._closed.all, active] if head.position or not self._closed.all else self._closed.all
        ):
            if len(found) >= _TAIL_SEGMENTS and total >= self._limits.small_bytes:
                break
            found.append(closed)
            total += closed.size
        return found[::-1]

    def _write_mark(self) -> None:
        self._mark.write(self._acknowledged)
        self.stats.written_bytes += MARK_BYTES

    def _begin(self) -> int:
        """The first offset that is still there."""
        return self._closed.all[0].base if self._closed.all else self._head.base

    # --- keeping the bound

    def _hold_bound(self) -> None:
        """Make the queue smaller while it is over its bound. The commit is there: what fails here is told apart."""
        try:
            if self._limits.max_age_ns is not None:
                self._age(self._clock_ns() - self._limits.max_age_ns)
            policy = self._limits.drop
            while not self.has_room(0):
                if not self._shrink(policy):
                    if policy != "thin":
                        break
                    policy = "oldest"
        except (SensorloomError, OSError) as error:
            with suppress(SensorloomError, OSError):
                self._see_head()
            self.trouble = f"{self.folder}: cannot be kept within its bound: {error}"
        else:
            self.trouble = ""

    def _shrink(self, policy: DropPolicy) -> bool:
        """Make some closed segments smaller; whether that was possible. Nothing is spared where nothing is left."""
        if policy == "thin":
            candidates = [closed for closed in self._closed.all if closed.below > self._place.offset]
            return bool(candidates) and self._condense(self._chosen(candidates, policy), policy, SPOOL_FULL)
        for spares in (True, False):
            while candidates := self._candidates(policy, spares=spares):
                group = self._chosen(candidates, policy)
                if self._condense(group, policy, SPOOL_FULL, spares=spares):
                    return True
                self._firm[group[0].base] = not spares
            if spares and self._roll():
                return self._shrink(policy)
        return False

    def _chosen(self, candidates: list[Closed], policy: DropPolicy) -> list[Closed]:
        return candidates[choose([closed.size for closed in candidates], policy, self._limits.small_bytes)]

    def _candidates(self, policy: DropPolicy, *, spares: bool) -> list[Closed]:
        """Adjacent closed segments that hold anything that was not read yet, from the end at which data go."""
        found: list[Closed] = []
        for closed in self._closed.all if policy == "oldest" else reversed(self._closed.all):
            is_firm = closed.base in self._firm and (spares or self._firm[closed.base])
            if closed.below > self._place.offset and not is_firm:
                found.append(closed)
            elif found:
                break
        return found if policy == "oldest" else found[::-1]

    def _roll(self) -> bool:
        """Close the open segment, if it holds enough that was not read yet; whether it was closed."""
        if self._head.position <= self._limits.room_bytes or self._head.next_offset <= self._place.offset:
            return False
        self._close_open_one()
        return True

    def _close_open_one(self) -> None:
        with self._partition.locked() as head:
            self._head = self._partition.roll(head)
            self._closed.load(self._head)

    def _condense(self, group: Sequence[Closed], policy: DropPolicy, reason: str, *, spares: bool = True) -> bool:
        """Make a group smaller; whether it got smaller."""
        parts, room = self._closed.read(group), self._limits.room_bytes
        smaller = condense(parts, self._place.offset, policy, room, reason, spares=spares)
        if len(smaller.data) >= sum(closed.size for closed in group):
            return False
        self._put(group, smaller.data)
        self.stats.dropped_samples += smaller.dropped_samples
        self.stats.dropped_chunks += smaller.dropped_chunks
        self.stats.dropped_records += smaller.dropped_records
        return True

    def _put(self, group: Sequence[Closed], data: bytes) -> None:
        """One segment in the place of some. Reading begins anew: what is read on is in the new file."""
        try:
            self._closed.replace(group, data)
        except OSError as error:
            if error.errno not in FULL_ERRORS or not self._reserve.give():
                raise
            self._closed.replace(group, data)
            self._reserve.take()
        for closed in group:
            self._firm.pop(closed.base, None)
        self._cursor.close()
        self._place = Place(self._place.offset)
        self.stats.written_bytes += len(data)

    def _age(self, before_ns: int) -> None:
        """Condense the segments whose records are all older, each once, together with the small one before it."""
        while True:
            young = [closed for closed in self._closed.all if closed.base >= max(self._aged, self._place.offset)]
            if not young or not PLAUSIBLE_NS < self._begin_behind_ns(young[0]) < before_ns:
                return
            self._aged = young[0].below
            index = self._closed.all.index(young[0])
            joined = index > 0 and self._closed.all[index - 1].size <= self._limits.room_bytes
            self._condense(self._closed.all[index - joined : index + 1], "oldest", "spool_age")

    def _begin_behind_ns(self, closed: Closed) -> int:
        """When the first record behind a segment was committed; 0 where there is none."""
        after = next((other for other in self._closed.all if other.base >= closed.below), None)
        if after is None:
            return self._closed.begin_ns(self._head.base, self._head.next_offset)
        return self._closed.begin_ns(after.base, after.below)

    # --- full disks, and folders that somebody deletes

    def _free(self) -> bool:
        """Give back what the log has, but for what the next start must know; whether that may have made room."""
        if self._acknowledged <= self._summed_up:
            return False
        if self._head.position and self._head.next_offset <= self._acknowledged:
            self._close_open_one()
        group = [closed for closed in self._closed.all if closed.below <= self._acknowledged]
        if not group:
            return False
        self._put(group, sum_up(self._closed.read(group), self._acknowledged))
        self._summed_up = self._acknowledged
        return True

    def _look(self) -> None:
        """See whether the folder is still there."""
        try:
            self._partition.check_there()
        except FolderGoneError:
            self._renew()

    def _renew(self) -> None:
        """The folder was deleted: make it anew, with what the open segment still holds. What lay in others and was not
        in the log yet is lost, and counted; the numbers of its chunks are missing, which is announced."""
        head, data = self._partition.rescued() or (self._head._replace(base=self._head.next_offset, position=0), b"")
        before = self._cursor, self._partition, self._mark
        self._before_renewal()
        restore_partition(self.folder, head, data)
        self._open()
        before[0].close()
        before[1].close()
        before[2].close()
        begin = self._begin()
        self.stats.lost_records += max(0, begin - self._acknowledged)
        self._acknowledged = max(self._acknowledged, begin)
        self._place = Place(max(self._place.offset, begin))
        self._write_mark()
        self.renewals += 1
