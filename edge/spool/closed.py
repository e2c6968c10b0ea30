"""The closed segments of a queue: which there are, and smaller ones in the place of several."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from edge.spool.condensing import Part
from ingest.files import read_exactly, sync_folder, write_synced
from ingest.log.segments.head import Head
from ingest.log.segments.partition import Partition
from ingest.log.segments.segment import frames

_WHOLE: Final = ".condensed"
"""Of a segment that is durable and not yet in the place of those that it replaces: its name says which these are."""

_SHARE: Final = 64
"""No more than this part of a disk is set aside."""


class Closed(NamedTuple):
    """A closed segment: the offsets `[base, below)`, and its bytes on the disk."""

    base: int
    below: int
    size: int


class ClosedSegments:
    """Known in memory, so that a commit need not look at the folder."""

    def __init__(self, partition: Partition) -> None:
        self.all: list[Closed] = []
        """In the order of their offsets."""
        self.bytes = 0
        self._partition = partition
        self._begins_ns: dict[int, int] = {}

    def load(self, head: Head) -> None:
        """See what is on the disk."""
        bases, found = self._partition.bases(head), []
        for base, below in zip(bases, [*bases[1:], head.base], strict=True):
            with suppress(FileNotFoundError):
                if base < head.base:
                    found.append(Closed(base, below, self._partition.path(base).stat().st_size))
        self._set(found)

    def _set(self, found: list[Closed]) -> None:
        self.all = found
        self.bytes = sum(closed.size for closed in found)

    def read(self, group: Sequence[Closed]) -> list[Part]:
        """The bytes of some."""
        return [Part(self._partition.path(base).read_bytes()[:size], base, below) for base, below, size in group]

    def replace(self, group: Sequence[Closed], data: bytes) -> None:
        """Put one segment in the place of adjacent ones, under the first one's name; durable when it returns, and whole
        or not at all after a crash meanwhile.

        Raises:
            OSError: as the disk says; nothing half-written takes its room.
        """
        first, last = group[0], group[-1]
        temporary = self._partition.folder / "condensed.tmp"
        whole = self._partition.folder / f"{first.base}-{last.below}{_WHOLE}"
        try:
            write_synced(temporary, data)
            temporary.replace(whole)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync_folder(self._partition.folder)
        self._put(whole)
        index = self.all.index(first)
        smaller = Closed(first.base, last.below, len(data))
        self._set([*self.all[:index], smaller, *self.all[index + len(group) :]])
        for closed in group:
            self._begins_ns.pop(closed.base, None)

    def finish(self) -> None:
        """End what a crash interrupted, before `load`."""
        for path in self._partition.folder.glob(f"*{_WHOLE}"):
            self._put(path)
        for path in self._partition.folder.glob("*.tmp"):
            path.unlink()

    def _put(self, whole: Path) -> None:
        """What is durable under a name that says which segments it replaces, in their place."""
        base, below = map(int, whole.name.removesuffix(_WHOLE).split("-"))
        for path in self._partition.folder.glob("*.log"):
            if base < int(path.stem) < below:
                path.unlink()
        whole.replace(self._partition.path(base))
        sync_folder(self._partition.folder)

    def trim(self, before: int) -> None:
        """Delete those that end at offset `before` or below."""
        if self.all and self.all[0].below <= before:
            self._partition.trim(before)
            self._set([closed for closed in self.all if closed.below > before])
            self._begins_ns = {base: at_ns for base, at_ns in self._begins_ns.items() if base >= before}

    def begin_ns(self, base: int, below: int) -> int:
        """When the first record of a segment was committed; 0 where it has none."""
        found = self._begins_ns.get(base)
        if found is None:
            with self._partition.path(base).open("rb") as file:
                data = read_exactly(file.fileno(), 1 << 16, 0)
            found = next((frame.append_ns for frame in frames(data, base, below)), 0)
            if found:
                self._begins_ns[base] = found
        return found


class Reserve:
    """Bytes set aside on the disk: given back, they are the room in which a full one is tidied up."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        disk = os.statvfs(path.parent)
        self._size = min(size, disk.f_blocks * disk.f_frsize // _SHARE)
        self.is_there = path.exists() and path.stat().st_size >= self._size

    @property
    def bytes(self) -> int:
        """How much is set aside."""
        return self._size if self.is_there else 0

    def take(self) -> bool:
        """Set the bytes aside, if there is room; whether they are."""
        if not self.is_there:
            try:
                fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
                try:
                    os.posix_fallocate(fd, 0, self._size)
                finally:
                    os.close(fd)
                self.is_there = True
            except OSError:
                self.give()
        return self.is_there

    def give(self) -> bool:
        """Give them back; whether there were any."""
        given, self.is_there = self.is_there, False
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        return given
