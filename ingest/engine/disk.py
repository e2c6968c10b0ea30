"""Plans on a real disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from ingest.engine.operator import Buffer
from ingest.engine.plan import Fsync, Link, Op, Rename, SyncFolder, Unlink, Write
from ingest.errors import UsageError
from ingest.files import as_store_errors, make_folder, sync_and_close, sync_folder
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
        written: dict[str, int] = {}
        """Files that are written and not fsynced yet: what went wrong with their pages is told to who wrote them."""
        try:
            for op in plan:
                with as_store_errors(self._root):
                    self._do(op, written)
        finally:
            for descriptor in written.values():
                os.close(descriptor)

    def _do(self, op: Op, written: dict[str, int]) -> None:
        match op:
            case Write(path, parts):
                written[path] = self._write(self._root / path, parts)
            case Fsync(path):
                sync_and_close(written.pop(path), self._root / path)
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

    def _write(self, path: Path, parts: Sequence[Buffer]) -> int:
        """The open file."""
        _made(path.parent)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            start = 0
            for part in parts:
                rest = memoryview(part).cast("B")
                while rest:
                    count = os.write(descriptor, rest[:_WRITEBACK_BYTES])
                    # Tells the kernel to begin writing this to the disk while we copy on; fsync then waits less.
                    os.posix_fadvise(descriptor, start, count, os.POSIX_FADV_DONTNEED)
                    start, rest = start + count, rest[count:]
        except OSError as error:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            error.filename = str(path)
            raise
        return descriptor

    async def read(self, path: str) -> bytes:
        """See `Files`."""
        with as_store_errors(self._root / path):
            return await asyncio.to_thread((self._root / path).read_bytes)

    async def exists(self, path: str) -> bool:
        """See `Files`."""
        return (self._root / path).exists()

    async def names(self, folder: str) -> list[str]:
        """See `Files`."""
        with as_store_errors(self._root / folder), contextlib.suppress(FileNotFoundError):
            return sorted(entry.name for entry in (self._root / folder).iterdir())
        return []


def _made(folder: Path) -> None:
    # That the name of one found here is durable is seen to once a folder, in `_sync_folder`.
    if not folder.is_dir():
        make_folder(folder)
