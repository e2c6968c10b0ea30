"""The recordings of one device: samples and faults in, records in their order out. Pure.

A recording starts with the first that arrives, and ends when the agent stops, when a clock steps, or after a long
silence. All streams of a device share it. Once a second `flush` turns what was collected into records, with progress
for the streams that were silent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from msgspec.structs import replace

from edge.protocol import Fault, Frame, SourceConfig
from edge.recording.batching import Counters, StreamBatch, describe
from edge.recording.timebase import Axis, ClockStep, Stamp, Timebase, timebase
from ingest.chunker import Limits, Origin
from ingest.records import Chunk, Clock, Gap, Progress, Record, RecordingEnd, RecordingStart

UNSYNCED: Final = "unsynced"
_NOTHING: Final[Mapping[str, str]] = {}


class Previous(NamedTuple):
    """The boot before this one, and how far its records reach in the spool."""

    boot: bytes = b""
    reach_ns: int = 0


class Held(NamedTuple):
    """A record, and whether its times still are CLOCK_MONOTONIC's: it must wait for the clock."""

    record: Record
    held: bool


@dataclass(frozen=True, slots=True)
class ClockState:
    """What is known of the system's clock. Only streams that are placed by arrival depend on it."""

    is_set: bool
    source: str
    """For `Clock.source`: `ntp`, `system` …"""


@dataclass(frozen=True, slots=True)
class Rules:
    """How a device is recorded."""

    limits: Limits = field(default_factory=Limits)
    silence_ns: int = 600_000_000_000
    """A recording without a sample for so long ends."""
    holds_unsynced: bool = True
    """Data taken before the clock was set wait for it; else they are published at once, marked as unsynced."""


class _Stream:
    """One stream: its decoder's output on the way to chunks."""

    def __init__(self, config: SourceConfig, limits: Limits) -> None:
        self.config = config
        self.batch = StreamBatch(describe(config), limits)
        self.timebase: Timebase = timebase(config.clock, config.rate)
        self.axis: Axis | None = None
        self.stamps: deque[tuple[int, Stamp]] = deque(maxlen=256)
        """Of the newest arrivals: the offset behind them, and when they came."""
        self.fed = 0
        self.said_ns: int | None = None
        """How far this recording's records say that the stream is complete."""

    def begin(self) -> None:
        self.timebase = timebase(self.config.clock, self.config.rate)
        self.axis = None
        self.stamps.clear()
        self.said_ns = None
        self.batch.forget_recording()

    def stamp_of(self, offset: int, now: Stamp) -> Stamp:
        """When the bytes before `offset` came."""
        if len(self.stamps) < 2 or self.stamps[-2][0] < offset:
            return now
        return next((stamp for end, stamp in self.stamps if end >= offset), now)


