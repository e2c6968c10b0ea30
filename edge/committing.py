"""The tick: what was collected goes into the spool with one fsync; then sources are acknowledged, rules look, and the
publisher goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from edge.clock import ClockWatch
from edge.lane import Lane, missing_of
from edge.publisher import Publisher
from edge.recorder import Recorder
from edge.rhythm import Rhythm
from edge.spool import Spool
from edge.unwritten import Unwritten, Write
from edge.waiting import Waiting
from ingest.errors import SensorloomError, StoreFullError
from ingest.log.protocol import Entry
from ingest.records import Chunk

if TYPE_CHECKING:
    from edge.rules import EdgeRules


class Marker:
    """Rules over what was just made durable; their marks are fsynced at once, in the queue that goes first."""

    def __init__(self, spool: Spool, rules: EdgeRules | None, marks: Sequence[Entry]) -> None:
        self._spool = spool
        self._rules = rules
        self._marks = list(marks)
        """Made, and not yet in the urgent queue."""

    async def see(self, entries: Sequence[Entry]) -> None:
        """These entries are durable."""
        if self._rules is None:
            return
        self._marks += await asyncio.to_thread(self._rules.feed, entries, time.time_ns())
        if self._marks:
            with suppress(SensorloomError):  # a disk that takes nothing is told by the readings; the marks wait here
                await asyncio.to_thread(self._spool.urgent.commit, self._marks)
                self._marks = []


class Committer:
    """Commits what lanes and recorders have collected."""

    def __init__(
        self,
        spool: Spool,
        lanes: Sequence[Lane],
        recorders: Mapping[str, Recorder],
        unwritten: Unwritten,
        marker: Marker,
        publisher: Publisher,
        waiting: Waiting,
        *,
        keeps_oldest: bool,
    ) -> None:
        self._spool = spool
        self._lanes = lanes
        self._recorders = recorders
        self._unwritten = unwritten
        self._marker = marker
        self._publisher = publisher
        self._waiting = waiting
        self._keeps_oldest = keeps_oldest
        """A full spool refuses what is new, rather than to drop what is old."""
        self._committing = asyncio.Lock()

    async def run(self, rhythm: Rhythm, clock: ClockWatch) -> None:
        """Commit whenever it is due, until cancelled."""
        while True:
            await rhythm.due()
            now = clock.look()
            if now is not None:
                for recorder in self._recorders.values():
                    recorder.set_clock(now, time.monotonic_ns())
                await clock.tell()
            await self.commit(rhythm)
            for lane in self._lanes:
                self._waiting.say(lane.config.name, lane.source.waiting_for)

    async def commit(self, rhythm: Rhythm, *, final: bool = False) -> bool:
        """Everything that was collected into the spool; then the sources may acknowledge.

        False where the disk did not take it.
        """
        async with self._committing:
            tokens = [(lane, lane.hand_over()) for lane in self._lanes]
            writes = self._collect(final=final)
            rhythm.make_room()
            try:
                if writes:
                    await asyncio.to_thread(self._spool.readings.commit, [write.entry for write in writes])
            except SensorloomError as error:
                self._keep(writes, tokens, "disk_full" if isinstance(error, StoreFullError) else "disk_failed")
                self._waiting.say("spool", str(error))
                return False
            self._unwritten.written()
            self._waiting.say("spool", "")
            for lane, held in tokens:
                lane.acknowledge(held)
        await self._marker.see([write.entry for write in writes])
        self._publisher.notify()
        shown = [write.record for write in writes if not write.kernel_boot]
        self._publisher.offer_live([record for record in shown if isinstance(record, Chunk)])
        return True

    def _collect(self, *, final: bool) -> list[Write]:
        now_ns = time.monotonic_ns()
        fresh = [
            self._unwritten.write(held)
            for device, recorder in self._recorders.items()
            for held in recorder.flush(now_ns, missing_of(device, self._lanes))
        ]
        size = sum(len(write.entry.value) for write in fresh)
        is_full = self._keeps_oldest and not final and not self._spool.readings.has_room(size)
        return self._unwritten.collect(fresh, is_full=is_full)

    def _keep(self, writes: list[Write], tokens: list[tuple[Lane, list[Hashable]]], reason: str) -> None:
        """The disk took nothing. What is given up is not acknowledged: who waits for that delivers it again."""
        is_kept = self._unwritten.keep(writes, reason)
        for lane, held in tokens:
            if is_kept:
                lane.put_back(held)
            else:
                lane.give_up(held)
