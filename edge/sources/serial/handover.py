"""From the thread that reads to the event loop: bounded in bytes, and woken a few times a second, not for each read."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from edge.protocol import Arrival, Interruption, Read

READ_BYTES: Final = 65_536
"""What an arrival has at most."""
QUEUE_BYTES: Final = 4_000_000
REST_S: Final = 0.1
"""What comes in this time goes on as one arrival."""
STEP_NS: Final = 50_000_000
"""Reads between which the wall clock was set by more than this are not joined."""


class Piece(NamedTuple):
    """What one read brought."""

    data: bytes
    monotonic_ns: int
    wall_ns: int
    since_ns: int | None = None
    """From when on it may have waited; None: it was taken as it came."""
    began_ns: int | None = None
    """As in `Read`."""

    def goes_with(self, before: Piece) -> bool:
        """Whether both can be one arrival."""
        step_ns = self.wall_ns - self.monotonic_ns - (before.wall_ns - before.monotonic_ns)
        return self.since_ns == before.since_ns and abs(step_ns) <= STEP_NS


def join(pieces: Sequence[Piece]) -> Arrival:
    """One arrival of what several reads brought, with the stamps of each."""
    last, reads, end = pieces[-1], [], 0
    for piece in pieces[:-1]:
        end += len(piece.data)
        reads.append(Read(end, piece.monotonic_ns, piece.wall_ns, piece.began_ns))
    return Arrival(
        b"".join(piece.data for piece in pieces),
        last.monotonic_ns,
        last.wall_ns,
        reads=tuple(reads),
        waited_ns=0 if last.since_ns is None else last.monotonic_ns - last.since_ns,
    )


class Handover:
    """A queue of one thread and one event loop's."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.opened: Final = asyncio.Event()
        self._loop = loop
        self._filled = asyncio.Event()
        self._items: deque[Piece | Interruption] = deque()
        self._room = threading.Condition()
        self._bytes = 0
        self._is_waited_for = False
        self._is_ended = False
        self._taken_ns = 0
        self._empty_ns = 0
        self._rested_s = 0.0

    # --- in the thread

    def tell_opened(self) -> None:
        """The port is there."""
        self._call(self.opened.set)

    def put(self, *items: Piece | Interruption) -> None:
        """Wait for room, then hand over: all of them at once."""
        with self._room:
            while self._bytes >= QUEUE_BYTES and not self._is_ended:
                self._room.wait()
            self._items += items
            self._bytes += sum(map(_size, items))
            is_waited_for, self._is_waited_for = self._is_waited_for, False
        if is_waited_for:
            self._call(self._filled.set)

    def seen_empty(self, at_ns: int) -> None:
        """At this time (CLOCK_BOOTTIME) all that had come was read."""
        with self._room:
            self._empty_ns = at_ns

    def _call(self, action: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed already, so nobody waits
            self._loop.call_soon_threadsafe(action)

    # --- on the event loop

    @property
    def heard_ns(self) -> int:
        """CLOCK_BOOTTIME up to which all that came was taken."""
        with self._room:
            return self._taken_ns if self._items else max(self._taken_ns, self._empty_ns)

    async def get(self) -> Arrival | Interruption | None:
        """What has come, at most once in `REST_S` while there is no more than one arrival of it; None after `end`."""
        if not self._is_full:
            await asyncio.sleep(self._rested_s - self._loop.time())
        while True:
            with self._room:
                if self._is_ended:
                    return None
                if self._items:
                    self._rested_s = self._loop.time() + REST_S
                    return self._take()
                self._filled.clear()
                self._is_waited_for = True
            await self._filled.wait()

    def left(self) -> list[Arrival | Interruption]:
        """What was read and not taken, after the end."""
        with self._room:
            found = []
            while self._items:
                found.append(self._take())
            return found

    @property
    def _is_full(self) -> bool:
        return self._bytes >= min(READ_BYTES, QUEUE_BYTES)

    def _take(self) -> Arrival | Interruption:
        first = self._items.popleft()
        pieces, size = [], _size(first)
        if isinstance(first, Piece):
            pieces.append(first)
            while self._items and size + _size(self._items[0]) <= READ_BYTES:
                following = self._items[0]
                if not isinstance(following, Piece) or not following.goes_with(pieces[-1]):
                    break
                pieces.append(following)
                size += len(following.data)
                self._items.popleft()
        self._bytes -= size
        self._room.notify()
        self._taken_ns = (pieces[-1] if pieces else first).monotonic_ns
        return first if isinstance(first, Interruption) else join(pieces)

    def end(self) -> None:
        """Nobody takes any more, and nobody waits any more."""
        with self._room:
            self._is_ended = True
            self._room.notify_all()
        self._call(self._wake_all)

    def _wake_all(self) -> None:
        self.opened.set()
        self._filled.set()


def _size(item: Piece | Interruption) -> int:
    return len(item.data) if isinstance(item, Piece) else 0
