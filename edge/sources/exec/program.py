"""A program whose standard output is read: how it is started, ended with all that it started, and why it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, ClassVar, Final, Self

from ingest.showing import shown_bytes
from ingest.times import NS

PROGRAM_ENDED: Final = "program_ended"
ERROR_BYTES: Final = 4096
"""So much of a program's last words is kept."""
SHOWN_BYTES: Final = 200
PATIENCE_S: Final = 2.0
"""So long a program that is told to end has time to."""
WORDS_S: Final = 10.0
"""So long its last words are waited for; they are there at once, unless something of it got away and holds the pipe."""


@dataclass(frozen=True, slots=True)
class Program:
    """What is started, and where; an endpoint of `edge.sources.serial.reader`."""

    command: tuple[str, ...]
    folder: str

    loss: ClassVar[str] = PROGRAM_ENDED
    delays_s: ClassVar[tuple[float, float]] = (1.0, 60.0)
    proves_ns: ClassVar[int] = 60 * NS
    """A program that ran for so long is started again soon; one that says a line and ends, later each time."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return Path(self.command[0]).name

    def open(self) -> Running:
        """Start it. Raises `OSError`."""
        return Running(self.command, self.folder)

    def why_closed(self, error: Exception) -> str:
        """What people make of an error that starting it raised."""
        if isinstance(error, FileNotFoundError):
            if not Path(self.folder).is_dir():
                return f"the folder {self.folder} is not there any more"
            return "no such program; is it installed? Say its whole path where it lies in no folder of PATH"
        if isinstance(error, PermissionError):
            return "may not be run by this user; see its mode (chmod +x), and whether its first line names a program"
        return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)

    def why_lost(self, error: Exception) -> str:
        """What people make of its end."""
        return str(error) or "closed its output; it is started again"

    def others(self, at_ns: int) -> list[str]:
        """Nobody else reads its output."""
        return []


class EndedError(OSError):
    """The program ended; the text says how."""


class Running:
    """A program that runs, in a process group of its own."""

    def __init__(self, command: Sequence[str], folder: str) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._out: IO[bytes] = self._process.stdout
        self._errors = _LastWords(self._process.stderr)
        self._errors.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End it and whatever it started; where it ended by itself, say how."""
        code = self._ended_by_itself() if error is not None else None
        self._end()
        self._out.close()
        if code is not None:
            words = self._errors.text()
            said = f', and said last: "{shown_bytes(words, SHOWN_BYTES)}"' if words else ""
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            raise EndedError(f"{how}{said}; it is started again") from error

    def fileno(self) -> int:
        """Of its output."""
        return self._out.fileno()

    def _ended_by_itself(self) -> int | None:
        """Its exit code; None where it goes on, and only closed its output."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(PATIENCE_S)
        return None

    def _end(self) -> None:
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE_S)
        self._signal(signal.SIGKILL)  # also what it left behind in its group
        self._process.wait()
        self._errors.join(WORDS_S)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


class _LastWords(threading.Thread):
    """Reads what a program says on its error output, so that it never waits for somebody to."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(name="errors of a program", daemon=True)
        self._file = file
        self._kept = b""

    def run(self) -> None:
        """Until it closes it."""
        with self._file:
            while data := self._file.read(ERROR_BYTES):
                self._kept = (self._kept + data)[-ERROR_BYTES:]

    def text(self) -> bytes:
        """Its last line so far."""
        return self._kept.strip().rpartition(b"\n")[2].strip()
