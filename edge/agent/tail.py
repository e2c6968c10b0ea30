"""Live values until told to end: of a running agent, else of its sources themselves."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Protocol, TextIO

import msgspec

from edge.agent.answering import ask
from edge.agent.live import LiveLines
from edge.agent.overview import Overview, SourceView
from edge.agent.trial import Trial
from edge.config import AgentConfig
from ingest.errors import TransientError

FOR_EVER_S: Final = 1e8
_UP: Final = "\x1b[{}F"
"""To the beginning of the line so many lines above (ECMA-48, CPL)."""
_CLEAR_LINE, _CLEAR_BELOW = "\x1b[K", "\x1b[J"


class Shower(Protocol):
    """Who is shown what is so now."""

    @property
    def waits(self) -> bool:
        """An agent that ends is waited for: somebody looks, who may be about to start it again."""
        ...

    def say(self, text: str) -> None:
        """Something besides values."""
        ...

    def show(self, sources: Sequence[SourceView]) -> None:
        """The sources as they are."""
        ...


class Screen:
    """Lines for people: at a terminal drawn anew at each look, elsewhere one below the other."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._live = LiveLines()
        self._drawn = 0

    @property
    def waits(self) -> bool:
        """See `Shower`."""
        return self._is_terminal

    def say(self, text: str) -> None:
        """See `Shower`."""
        self._write(f"{text}\n")
        self._drawn = 0

    def show(self, sources: Sequence[SourceView]) -> None:
        """See `Shower`."""
        self._live.look(sources, time.monotonic())
        columns, rows = self._size()
        lines = self._live.lines(sources, columns)
        if not self._is_terminal:
            self._write("".join(f"{line}\n" for line in lines))
            return
        lines = lines[: max(1, rows - 1)]
        up = _UP.format(self._drawn) if self._drawn else ""
        self._write(up + "".join(f"{line}{_CLEAR_LINE}\n" for line in lines) + _CLEAR_BELOW)
        self._drawn = len(lines)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def _size(self) -> tuple[int, int]:
        with suppress(OSError, ValueError):
            found = os.get_terminal_size(self._stream.fileno())
            if found.columns > 1:
                return found.columns - 1, found.lines
        return (79, 24) if self._is_terminal else (10_000, 24)


class Objects:
    """A JSON object a look, for machines."""

    waits = False
    """See `Shower`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def say(self, text: str) -> None:
        """See `Shower`: machines read `sources` only."""

    def show(self, sources: Sequence[SourceView]) -> None:
        """See `Shower`."""
        self._stream.write(msgspec.json.encode({"time_ns": time.time_ns(), "sources": sources}).decode() + "\n")
        self._stream.flush()


async def tail(config: AgentConfig, shower: Shower, every_s: float, stop: asyncio.Event, token: str) -> None:
    """Show what a running agent has until `stop`; where none runs, read its sources and keep nothing (`Trial`).

    Raises:
        TransientError: the agent that was asked runs no longer, and nobody waits for it.
    """
    try:
        first = await asyncio.to_thread(ask, config.spool_dir)
    except TransientError:
        shower.say("no agent runs: its sources are read here, and nothing is kept")
        await _of_sources(Trial(config, token), shower, every_s, stop)
        return
    pid = 0
    while not stop.is_set():
        try:
            view = await asyncio.to_thread(ask, config.spool_dir) if pid else first
        except TransientError as error:
            if not shower.waits:
                raise
            shower.say(f"{error}; it is waited for, Ctrl-C ends that")
            found = await _back(config, every_s, stop)
            if found is None:
                return
            view, pid = found, 0
        if view.pid != pid:
            pid = view.pid
            shower.say(f"agent {view.agent}, process {pid}")
        shower.show(view.sources)
        await _pause(every_s, stop)


async def _back(config: AgentConfig, every_s: float, stop: asyncio.Event) -> Overview | None:
    """What an agent says as soon as one runs again; None: it is waited for no longer."""
    while not stop.is_set():
        with suppress(TransientError):
            return await asyncio.to_thread(ask, config.spool_dir)
        await _pause(every_s, stop)
    return None


async def _of_sources(trial: Trial, shower: Shower, every_s: float, stop: asyncio.Event) -> None:
    running = asyncio.create_task(trial.run(FOR_EVER_S, stop))
    try:
        while not (stop.is_set() or running.done()):
            shower.show(trial.views())
            await _pause(every_s, stop, running)
    finally:
        stop.set()
        shower.show(await running)  # what is so at the end of recorded files, too


async def _pause(seconds: float, stop: asyncio.Event, *others: asyncio.Task[list[SourceView]]) -> None:
    """Wait so long, or until one of these ends."""
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((stopping, *others), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    with suppress(asyncio.CancelledError):
        await stopping
