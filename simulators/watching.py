"""What a person sees while a live line runs: a bar at a terminal, a plain line every two seconds elsewhere."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

LINE_EVERY_S: Final = 2.0


@dataclass(slots=True)
class SoFar:
    """How far a live line is; it grows while it runs."""

    seconds: float = 0.0
    samples: int = 0
    windows: int = 0
    marks: int = 0

    def __str__(self) -> str:
        return f"{self.samples:,} samples, {self.windows:,} windows, {self.marks:,} marks"


class Watch:
    """Shows it on stderr; a context manager. `so_far` is what `show` shows, the caller keeps it up to date."""

    def __init__(self, seconds: float, stream: TextIO | None = None) -> None:
        self.so_far = SoFar()
        self._seconds = seconds
        self._stream = stream or sys.stderr
        self._bar: Bar | None = None
        self._said_s = time.monotonic()
        self._stage = "live"

    def __enter__(self) -> Self:
        if self._stream.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as RichProgress

            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.completed:.0f}/{task.total:.0f} s  {task.fields[so_far]}"),
            )
            console = Console(file=self._stream, highlight=False, markup=False)
            self._bar = RichProgress(*columns, console=console, transient=True)
            self._bar.add_task(self._stage, total=self._seconds, so_far="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def tell(self, line: str) -> None:
        """A line for people, above the bar."""
        if self._bar is not None:
            self._bar.console.print(line, soft_wrap=True)
        else:
            print(line, file=self._stream, flush=True)

    def stage(self, name: str) -> None:
        """What is going on from now on."""
        self._stage = name
        self.show(at_once=True)

    def show(self, *, at_once: bool = False) -> None:
        """Bring what is shown up to date; call it often."""
        if self._bar is not None:
            done = min(self.so_far.seconds, self._seconds)
            task = self._bar.task_ids[0]
            self._bar.update(task, description=self._stage, completed=done, so_far=str(self.so_far))
        elif at_once or time.monotonic() - self._said_s >= LINE_EVERY_S:
            self._said_s = time.monotonic()
            print(f"{self._stage}: {self.so_far.seconds:.0f} s, {self.so_far}", file=self._stream, flush=True)
