"""One partition's folder: segments, a head and a lock, shared by all processes of a machine.

Writers take a short `flock`; the fsync lies outside of it, so that others write while it runs. Readers take no lock.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ingest.errors import LogUnavailableError
from ingest.files import (
    as_log_errors,
    is_under,
    make_folder,
    read_again,
    read_exactly,
    sync_folder,
    write_all,
    write_synced,
)
from ingest.log.protocol import Entry
from ingest.log.segments.head import HEAD_BYTES, Head, boot_id, decode_head, home_of, write_head
from ingest.log.segments.recovery import Found, find_head, listed, segment_name
from ingest.log.segments.sectors import Sectors, open_direct, padded
from ingest.log.segments.segment import encode, fitting, frames

READ_ONLY_ERRORS: Final = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))
_TRIES: Final = 10


class FolderGoneError(LogUnavailableError):
    """A partition's folder was deleted, or another lies in its place: what was written there is not acknowledged."""


def create_partition(folder: Path) -> None:
    """An empty partition in a new folder, durably but for the folder's own name."""
    folder.mkdir()
    (folder / segment_name(0)).touch()
    write_head(folder / "head", Head(boot_id(), 0, 0, 0, 0, 0, 0))
    sync_folder(folder)


def _open_files(folder: Path) -> tuple[int, int, OSError | None]:
    """The open head and lock of a partition, and why they can only be read, if so: then the head stands for both."""
    try:
        head = os.open(folder / "head", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno not in READ_ONLY_ERRORS:
            raise
        head = os.open(folder / "head", os.O_RDONLY | os.O_CLOEXEC)
        return head, head, error
    try:
        return head, os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), None
    except OSError as error:
        if error.errno not in READ_ONLY_ERRORS:
            os.close(head)
            raise
        return head, head, error


def restore_partition(folder: Path, head: Head, data: bytes) -> None:
    """Put back, durably, what is missing of a partition's folder that somebody has deleted: it stands where `head`
    says, with the bytes `data` in its open segment."""
    make_folder(folder)
    segment = folder / segment_name(head.base)
    if not segment.exists():
        write_synced(segment, data)
    write_head(folder / "head", head)
    sync_folder(folder)


@dataclass(frozen=True, slots=True)
class Stats:
    """What a partition holds, and what was cut off its torn tails."""

    partition: int
    begin: int
    durable_end: int
    end: int
    segments: int
    bytes: int
    torn_tails: int
    torn_bytes: int


@dataclass(frozen=True, slots=True)
class Written:
    """Records that lie in a partition, but are not durable yet: `Partition.sync` makes them so."""

    first: int
    head: Head
    fd: int


