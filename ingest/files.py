"""Durable files: what the logs, the engine and the spool do with names and bytes on a disk."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import resource
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

from ingest.errors import LogUnavailableError, StoreFullError, StoreUnavailableError, UsageError

_WHAT_TO_DO: Final[Mapping[int, str]] = {
    errno.EACCES: "give the folder to this user (chown), or name another one",
    errno.EPERM: "give the folder to this user (chown), or name another one",
    errno.EROFS: "name a folder on a disk that can be written, or mount this one so (mount -o remount,rw)",
    errno.ENFILE: "no process of this machine can open another file; see who has so many (lsof), or raise fs.file-max",
    errno.ENOTDIR: "a file is where a folder should be; name another folder, or move the file away",
    errno.ENOENT: "name one that is there, or make its folder",
    errno.EEXIST: "a file is where a folder should be; name another folder, or move the file away",
}
FULL_ERRORS: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
"""What the operating system says where there is no room."""
_PASSING: Final = frozenset((errno.EROFS, errno.EMFILE, errno.ENFILE))
"""What passes as a full disk does: mounted read-only, no descriptor free."""
_TEMPORARY: Final = re.compile(r"[.][0-9a-z-]+[.]tmp$")
"""What a plan's temporary name has more than the file's own; each try has another."""
_LOOK: Final = "see the disk and the kernel's log"
_DESCRIPTORS: Final = 1024
"""Enough for some 64 partitions of a log and a dataset."""


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    sync_and_close(os.open(folder, os.O_RDONLY | os.O_DIRECTORY), folder)


def sync_and_close(fd: int, path: Path) -> None:
    """Make the bytes of an open file durable (not its name), and close it: who wrote them hears what went wrong with
    them, who opens the file anew may not."""
    try:
        os.fsync(fd)
    except OSError as error:
        error.filename = str(path)  # fsync takes no name, so it tells none
        raise
    finally:
        os.close(fd)


def is_under(fd: int, path: Path) -> bool:
    """Whether an open file is still the one under its name: written to another, bytes are gone with it."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except (FileNotFoundError, NotADirectoryError):
        return False


def make_folder(folder: Path) -> None:
    """Create a folder and those above it, durably; also the name of the last one that was there, which another process
    may have made and died."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    with suppress(PermissionError):  # who may not read the folder above did not make this one
        sync_folder(folder.parent)
    for path in reversed(missing):
        with suppress(FileExistsError):
            path.mkdir()
        sync_folder(path.parent)


def write_synced(path: Path, data: bytes) -> None:
    """Create or overwrite a file, and fsync its bytes (not its name)."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def put(path: Path, data: bytes) -> None:
    """Put a file under its name durably, replacing what is there: it has the old bytes or the new ones."""
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        write_synced(temporary, data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def create(path: Path, data: bytes) -> bool:
    """Put a file under its name durably unless the name is taken; whether it was free."""
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        write_synced(temporary, data)
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def write_all(fd: int, data: bytes | memoryview, position: int) -> None:
    """Write all the bytes at `position`."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, position)
        view, position = view[written:], position + written


def read_exactly(fd: int, size: int, position: int) -> bytes:
    """`size` bytes at `position`, fewer only at the end of the file."""
    data = os.pread(fd, size, position)
    while len(data) < size:
        more = os.pread(fd, size - len(data), position + len(data))
        if not more:
            break
        data += more
    return data


def read_again(fd: int, size: int, position: int) -> bytes:
    """`read_exactly` of a file that is open for whole sectors only (O_DIRECT), or has lost its name."""
    again = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return read_exactly(again, size, position)
    finally:
        os.close(again)


def try_lock(path: Path) -> int | None:
    """An open file with an exclusive `flock`, which ends with it or with the process; None where another has it.

    The file is created where it is missing, and is still the one under its name when this returns.
    """
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        with suppress(FileNotFoundError):
            if os.stat(path).st_ino == os.fstat(fd).st_ino:  # noqa: PTH116 - both through one call
                return fd
        os.close(fd)


def explained(error: OSError, where: Path | str) -> str:
    """What the operating system says, of what, and what to do."""
    text = f"{_TEMPORARY.sub('', str(where))}: {error.strerror or error}"
    if error.errno == errno.EMFILE:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return (
            f"{text}: this process may have {limit} files open at once; allow it {max(_DESCRIPTORS, 2 * limit)} "
            "(ulimit -n, LimitNOFILE= of a systemd unit)"
        )
    if error.errno in FULL_ERRORS:
        return f"{text}{_what_is_full(error, Path(where))}"
    return f"{text}; {_WHAT_TO_DO.get(error.errno or 0, _LOOK)}"


def _what_is_full(error: OSError, where: Path) -> str:
    """That inodes are used up, not bytes, looks like a lie to who sees gigabytes free."""
    while not where.exists() and where != where.parent:
        where = where.parent
    with suppress(OSError):
        found = os.statvfs(where)
        free = found.f_bavail * found.f_frsize
        if error.errno == errno.ENOSPC and found.f_files and not found.f_favail and free:
            return f": its file system has no inode left, though {free:,} bytes (see df -i): many small files must go"
    return ""


@contextmanager
def as_store_errors(where: Path | str) -> Iterator[None]:
    """Tell what the operating system says and what passes by itself in a store's own errors."""
    try:
        yield
    except OSError as error:
        text = explained(error, error.filename or where)
        if error.errno in FULL_ERRORS:
            raise StoreFullError(f"{text}; make room, and it goes on by itself") from error
        if error.errno in _PASSING:
            raise StoreUnavailableError(f"{text}; then it goes on by itself") from error
        raise


@contextmanager
def as_log_errors(where: Path) -> Iterator[None]:
    """Tell what the operating system says in the log's own errors."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL_ERRORS:
            text = explained(error, where)
            raise StoreFullError(f"{text}; nothing before it is lost: free some space and write again") from error
        raise LogUnavailableError(explained(error, where)) from error


def check_file(path: Path, where: str) -> None:
    """Raise `UsageError` where there is no such file; `where` is the key that names it."""
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        why = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise UsageError(f"{where}: {path}: {why}") from None
    if not is_file:
        raise UsageError(f"{where}: {path}: is no file")
