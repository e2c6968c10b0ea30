"""A folder that appears whole or not at all: made under a temporary name, made durable, renamed."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ingest.errors import UsageError
from ingest.files import explained, make_folder, sync_folder


@contextmanager
def published(out: Path, what: str) -> Iterator[Path]:
    """A temporary folder that becomes `out` when the block ends well; what killed ones left beside it goes.

    Raises:
        UsageError: there is something at `out`, or the disk does not let it be made; `what` begins the message.
    """
    out = out.absolute()
    if out.exists() or out.is_symlink():
        raise UsageError(f"{what}: {out} exists already; name another folder, or remove it")
    try:
        make_folder(out.parent)
        clear_left(out)
        folder = out.with_name(f".{out.name}.{secrets.token_hex(8)}.tmp")
        folder.mkdir()
    except OSError as error:
        raise UsageError(f"{what}: {explained(error, error.filename or out)}") from error
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield folder
        _sync(folder)
        if out.exists():
            raise UsageError(f"{what}: {out} was made by somebody else meanwhile; name another folder")
        folder.rename(out)
        sync_folder(out.parent)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise UsageError(f"{what}: {explained(error, error.filename or out)}; nothing was left there") from error
        raise
    finally:
        os.close(lock)


def clear_left(out: Path) -> None:
    """Remove what was on its way to `out` when its maker was killed; what somebody makes now stays."""
    for left in out.parent.glob(f".{out.name}.*.tmp"):
        with suppress(OSError):
            fd = os.open(left, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left)
            finally:
                os.close(fd)


def _sync(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            sync_folder(path)
        else:
            fd = os.open(path, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
    sync_folder(folder)
