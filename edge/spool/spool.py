"""The spool: what was read and is not yet in the log, on this device's disk.

Two queues of segments (`ingest.log.segments`): `readings`, in which everything of all devices stands in order, and
`urgent` for marks and status, which need not wait behind a backlog. A file `format` says which version wrote it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from pwd import getpwuid
from typing import Final

from edge.errors import SpoolBusyError, SpoolFormatError
from edge.spool.limits import SpoolLimits, SpoolStats
from edge.spool.queue import PLAUSIBLE_NS, Queue
from ingest.errors import CorruptError, StoreFullError, UsageError
from ingest.files import as_log_errors, is_under, make_folder, put, try_lock

__all__ = ["PLAUSIBLE_NS", "Queue", "Spool", "SpoolLimits", "SpoolStats"]
FORMAT: Final = 3
"""1 had no such file; 2 has notes of what a full disk made room of, and whole sectors; 3 has marks that wait for the
clock."""
_FORMAT_WORDS: Final = "sensorloom spool, format "


class Spool:
    """Both queues of an agent, held against other processes.

    Raises:
        SpoolBusyError: another process holds it.
        SpoolFormatError: a newer version wrote it.
        UsageError: this is root, and the folder another user's.
    """

    def __init__(self, folder: Path, limits: SpoolLimits, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self.folder = folder
        _check_owner(folder)
        self._lock = self._claim()
        urgent = SpoolLimits(max(1_000_000, limits.max_bytes // 16))
        try:
            with as_log_errors(folder):
                _check_format(folder / "format")
                self.readings = Queue(folder / "readings", limits, clock_ns, self._hold_again)
                self.urgent = Queue(folder / "urgent", urgent, clock_ns, self._hold_again)
        except BaseException:
            os.close(self._lock)
            raise

    def _claim(self) -> int:
        with as_log_errors(self.folder):
            make_folder(self.folder)
            lock = try_lock(self.folder / "agent.lock")
        if lock is None:
            raise SpoolBusyError(
                f"{self.folder}: another agent is running on this spool; stop it, or give this one its own"
            )
        return lock

    def _hold_again(self) -> None:
        """Somebody has deleted the folder of a queue, or the whole spool."""
        if not is_under(self._lock, self.folder / "agent.lock"):
            lock = self._claim()
            os.close(self._lock)
            self._lock = lock
            _check_format(self.folder / "format")

    def close(self) -> None:
        """Let go of everything."""
        self.readings.close()
        self.urgent.close()
        os.close(self._lock)


def _check_owner(folder: Path) -> None:
    """Raise `UsageError` where root would leave files in another user's spool, which that one could not read."""
    owner = folder.stat().st_uid if folder.exists() else 0
    if os.geteuid() == 0 != owner:
        try:
            name = getpwuid(owner).pw_name
        except KeyError:
            name = f"#{owner}"
        raise UsageError(
            f"{folder}: is {name}'s, who could not read what root leaves there; do it as that user: "
            f"sudo -u {name} sensorloom …, or let the service do it: systemctl start sensorloom"
        )


def _check_format(path: Path) -> None:
    """Raise `SpoolFormatError` where the spool was written by a newer version; note this one's format, if an older
    version wrote it."""
    text = path.read_text(encoding="utf-8", errors="replace").strip() if path.exists() else f"{_FORMAT_WORDS}1"
    number = text.removeprefix(_FORMAT_WORDS)
    if not (text.startswith(_FORMAT_WORDS) and number.isdecimal()):
        raise CorruptError(
            f'{path}: found {text[:40]!r}, expected "{_FORMAT_WORDS}{FORMAT}"; write that into it if the spool is an '
            "agent's, or give another folder"
        )
    if int(number) > FORMAT:
        raise SpoolFormatError(
            f"{path}: found format {number}, this version reads up to {FORMAT}: a newer sensorloom wrote it, and "
            "this one would lose some of what waits there; let that version empty it, or give this one another folder "
            "([spool] dir)"
        )
    if int(number) < FORMAT:
        with suppress(StoreFullError, OSError):  # a full disk is no reason not to begin: it is written the next time
            put(path, f"{_FORMAT_WORDS}{FORMAT}\n".encode())
