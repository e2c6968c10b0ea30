"""What goes wrong between a page and the log's disk: a line that breaks or falls silent, a log that takes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Final, Protocol, Self

from tests.support.kafka import KafkaBroker
from tests.timeline.site import Served

_LINE_BYTES: Final = 65_536


class Line:
    """Forwards connections of a port on loopback to a server's, which may be another one every time.

    `cut` ends all connections and takes no new ones. `hush` lets them stand and forwards nothing ever again: a line
    that is half open, of which nobody is told. `mend` forwards what is connected from then on.
    """

    def __init__(self) -> None:
        self.url = ""
        self._port = 0
        self._is_cut = self._is_hushed = False
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._silent: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def lead_to(self, served: Served) -> None:
        """New connections go to this server."""
        self._port = int(served.url.rpartition(":")[2])

    def cut(self) -> None:
        """The network is gone, and both ends are told."""
        self._is_cut = True
        for writer in [*(each for pair in self._pairs for each in pair), *self._silent]:
            writer.transport.abort()

    def hush(self) -> None:
        """The network is gone, and nobody is told."""
        self._is_hushed = True
        self._silent |= {each for pair in self._pairs for each in pair}

    def mend(self) -> None:
        """The network is back."""
        self._is_cut = self._is_hushed = False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._join(reader, writer)
        self._silent.discard(writer)
        writer.transport.abort()
        self._tasks.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            return
        if self._is_hushed:
            self._silent.add(writer)
            while await reader.read(_LINE_BYTES):
                pass
            return
        far_reader, far = await asyncio.open_connection("127.0.0.1", self._port)
        self._pairs.add((writer, far))
        if self._is_hushed:  # meanwhile
            self._silent |= {writer, far}
        try:
            ways = [self._forward(reader, far), self._forward(far_reader, writer)]
            tasks = [asyncio.create_task(way) for way in ways]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if writer in self._silent:  # neither end hears that the other one is gone
                await asyncio.wait(tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            self._pairs.discard((writer, far))
            self._silent.discard(far)
            far.transport.abort()

    async def _forward(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(_LINE_BYTES):
                if target not in self._silent:
                    target.write(data)
                    await target.drain()


class Log(Protocol):
    """A log that can be made to take nothing."""

    url: str
    says_no: bool
    """Whether it says at once that it takes nothing."""

    async def break_it(self, served: Served, chance: Random) -> None:
        """It takes nothing from now on, of this server."""
        ...

    async def mend(self, served: Served) -> None:
        """It takes what it is given."""
        ...


class Segments:
    """A log of segments whose disk is full: a server's files may not grow beyond a size that lies amid a record."""

    says_no = True

    def __init__(self, folder: Path) -> None:
        self.url = f"segments:{folder}"
        self._folder = folder

    async def break_it(self, served: Served, chance: Random) -> None:
        """See `Log`."""
        sizes = [path.stat().st_size for path in self._folder.glob("topics/marks/**/*.log")]
        size = max(sizes, default=0) + chance.randrange(1_000)
        limit_files(served, size)

    async def mend(self, served: Served) -> None:
        """See `Log`."""
        if served.process.poll() is None:
            limit_files(served, resource.RLIM_INFINITY)


def limit_files(served: Served, size: int) -> None:
    """The files of a server's process may not grow beyond so many bytes."""
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


class Kafka:
    """A broker that is killed, or stands still with its connections open."""

    says_no = False

    def __init__(self, broker: KafkaBroker, topic_prefix: str) -> None:
        self.url = f"kafka://{broker.bootstrap}/{topic_prefix}"
        self._broker = broker

    async def break_it(self, served: Served, chance: Random) -> None:
        """See `Log`."""
        if chance.random() < 0.5:
            await asyncio.to_thread(self._broker.kill)
        else:
            os.kill(self._broker.pid, signal.SIGSTOP)

    async def mend(self, served: Served) -> None:
        """See `Log`."""
        if self._broker.running:
            os.kill(self._broker.pid, signal.SIGCONT)
        else:
            await asyncio.to_thread(self._broker.restart)
