"""The axes on which a device's streams lie, and the clock that they rest on: which times are final, and which wait for
the clock. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from edge.recording.stream import Stream
from edge.recording.terms import ClockState
from edge.recording.timebase import Axis
from ingest.records import Clock

UNSYNCED: Final = "unsynced"


class Axes:
    """Those of a device's streams. `holds_unsynced` as in `edge.recording.terms.Rules`."""

    def __init__(self, clock: ClockState, streams: Mapping[str, Stream], *, holds_unsynced: bool) -> None:
        self.clock = clock
        self.streams = streams
        self._holds_unsynced = holds_unsynced

    def depend_on_clock(self, stream: Stream) -> bool:
        """Whether a step of the clock is one of the stream's times."""
        return self.clock.is_set and stream.config.is_on_our_axis

    def hold(self, stream: Stream) -> bool:
        """Whether the stream's records wait for the clock."""
        return self._holds_unsynced and not (self.clock.is_set or not stream.config.is_on_our_axis)

    def new(self, stream: Stream, monotonic_ns: int, wall_ns: int) -> Axis:
        """An axis for a stream that begins now."""
        return Axis.begin(monotonic_ns, wall_ns, is_set=not self.hold(stream), line=self.clock.line)

    def of(self, stream: Stream) -> Axis | None:
        """A stream's own axis; of one that has not spoken yet that of another one whose times are as final."""
        others = (each.axis for each in self.streams.values() if self.hold(each) == self.hold(stream))
        return stream.axis or next((axis for axis in others if axis is not None), None)

    def now(self, monotonic_ns: int) -> int:
        """An instant of CLOCK_BOOTTIME on whichever axis there is."""
        axis = next((stream.axis for stream in self.streams.values() if stream.axis is not None), None)
        return monotonic_ns if axis is None else axis.stamp(monotonic_ns).time_ns

    def now_of(self, stream: Stream, monotonic_ns: int) -> int:
        """The same on a stream's."""
        axis = self.of(stream)
        return self.now(monotonic_ns) if axis is None else axis.stamp(monotonic_ns).time_ns

    def dated(self, monotonic_ns: int, offset_ns: int) -> tuple[int, bool]:
        """An instant of CLOCK_BOOTTIME as samples that the agent stamps have it, and whether it waits for the clock;
        `offset_ns` is what CLOCK_BOOTTIME lacks to the wall clock now."""
        if self._holds_unsynced and not self.clock.is_set:
            return monotonic_ns, True
        own = (stream.axis for stream in self.streams.values() if stream.config.is_on_our_axis)
        axis = next((axis for axis in own if axis is not None), None)
        return monotonic_ns + (offset_ns if axis is None else axis.offset_ns(monotonic_ns)), False

    @property
    def led(self) -> list[Stream]:
        """The streams with an axis that a pulse may lead."""
        return [each for each in self.streams.values() if each.axis is not None and not self.hold(each)]

    def would_step(self, clock: ClockState, monotonic_ns: int) -> bool:
        """Whether times would leap, were this the clock from now on."""
        return clock.is_set != self.clock.is_set or any(
            stream.axis.leaves(clock.line, monotonic_ns)
            for stream in self.led
            if stream.axis is not None and stream.config.is_on_our_axis
        )

    def estimate_of(self, stream: Stream) -> Clock:
        """What a stream's chunks say of their times."""
        state, clock = stream.timebase.state, self.clock
        if stream.config.is_on_our_axis:
            source, is_known = clock.source, clock.is_set
        else:
            source, is_known = stream.config.clock, state.synced
        line = clock.line if stream.config.is_on_our_axis else None
        error_ns = state.uncertainty_ns + (0 if line is None else line.error_ns)
        return Clock(source if is_known else UNSYNCED, state.offset_ns, round(state.ppm, 3), error_ns)
