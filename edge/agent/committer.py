"""The tick: what was collected goes into the spool with one fsync; then sources are acknowledged, rules look, and the
publisher goes on."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from edge.agent.clock import ClockWatch
from edge.agent.notices import Notices
from edge.agent.pipeline import Pipeline, heard_of, missing_of
from edge.agent.publisher import Publisher
from edge.agent.schedule import CommitSchedule
from edge.agent.unwritten import DISK_FAILED, DISK_FULL, Unwritten, Write
from edge.recording.recorder import Recorder
from edge.sources.clock import boottime_ns
from edge.spool.entries import description
from edge.spool.spool import Queue, Spool
from ingest.errors import SensorloomError, StoreFullError
from ingest.log.protocol import Entry
from ingest.records import Chunk, StreamDescription, schema_id

if TYPE_CHECKING:
    from edge.agent.rules import EdgeRules

STALL_NS: Final = 2_000_000_000
"""A tick that is later than this is told: this process, or its machine, stood still."""

MARKS_KEPT: Final = 10_000
"""So many of the newest marks wait in memory while the disk takes nothing."""


class Marker:
    """Rules over what was just made durable; their marks are fsynced at once, in the queue that goes first."""

    def __init__(self, spool: Spool, rules: EdgeRules | None, marks: Sequence[Entry]) -> None:
        self._spool = spool
        self._rules = rules
        self._marks = list(marks)
        """Made, and not yet in the urgent queue."""
        self._learned: list[StreamDescription] = []
        """What streams mean of which nothing was fed yet."""

    def learn(self, descriptions: Iterable[StreamDescription]) -> None:
        """What the bytes of further streams mean; before any of theirs is seen."""
        self._learned += descriptions

    async def see(self, entries: Sequence[Entry]) -> None:
        """These entries are durable."""
        if self._rules is None:
            return
        if self._learned:
            self._rules.learn(self._learned)
            self._learned = []
        self._marks += await asyncio.to_thread(self._rules.feed, entries, time.time_ns())
        if self._marks:
            with suppress(SensorloomError):  # a disk that takes nothing is told by the readings; the marks wait here
                await asyncio.to_thread(self._spool.urgent.commit, self._marks)
                self._marks = []
            forgotten, self._marks = self._marks[:-MARKS_KEPT], self._marks[-MARKS_KEPT:]
            self._spool.urgent.stats.dropped_records["rule marks"] += len(forgotten)


class Committer:
    """Commits what pipelines and recorders have collected."""

    def __init__(
        self,
        spool: Spool,
        pipelines: Sequence[Pipeline],
        recorders: Mapping[str, Recorder],
        unwritten: Unwritten,
        marker: Marker,
        publisher: Publisher,
        notices: Notices,
        report: Callable[[str], None],
        *,
        keeps_oldest: bool,
    ) -> None:
        self._spool = spool
        self._pipelines = pipelines
        self._recorders = recorders
        self._unwritten = unwritten
        self._marker = marker
        self._publisher = publisher
        self._notices = notices
        self._report = report
        self._keeps_oldest = keeps_oldest
        """A full spool refuses what is new, rather than to drop what is old."""
        self.committing: Final = asyncio.Lock()
        """Held while a commit is under way: who exchanges what is committed holds it, too."""
        self._failed: SensorloomError | None = None
        """What the disk said when it last took nothing."""
        self._troubles: dict[Queue, str] = {}
        self._renewals: dict[Queue, int] = {}
        self._described: set[bytes] = set()
        self._told_dropped: dict[Queue, int] = {}
        """What of a queue's dropped records was told: again when it has doubled."""

    async def run(self, schedule: CommitSchedule, clock: ClockWatch, alive: Callable[[], None]) -> None:
        """Commit whenever it is due, until cancelled; `alive` is called behind each, also behind one that the disk did
        not take: to begin anew would free none of it, and lose what waits in memory."""
        looked_ns = boottime_ns()
        while True:
            await schedule.due()
            still_ns = boottime_ns() - looked_ns - schedule.interval_ns
            looked_ns += still_ns + schedule.interval_ns
            if still_ns > STALL_NS:
                self._report(
                    f"stood still for {still_ns / 1e9:,.0f} s (stopped, swapped out, or the machine was suspended): "
                    "what sensors said meanwhile may be missing, and is announced where it is"
                )
            await clock.refresh(self._recorders.values())
            await self.commit(schedule)
            alive()

    def describe(self, descriptions: Iterable[StreamDescription]) -> None:
        """What the bytes of further streams mean: it goes before them, with the next commit."""
        fresh = [one for one in descriptions if schema_id(one) not in self._described]
        self._described.update(map(schema_id, fresh))
        self._unwritten.add(map(description, fresh))
        self._marker.learn(fresh)
        self._publisher.describe(fresh)

    async def commit(self, schedule: CommitSchedule, *, final: bool = False) -> bool:
        """Everything that was collected into the spool; then the sources may acknowledge.

        False where the disk did not take it.
        """
        async with self.committing:
            tokens = [(pipeline, pipeline.hand_over()) for pipeline in self._pipelines]
            writes = self._collect(final=final)
            schedule.make_room()
            try:
                if writes:
                    entries = [write.entry for write in writes]
                    await asyncio.to_thread(partial(self._spool.readings.commit, entries, last=final))
            except SensorloomError as error:
                self._keep(writes, tokens, _reason(error))
                self._failed = error
                self._notices.say("spool", str(error))
                return False
            self._unwritten.written()
            self._notices.say("spool", "")
            self._tell_of_spool()
            for pipeline, held in tokens:
                pipeline.acknowledge(held)
        await self._marker.see([write.entry for write in writes])
        self._publisher.notify()
        shown = [write.record for write in writes if not write.kernel_boot]
        self._publisher.offer_live([record for record in shown if isinstance(record, Chunk)])
        return True

    def give_up(self) -> Counter[tuple[str, str]]:
        """The agent ends and the disk took nothing: the samples that are lost, by device and stream. What is left to
        commit is small."""
        return self._unwritten.give_up(DISK_FULL if self._failed is None else _reason(self._failed))

    def _tell_of_spool(self) -> None:
        """What happened to the spool although the commit is there, once each."""
        for queue in (self._spool.readings, self._spool.urgent):
            if queue.trouble != self._troubles.get(queue, ""):
                self._troubles[queue] = queue.trouble
                self._report(queue.trouble or f"{queue.folder}: is kept within its bound again")
            dropped = queue.stats.dropped_records
            if dropped.total() >= max(1, 2 * self._told_dropped.get(queue, 0)):
                self._told_dropped[queue] = dropped.total()
                kinds = ", ".join(f"{count:,} {kind}" for kind, count in dropped.items() if count)
                self._report(f"{queue.folder}: full: dropped by rule, since this agent began: {kinds}")
            if queue.renewals != self._renewals.get(queue, 0):
                self._renewals[queue] = queue.renewals
                self._report(
                    f"{queue.folder}: somebody deleted or replaced this folder; it was made anew, and "
                    f"{queue.stats.lost_records:,} records that waited there are lost: see who deletes it"
                )

    def _collect(self, *, final: bool) -> list[Write]:
        now_ns = boottime_ns()
        fresh = [
            self._unwritten.write(held)
            for device, recorder in self._recorders.items()
            for held in recorder.flush(now_ns, missing_of(device, self._pipelines), heard_of(device, self._pipelines))
        ]
        size = sum(len(write.entry.value) for write in fresh)
        is_full = self._keeps_oldest and not final and not self._spool.readings.has_room(size)
        return self._unwritten.collect(fresh, is_full=is_full)

    def _keep(self, writes: list[Write], tokens: list[tuple[Pipeline, list[Hashable]]], reason: str) -> None:
        """The disk took nothing. What is given up is not acknowledged: who waits for that delivers it again."""
        is_kept = self._unwritten.keep(writes, reason)
        for pipeline, held in tokens:
            if is_kept:
                pipeline.put_back(held)
            else:
                pipeline.give_up(held)


def _reason(error: SensorloomError) -> str:
    return DISK_FULL if isinstance(error, StoreFullError) else DISK_FAILED
