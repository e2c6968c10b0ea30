"""Progress of long work on stderr: a bar at a terminal, elsewhere plain lines, which become rarer."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

LINE_EVERY_S: Final = 2.0
"""When the first line comes; each pause is twice the one before."""
LINE_EVERY_S_MAX: Final = 60.0


class Progress:
    """`with Progress("import", total=1000, unit="samples") as progress: progress.advance(10)`.

    `total` None: the end is not known. Work that takes less than two seconds prints no line.
    """

    def __init__(self, label: str, total: int | None, unit: str, stream: TextIO | None = None) -> None:
        self.done = 0
        self.label, self.total, self.unit = label, total, unit
        self._stream = stream or sys.stderr
        self._bar: Bar | None = None
        self._printed_s = time.monotonic()
        self._pause_s = LINE_EVERY_S

    def __enter__(self) -> Progress:
        if self._stream.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as RichProgress

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(self.unit))
            console = Console(file=self._stream)
            self._bar = RichProgress(*columns, TimeElapsedColumn(), console=console, transient=True)
            self._bar.add_task(self.label, total=self.total)
            self._bar.start()
        return self

    def advance(self, count: int) -> None:
        """`count` more are done."""
        self.done += count
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0], count)
        elif (now := time.monotonic()) - self._printed_s >= self._pause_s:
            self._printed_s, self._pause_s = now, min(LINE_EVERY_S_MAX, 2 * self._pause_s)
            of = f" of {self.total:,} ({100 * self.done // max(1, self.total)} %)" if self.total is not None else ""
            print(f"{self.label}: {self.done:,}{of} {self.unit}", file=self._stream, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
