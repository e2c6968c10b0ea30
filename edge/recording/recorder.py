"""The recordings of one device: samples and faults in, records in their order out. Pure.

A recording starts with the first that arrives, and ends when the agent stops, when a clock steps, or after a long
silence. All streams of a device share it. Once a second `flush` turns what was collected into records, with progress
for the streams that were silent.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

from edge.protocol import STALLED, Fault, Frame, Read, SourceConfig
from edge.recording.arrivals import ArrivalTimes, RateFound
from edge.recording.batching import Account, Counters
from edge.recording.device import DeviceTimes
from edge.recording.stamps import Ahead, ClockStep, Placed, Stamp
from edge.recording.stream import Stream, Taken
from edge.recording.terms import ClockState, Held, Previous, Rules, shifted
from edge.recording.timebase import Axis
from ingest.chunker import Origin
from ingest.records import Chunk, Clock, Gap, Progress, Record, RecordingEnd, RecordingStart

__all__ = ["ClockState", "Held", "Previous", "Recorder", "Rules", "shifted"]
UNSYNCED: Final = "unsynced"
NOT_OPEN: Final = "not_open"
START_NS: Final = 60_000_000_000
"""The sources of an agent that starts are opened within this time, or say themselves why not."""
SILENT: Final = "silent"
"""The reason of a hole in a stream with a rate that nothing else explains."""
BACKLOG: Final = "-backlog"
"""Ends the name of a recording of what a device had kept, beside one that is live."""
OWED_NS: Final = 5_000_000_000
"""Who says nothing for so long after a stop is not waited for."""
CONFIGURED: Final = "configured"
"""The reason of what was not heard because it was configured anew; and why its recording ended."""
ASKED: Final = "asked"
"""Why a recording ended: somebody asked for one of its own."""
LIVE_NS: Final = 30_000_000_000
"""A device from which nothing live has come for so long, and that says older times, has set its clock back."""
_NOTHING: Final[Mapping[str, str]] = {}
_EVERYTHING: Final[Mapping[str, int | None]] = {}


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
        *,
        beside: Recorder | None = None,
    ) -> None:
        self.device = device
        self.boot = boot
        self._rules = rules
        self._clock = clock
        self._previous = previous
        self._previous_reach_ns = previous.reach_ns
        self._sources = tuple(sources)
        self._beside = beside
        """The recorder of what is live, where this one records what a device had kept."""
        self._kept: Recorder | None = None
        """The other way round."""
        self._accounts: dict[str, Account] = {} if beside is None else beside._accounts
        """By stream, also of those that are recorded no more: chunks are numbered for the whole boot."""
        self._numbers: Iterator[int] = itertools.count() if beside is None else beside._numbers
        self._streams: dict[str, Stream] = {config.stream: self._stream(config) for config in self._sources}
        self._recording: str | None = None
        self._held = False
        self._started_ns = 0
        self._ended_ns: int | None = None
        """The end of the recording before, in this boot."""
        self._unheard: dict[str, str] = {}
        """Streams that were interrupted between two recordings, and why."""
        self._asked: dict[str, str] = {}
        """Attributes that a recording has which somebody asked for."""
        self._was_heard = False
        """Anything came since the last flush."""
        self._quiet_since_ns = 0
        self._flushed_ns: int | None = None
        self._was_late = False
        self._out: list[Held] = []

    def join(self, config: SourceConfig) -> None:
        """One more stream of the device, found while others are recorded."""
        self._sources = (*self._sources, config)
        self._streams[config.stream] = self._stream(config)
        if self._kept is not None:
            self._kept.join(config)

    def change(self, left: Collection[str], come: Sequence[SourceConfig], monotonic_ns: int) -> None:
        """The streams of `left` are recorded no more, those of `come` from now on: a stream that is in both is
        described anew. The recording under way ends, as what its bytes mean does; what nobody heard is announced."""
        self.end(CONFIGURED, monotonic_ns, dict.fromkeys(left, CONFIGURED))
        self._kept = None
        self._sources = (*(config for config in self._sources if config.stream not in left), *come)
        self._streams = {name: stream for name, stream in self._streams.items() if name not in left}
        self._streams |= {config.stream: self._stream(config) for config in come}
        self._unheard = {name: why for name, why in self._unheard.items() if name in self._streams}
        self._unheard |= {name: CONFIGURED for name in left if name in self._streams}

    def _stream(self, config: SourceConfig) -> Stream:
        return Stream(config, self._rules.limits, self._accounts.setdefault(config.stream, Account()))

    @property
    def recording(self) -> str | None:
        """The recording under way."""
        return self._recording

    @property
    def pending_bytes(self) -> int:
        """What was collected since the last flush."""
        own = sum(stream.pending_bytes for stream in self._streams.values())
        return own if self._kept is None else own + self._kept.pending_bytes

    @property
    def counters(self) -> Mapping[str, Counters]:
        """By stream, also of those that are recorded no more."""
        left = {name: account.counters for name, account in self._accounts.items() if name not in self._streams}
        return {name: stream.batch.counters for name, stream in self._streams.items()} | left

    @property
    def rates(self) -> Mapping[str, RateFound]:
        """What arrivals say of the rates, by stream: of those that have one and are placed by arrival."""
        found = {
            name: stream.timebase.rate
            for name, stream in self._streams.items()
            if isinstance(stream.timebase, ArrivalTimes)
        }
        return {name: rate for name, rate in found.items() if rate is not None}

    def dated(self, monotonic_ns: int, offset_ns: int) -> tuple[int, bool]:
        """An instant of CLOCK_BOOTTIME as samples that the agent stamps have it, and whether it waits for the clock;
        `offset_ns` is what CLOCK_BOOTTIME lacks to the wall clock now."""
        if self._rules.holds_unsynced and not self._clock.is_set:
            return monotonic_ns, True
        own = (stream.axis for stream in self._streams.values() if stream.config.is_on_our_axis)
        axis = next((axis for axis in own if axis is not None), None)
        return monotonic_ns + (offset_ns if axis is None else axis.offset_ns(monotonic_ns)), False

    def begin_anew(self, monotonic_ns: int, attributes: Mapping[str, str]) -> None:
        """End the recording under way, if any; those that begin from now on have these attributes besides."""
        self.end(ASKED, monotonic_ns)
        self._asked = dict(attributes)

    def take(
        self,
        stream_name: str,
        fed: int,
        items: Iterable[Frame | Fault],
        monotonic_ns: int,
        wall_ns: int,
        *,
        reads: Sequence[Read] = (),
        waited_ns: int = 0,
        is_message: bool = False,
    ) -> None:
        """What a stream's decoder made of `fed` more bytes that came at this time; the rest as in `Arrival`."""
        stream = self._streams[stream_name]
        if (
            stream.axis is not None
            and self._depends_on_clock(stream)
            and stream.axis.has_stepped(monotonic_ns, wall_ns)
        ):
            self.end("clock_step", monotonic_ns)
        if stream.axis is None:
            self._begin_axis(stream, monotonic_ns, wall_ns)
        stamp = self._stamp(stream, monotonic_ns, waited_ns)
        stream.hear(fed, reads, stamp)
        if waited_ns:
            stream.stall(0 if is_message else 2, stamp)
            stream.owes_until_ns = 0 if is_message else monotonic_ns + OWED_NS
        elif fed:
            stream.owes_until_ns = 0
            if stream.stalled_ticks and not stream.has_grid:
                self._settle(stream)
                self._begin(stream, stamp.time_ns)
                self._lose_stall(stream)
        for item in items:
            if isinstance(item, Frame) or item.samples:
                self._was_heard = True
            came = stream.stamp_of(item.offset, stamp) if isinstance(item, Frame) else stamp
            taken = Taken(item, came, (monotonic_ns, wall_ns))
            if stream.looks_ahead and self._recording is not None:
                stream.wait(taken)
            else:
                self._place(stream, taken)

    def _begin_axis(self, stream: Stream, monotonic_ns: int, wall_ns: int) -> None:
        stream.axis = self._new_axis(stream, monotonic_ns, wall_ns)
        behind_ns = self._previous_reach_ns if self._ended_ns is None else self._ended_ns
        if behind_ns <= stream.axis.stamp(monotonic_ns).time_ns:  # else the clock was another one
            stream.timebase.promise(behind_ns)  # samples that came together are not spread over what is past

    def _stamp(self, stream: Stream, monotonic_ns: int, waited_ns: int) -> Stamp:
        """An arrival on the stream's axis. What a broker kept while nobody was there waited since the last boot."""
        assert stream.axis is not None
        time_ns = stream.axis.stamp(monotonic_ns).time_ns
        if waited_ns and self._previous_reach_ns and self._clock.is_set:
            waited_ns = max(1, min(waited_ns, time_ns - self._previous_reach_ns))
        is_live = stream.config.type != "replay"  # what a file holds may have any age
        return Stamp(time_ns, waited_ns, self._clock.is_set and is_live)

    def interrupt(
        self,
        stream_name: str,
        reason: str,
        monotonic_ns: int,
        wall_ns: int,
        since_ns: int | None = None,
        *,
        goes_on: bool = False,
        is_whole: bool = False,
    ) -> None:
        """Nobody knows what the stream lost before now; the rest as in `edge.protocol.Interruption`."""
        stream = self._streams[stream_name]
        if not is_whole:
            self._settle(stream)
            stream.interrupt(goes_on=goes_on, is_over=since_ns is not None)
        if reason == STALLED and not stream.has_grid:
            stream.stalled_ticks = stream.owes_until_ns = 0  # here it is said
        axis = stream.axis or self._new_axis(stream, monotonic_ns, wall_ns)
        now_ns = axis.stamp(monotonic_ns).time_ns
        if since_ns is not None:
            self._miss_since(stream, axis, reason, now_ns, since_ns)
        elif self._recording is None:
            self._unheard[stream_name] = reason
        else:
            stream.batch.lose(reason, -1, min(self._complete_ns(stream), now_ns))

    def listen(self, stream_name: str, monotonic_ns: int, wall_ns: int) -> None:
        """A stream's source was opened, and nothing had kept it from that: before now nobody heard the stream.

        Where a recording begins before, with another stream, that much of it is announced. Nothing is counted as lost:
        so an agent begins.
        """
        stream = self._streams[stream_name]
        axis = stream.axis or self._new_axis(stream, monotonic_ns, wall_ns)
        stream.heard_from_ns = axis.stamp(monotonic_ns).time_ns
        if self._recording is not None:
            self._announce_start(stream)

    def _announce_start(self, stream: Stream) -> None:
        """Announce what of a recording lies before the stream was heard; what lies far before has other times."""
        start_ns, end_ns = self._complete_ns(stream), stream.heard_from_ns
        if start_ns < end_ns <= self._started_ns + START_NS:
            self._announce(stream.config.stream, start_ns, end_ns, NOT_OPEN, self._holds(stream))

    def _miss_since(self, stream: Stream, axis: Axis, reason: str, now_ns: int, since_ns: int) -> None:
        """Announce a range in which samples may be missing although later ones are there."""
        start_ns = axis.stamp(since_ns).time_ns if since_ns else self._previous_reach_ns
        if not start_ns or start_ns >= now_ns:
            return
        self._begin(stream, now_ns)
        lost = stream.batch.counters.lost
        lost[reason] = lost.get(reason, 0) + 1
        self._announce(stream.config.stream, start_ns, now_ns, reason, self._holds(stream))

    def _complete_ns(self, stream: Stream) -> int:
        """Up to here everything of a stream in this recording is there, or announced."""
        known = (stream.batch.end_ns, stream.said_ns)
        return max((at_ns for at_ns in known if at_ns is not None), default=self._started_ns)

    def _depends_on_clock(self, stream: Stream) -> bool:
        return self._clock.is_set and stream.config.is_on_our_axis

    def _is_timed(self, stream: Stream) -> bool:
        """Whether the stream's times are final."""
        return self._clock.is_set or not stream.config.is_on_our_axis

    def _holds(self, stream: Stream) -> bool:
        return self._rules.holds_unsynced and not self._is_timed(stream)

    def _new_axis(self, stream: Stream, monotonic_ns: int, wall_ns: int) -> Axis:
        return Axis.begin(monotonic_ns, wall_ns, is_set=not self._holds(stream), line=self._clock.line)

    def _settle(self, stream: Stream) -> None:
        """Place what waited for the reads behind it."""
        for taken, ahead in stream.take_waiting():
            self._place(stream, taken, ahead)

    def _place(self, stream: Stream, taken: Taken, ahead: Sequence[Ahead] = ()) -> None:
        if isinstance(taken.item, Fault):
            self._fault(stream, taken.item, self._when(stream, taken))
        else:
            self._frame(stream, taken.item, taken, ahead)

    def _when(self, stream: Stream, taken: Taken) -> Stamp:
        """When a fault came, or when it was where the kernel says it."""
        time_ns = taken.item.time_ns if isinstance(taken.item, Fault) else None
        return taken.stamp if time_ns is None or stream.axis is None else stream.axis.stamp(time_ns)

    def _fault(self, stream: Stream, fault: Fault, stamp: Stamp) -> None:
        if fault.samples:
            self._begin(stream, stamp.time_ns)
            stream.timebase.skip(max(1, fault.samples))  # what cannot be counted took a line's place at least
            stream.batch.lose(fault.reason, fault.samples, stamp.time_ns)
        else:
            lost = stream.batch.counters.lost
            lost[fault.reason] = lost.get(fault.reason, 0) + 1

    def _frame(self, stream: Stream, frame: Frame, taken: Taken, ahead: Sequence[Ahead]) -> None:
        stamp, values, device_ns = taken.stamp, frame.values, frame.times_ns
        if stream.config.clock == "kernel" and stream.axis is not None and device_ns is not None:
            device_ns = stream.axis.times(device_ns)
        while True:
            try:
                placed = stream.timebase.place(len(values), device_ns, stamp, ahead)
                break
            except ClockStep as step:
                assert device_ns is not None
                if step.index:
                    before = Frame(values[: step.index], device_ns[: step.index], frame.offset)
                    self._frame(stream, before, taken, ahead)
                values, device_ns = values[step.index :], device_ns[step.index :]
                late = self._keep(stream, Frame(values, device_ns, frame.offset), taken)
                if late == len(values):
                    return
                if late:
                    values, device_ns = values[late:], device_ns[late:]
                    continue
                self.end("clock_step", taken.clocks[0])
                stream.axis = self._new_axis(stream, *taken.clocks)
        stream.live_ns = taken.clocks[0]
        if placed.left_out:
            self._begin(stream, stamp.time_ns)
            stream.batch.lose("time" if device_ns is not None else "no_time", placed.left_out, stamp.time_ns)
        if len(placed.times):
            self._begin(stream, int(placed.times[0]))
            self._tell_hole(stream, placed)
            stream.batch.add(placed.times, values[placed.kept], placed.error_ns)

    def _keep(self, stream: Stream, frame: Frame, taken: Taken) -> int:
        """Record what a device had kept, and sends between live samples, beside what is live; how many samples it is.

        Where nothing live has come for a while, the device's clock was set back: then it is none.
        """
        base = stream.timebase
        if self._beside is not None or not isinstance(base, DeviceTimes) or frame.times_ns is None:
            return 0
        late = base.behind(frame.times_ns) if taken.clocks[0] - stream.live_ns < LIVE_NS else 0
        if late:
            if self._kept is None:
                own = (self.device, self.boot, self._sources, self._rules, Previous(), self._clock)
                self._kept = Recorder(*own, beside=self)
            part = Frame(frame.values[:late], frame.times_ns[:late], frame.offset)
            self._kept.take(stream.config.stream, 0, [part], *taken.clocks)
        return late

    def _tell_hole(self, stream: Stream, placed: Placed) -> None:
        """Announce that a stream with a rate has no samples where it should have."""
        if placed.hole is not None:
            reason = STALLED if stream.stalled_ticks else SILENT
            self._announce(stream.config.stream, *placed.hole, reason, self._holds(stream))

    def _begin(self, stream: Stream, start_ns: int) -> None:
        """Begin a recording where none is under way."""
        if self._recording is not None:
            return
        number = next(self._numbers)
        self._recording = f"{self.boot.hex()[:12]}-{number}" + (BACKLOG if self._beside is not None else "")
        self._held = self._holds(stream)
        reason = BACKLOG[1:] if self._beside is not None else "restart" if number else "start"
        whose = self.device, self._recording, self.boot
        start = RecordingStart(*whose, start_ns, reason, *self._previous, self._rules.attributes | self._asked)
        self._emit(start, self._held)
        self._previous = Previous()
        self._started_ns = start_ns
        if self._ended_ns is not None and self._ended_ns < start_ns:
            for name, why in self._unheard.items():
                self._announce(name, self._ended_ns, start_ns, why, self._held)
        self._unheard = {}
        for other in self._streams.values():
            if other is not stream:
                self._announce_start(other)

    def _announce(self, stream_name: str, start_ns: int, end_ns: int, reason: str, held: bool) -> None:
        assert self._recording is not None
        self._emit(Gap(self.device, self._recording, stream_name, self.boot, start_ns, end_ns, -1, reason), held)

    def _emit(self, record: Record, held: bool) -> None:
        self._out.append(Held(record, held))

    def set_clock(self, clock: ClockState, monotonic_ns: int) -> None:
        """The clock was set, or lost, or led on: a step, if it matters to what is under way."""
        led = [(each, each.axis) for each in self._streams.values() if each.axis is not None and not self._holds(each)]
        if clock.is_set != self._clock.is_set or any(
            axis.leaves(clock.line, monotonic_ns) for stream, axis in led if stream.config.is_on_our_axis
        ):
            self.end("clock_step", monotonic_ns)
        for _, axis in led:
            axis.line = clock.line
        self._clock = clock
        if self._kept is not None:
            self._kept.set_clock(clock, monotonic_ns)

    def end(self, reason: str, monotonic_ns: int, missing: Mapping[str, str] = _NOTHING) -> None:
        """End the recording under way, if any; `missing` as in `flush`."""
        for stream in self._streams.values():
            self._settle(stream)
        if self._kept is not None:
            self._kept.end(reason, monotonic_ns)
            self._out += self._kept.flush(monotonic_ns)
        if self._recording is not None:
            for name, stream in self._streams.items():
                self._drain(stream, monotonic_ns)
                if name in missing:
                    self._miss(stream, missing[name], monotonic_ns)
            ends = [stream.batch.end_ns for stream in self._streams.values() if stream.batch.end_ns is not None]
            said = [stream.said_ns for stream in self._streams.values() if stream.said_ns is not None]
            end_ns = max(ends or said or [self._now(monotonic_ns)])
            self._emit(RecordingEnd(self.device, self._recording, self.boot, end_ns, reason), self._held)
            self._recording, self._ended_ns = None, end_ns
        for stream in self._streams.values():
            stream.begin()

    def flush(
        self,
        monotonic_ns: int,
        missing: Mapping[str, str] = _NOTHING,
        heard: Mapping[str, int | None] = _EVERYTHING,
    ) -> list[Held]:
        """The records of what was collected; call it once a second.

        `missing` says, by stream, why what it says now is lost, `heard` up to when all of it has surely come
        (`Source.missing`, `Source.heard_ns` of `edge.protocol`).
        """
        for stream in self._streams.values():
            self._settle(stream)
            stream.stalled_ticks -= stream.has_grid and stream.stalled_ticks > 0 and not stream.owes_until_ns
        late = self._flushed_ns is not None and monotonic_ns - self._flushed_ns > self._rules.stall_ns
        self._flushed_ns = monotonic_ns
        if self._was_heard:
            self._was_heard, self._quiet_since_ns = False, monotonic_ns
        if self._recording is not None:
            if monotonic_ns - self._quiet_since_ns > self._rules.silence_ns:
                self.end("silence", monotonic_ns)
            else:
                may_promise = not (late or self._was_late)  # what waits in buffers has its turn before
                for name, stream in self._streams.items():
                    self._record(stream, monotonic_ns, missing.get(name, ""), heard.get(name), may_promise=may_promise)
        self._was_late = late
        if self._kept is not None:
            self._out += self._kept.flush(monotonic_ns)
        out, self._out = self._out, []
        return out

    def _record(
        self, stream: Stream, monotonic_ns: int, missing: str, heard_ns: int | None, *, may_promise: bool
    ) -> None:
        """A stream's records of this tick. One that is silent says so at growing intervals."""
        if stream.batch.has_samples:
            self._drain(stream, monotonic_ns)
            stream.speak()
            if missing:
                self._miss(stream, missing, monotonic_ns)
        elif may_promise and stream.is_due(monotonic_ns) and (missing or not self._owes(stream, monotonic_ns)):
            stream.pause(monotonic_ns)
            self._drain(stream, monotonic_ns)
            if missing:
                self._miss(stream, missing, monotonic_ns)
                self._progress(stream, monotonic_ns, is_away=True)
            elif heard_ns is None or heard_ns > 0:
                self._progress(stream, monotonic_ns if heard_ns is None else min(heard_ns, monotonic_ns))

    def _owes(self, stream: Stream, monotonic_ns: int) -> bool:
        """Whether it is open what a stop has cost. Who says nothing after it may have lost all of it."""
        if not 0 < stream.owes_until_ns <= monotonic_ns:
            return stream.owes_until_ns > 0
        stream.owes_until_ns = 0
        self._lose_stall(stream)
        return False

    def _lose_stall(self, stream: Stream) -> None:
        """Announce that a buffer may have lost any of what came in a stop; on a grid what it kept lies where it was."""
        stream.stalled_ticks = 0
        complete_ns = self._complete_ns(stream)
        stream.batch.lose(STALLED, -1, complete_ns if stream.has_grid else min(complete_ns, stream.stalled_from_ns))

    def _drain(self, stream: Stream, monotonic_ns: int) -> None:
        """What was collected of a stream, as records."""
        assert self._recording is not None
        own = stream.config.stream
        origin = Origin(self.device, self._recording, own, self.boot, stream.batch.schema, self._clock_of(stream))
        records = stream.batch.drain(origin, self._now_of(stream, monotonic_ns))
        for record in records:
            self._emit(record, self._holds(stream))
        if any(isinstance(record, Chunk) for record in records):
            stream.timebase.close_chunk()
            stream.said_ns = stream.batch.end_ns

    def _now(self, monotonic_ns: int) -> int:
        axis = next((stream.axis for stream in self._streams.values() if stream.axis is not None), None)
        return monotonic_ns if axis is None else axis.stamp(monotonic_ns).time_ns

    def _now_of(self, stream: Stream, monotonic_ns: int) -> int:
        axis = self._axis_of(stream)
        return self._now(monotonic_ns) if axis is None else axis.stamp(monotonic_ns).time_ns

    def _axis_of(self, stream: Stream) -> Axis | None:
        """A stream's own axis; of one that has not spoken yet that of another one whose times are as final."""
        others = (each.axis for each in self._streams.values() if self._holds(each) == self._holds(stream))
        return stream.axis or next((axis for axis in others if axis is not None), None)

    def _miss(self, stream: Stream, reason: str, monotonic_ns: int) -> None:
        """Announce what a stream that nobody hears has lost up to now."""
        since_ns, now_ns = self._complete_ns(stream), self._now_of(stream, monotonic_ns)
        if since_ns < now_ns:
            self._announce(stream.config.stream, since_ns, now_ns, reason, self._holds(stream))
            stream.batch.end_ns = now_ns

    def _clock_of(self, stream: Stream) -> Clock:
        state = stream.timebase.state
        if stream.config.is_on_our_axis:
            source, is_known = self._clock.source, self._clock.is_set
        else:
            source, is_known = stream.config.clock, state.synced
        line = self._clock.line if stream.config.is_on_our_axis else None
        error_ns = state.uncertainty_ns + (0 if line is None else line.error_ns)
        return Clock(source if is_known else UNSYNCED, state.offset_ns, round(state.ppm, 3), error_ns)

    def _progress(self, stream: Stream, monotonic_ns: int, *, is_away: bool = False) -> None:
        """Say how far a silent stream is complete, where that is further than was said."""
        assert self._recording is not None
        stream.axis = self._axis_of(stream)  # what is promised holds on it: where the clock leaves it, that is a step
        complete_to = stream.timebase.promise(self._now_of(stream, monotonic_ns), is_away=is_away)
        if complete_to > (stream.said_ns if stream.said_ns is not None else 0):
            stream.said_ns = complete_to
            self._emit(
                Progress(self.device, self._recording, stream.config.stream, self.boot, complete_to),
                self._holds(stream),
            )
