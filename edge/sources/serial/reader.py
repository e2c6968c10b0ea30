"""The thread that reads a port, or what else has a file number: it opens it, reads what comes, and opens it again, for
ever.

Whatever goes wrong with a port is told and tried again, with back-off: also what is no `OSError` (a port that is hung
up while it opens raises `termios.error`), and what nobody expects.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Protocol, Self

from edge.errors import SourceUnavailableError
from edge.protocol import STALLED, Interruption
from edge.sources.backoff import Backoff
from edge.sources.clock import now
from edge.sources.serial.handover import READ_BYTES, Handover, Piece
from edge.sources.serial.lines import Lines
from edge.sources.serial.pace import OWED_NS, Pace
from edge.sources.serial.port import OTHERS_NS, DriverCounts, driver_counts
from edge.sources.serial.stalls import FULL_NS, Stalls
from ingest.times import NS

SETTLED_NS: Final = 2 * NS
"""A port that has been open for so long is worth looking who else has it."""
LOOK_S: Final = FULL_NS / NS / 2
"""The clock is looked at so often at least."""
OVERRUN: Final = "overrun"
LINE_ERROR: Final = "line_error"
"""Bytes came damaged: what they say is not what was sent."""


class Opened(Protocol):
    """What was opened: read by its file number, and closed at the end of its block."""

    def fileno(self) -> int:
        """Of what is read."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...


