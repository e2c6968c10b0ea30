"""A source that gives what a test puts in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Final, Self

from edge.protocol import Arrival, Interruption, Key, Settled, SourceConfig
from edge.sources import SOURCES

S: Final = 1_000_000_000
WALL: Final = 1_700_000_000 * S
"""The wall clock's time at `FedSource.feed`'s second 0."""


class FedSource:
    """Gives what the test puts in; the instances are in `opened`, by stream."""

    keys: ClassVar[Mapping[str, Key]] = {}
    opened: ClassVar[dict[str, FedSource]] = {}

    def __init__(self) -> None:
        self.items: asyncio.Queue[Arrival | Interruption | Exception | None] = asyncio.Queue()
        """What comes next: None is the end, an exception is raised."""
        self.acknowledged: list[Hashable] = []
        self.waiting_for = ""
        self.trouble = ""
        self.missing = ""
        self.heard_ns: int | None = None
        self.settled_next: list[Settled] = []
        """What `settled` says, one a call."""
        self.asked_again = 0
        self.closed = 0

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """One without options."""
        source = cls()
        cls.opened[config.stream] = source
        return source

    async def open(self) -> None:
        """It is always there."""

    async def arrivals(self) -> AsyncIterator[Arrival | Interruption]:
        """What was put in, until a None. Raises an exception that was put in."""
        while (item := await self.items.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    def ack(self, token: Hashable) -> None:
        """Kept in `acknowledged`."""
        self.acknowledged.append(token)

    def settled(self) -> Settled:
        """What the test has put into `settled_next`."""
        return self.settled_next.pop(0) if self.settled_next else Settled()

    def again(self) -> None:
        """Counted in `asked_again`."""
        self.asked_again += 1

    async def close(self) -> None:
        """Counted in `closed`."""
        self.closed += 1

    def left(self) -> list[Arrival | Interruption]:
        """Nothing: what was put in and not taken did not come."""
        return []

    def feed(self, data: bytes, second: float, token: Hashable = None, **more: Any) -> None:
        """Put in bytes that arrive at this second of a time that begins at 0 and `WALL`; `more` goes into the
        `Arrival`."""
        at = int(second * S)
        self.items.put_nowait(Arrival(data, at, WALL + at, token, **more))


@contextmanager
def source_type(name: str, path: str = "simulators.doubles.source:FedSource") -> Iterator[None]:
    """In the block, configurations may name a source type that is not installed: `type = "NAME"` is the class at
    `module:class`."""
    SOURCES[name] = path
    try:
        yield
    finally:
        del SOURCES[name]
