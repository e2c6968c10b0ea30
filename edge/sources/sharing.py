"""One source for several pipelines: each has all that it brings, and its decoder takes what is its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Hashable, Mapping
from typing import ClassVar, Final, Self

from edge.protocol import Arrival, Commanded, Interruption, Key, Settled, Source, SourceConfig

QUEUE_BYTES: Final = 1_000_000
"""So much waits for who takes it last; then nobody gets more."""
CLOSING_S: Final = 2.0
"""Who closes alone is alone after this time; the others go on."""
OPENING_S: Final = 2.0
"""So long the first ones wait for the others to open: what came before would not reach them."""


class Shared:
    """A source that keeps nothing for an acknowledgement, and its views."""

    def __init__(self, source: Source, views: int) -> None:
        self.source: Final = source
        self.views: Final = tuple(View(self) for _ in range(views))
        self._turn = asyncio.Lock()
        self._room = asyncio.Event()
        self._closed = asyncio.Event()
        self._all_here = asyncio.Event()
        self._arrivals: AsyncIterator[Arrival | Interruption] | None = None

    async def pull(self, view: View) -> bool:
        """Let what comes next reach all views, unless something waits for this one. False: it has come to its end."""
        async with self._turn:
            if not self._all_here.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(OPENING_S):
                        await self._all_here.wait()
                self._all_here.set()
            while not view.queue and max(one.size for one in self.views) > QUEUE_BYTES:
                self._room.clear()
                await self._room.wait()
            if view.queue:
                return True
            if self._arrivals is None:
                self._arrivals = self.source.arrivals()
            try:
                item = await anext(self._arrivals)
            except StopAsyncIteration:
                self._arrivals = None
                return False
            except BaseException:
                self._arrivals = None  # it is over, also where only this view's pipeline ends
                raise
            self._hand_out([item])
            return True

    def _hand_out(self, items: list[Arrival | Interruption], *, also_closed: bool = False) -> None:
        for view in self.views:
            if view.is_open or also_closed:
                for item in items:
                    view.put(item)

    def taken(self) -> None:
        """A view has room again."""
        self._room.set()

    def opened(self) -> None:
        """A view is open."""
        self._closed.clear()
        if all(view.is_open for view in self.views):
            self._all_here.set()

    async def closed(self) -> None:
        """A view is closed; with the last of them the source is, and what it had goes to all."""
        if any(view.is_open for view in self.views):
            try:
                async with asyncio.timeout(CLOSING_S):
                    await self._closed.wait()
            except TimeoutError:
                return
        elif not self._closed.is_set():
            await self.source.close()
            self._hand_out(list(self.source.left()), also_closed=True)
            self._closed.set()


class View:
    """All that a shared source brings, for one pipeline; a `Source`."""

    keys: ClassVar[Mapping[str, Key]] = {}

    def __init__(self, shared: Shared) -> None:
        self.queue = deque[Arrival | Interruption]()
        self.size = 0
        """Of what waits, in bytes."""
        self.is_open = False
        self._shared = shared
        self._taken_ns = 0

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """No table makes one: `Shared` does, of the source that several tables are about."""
        raise AssertionError(f"{config.where}: a view is made by who shares its source")

    def put(self, item: Arrival | Interruption) -> None:
        """It came."""
        self.queue.append(item)
        self.size += _size(item)

    def _take(self) -> Arrival | Interruption:
        item = self.queue.popleft()
        self.size -= _size(item)
        self._taken_ns = item.monotonic_ns
        self._shared.taken()
        return item

    @property
    def waiting_for(self) -> str:
        """See `edge.protocol.Source`."""
        return self._shared.source.waiting_for

    @property
    def trouble(self) -> str:
        """See `edge.protocol.Source`."""
        return self._shared.source.trouble

    @property
    def missing(self) -> str:
        """See `edge.protocol.Source`."""
        return self._shared.source.missing

    @property
    def heard_ns(self) -> int | None:
        """See `edge.protocol.Source`: what waits here was not heard."""
        return self._taken_ns if self.queue else self._shared.source.heard_ns

    @property
    def commands(self) -> Mapping[str, bytes]:
        """See `edge.protocol.Commanded`: none where the shared source takes none."""
        source = self._shared.source
        return source.commands if isinstance(source, Commanded) else {}

    async def say(self, name: str) -> None:
        """See `edge.protocol.Commanded`."""
        source = self._shared.source
        assert isinstance(source, Commanded)
        await source.say(name)

    async def open(self) -> None:
        """See `edge.protocol.Source`."""
        self.is_open = True
        self._shared.opened()
        await self._shared.source.open()

    async def arrivals(self) -> AsyncIterator[Arrival | Interruption]:
        """See `edge.protocol.Source`."""
        await self.open()
        while self.is_open and (self.queue or await self._shared.pull(self)):
            if self.queue:
                yield self._take()

    def ack(self, token: Hashable) -> None:
        """See `edge.protocol.Source`: nobody waits for an acknowledgement."""

    def settled(self) -> Settled:
        """See `edge.protocol.Source`."""
        return Settled()

    def again(self) -> None:
        """See `edge.protocol.Source`."""

    async def close(self) -> None:
        """See `edge.protocol.Source`."""
        was_open, self.is_open = self.is_open, False
        if was_open:
            await self._shared.closed()

    def left(self) -> list[Arrival | Interruption]:
        """See `edge.protocol.Source`."""
        found = []
        while self.queue:
            found.append(self._take())
        return found


def _size(item: Arrival | Interruption) -> int:
    return len(item.data) if isinstance(item, Arrival) else 0