class Endpoint(Protocol):
    """What a reader opens, again and again."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        ...

    @property
    def loss(self) -> str:
        """Why what was said is lost while it is not open."""
        ...

    @property
    def delays_s(self) -> tuple[float, float]:
        """Before the second attempt to open it, and at most before any."""
        ...

    @property
    def proves_ns(self) -> int:
        """Open for so long, and heard, it is no failed attempt."""
        ...

    def open(self) -> Opened:
        """Open it, with nothing in it that came before. Whatever it raises is told, and tried again."""
        ...

    def why_closed(self, error: Exception) -> str:
        """What people make of an error that opening it raised, and what to do."""
        ...

    def why_lost(self, error: Exception) -> str:
        """What people make of an error that reading it raised."""
        ...

    def others(self, at_ns: int) -> list[str]:
        """The other programs that may take bytes away."""
        ...


@dataclass(slots=True)
class State:
    """What people are told of a port; the reader writes it."""

    waiting_for: str = ""
    """What keeps the port from being read; empty while it is, and until it was tried to open it."""
    trouble: str = ""
    """What is wrong although it is open: who else reads it."""


class _VanishedError(OSError):
    """The port says that it can be read, and nothing comes."""


class Reader(threading.Thread):
    """Reads one endpoint into a `Handover`. `may_rest`: not each line's own arrival needs to be known (`pace`)."""

    def __init__(self, endpoint: Endpoint, lines: Lines, handover: Handover, state: State, *, may_rest: bool) -> None:
        super().__init__(name=endpoint.name, daemon=True)
        self._endpoint = endpoint
        self._lines = lines
        self._handover = handover
        self._state = state
        self._stopped = threading.Event()
        self._wake_end, self._wake = os.pipe()
        self._sleep = _polling(self._wake_end)
        self._may_rest = may_rest and lines.pause_s == float("inf")
        self._pace = Pace(rests=False)
        self._held: list[Piece] = []
        """Read, and not handed on yet."""
        self._opened: Opened | None = None
        self._saying = threading.Lock()
        """Held while something is written, and while the port is let go of."""
        self._shared_ns = self._watched_ns = 0
        self._counted: DriverCounts | None = None

    def stop(self) -> None:
        """End it, at once, wherever it waits; return when it has."""
        self._stopped.set()
        self._handover.end()
        os.write(self._wake, b".")
        self.join()
        os.close(self._wake)
        os.close(self._wake_end)

    def say(self, how: Callable[[Any], None]) -> None:
        """Let `how` write to what is open. It may wait.

        Raises:
            SourceUnavailableError: it is not open.
            OSError: as `how` does.
        """
        with self._saying:
            if self._opened is None:
                raise SourceUnavailableError(self._state.waiting_for or f"{self._endpoint.name}: is not open")
            how(self._opened)

    def run(self) -> None:
        """Until `stop`."""
        backoff = Backoff(*self._endpoint.delays_s)
        is_lost = False
        try:
            while not self._stopped.is_set():
                explain = self._endpoint.why_closed
                try:
                    with self._endpoint.open() as port:
                        explain = self._endpoint.why_lost
                        self._begin(is_lost)
                        self._opened = port
                        try:
                            self._read(port, backoff)
                        finally:
                            with self._saying:
                                self._opened = None
                except Exception as error:  # of any kind: nobody would miss a thread that ended here
                    self._state.waiting_for = f"{self._endpoint.name}: {explain(error)}"
                self._put()
                is_lost = True
                self._state.trouble = ""
                self._stopped.wait(backoff.next_s())
        finally:
            self._handover.end()

    def _begin(self, is_lost: bool) -> None:
        """The port is open; before that it was lost, or could not be opened."""
        self._lines.begin()
        self._state.waiting_for = ""
        self._shared_ns = now()[0] - OTHERS_NS + SETTLED_NS
        self._handover.tell_opened()
        if is_lost:
            self._put(Interruption(self._endpoint.loss, *now()))

    def _read(self, opened: Opened, backoff: Backoff) -> None:
        """Until the port vanishes (`OSError`), or `stop`: then what is there is read first."""
        port = opened.fileno()
        poll, usual_ms = _polling(port, self._wake_end), min(LOOK_S, self._lines.pause_s) * 1000
        wait_ms, stalls = usual_ms, Stalls(now()[0], loses=os.isatty(port))
        self._pace = Pace(rests=self._may_rest)
        self._counted, self._watched_ns = driver_counts(port), now()[0]
        proved_ns = self._watched_ns + self._endpoint.proves_ns
        while True:
            is_late, is_last = self._rest(), self._stopped.is_set()
            ready = poll.poll(0 if is_late else wait_ms)
            is_ready = bool(ready) and ready[0][0] == port
            data = os.read(port, READ_BYTES) if is_ready else b""
            monotonic_ns, wall_ns = now()
            if is_ready and not data:
                raise _VanishedError
            if not data and self._stopped.is_set():
                return
            since_ns = stalls.look(monotonic_ns, len(data))
            lost_since_ns = stalls.take_lost_ns()
            if lost_since_ns is not None:
                self._put(Interruption(STALLED, monotonic_ns, wall_ns, lost_since_ns, goes_on=True))
            if not data or since_ns is not None:
                is_empty = not poll.poll(0)
                stalls.seen(is_empty=is_empty)
            if data:
                if monotonic_ns >= proved_ns:
                    backoff.reset()
                self._came(Piece(data, monotonic_ns, wall_ns, since_ns), is_late=is_late)
                wait_ms = OWED_NS / 1e6 if self._pace.is_owed else usual_ms
            else:
                wait_ms = LOOK_S * 1000
                self._nothing_came(monotonic_ns, is_empty=is_empty)
            loss = self._lines.take_loss()
            if loss:
                self._put(Interruption(loss, monotonic_ns, wall_ns))
            if monotonic_ns - self._watched_ns >= NS:
                self._watch(port, monotonic_ns, wall_ns)
            if is_last:
                return

    def _rest(self) -> bool:
        """Leave the port alone, if it may be; whether what is read now may have come a while ago."""
        rest_ms = self._pace.take_rest_ms()
        if rest_ms:
            self._sleep.poll(rest_ms)
        return rest_ms > 0

    def _came(self, piece: Piece, *, is_late: bool) -> None:
        """Hand on what was read, or keep it for the next read, which tells when it came."""
        found, pace = self._lines.feed(piece.data, piece.monotonic_ns), self._pace
        began_ns = pace.line_ns if is_late else None
        pace.came(piece.monotonic_ns, len(piece.data), has_line=b"\n" in found, is_late=is_late)
        if piece.since_ns is not None:
            pace.broken(piece.monotonic_ns)
        if found:
            self._held.append(Piece(found, piece.monotonic_ns, piece.wall_ns, piece.since_ns, began_ns))
        if not pace.is_owed:
            self._put()

    def _nothing_came(self, at_ns: int, *, is_empty: bool) -> None:
        self._lines.pause()
        if self._pace.is_owed:
            self._pace.broken(at_ns)
            self._put()
        if is_empty:
            self._handover.seen_empty(at_ns)

    def _put(self, *items: Interruption) -> None:
        """Hand on what was kept, and what comes behind it."""
        if self._held or items:
            held, self._held = self._held, []
            self._handover.put(*held, *items)

    def _watch(self, port: int, monotonic_ns: int, wall_ns: int) -> None:
        """Once a second: whether bytes were dropped or damaged before they could be read, and now and then who else
        reads."""
        before, counted = self._counted, driver_counts(port)
        if counted is not None and before is not None:
            if counted.damaged > before.damaged:
                self._put(Interruption(LINE_ERROR, monotonic_ns, wall_ns, self._watched_ns, is_whole=True))
            if counted.dropped > before.dropped:
                self._lines.begin(is_opened=False)  # what comes next may be the rest of a line
                self._put(Interruption(OVERRUN, monotonic_ns, wall_ns, since_ns=self._watched_ns))
        self._counted, self._watched_ns = counted, monotonic_ns
        if monotonic_ns - self._shared_ns >= OTHERS_NS:
            self._look_for_others(monotonic_ns)

    def _look_for_others(self, at_ns: int) -> None:
        others = " and ".join(self._endpoint.others(at_ns))
        self._state.trouble = f"{others} has it open too: if it reads, it takes bytes away; end it" if others else ""
        self._shared_ns = at_ns


def _polling(*files: int) -> select.poll:
    """Looks whether any of these can be read; those that can come in this order."""
    poll = select.poll()
    for file in files:
        poll.register(file, select.POLLIN)
    return poll