class Partition:
    """A partition's folder. All methods but `peek` may wait for a disk or for a lock: never on an event loop.

    With `ends_write`, what is appended at once is whole or absent after a power cut, too: it lies in one segment, and
    `ends_write` knows its last record by the key. With `sectors`, for one process alone, a small append costs the disk
    its sectors, not its pages (`ingest.log.segments.sectors`).
    """

    def __init__(
        self,
        folder: Path,
        number: int,
        *,
        segment_bytes: int,
        clock_ns: Callable[[], int] = time.time_ns,
        ends_write: Callable[[bytes], bool] | None = None,
        sectors: bool = False,
    ) -> None:
        self.folder = folder
        self.number = number
        self._segment_bytes = segment_bytes
        self._clock_ns = clock_ns
        self._ends_write = ends_write
        self._sectors = Sectors() if sectors else None
        self._thread_lock = threading.Lock()
        self._head_fd, self._lock_fd, self._refused = _open_files(folder)
        self._home = home_of(self._head_fd)
        self._seen: tuple[object, Head] | None = None
        """Of a folder that can only be read and was left as it is: what its files were like, and where it stands."""
        self._active: tuple[int, int, Path] | None = None
        """Base, open file and path of the segment that is written."""
        self._sign = folder / ("lock" if self._refused is None else "head")
        """While it is under its name, the folder is the one that was opened."""

    @property
    def is_read_only(self) -> bool:
        """Whether this process may not write the folder."""
        return self._refused is not None

    def close(self) -> None:
        """Let go of the files."""
        with self._thread_lock:
            self._let_go()
            for fd in {self._head_fd, self._lock_fd}:
                os.close(fd)

    @contextmanager
    def locked(self) -> Iterator[Head]:
        """Hold the partition's lock, and see where it stands: nothing is torn any more.

        Raises:
            FolderGoneError: the folder was deleted or replaced.
            OSError: the folder can only be read.
        """
        self._check_writable()
        with self._thread_lock:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX)
            try:
                self.check_there()
                yield self._settled()
            finally:
                fcntl.flock(self._lock_fd, fcntl.LOCK_UN)

    def _check_writable(self) -> None:
        if self._refused is not None:
            raise OSError(self._refused.errno, self._refused.strerror, str(self.folder))

    def peek(self) -> bytes:
        """Bytes that are others when something was written or became durable; cheap, waits for nothing."""
        return os.pread(self._head_fd, HEAD_BYTES, 0)

    def is_there(self) -> bool:
        """Whether the folder's files are still those that are open here."""
        return is_under(self._lock_fd, self._sign)

    def check_there(self) -> None:
        """Raise `FolderGoneError` where the folder's files are no longer those that are open here."""
        with as_log_errors(self.folder):
            there = self.is_there()
        if not there:
            raise FolderGoneError(
                f"{self.folder}: was deleted or replaced while it was in use; what was written there and not yet "
                "acknowledged is written again: see who deletes it"
            )

    def rescued(self) -> tuple[Head, bytes] | None:
        """Where the partition durably stood, and the bytes of its open segment, also where both were deleted; None
        where no segment is open here."""
        head = decode_head(self.peek())
        if head is None or self._active is None or self._active[0] != head.base:
            return None
        head = head._replace(position=head.durable_position, next_offset=head.durable)
        return head, read_again(self._active[1], head.position, 0)

    def head(self) -> Head:
        """Where the partition stands."""
        for _ in range(_TRIES):
            head = decode_head(self.peek())
            if head is not None:  # a read that met a write is no head
                break
        if head is not None and head.holds(boot_id(), self._home):
            return head
        if self._refused is not None:
            return self._looked(head)
        with self.locked() as settled:
            return settled

    def _looked(self, old: Head | None) -> Head:
        """Where a folder stands that can only be read: what whoever may write would find, and mend."""
        like = (self.peek(), [(base, self.path(base).stat().st_size) for base in listed(self.folder)[-2:]])
        if self._seen is None or self._seen[0] != like:
            self._seen = like, self._found(old).head
        return self._seen[1]

    def bases(self, head: Head) -> list[int]:
        """The first offsets of the segments, rising; what an interrupted roll left beyond the head does not count."""
        return [base for base in listed(self.folder) if base <= head.base]

    def mended(self) -> tuple[Head, list[int]]:
        """The head and the bases, at least one, also where somebody has deleted the newest segment."""
        if self._refused is not None:
            head = self._looked(decode_head(self.peek()))
            return head, self.bases(head) or [head.base]
        with self.locked() as head:
            return head, self.bases(head)

    def path(self, base: int) -> Path:
        """The file of a segment."""
        return self.folder / segment_name(base)

    # --- writing

    def append(self, entries: Sequence[Entry]) -> Written:
        """Write records behind the last one; consecutive, not yet durable.

        Raises:
            OSError: as the disk says; a record that was not wholly written is taken away again.
        """
        with self.locked() as head:
            first, at = head.next_offset, 0
            now_ns = max(self._clock_ns(), head.append_ns)
            while at < len(entries):
                stop = fitting(entries, at, self._segment_bytes - head.position)
                if self._ends_write is not None and stop < len(entries):
                    stop = at
                if stop == at and head.position:
                    head = self.roll(head)
                    continue
                # An empty segment takes any record, and any write that must stay whole.
                stop = max(stop, at + 1) if self._ends_write is None else len(entries)
                data = encode(entries[at:stop], head.next_offset, now_ns, head.durable)
                head = self._write(head, data, stop - at, now_ns)
                at = stop
            return Written(first, head, os.dup(self._active_fd(head.base)))

    def sync(self, written: Written) -> None:
        """Make what was written durable, and say so in the head. Once for each `Written`.

        Raises:
            OSError: the fsync failed. It may have dropped what it did not write, so all that was not durable is
                taken back: nobody was told that it was there.
            LogUnavailableError: that happened to another write, and to these records too.
        """
        try:
            os.fdatasync(written.fd)
        except OSError:
            with self.locked() as head:
                if (head.rewinds, head.base) == (written.head.rewinds, written.head.base):
                    if head.durable >= written.head.next_offset:
                        self._write_again(written)
                    self._rewind(head)
            raise
        finally:
            os.close(written.fd)
        with self.locked() as head:
            if head.rewinds != written.head.rewinds:
                raise LogUnavailableError(
                    f"{self.folder}: an fsync failed or a file was deleted meanwhile; write again"
                )
            if head.base == written.head.base and head.durable < written.head.next_offset:
                durable, position = written.head.next_offset, written.head.position
                self._put(head._replace(durable=durable, durable_position=position))

    def _write_again(self, written: Written) -> None:
        """Another process has since fsynced more behind these records, by a file that it opened after the failure was
        told, and took them for durable: what the disk did not get of them is still in memory."""
        fd = self._active_fd(written.head.base)
        write_all(fd, read_again(fd, written.head.position, 0), 0)
        os.fdatasync(fd)

    def roll(self, head: Head) -> Head:
        """Begin a new segment, under the lock; what is in the old one is durable from then on."""
        fd = self._active_fd(head.base)
        try:
            if self._sectors is not None:
                os.ftruncate(fd, head.position)
            os.fdatasync(fd)
        except OSError:
            self._rewind(head)
            raise
        base = head.next_offset
        os.close(os.open(self.path(base), os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644))
        sync_folder(self.folder)
        return self._put(head._replace(base=base, position=0, durable=base, durable_position=0))

    def _write(self, head: Head, data: bytes, count: int, now_ns: int) -> Head:
        fd = self._active_fd(head.base)
        try:
            if self._sectors is None:
                write_all(fd, data, head.position)
            else:
                self._sectors.append(fd, data, head.position)
            return self._put(
                head._replace(
                    position=head.position + len(data), next_offset=head.next_offset + count, append_ns=now_ns
                )
            )
        except OSError:
            os.ftruncate(fd, head.position)
            raise

    def _rewind(self, head: Head) -> None:
        os.ftruncate(self._active_fd(head.base), head.durable_position)
        self._put(
            head._replace(next_offset=head.durable, position=head.durable_position, rewinds=head.rewinds + 1),
        )

    def _put(self, head: Head) -> Head:
        if head.home != self._home:
            head = head._replace(home=self._home)
        write_all(self._head_fd, head.encode(), 0)
        return head

    def _active_fd(self, base: int) -> int:
        if self._active is not None and self._active[0] == base:
            return self._active[1]
        path = self.path(base)
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC) if self._sectors is None else open_direct(path)
        self._let_go()
        self._active = (base, fd, path)
        return fd

    def _let_go(self) -> None:
        if self._active is not None:
            os.close(self._active[1])
            self._active = None

    # --- mending

    def _settled(self) -> Head:
        """The head, after what a killed writer or a power cut left behind is mended. Under the lock."""
        head = decode_head(self.peek())
        if head is None or not head.holds(boot_id(), self._home):
            return self._recover(head)
        if self._active is not None and self._active[0] == head.base and not is_under(*self._open_file()):
            head = self._put_back(head)
        try:
            size = os.fstat(self._active_fd(head.base)).st_size
        except FileNotFoundError:
            return self._recover(head)
        if size < head.position:
            return self._recover(head)
        if size > (head.position if self._sectors is None else padded(head.position)):
            # A writer was killed before it told the head.
            os.ftruncate(self._active_fd(head.base), head.position)
            head = self._put(head._replace(cuts=head.cuts + 1, cut_bytes=head.cut_bytes + size - head.position))
        return head

    def _open_file(self) -> tuple[int, Path]:
        assert self._active is not None
        return self._active[1:]

    def _put_back(self, head: Head) -> Head:
        """The open segment is not under its name any more: its bytes are still there for who has it open. What was
        written and is not durable may be known to others by another file: it is written again."""
        fd, path = self._open_file()
        if not path.exists():
            write_synced(path, read_again(fd, head.durable_position, 0))
            sync_folder(self.folder)
        self._let_go()
        return self._put(
            head._replace(position=head.durable_position, next_offset=head.durable, rewinds=head.rewinds + 1)
        )

    def _recover(self, old: Head | None) -> Head:
        """Where the partition stands by its newest segment alone; the old head is a lower bound of what was durable."""
        self._let_go()
        found = self._found(old)
        path = self.path(found.head.base)
        if not path.exists():
            path.touch()
        if found.superfluous is not None:
            self.path(found.superfluous).unlink()
        os.truncate(path, found.head.position)
        os.fdatasync(self._active_fd(found.head.base))
        sync_folder(self.folder)
        head = self._put(found.head)
        # Records that were durable are gone: their offsets stay empty, a loud hole.
        return self.roll(head) if found.ends_in_hole else head

    def _found(self, old: Head | None) -> Found:
        is_copy = old is not None and old.is_copy(boot_id(), self._home)
        return find_head(self.folder, boot_id(), old, self._ends_write, is_copy=is_copy)

    # --- keeping it small

    def forget(self, before_ns: int | None, keep_bytes: int | None) -> int:
        """Delete the oldest segments whose records are all older than `before_ns`, and those over `keep_bytes`.

        Returns how many. The active segment is never deleted; one that is wholly old is closed first.
        """
        with self.locked() as head:
            if before_ns is not None and head.position and head.append_ns < before_ns:
                head = self.roll(head)
            bases = self.bases(head)
            total = sum(self.path(base).stat().st_size for base in bases)
            gone = 0
            for base, after in itertools.pairwise(bases):
                size = self.path(base).stat().st_size
                old = before_ns is not None and self._begin_ns(after, head) < before_ns
                if not old and (keep_bytes is None or total - size < keep_bytes):
                    break
                self.path(base).unlink()
                total, gone = total - size, gone + 1
            return gone

    def trim(self, before: int) -> int:
        """Delete the segments that end at offset `before` or below; returns how many."""
        with self.locked() as head:
            bases = self.bases(head)
            doomed = [base for base, after in itertools.pairwise(bases) if after <= before]
            for base in doomed:
                self.path(base).unlink()
            return len(doomed)

    def stats(self) -> Stats:
        """What the partition holds."""
        head, size = self.head(), 0
        bases = self.bases(head)
        if not bases:
            head, bases = self.mended()
        for base in bases:
            with suppress(FileNotFoundError):
                size += self.path(base).stat().st_size
        return Stats(self.number, bases[0], head.durable, head.next_offset, len(bases), size, head.cuts, head.cut_bytes)

    def _begin_ns(self, base: int, head: Head) -> int:
        """The append time of a segment's first whole record: all before that segment is at least as old."""
        with self.path(base).open("rb") as file:
            data = read_exactly(file.fileno(), 1 << 20, 0)
        return next((frame.append_ns for frame in frames(data, base)), head.append_ns)
