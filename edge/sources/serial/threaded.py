"""What a thread reads as a `Source`: a serial port, a program's output; nothing here waits for an acknowledgement."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from typing import Any

from edge.errors import SourceUnavailableError
from edge.protocol import Arrival, Interruption, Settled
from edge.sources.serial.handover import Handover
from edge.sources.serial.lines import NO_LINE, Lines
from edge.sources.serial.reader import Endpoint, Reader, State


class ThreadedSource:
    """An endpoint, read by a thread of its own."""

    def __init__(self, endpoint: Endpoint, lines: Lines, *, may_rest: bool) -> None:
        self._endpoint = endpoint
        self._may_rest = may_rest
        self._lines = lines
        self._state = State()
        self._handover: Handover | None = None
        self._reader: Reader | None = None

    @property
    def waiting_for(self) -> str:
        """See `edge.protocol.Source`. After `close` it says what it said before."""
        return self._state.waiting_for

    @property
    def trouble(self) -> str:
        """See `edge.protocol.Source`."""
        return "" if self.waiting_for else self._lines.trouble or self._state.trouble

    @property
    def missing(self) -> str:
        """See `edge.protocol.Source`: nobody keeps what it is not read for, and what ends no line says nothing."""
        if self.waiting_for:
            return self._endpoint.loss
        return NO_LINE if self._lines.is_lost else ""

    @property
    def heard_ns(self) -> int | None:
        """See `edge.protocol.Source`: what was read and is not handed over yet was not heard."""
        return 0 if self._handover is None else self._handover.heard_ns

    async def open(self) -> None:
        """Start reading, and return when it is open."""
        if self._reader is None:
            self._handover = Handover(asyncio.get_running_loop())
            self._reader = self._new_reader(self._handover)
            self._reader.start()
        assert self._handover is not None
        await self._handover.opened.wait()

    def _new_reader(self, handover: Handover) -> Reader:
        """The thread, not started yet."""
        return Reader(self._endpoint, self._lines, handover, self._state, may_rest=self._may_rest)

    async def arrivals(self) -> AsyncIterator[Arrival | Interruption]:
        """What arrives, until `close`.

        Raises:
            SourceUnavailableError: nothing reads the port any more.
        """
        await self.open()
        handover = self._handover
        assert handover is not None
        while (item := await handover.get()) is not None:
            yield item
        if self._reader is not None:
            raise SourceUnavailableError(f"{self._endpoint.name}: its reading thread has ended")

    async def write(self, how: Callable[[Any], None]) -> None:
        """Let `how` write to what is open, in a thread.

        Raises:
            SourceUnavailableError: it is not open, or broke.
        """
        if self._reader is None:
            raise SourceUnavailableError(f"{self._endpoint.name}: is not open")
        try:
            await asyncio.to_thread(self._reader.say, how)
        except OSError as error:
            raise SourceUnavailableError(f"{self._endpoint.name}: {error}") from None

    def ack(self, token: Hashable) -> None:
        """Nobody waits for an acknowledgement."""

    def settled(self) -> Settled:
        """See `edge.protocol.Source`: it never repeats itself."""
        return Settled()

    def again(self) -> None:
        """See `edge.protocol.Source`: nobody keeps anything."""

    async def close(self) -> None:
        """Let go of it."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await asyncio.to_thread(reader.stop)

    def left(self) -> list[Arrival | Interruption]:
        """See `edge.protocol.Source`: what was read within the last tenth of a second."""
        return [] if self._handover is None else self._handover.left()
