"""The publisher: the spool into the log, in order, for ever.

Two loops: `urgent` for marks and status, `readings` for the rest, one append under way in each. An append that fails
is made again, with back-off, until it is acknowledged; only then the spool forgets. A chunk that was appended twice
keeps its identity, and everyone downstream removes it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from edge.agent.clock import Clocks
from edge.agent.describing import keep_described
from edge.agent.notices import Notices
from edge.sources.backoff import Backoff
from edge.spool.condensing import announced, thin
from edge.spool.draining import Drain
from edge.spool.spool import Queue, Spool
from ingest.errors import RecordTooLargeError, SensorloomError
from ingest.log.protocol import LIVE, READINGS, STREAMS, Entry, Log, Position
from ingest.records import Chunk, StreamDescription, schema_id
from ingest.showing import counted
from ingest.wire import encode

T = TypeVar("T")
RETRY_S: Final = (0.5, 30.0)
QUIET_S: Final = 10.0
"""An append that is under way for so long is told."""
TOO_LARGE: Final = "record_too_large"
LIVE_LAG_S: Final = 5.0
"""Behind by more than this, the newest data also go to `live`, thinned."""
LIVE_SAMPLES: Final = 10
"""What a chunk is thinned to for `live`."""


@dataclass(slots=True)
class PublisherFigures:
    """What was acknowledged, and how far behind the log is."""

    records: int = 0
    bytes: int = 0
    retries: int = 0
    live: int = 0
    too_large: int = 0
    """Records that the log does not take."""
    lag_s: float = 0.0
    """Age of the newest entry that the log has."""


class Publisher:
    """Drains a spool into a log."""

    def __init__(
        self, log: Log, spool: Spool, clocks: Clocks, kernel_boot: bytes, report: Callable[[str], None]
    ) -> None:
        self.figures = PublisherFigures()
        self._log = log
        self._spool = spool
        self._clocks = clocks
        self._drain = Drain(kernel_boot)
        self._report = report
        self._notices = Notices(report, "publishing again")
        """What keeps it from publishing, by loop."""
        self._more = {id(queue): asyncio.Event() for queue in (spool.readings, spool.urgent)}
        self._idle = {id(queue): asyncio.Event() for queue in (spool.readings, spool.urgent)}
        self._described: list[Entry] = []
        self._live: list[Entry] = []
        self._live_more = asyncio.Event()

    @property
    def waiting_for(self) -> str:
        """What keeps it from publishing, for people; empty when nothing does."""
        return self._notices.first

    def describe(self, descriptions: Iterable[StreamDescription]) -> None:
        """These are published again, too, where the log has lost them; who adds them puts them into the spool."""
        known = {entry.key for entry in self._described}
        found = {schema_id(one): encode(one) for one in descriptions}
        self._described += [Entry(key, value) for key, value in found.items() if key not in known]

    async def run(self, descriptions: Iterable[StreamDescription]) -> None:
        """Publish until cancelled; the streams' descriptions first, and whenever the log has lost them."""
        self.describe(descriptions)
        positions = await self._append_described("readings")
        async with asyncio.TaskGroup() as group:
            again = partial(self._append_described, "streams")
            group.create_task(keep_described(self._log, positions, again, self._report))
            group.create_task(self._publish("urgent", self._spool.urgent))
            group.create_task(self._publish("readings", self._spool.readings))
            group.create_task(self._show_live())

    async def _append_described(self, loop: str) -> list[Position]:
        return await self._append(loop, STREAMS, list(self._described))

    def notify(self) -> None:
        """Something was committed."""
        for queue in (self._spool.readings, self._spool.urgent):
            self._idle[id(queue)].clear()
            self._more[id(queue)].set()

    async def drained(self) -> None:
        """Returns when the log has everything that was committed."""
        for idle in self._idle.values():
            await idle.wait()

    def offer_live(self, chunks: Sequence[Chunk]) -> None:
        """The newest chunks: shown on `live` while a backlog drains, else nothing happens."""
        if self.figures.lag_s < LIVE_LAG_S or not chunks:
            return
        self._live = [Entry(chunk.device.encode(), encode(_thinned(chunk))) for chunk in chunks]
        self._live_more.set()

    async def _show_live(self) -> None:
        while True:
            await self._live_more.wait()
            self._live_more.clear()
            entries, self._live = self._live, []
            try:
                await self._log.append(LIVE, entries)
                self.figures.live += len(entries)
            except SensorloomError:  # for eyes only: newer ones come in a second
                continue

    async def _publish(self, loop: str, queue: Queue) -> None:
        more, idle = self._more[id(queue)], self._idle[id(queue)]
        while True:
            more.clear()
            batch = await self._patiently(loop, "spool", queue.read)
            if batch is None:
                if not queue.backlog:
                    idle.set()
                if queue is self._spool.readings:
                    self.figures.lag_s = 0.0
                await more.wait()
                continue
            plan = self._drain.plan(batch, self._clocks.offsets_ns)
            for step in plan.steps:
                await self._append(loop, step.topic, step.entries)
                await self._patiently(loop, "spool", partial(queue.acknowledge, step.next_offset))
            await self._patiently(loop, "spool", partial(queue.acknowledge, plan.next_offset))
            if queue is self._spool.readings and batch.append_ns:
                self.figures.lag_s = max(0.0, (time.time_ns() - batch.append_ns[-1]) / 1e9)
            if plan.waits:
                self._clocks.changed.clear()
                self._notices.say(loop, "the system's clock to be set: data wait in the spool on monotonic time")
                await self._clocks.changed.wait()
                self._notices.say(loop, "")
                queue.rewind()

    async def _patiently(self, loop: str, what: str, call: Callable[[], T]) -> T:
        """The result of a call that waits for the disk, made again until it has one."""
        backoff, who = Backoff(*RETRY_S), f"{loop}, {what}"
        while True:
            try:
                result = await asyncio.to_thread(call)
            except SensorloomError as error:
                self._notices.say(who, str(error))
                await asyncio.sleep(backoff.next_s())
            else:
                self._notices.say(who, "")
                return result

    async def _append(self, loop: str, topic: str, entries: list[Entry]) -> list[Position]:
        """Append until it is acknowledged; where it lies."""
        backoff = Backoff(*RETRY_S)
        while entries:
            try:
                positions = await self._acknowledgement(loop, topic, entries)
            except RecordTooLargeError as error:
                entries = self._without(entries, error)
            except SensorloomError as error:
                self.figures.retries += 1
                self._notices.say(loop, f"the log: {error}")
                await asyncio.sleep(backoff.next_s())
            else:
                self._notices.say(loop, "")
                if topic == READINGS:
                    self.figures.records += len(entries)
                    self.figures.bytes += sum(len(entry.value) for entry in entries)
                return positions
        return []

    async def _acknowledgement(self, loop: str, topic: str, entries: list[Entry]) -> list[Position]:
        """Append, and tell who looks when that takes long."""
        append = asyncio.ensure_future(self._log.append(topic, entries))
        try:
            done, _ = await asyncio.wait([append], timeout=QUIET_S)
            if not done and not self._log.trouble:  # else the log has said why
                self._notices.say(loop, f"the log: no acknowledgement for {QUIET_S:g} s")
            return await append
        finally:
            append.cancel()

    def _without(self, entries: list[Entry], error: RecordTooLargeError) -> list[Entry]:
        """What is too large for the log would stop all behind it: samples become a gap, other records go. Told."""
        before, left = self.figures.too_large, list[Entry]()
        for entry in entries:
            if len(entry.key) + len(entry.value) <= error.bytes_max:
                left.append(entry)
            else:
                self.figures.too_large += 1
                left += announced(entry, TOO_LARGE)
        if self.figures.too_large.bit_length() > before.bit_length():  # the first, and as they double
            count = counted(self.figures.too_large, "record")
            self._report(f"{count} left out for ever, as a gap where samples were in it, the newest: {error}")
        return left


def _thinned(chunk: Chunk) -> Chunk:
    while chunk.count > LIVE_SAMPLES:
        smaller = thin(chunk, LIVE)
        if smaller is None:
            break
        chunk = smaller
    return chunk