class Recorder:
    """Records one device for one boot."""

    def __init__(
        self,
        device: str,
        boot: bytes,
        sources: Iterable[SourceConfig],
        rules: Rules,
        previous: Previous,
        clock: ClockState,
    ) -> None:
        self.device = device
        self.boot = boot
        self._rules = rules
        self._clock = clock
        self._previous = previous
        self._previous_reach_ns = previous.reach_ns
        self._streams = {config.stream: _Stream(config, rules.limits) for config in sources}
        self._number = 0
        self._recording: str | None = None
        self._held = False
        self._started_ns = 0
        self._ended_ns: int | None = None
        """The end of the recording before, in this boot."""
        self._unheard: dict[str, str] = {}
        """Streams that were interrupted between two recordings, and why."""
        self._quiet_since_ns = 0
        self._out: list[Held] = []

    @property
    def recording(self) -> str | None:
        """The recording under way."""
        return self._recording

    @property
    def pending_bytes(self) -> int:
        """What was collected since the last flush."""
        return sum(stream.batch.pending_bytes for stream in self._streams.values())

    @property
    def counters(self) -> Mapping[str, Counters]:
        """By stream."""
        return {name: stream.batch.counters for name, stream in self._streams.items()}

    def take(self, stream_name: str, fed: int, items: Iterable[Frame | Fault], monotonic_ns: int, wall_ns: int) -> None:
        """What a stream's decoder made of `fed` more bytes that came at this time."""
        stream = self._streams[stream_name]
        if (
            stream.axis is not None
            and self._depends_on_clock(stream)
            and stream.axis.has_stepped(monotonic_ns, wall_ns)
        ):
            self.end("clock_step", monotonic_ns)
        if stream.axis is None:
            stream.axis = self._new_axis(stream, monotonic_ns, wall_ns)
            behind_ns = self._previous_reach_ns if self._ended_ns is None else self._ended_ns
            if behind_ns <= stream.axis.stamp(monotonic_ns).time_ns:  # else the clock was another one
                stream.timebase.promise(behind_ns)  # samples that came together are not spread over what is past
        stamp = stream.axis.stamp(monotonic_ns)
        stream.fed += fed
        stream.stamps.append((stream.fed, stamp))
        for item in items:
            if isinstance(item, Fault):
                self._fault(stream, item, stamp)
            else:
                self._frame(stream, item, stamp, (monotonic_ns, wall_ns))

    def interrupt(self, stream_name: str, reason: str, monotonic_ns: int, wall_ns: int) -> None:
        """Nobody knows what the stream lost before now."""
        stream = self._streams[stream_name]
        stream.fed = 0
        stream.stamps.clear()
        axis = stream.axis or self._new_axis(stream, monotonic_ns, wall_ns)
        if self._recording is None:
            self._unheard[stream_name] = reason
        else:
            since_ns = min(self._complete_ns(stream), axis.stamp(monotonic_ns).time_ns)
            stream.batch.lose(reason, -1, since_ns)

    def _complete_ns(self, stream: _Stream) -> int:
        """Up to here everything of a stream in this recording is there, or announced."""
        known = (stream.batch.end_ns, stream.said_ns)
        return max((at_ns for at_ns in known if at_ns is not None), default=self._started_ns)

    def _depends_on_clock(self, stream: _Stream) -> bool:
        return self._clock.is_set and stream.config.clock == "arrival"

    def _is_timed(self, stream: _Stream) -> bool:
        """Whether the stream's times are final."""
        return self._clock.is_set or stream.config.clock != "arrival"

    def _holds(self, stream: _Stream) -> bool:
        return self._rules.holds_unsynced and not self._is_timed(stream)

    def _new_axis(self, stream: _Stream, monotonic_ns: int, wall_ns: int) -> Axis:
        return Axis.begin(monotonic_ns, wall_ns, is_set=not self._holds(stream))

    def _fault(self, stream: _Stream, fault: Fault, stamp: Stamp) -> None:
        if fault.samples:
            self._begin(stream, stamp.time_ns)
            stream.timebase.skip(fault.samples)
            stream.batch.lose(fault.reason, fault.samples, stamp.time_ns)
        else:
            lost = stream.batch.counters.lost
            lost[fault.reason] = lost.get(fault.reason, 0) + 1

    def _frame(self, stream: _Stream, frame: Frame, now: Stamp, clocks: tuple[int, int]) -> None:
        stamp = stream.stamp_of(frame.offset, now)
        values, device_ns = frame.values, frame.times_ns
        while True:
            try:
                placed = stream.timebase.place(len(values), device_ns, stamp)
                break
            except ClockStep as step:
                assert device_ns is not None
                if step.index:
                    self._frame(stream, Frame(values[: step.index], device_ns[: step.index], frame.offset), now, clocks)
                values, device_ns = values[step.index :], device_ns[step.index :]
                self.end("clock_step", clocks[0])
                stream.axis = self._new_axis(stream, *clocks)
        if placed.left_out:
            self._begin(stream, stamp.time_ns)
            stream.batch.lose("time" if device_ns is not None else "no_time", placed.left_out, stamp.time_ns)
        if len(placed.times):
            self._begin(stream, int(placed.times[0]))
            stream.batch.add(placed.times, values[placed.kept])

    def _begin(self, stream: _Stream, start_ns: int) -> None:
        """Begin a recording where none is under way."""
        if self._recording is not None:
            return
        self._recording = f"{self.boot.hex()[:12]}-{self._number}"
        self._number += 1
        self._held = self._holds(stream)
        reason = "start" if self._number == 1 else "restart"
        self._emit(
            RecordingStart(self.device, self._recording, self.boot, start_ns, reason, *self._previous), self._held
        )
        self._previous = Previous()
        self._started_ns = start_ns
        if self._ended_ns is not None and self._ended_ns < start_ns:
            for name, why in self._unheard.items():
                self._announce(name, self._ended_ns, start_ns, why, self._held)
        self._unheard = {}

    def _announce(self, stream_name: str, start_ns: int, end_ns: int, reason: str, held: bool) -> None:
        assert self._recording is not None
        self._emit(Gap(self.device, self._recording, stream_name, self.boot, start_ns, end_ns, -1, reason), held)

    def _emit(self, record: Record, held: bool) -> None:
        self._out.append(Held(record, held))

    def set_clock(self, clock: ClockState, monotonic_ns: int) -> None:
        """The system's clock was set, or lost: a step, if it matters to what is under way."""
        if clock.is_set != self._clock.is_set:
            self.end("clock_step", monotonic_ns)
        self._clock = clock

    def end(self, reason: str, monotonic_ns: int, missing: Mapping[str, str] = _NOTHING) -> None:
        """End the recording under way, if any; `missing` as in `flush`."""
        if self._recording is not None:
            self._drain(monotonic_ns, progress=False, missing=missing)
            ends = [stream.batch.end_ns for stream in self._streams.values() if stream.batch.end_ns is not None]
            said = [stream.said_ns for stream in self._streams.values() if stream.said_ns is not None]
            end_ns = max(ends or said or [self._now(monotonic_ns)])
            self._emit(RecordingEnd(self.device, self._recording, self.boot, end_ns, reason), self._held)
            self._recording, self._ended_ns = None, end_ns
        for stream in self._streams.values():
            stream.begin()

    def flush(self, monotonic_ns: int, missing: Mapping[str, str] = _NOTHING) -> list[Held]:
        """The records of what was collected; call it once a second.

        `missing` says, by stream, why what it says now is lost (`edge.protocol.Source.missing`).
        """
        if self._recording is not None:
            if self.pending_bytes:
                self._quiet_since_ns = monotonic_ns
            if monotonic_ns - self._quiet_since_ns > self._rules.silence_ns:
                self.end("silence", monotonic_ns)
            else:
                self._drain(monotonic_ns, progress=True, missing=missing)
        out, self._out = self._out, []
        return out

    def _now(self, monotonic_ns: int) -> int:
        axis = next((stream.axis for stream in self._streams.values() if stream.axis is not None), None)
        return monotonic_ns if axis is None else axis.stamp(monotonic_ns).time_ns

    def _now_of(self, stream: _Stream, monotonic_ns: int) -> int:
        return self._now(monotonic_ns) if stream.axis is None else stream.axis.stamp(monotonic_ns).time_ns

    def _drain(self, monotonic_ns: int, *, progress: bool, missing: Mapping[str, str] = _NOTHING) -> None:
        assert self._recording is not None
        for name, stream in self._streams.items():
            origin = Origin(self.device, self._recording, name, self.boot, stream.batch.schema, self._clock_of(stream))
            now_ns = stream.batch.end_ns if stream.batch.end_ns is not None else self._now(monotonic_ns)
            records = stream.batch.drain(origin, now_ns)
            for record in records:
                self._emit(record, self._holds(stream))
            if any(isinstance(record, Chunk) for record in records):
                stream.timebase.close_chunk()
                stream.said_ns = stream.batch.end_ns
            elif progress and name not in missing:
                self._progress(stream, monotonic_ns)
            if name in missing:
                self._miss(stream, missing[name], monotonic_ns)
                if progress:
                    self._progress(stream, monotonic_ns)

    def _miss(self, stream: _Stream, reason: str, monotonic_ns: int) -> None:
        """Announce what a stream that nobody hears has lost up to now."""
        since_ns, now_ns = self._complete_ns(stream), self._now_of(stream, monotonic_ns)
        if since_ns < now_ns:
            self._announce(stream.config.stream, since_ns, now_ns, reason, self._holds(stream))
            stream.batch.end_ns = now_ns

    def _clock_of(self, stream: _Stream) -> Clock:
        if stream.config.clock != "arrival":
            return Clock(stream.config.clock)
        return Clock(self._clock.source if self._clock.is_set else UNSYNCED)

    def _progress(self, stream: _Stream, monotonic_ns: int) -> None:
        """Say how far a silent stream is complete, where that is further than was said."""
        assert self._recording is not None
        complete_to = stream.timebase.promise(self._now_of(stream, monotonic_ns))
        if complete_to > (stream.said_ns if stream.said_ns is not None else 0):
            stream.said_ns = complete_to
            self._emit(
                Progress(self.device, self._recording, stream.config.stream, self.boot, complete_to),
                self._holds(stream),
            )


def shifted(record: Record, offset_ns: int, clock: Clock | None) -> Record:
    """A held record on the UTC axis that lies `offset_ns` before CLOCK_MONOTONIC's."""
    if isinstance(record, Chunk):
        return replace(record, t0_ns=record.t0_ns + offset_ns, clock=clock)
    if isinstance(record, RecordingStart):
        return replace(record, start_ns=record.start_ns + offset_ns)
    if isinstance(record, RecordingEnd):
        return replace(record, end_ns=record.end_ns + offset_ns)
    if isinstance(record, Gap):
        return replace(record, start_ns=record.start_ns + offset_ns, end_ns=record.end_ns + offset_ns)
    if isinstance(record, Progress):
        return replace(record, complete_to_ns=record.complete_to_ns + offset_ns)
    return record
