"""Copying files durably: what is there already is kept, what is copied is fsynced before it has its name."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ingest.errors import CorruptError
from ingest.files import make_folder, sync_folder

_PIECE_BYTES: Final = 1 << 20
TEMPORARY: Final = ".copying.tmp"
"""How the name of a copy ends until it is whole."""


@dataclass(slots=True)
class Copier:
    """Copies into one place, and counts."""

    copied: int = 0
    """Files."""
    bytes: int = 0
    """Of them."""
    kept: int = 0
    """Files that were there already."""
    _folders: set[Path] = field(default_factory=set)
    """With names that are not durable yet."""

    def copy(self, source: Path, to: Path, *, size: int | None = None, sha256: str = "") -> None:
        """Copy a file, or its first `size` bytes, unless a copy with its size and time is there.

        Raises:
            FileNotFoundError: it is not there any more.
            CorruptError: it has other bytes than `sha256` says, or fewer than `size`.
        """
        with source.open("rb") as file:
            found = os.fstat(file.fileno())
            wanted = found.st_size if size is None else size
            if _is_copied(to, wanted, found.st_mtime_ns):
                self.kept += 1
                return
            self._make_folder(to.parent)
            temporary = to.with_name(f".{to.name}{TEMPORARY}")
            digest = hashlib.sha256()
            with temporary.open("wb") as copy:
                left = wanted
                while left and (piece := file.read(min(left, _PIECE_BYTES))):
                    digest.update(piece)
                    copy.write(piece)
                    left -= len(piece)
                copy.flush()
                os.fsync(copy.fileno())
        if left or (sha256 and digest.hexdigest() != sha256):
            temporary.unlink()
            found_is = f"{wanted - left} bytes, expected {wanted}" if left else "other bytes than were written"
            raise CorruptError(f"{source}: found {found_is}; nothing can be made of it: see what else is damaged")
        shutil.copymode(source, temporary)
        os.utime(temporary, ns=(found.st_atime_ns, found.st_mtime_ns))
        temporary.replace(to)
        self.copied += 1
        self.bytes += wanted

    def remove(self, path: Path) -> None:
        """Take away a file of the copy that its original has no more."""
        path.unlink(missing_ok=True)
        self._folders.add(path.parent)

    def settle(self) -> None:
        """Make durable the names of all that was copied."""
        for folder in sorted(self._folders):
            sync_folder(folder)
        self._folders.clear()

    def _make_folder(self, folder: Path) -> None:
        if folder not in self._folders:
            make_folder(folder)
            self._folders.add(folder)


def _is_copied(to: Path, size: int, mtime_ns: int) -> bool:
    try:
        found = to.stat()
    except FileNotFoundError:
        return False
    return (found.st_size, found.st_mtime_ns) == (size, mtime_ns)
