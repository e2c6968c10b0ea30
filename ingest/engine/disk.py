"""Plans on a real disk."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from ingest.engine.operator import Buffer
from ingest.engine.plan import Fsync, Link, Op, Rename, SyncFolder, Unlink, Write
from ingest.errors import StoreFullError, UsageError
from ingest.files import FULL_ERRORS, make_folder, sync_file, sync_folder
from ingest.mounts import network_filesystem

_WRITEBACK_BYTES = 2 << 20


class DiskFiles:
    """`Files` on a folder of a local disk.

    Raises:
        UsageError: the folder lies on a network file system, whose `link()` and fsync promise too little.
    """

    def __init__(self, root: str | Path) -> None:
        self._root = Path(root).absolute()
        self._durable: set[Path] = set()
        """Folders whose own names, up to the root, this object has made durable."""
        kind = network_filesystem(self._root)
        if kind:
            raise UsageError(f"{self._root}: is on {kind}, a network file system; use a folder on a local disk")

    async def run(self, plan: Sequence[Op]) -> None:
        """See `Files`."""
        await asyncio.to_thread(self.run_now, plan)

    def run_now(self, plan: Sequence[Op]) -> None:
        """`run` without an event loop."""
        for op in plan:
            try:
                self._do(op)
            except OSError as error:
                if error.errno not in FULL_ERRORS:
                    raise
                where = error.filename or self._root
                raise StoreFullError(f"{where}: {error.strerror}; make room, and it goes on by itself") from error

    def _do(self, op: Op) -> None:
        match op:
            case Write(path, parts):
                self._write(self._root / path, parts)
            case Fsync(path):
                sync_file(self._root / path)
            case Rename(path, to):
                (self._root / path).replace(self._root / to)
            case Link(path, to):
                os.link(self._root / path, self._root / to)
            case SyncFolder(path):
                self._sync_folder(self._root / path)
            case Unlink(path):
                (self._root / path).unlink(missing_ok=True)

    def _sync_folder(self, folder: Path) -> None:
        _made(folder)
        sync_folder(folder)
        if folder in self._durable or folder == self._root:
            return
        # Another process may have made the folder and died before it fsynced the one above.
        for above in folder.parents:
            sync_folder(above)
            if above == self._root:
                break
        self._durable.add(folder)

    def _write(self, path: Path, parts: Sequence[Buffer]) -> None:
        _made(path.parent)
        try:
            # Never truncate: after a link() whose folder could not be fsynced, the name may be an entry's second one.
            path.unlink(missing_ok=True)
            with path.open("xb", buffering=0) as file:
                start = 0
                for part in parts:
                    rest = memoryview(part).cast("B")
                    while rest:
                        written = file.write(rest[:_WRITEBACK_BYTES])
                        # Tells the kernel to begin writing this to the disk while we copy on; fsync then waits less.
                        os.posix_fadvise(file.fileno(), start, written, os.POSIX_FADV_DONTNEED)
                        start, rest = start + written, rest[written:]
        except OSError as error:
            if error.errno in FULL_ERRORS:
                path.unlink(missing_ok=True)
                error.filename = str(path)
            raise

    async def read(self, path: str) -> bytes:
        """See `Files`."""
        return await asyncio.to_thread((self._root / path).read_bytes)

    async def exists(self, path: str) -> bool:
        """See `Files`."""
        return (self._root / path).exists()

    async def names(self, folder: str) -> list[str]:
        """See `Files`."""
        try:
            return sorted(entry.name for entry in (self._root / folder).iterdir())
        except FileNotFoundError:
            return []


def _made(folder: Path) -> None:
    # That the name of one found here is durable is seen to once a folder, in `_sync_folder`.
    if not folder.is_dir():
        make_folder(folder)
