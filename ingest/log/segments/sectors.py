"""Appending by sectors, past the page cache: what a small append costs a disk.

An append that is fsynced at once dirties whole pages: 4 kB for some hundred bytes, a second later the same page again.
With O_DIRECT the disk gets the sectors that changed. What lies behind the end in the last sector is zeros: a file is up
to a sector longer than what counts, as it may be after a power cut. Where a file system or a disk does not take that,
bytes are written as they are.

Open files are read through the page cache by others; the kernel keeps both the same.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from pathlib import Path
from typing import Final

from ingest.files import read_again, write_all

SECTOR: Final = 512


def padded(position: int) -> int:
    """The end of the sector in which `position` lies, or `position` where one ends there."""
    return -(-position // SECTOR) * SECTOR


class Sectors:
    """Appends to one file at a time; remembers the bytes of its last sector."""

    def __init__(self) -> None:
        self._buffer = mmap.mmap(-1, 1 << 16)
        """O_DIRECT wants memory at a page's edge."""
        self._rest: tuple[int, int, bytes] | None = None
        """Of the last append: the file's inode, where it ended, and the bytes before that in its sector."""

    def append(self, fd: int, data: bytes, position: int) -> None:
        """Write bytes at `position`, the end of what counts in the file. Raises `OSError` as the disk says."""
        if not _is_direct(fd):
            write_all(fd, data, position)
            return
        begin = position // SECTOR * SECTOR
        whole = self._before(fd, begin, position) + data
        size = padded(len(whole))
        if size > len(self._buffer):
            self._buffer = mmap.mmap(-1, padded(2 * size))
        self._buffer[:size] = whole.ljust(size, b"\0")
        try:
            write_all(fd, memoryview(self._buffer)[:size], begin)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # The disk's sectors are greater.
            fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_DIRECT)
            write_all(fd, data, position)
        end = position + len(data)
        self._rest = os.fstat(fd).st_ino, end, whole[end // SECTOR * SECTOR - begin :]

    def _before(self, fd: int, begin: int, position: int) -> bytes:
        if self._rest is not None and self._rest[:2] == (os.fstat(fd).st_ino, position):
            return self._rest[2]
        return read_again(fd, position - begin, begin)


def open_direct(path: Path) -> int:
    """An open file that is written past the page cache, where its file system takes that."""
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_DIRECT)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)


def _is_direct(fd: int) -> bool:
    return bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT)
