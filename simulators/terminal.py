"""A serial line without hardware: a pseudo-terminal whose far end appears as a port under a path of one's choice.

POSIX only. What is written waits in the kernel (some kilobytes) until a program reads it; when no more fits, writing
waits, where a real line would lose bytes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import sys
import termios
import tty
from pathlib import Path
from types import TracebackType
from typing import Final


class Terminal:
    """A port at `path`, a symbolic link, and its sensor's end. `plug` and `unplug` are what a person does to the cable.

    A context manager; it begins plugged in.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self._near: int | None = None
        self._port = ""
        self.plug()

    def plug(self) -> None:
        """Let the port appear, empty; a link that another run left is replaced, anything else at `path` is an error.

        Raises:
            FileExistsError: a file that is no link is at `path`.
        """
        if self._near is not None:
            return
        if self.path.exists() and not self.path.is_symlink():
            raise FileExistsError(17, "exists and is no link to a pseudo-terminal", str(self.path))
        self._near, far = os.openpty()
        tty.setraw(far)  # bytes as they are, from the first one, and no echo
        os.set_blocking(self._near, False)
        spare = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        spare.unlink(missing_ok=True)
        self._port = os.ttyname(far)
        spare.symlink_to(self._port)
        spare.replace(self.path)
        os.close(far)  # so that `is_read` sees who else has it open

    def unplug(self) -> None:
        """Let the port vanish: who has it open reads an end, and what was not read is gone."""
        if self._near is None:
            return
        self.path.unlink(missing_ok=True)
        os.close(self._near)
        self._near = None

    @property
    def is_read(self) -> bool:
        """Whether a program has the port open."""
        poll = select.poll()
        poll.register(self.fileno(), 0)
        return not any(event & select.POLLHUP for _, event in poll.poll(0))

    @property
    def unread(self) -> int:
        """How many bytes wait for the reader, at least; 0 when there are none."""
        far = os.open(self._port, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            return int.from_bytes(fcntl.ioctl(far, termios.FIONREAD, bytes(4)), sys.byteorder)
        finally:
            os.close(far)

    def fileno(self) -> int:
        """The sensor's end, not blocking. Raises `BrokenPipeError` while it is unplugged."""
        if self._near is None:
            raise BrokenPipeError(32, "unplugged", str(self.path))
        return self._near

    def offer(self, data: bytes | memoryview) -> int:
        """Write as much as fits now, and say how many bytes that was.

        Raises:
            BrokenPipeError: it is unplugged.
        """
        with contextlib.suppress(BlockingIOError):
            return os.write(self.fileno(), data)
        return 0

    def write(self, data: bytes, timeout_s: float = 10.0) -> None:
        """Write all of it, waiting for the reader.

        Raises:
            TimeoutError: the reader took nothing for `timeout_s`.
            BrokenPipeError: it is unplugged.
        """
        rest = memoryview(data)
        while rest:
            rest = rest[self.offer(rest) :]
            if rest and not select.select([], [self.fileno()], [], timeout_s)[1]:
                raise TimeoutError(f"{self.path}: nobody read for {timeout_s:g} s; {len(rest)} bytes are left")

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unplug()
