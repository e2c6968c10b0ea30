"""One recording at work: its streams, the cursors of its anchors, and which of its windows are final.

A window is final when no later record can change anything about it: every stream is known past its last instant, and
some stream has a sample there (whether a silence lies within the recording or behind its end shows only then). When
exactly it is cut after that makes no difference, so it is put off until there is much to cut at once, and done in
pieces where that is too much.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ingest.intake import OpenRecording
from ingest.logtime import NEVER
from windowing.fold.anchors import AnchorMark, Cursor, Layout, mark_cursor, new_cursor
from windowing.fold.cutting import Cutter, Finished, Origin
from windowing.fold.streams import Stream

_FAR: Final = 1 << 62


class Recording:
    """The state of one recording of one device."""

    __slots__ = (
        *("cursors", "device", "known", "layout", "marks", "marks_passed", "name", "streams"),
        *("_due_ns", "_moved", "_unsettled"),
    )

    def __init__(
        self, layout: Layout, marks: Sequence[AnchorMark], known: OpenRecording, unsettled: list[OpenRecording]
    ) -> None:
        self.layout = layout
        self.known = known
        """What the intake knows of it."""
        self.marks = marks
        """The device's marks, by start."""
        self.device = known.device
        self.name = known.name
        self.streams = {plan.name: Stream(plan, known, unsettled, layout.bridges) for plan in layout.plans}
        for stream in self.streams.values():
            stream.peers = tuple(peer for peer in self.streams.values() if peer is not stream)
        self._unsettled = unsettled
        """Where a recording puts itself that has something to settle."""
        self.cursors: list[Cursor] = []
        self.marks_passed = 0
        """How many of the marks have their cursor, or need none."""
        self._moved = False
        self._due_ns = NEVER
        """No window is final before a sample at or after this has come; NEVER: who knows."""
        if layout.anchor == "epoch":
            self.cursors.append(new_cursor(layout, self.device, self.name, "epoch", 0))
            self.marks_passed = 1

    def progress(self, stream: str, complete_to: int, limit_ns: int) -> None:
        """A stream has come, or never will, before `complete_to`; times after `limit_ns` are not to be trusted."""
        self.streams[stream].progress(complete_to)
        self.streams[stream].lead(0, limit_ns)
        self.move()

    def move(self) -> None:
        """There may be something to settle, though no sample came."""
        if not self._moved:
            self._moved = True
            self._unsettled.append(self.known)

    @property
    def is_due(self) -> bool:
        """Is there something to settle? Before a window's last instant has come there is only something to collect."""
        if self._moved:
            return True
        if self._due_ns == NEVER:
            self._due_ns = self._next_due()
        due_ns = self._due_ns
        return any(stream.newest_ns >= due_ns or stream.full for stream in self.streams.values())

    @property
    def is_collecting(self) -> bool:
        """Are there samples that are in no buffer yet?"""
        return any(stream.is_collecting for stream in self.streams.values())

    def resume(self) -> None:
        """Go on from a saved state."""
        self._due_ns = self._next_due()
        if self.is_due:
            self.move()
        elif self.is_collecting:
            self._unsettled.append(self.known)

    def settle(self, offset: int, finished: Finished, bound_bytes: int = _FAR) -> bool:
        """Cut the windows that are final, and let go of the samples that no other needs.

        False where some are left, since there was output of `bound_bytes`.
        """
        done = self._settle(offset, finished, bound_bytes)
        for stream in self.streams.values():
            stream.take_back()
        if self.is_collecting:
            self._unsettled.append(self.known)
        return done

    def _settle(self, offset: int, finished: Finished, bound_bytes: int) -> bool:
        if not self.flush() and not self._moved:
            return True
        self._moved = False
        span = self._span()
        if span is None:
            return True
        tolerance = self.layout.tolerance_ns
        for stream in self.streams.values():
            stream.measure()
        limit = min(span[1], *(stream.known_to(tolerance) for stream in self.streams.values()))
        self._open_cursors()
        cutter = self._cutter(span, offset, finished, bound_bytes)
        reason, done = self._lacking(finished), True
        for cursor in self.cursors:
            hop, length = self.layout.hop, self.layout.length
            stop = (cursor.grid.at_or_before(limit) - length + 1) // hop + 1
            done &= self._cut(cutter, cursor, stop, span[0], reason)
        self._finish_cursors()
        self._trim()
        self._due_ns = self._next_due()
        if not done:
            self.move()
        return done

    def close(self, offset: int, finished: Finished, bound_bytes: int = _FAR) -> bool:
        """Cut all that is left: nothing follows. Windows of a recording that lacks a stream are dropped for that.

        False where some are left, since there was output of `bound_bytes`: call it again.
        """
        if not self._settle(offset, finished, bound_bytes):
            return False
        span = self._span()
        if span is None:
            return True
        for stream in self.streams.values():
            stream.measure(over=True)
        self._open_cursors()
        cutter = self._cutter(span, offset, finished, bound_bytes)
        reason, done = self._lacking(finished), True
        for cursor in self.cursors:
            stop = self._existing(cursor, span[1])
            done &= self._cut(cutter, cursor, stop, span[0], reason)
        self._finish_cursors()
        self._trim()
        for stream in self.streams.values():
            stream.pause()
        if reason and done:
            finished.counts["no_stream.recordings"] += 1
        return done

    def discard(self, offset: int, finished: Finished) -> int:
        """Cut what is final; the number of begun windows that are given up with the rest."""
        self.settle(offset, finished)
        span = self._span()
        if span is None:
            return 0
        firsts = ((self._first(cursor, span[0]), self._existing(cursor, span[1])) for cursor in self.cursors)
        return sum(max(0, stop - first) for first, stop in firsts)

    def _lacking(self, finished: Finished) -> str:
        """Why no window can be had, "" where they can; what streams are no longer waited for is told."""
        for name, stream in self.streams.items():
            if stream.outrun:
                stream.outrun = False
                finished.outrun.append((self.device, self.name, name))
        return "no_stream" if any(stream.first_ns == NEVER for stream in self.streams.values()) else ""

    def flush(self) -> bool:
        """Collected samples into the buffers; were there any?"""
        any_came = False
        for stream in self.streams.values():
            any_came |= stream.flush()
        return any_came

    def _span(self) -> tuple[int, int] | None:
        """First and last sample of the recording, over its streams."""
        firsts = [stream.first_ns for stream in self.streams.values() if stream.first_ns != NEVER]
        return (min(firsts), max(stream.last_ns for stream in self.streams.values())) if firsts else None

    def _open_cursors(self) -> None:
        """Cursors of the anchors whose first reference sample has come."""
        reference = self.streams[self.layout.plans[0].name]
        if reference.first_ns == NEVER:
            return
        if self.layout.anchor == "recording" and not self.marks_passed:
            self.cursors.append(new_cursor(self.layout, self.device, self.name, "recording", reference.first_ns))
            self.marks_passed = 1
        if self.layout.anchor == "mark":
            self._open_marks(reference)

    def _open_marks(self, reference: Stream) -> None:
        times = reference.buffer.times
        while self.marks_passed < len(self.marks) and self.marks[self.marks_passed].start_ns <= reference.last_ns:
            mark = self.marks[self.marks_passed]
            self.marks_passed += 1
            if mark.end_ns > reference.first_ns:
                origin = int(times[times.searchsorted(mark.start_ns)])
                cursor = mark_cursor(self.layout, self.device, self.name, mark, origin)
                if cursor is not None:
                    self.cursors.append(cursor)

    def _cutter(self, span: tuple[int, int], offset: int, finished: Finished, bound_bytes: int) -> Cutter:
        tolerance = self.layout.tolerance_ns
        sources = [stream.samples(tolerance) for stream in self.streams.values()]
        return Cutter(self.layout, sources, span, offset, finished, bound_bytes)

    def _first(self, cursor: Cursor, first_ns: int) -> int:
        """The first window not yet cut: on the UTC axis, the first that has an instant within the recording."""
        if cursor.next_k is not None:
            return cursor.next_k
        begin = cursor.grid.at_or_after(first_ns - self.layout.tolerance_ns)
        return -((self.layout.length - 1 - begin) // self.layout.hop)

    def _existing(self, cursor: Cursor, last_ns: int) -> int:
        """One past the last window that has an instant within the recording."""
        stop = cursor.grid.at_or_before(last_ns + self.layout.tolerance_ns) // self.layout.hop + 1
        return stop if cursor.stop_k is None else min(stop, cursor.stop_k)

    def _cut(self, cutter: Cutter, cursor: Cursor, stop: int, first_ns: int, reason: str = "") -> bool:
        """Cut or drop up to `stop`; False where some are left."""
        first = self._first(cursor, first_ns)
        if cursor.stop_k is not None:
            stop = min(stop, cursor.stop_k)
        if first >= stop:
            return True
        origin = Origin(self.device, self.name, cursor.anchor, cursor.prefix)
        if reason:
            cutter.drop_all(origin, cursor, first, stop, reason)
            cursor.next_k = stop
        else:
            cursor.next_k = cutter.cut(origin, cursor, first, stop)
        return cursor.next_k == stop

    def _finish_cursors(self) -> None:
        self.cursors = [c for c in self.cursors if c.stop_k is None or c.next_k is None or c.next_k < c.stop_k]

    def _trim(self) -> None:
        """Let go of the samples before every window that may still come."""
        layout = self.layout
        low = _FAR
        for cursor in self.cursors:
            if cursor.next_k is None:
                return
            low = min(low, cursor.grid.instant(cursor.next_k * layout.hop))
        reference = self.streams[layout.plans[0].name]
        if layout.anchor == "recording" and not self.marks_passed:
            low = min(low, reference.complete_to)
        if layout.anchor == "mark" and self.marks_passed < len(self.marks):
            low = min(low, max(self.marks[self.marks_passed].start_ns, reference.complete_to))
        for stream in self.streams.values():
            if stream.rule is not None:
                stream.buffer.trim(low - layout.tolerance_ns)

    def _next_due(self) -> int:
        """The last instant of the first window to come; NEVER where that is not known yet."""
        if not self.cursors or self.layout.anchor == "mark":
            return NEVER
        first_ns = min(stream.begin_ns for stream in self.streams.values())  # NEVER where another may begin earlier
        if first_ns == NEVER and any(cursor.next_k is None for cursor in self.cursors):
            return NEVER
        hop, reach = self.layout.hop, self.layout.length - 1
        return min(cursor.grid.instant(self._first(cursor, first_ns) * hop + reach) for cursor in self.cursors)
