"""What a person at a terminal sees while an agent runs: one line, made anew every second; elsewhere nothing."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable, Mapping
from typing import Final, TextIO

EVERY_S: Final = 1.0
_CLEAR: Final = "\r\x1b[K"


def status_line(figures: Mapping[str, float], before: Mapping[str, float], seconds: float) -> str:
    """The figures of an agent in a line, with the rate since `before`, `seconds` ago. Pure."""
    samples = _samples(figures)
    rate = max(0.0, samples - _samples(before)) / seconds
    lost = sum(count for name, count in figures.items() if ".lost." in name)
    parts = [
        f"{samples:,.0f} samples, {rate:,.0f} a second",
        f"{figures.get('spool.backlog', 0):,.0f} records in the spool wait",
        f"the log has {figures.get('published.records', 0):,.0f}",
    ]
    if figures.get("lag_s", 0) >= 1:
        parts[-1] += f", {figures['lag_s']:,.0f} s behind"
    dropped = figures.get("spool.dropped_samples", 0) + figures.get("spool.refused_samples", 0)
    parts += [f"{count:,.0f} {word}" for count, word in ((lost, "lost"), (dropped, "dropped by the spool")) if count]
    return "; ".join(parts)


def _samples(figures: Mapping[str, float]) -> float:
    return sum(count for name, count in figures.items() if name.endswith(".samples"))


class Terminal:
    """The line, and what is said above it."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._line = ""

    def say(self, line: str) -> None:
        """A line that stays."""
        if self._line:
            self._stream.write(_CLEAR)
        print(f"agent: {line}", file=self._stream)
        self._stream.write(self._line)
        self._stream.flush()

    async def run(self, figures: Callable[[], Mapping[str, float]]) -> None:
        """Keep the line up to date until cancelled; where there is no terminal, there is none."""
        if not self._stream.isatty():
            return
        before = dict(figures())
        try:
            while True:
                await asyncio.sleep(EVERY_S)
                now = dict(figures())
                width = shutil.get_terminal_size().columns - 1
                self._line = f"{_CLEAR}{status_line(now, before, EVERY_S)[:width]}"
                self._stream.write(self._line)
                self._stream.flush()
                before = now
        finally:
            self._line = ""
            self._stream.write(_CLEAR)
            self._stream.flush()
