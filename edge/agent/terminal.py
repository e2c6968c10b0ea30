"""What a person sees while an agent runs. At a terminal a line made anew every second, elsewhere one a minute; above it
what is said once: the start, each change, and what is wrong."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal, TextIO, TypeAlias

from edge.agent.overview import Overview, minute_line, start_line, status_line
from ingest.showing import masked, printable

Level: TypeAlias = Literal["error", "warning", "info", "debug"]
"""How much is said: only why it ended; each change and what is wrong; also the start and the minutes' figures; also
each line that gave no sample."""
LEVELS: Final[tuple[Level, ...]] = ("error", "warning", "info", "debug")
EVERY_S: Final = 1.0
MINUTE_S: Final = 60.0
_CLEAR: Final = "\r\x1b[K"
_YELLOW, _PLAIN = "\x1b[33m", "\x1b[0m"
_NARROW: Final = 20


class Terminal:
    """The line, and what is said above it."""

    def __init__(self, stream: TextIO | None = None, level: Level = "info") -> None:
        self._stream = stream or sys.stderr
        self._level = LEVELS.index(level)
        self._is_terminal = self._stream.isatty()
        self._line = ""

    def say(self, text: str) -> None:
        """What changed, or is wrong."""
        self._say(text, "warning")

    async def run(self, overview: Callable[[], Overview]) -> None:
        """Say who runs, then keep the figures up to date until cancelled."""
        view, at_s = overview(), time.monotonic()
        self._say(start_line(view), "info")
        minute, minute_s = view, at_s
        every_s = EVERY_S if self._is_terminal or self._level == LEVELS.index("debug") else MINUTE_S
        try:
            while True:
                await asyncio.sleep(every_s)
                now, now_s = overview(), time.monotonic()
                self._show(now, view, now_s - at_s)
                self._say_bad_lines(now, view)
                if now_s - minute_s >= MINUTE_S:
                    if not self._is_terminal:
                        self._say(minute_line(now, minute, now_s - minute_s), "info")
                    minute, minute_s = now, now_s
                view, at_s = now, now_s
        finally:
            self._line = ""
            if self._is_terminal:
                self._write(_CLEAR)

    def _say(self, text: str, level: Level) -> None:
        if LEVELS.index(level) > self._level:
            return
        line = f"agent: {printable(masked(text))}"
        if self._is_terminal:
            line = "\n".join(textwrap.wrap(line, self._width(), subsequent_indent="  ", break_on_hyphens=False))
            if level == "warning" and not os.environ.get("NO_COLOR"):
                line = f"{_YELLOW}{line}{_PLAIN}"
            line = f"{_CLEAR}{line}"
        self._write(f"{line}\n{self._line}")

    def _say_bad_lines(self, now: Overview, before: Overview) -> None:
        for source, then in zip(now.sources, before.sources, strict=True):
            for bad in source.bad_lines:
                if bad not in then.bad_lines:
                    self._say(f"{source.name}: {bad.reason}: {bad.raw}", "debug")

    def _show(self, now: Overview, before: Overview, seconds: float) -> None:
        if not self._is_terminal:
            return
        self._line = f"{_CLEAR}{status_line(now, before, seconds, self._width())}"
        self._write(self._line)

    def _write(self, text: str) -> None:
        with suppress(OSError):  # a terminal that was closed ends nothing but the reading of it
            self._stream.write(text)
            self._stream.flush()

    def _width(self) -> int:
        """Of the terminal that this goes to, whatever others are redirected to."""
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns
        except (OSError, ValueError):
            columns = 80
        return max(_NARROW, columns - 1)
