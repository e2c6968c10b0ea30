"""A stream's records: chunks of what was collected of it, gaps, and how far it is complete while it is silent. Pure."""

from __future__ import annotations

from typing import Final

from edge.protocol import STALLED
from edge.recording.axes import Axes
from edge.recording.course import Course
from edge.recording.stream import Stream
from ingest.chunker import Origin
from ingest.records import Chunk

NOT_OPEN: Final = "not_open"
START_NS: Final = 60_000_000_000
"""The sources of an agent that starts are opened within this time, or say themselves why not."""


class StreamRecords:
    """Of the streams of a device, into the recording under way."""

    def __init__(self, device: str, boot: bytes, axes: Axes, course: Course) -> None:
        self._device = device
        self._boot = boot
        self._axes = axes
        self._course = course

    def complete_ns(self, stream: Stream) -> int:
        """Up to here everything of a stream in this recording is there, or announced."""
        known = (stream.batch.end_ns, stream.said_ns)
        return max((at_ns for at_ns in known if at_ns is not None), default=self._course.started_ns)

    def announce(self, stream: Stream, start_ns: int, end_ns: int, reason: str) -> None:
        """Say that something of a stream may be missing there."""
        self._course.announce(stream.config.stream, start_ns, end_ns, reason, held=self._axes.hold(stream))

    def announce_start(self, stream: Stream) -> None:
        """Announce what of a recording lies before the stream was heard; what lies far before has other times."""
        start_ns, end_ns = self.complete_ns(stream), stream.heard_from_ns
        if start_ns < end_ns <= self._course.started_ns + START_NS:
            self.announce(stream, start_ns, end_ns, NOT_OPEN)

    def tick(self, stream: Stream, monotonic_ns: int, missing: str, heard_ns: int | None, *, may_promise: bool) -> None:
        """A stream's records of this tick. One that is silent says so at growing intervals."""
        if stream.batch.has_samples:
            self.drain(stream, monotonic_ns)
            stream.speak()
            if missing:
                self.miss(stream, missing, monotonic_ns)
        elif may_promise and stream.is_due(monotonic_ns) and (missing or not self._owes(stream, monotonic_ns)):
            stream.pause(monotonic_ns)
            self.drain(stream, monotonic_ns)
            if missing:
                self.miss(stream, missing, monotonic_ns)
                self._progress(stream, monotonic_ns, is_away=True)
            elif heard_ns is None or heard_ns > 0:
                self._progress(stream, monotonic_ns if heard_ns is None else min(heard_ns, monotonic_ns))

    def _owes(self, stream: Stream, monotonic_ns: int) -> bool:
        """Whether it is open what a stop has cost. Who says nothing after it may have lost all of it."""
        if not 0 < stream.owes_until_ns <= monotonic_ns:
            return stream.owes_until_ns > 0
        stream.owes_until_ns = 0
        self.lose_stall(stream)
        return False

    def lose_stall(self, stream: Stream) -> None:
        """Announce that a buffer may have lost any of what came in a stop; on a grid what it kept lies where it was."""
        stream.stalled_ticks = 0
        complete_ns = self.complete_ns(stream)
        stream.batch.lose(STALLED, -1, complete_ns if stream.has_grid else min(complete_ns, stream.stalled_from_ns))

    def drain(self, stream: Stream, monotonic_ns: int) -> None:
        """What was collected of a stream, as records."""
        assert self._course.recording is not None
        own = stream.config.stream
        clock = self._axes.estimate_of(stream)
        origin = Origin(self._device, self._course.recording, own, self._boot, stream.batch.schema, clock)
        records = stream.batch.drain(origin, self._axes.now_of(stream, monotonic_ns))
        for record in records:
            self._course.emit(record, self._axes.hold(stream))
        if any(isinstance(record, Chunk) for record in records):
            stream.timebase.close_chunk()
            stream.said_ns = stream.batch.end_ns

    def miss(self, stream: Stream, reason: str, monotonic_ns: int) -> None:
        """Announce what a stream that nobody hears has lost up to now."""
        since_ns, now_ns = self.complete_ns(stream), self._axes.now_of(stream, monotonic_ns)
        if since_ns < now_ns:
            self.announce(stream, since_ns, now_ns, reason)
            stream.batch.end_ns = now_ns

    def _progress(self, stream: Stream, monotonic_ns: int, *, is_away: bool = False) -> None:
        """Say how far a silent stream is complete, where that is further than was said."""
        stream.axis = self._axes.of(stream)  # what is promised holds on it: where the clock leaves it, that is a step
        complete_to = stream.timebase.promise(self._axes.now_of(stream, monotonic_ns), is_away=is_away)
        if complete_to > (stream.said_ns if stream.said_ns is not None else 0):
            stream.said_ns = complete_to
            self._course.promise(stream.config.stream, complete_to, held=self._axes.hold(stream))
