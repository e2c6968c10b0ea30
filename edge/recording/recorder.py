"""The recordings of one device: samples and faults in, records in their order out. Pure.

A recording starts with the first that arrives, and ends when the agent stops, when a clock steps, or after a long
silence. All streams of a device share it. Once a second `flush` turns what was collected into records, with progress
for the streams that were silent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from edge.protocol import STALLED, Fault, Frame, Read, SourceConfig
from edge.recording.arrivals import ArrivalTimes
from edge.recording.axes import Axes
from edge.recording.batching import Account, Counters
from edge.recording.course import Course
from edge.recording.device import DeviceTimes
from edge.recording.stamps import Ahead, ClockStep, Placed, RateFound, Stamp
from edge.recording.stream import Stream, Taken
from edge.recording.streamrecords import StreamRecords
from edge.recording.terms import ClockState, Held, Previous, Rules
from edge.recording.timebase import Axis

SILENT: Final = "silent"
"""The reason of a hole in a stream with a rate that nothing else explains."""
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
        self._previous_reach_ns = previous.reach_ns
        self._sources = tuple(sources)
        self._beside = beside
        """The recorder of what is live, where this one records what a device had kept."""
        self._kept: Recorder | None = None
        """The other way round."""
        self._accounts: dict[str, Account] = {} if beside is None else beside._accounts
        """By stream, also of those that are recorded no more: chunks are numbered for the whole boot."""
        self._streams: dict[str, Stream] = {config.stream: self._stream(config) for config in self._sources}
        self._axes = Axes(clock, self._streams, holds_unsynced=rules.holds_unsynced)
        live: Course | None = None if beside is None else beside._course
        self._course: Course = Course(device, boot, rules.attributes, previous, live)
        self._records = StreamRecords(device, boot, self._axes, self._course)
        self._was_heard = False
        """Anything came since the last flush."""
        self._quiet_since_ns = 0
        self._flushed_ns: int | None = None
        self._was_late = False

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
        self._axes.streams = self._streams
        unheard = {name: why for name, why in self._course.unheard.items() if name in self._streams}
        self._course.unheard = unheard | {name: CONFIGURED for name in left if name in self._streams}

    def _stream(self, config: SourceConfig) -> Stream:
        return Stream(config, self._rules.limits, self._accounts.setdefault(config.stream, Account()))

    @property
    def recording(self) -> str | None:
        """The recording under way."""
        return self._course.recording

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
        return self._axes.dated(monotonic_ns, offset_ns)

    def begin_anew(self, monotonic_ns: int, attributes: Mapping[str, str]) -> None:
        """End the recording under way, if any; those that begin from now on have these attributes besides."""
        self.end(ASKED, monotonic_ns)
        self._course.asked = dict(attributes)

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
            and self._axes.depend_on_clock(stream)
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
                self._records.lose_stall(stream)
        for item in items:
            if isinstance(item, Frame) or item.samples:
                self._was_heard = True
            came = stream.stamp_of(item.offset, stamp) if isinstance(item, Frame) else stamp
            taken = Taken(item, came, (monotonic_ns, wall_ns))
            if stream.looks_ahead and self.recording is not None:
                stream.wait(taken)
            else:
                self._place(stream, taken)

    def _begin_axis(self, stream: Stream, monotonic_ns: int, wall_ns: int) -> None:
        stream.axis = self._axes.new(stream, monotonic_ns, wall_ns)
        behind_ns = self._previous_reach_ns if self._course.ended_ns is None else self._course.ended_ns
        if behind_ns <= stream.axis.stamp(monotonic_ns).time_ns:  # else the clock was another one
            stream.timebase.promise(behind_ns)  # samples that came together are not spread over what is past

    def _stamp(self, stream: Stream, monotonic_ns: int, waited_ns: int) -> Stamp:
        """An arrival on the stream's axis. What a broker kept while nobody was there waited since the last boot."""
        assert stream.axis is not None
        time_ns = stream.axis.stamp(monotonic_ns).time_ns
        if waited_ns and self._previous_reach_ns and self._axes.clock.is_set:
            waited_ns = max(1, min(waited_ns, time_ns - self._previous_reach_ns))
        is_live = stream.config.type != "replay"  # what a file holds may have any age
        return Stamp(time_ns, waited_ns, self._axes.clock.is_set and is_live)

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
        axis = stream.axis or self._axes.new(stream, monotonic_ns, wall_ns)
        now_ns = axis.stamp(monotonic_ns).time_ns
        if since_ns is not None:
            self._miss_since(stream, axis, reason, now_ns, since_ns)
        elif self.recording is None:
            self._course.unheard[stream_name] = reason
        else:
            stream.batch.lose(reason, -1, min(self._records.complete_ns(stream), now_ns))

    def listen(self, stream_name: str, monotonic_ns: int, wall_ns: int) -> None:
        """A stream's source was opened, and nothing had kept it from that: before now nobody heard the stream.

        Where a recording begins before, with another stream, that much of it is announced. Nothing is counted as lost:
        so an agent begins.
        """
        stream = self._streams[stream_name]
        axis = stream.axis or self._axes.new(stream, monotonic_ns, wall_ns)
        stream.heard_from_ns = axis.stamp(monotonic_ns).time_ns
        if self.recording is not None:
            self._records.announce_start(stream)

    def _miss_since(self, stream: Stream, axis: Axis, reason: str, now_ns: int, since_ns: int) -> None:
        """Announce a range in which samples may be missing although later ones are there."""
        start_ns = axis.stamp(since_ns).time_ns if since_ns else self._previous_reach_ns
        if not start_ns or start_ns >= now_ns:
            return
        self._begin(stream, now_ns)
        lost = stream.batch.counters.lost
        lost[reason] = lost.get(reason, 0) + 1
        self._records.announce(stream, start_ns, now_ns, reason)

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
                stream.axis = self._axes.new(stream, *taken.clocks)
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
                own = (self.device, self.boot, self._sources, self._rules, Previous(), self._axes.clock)
                self._kept = Recorder(*own, beside=self)
            part = Frame(frame.values[:late], frame.times_ns[:late], frame.offset)
            self._kept.take(stream.config.stream, 0, [part], *taken.clocks)
        return late

    def _tell_hole(self, stream: Stream, placed: Placed) -> None:
        """Announce that a stream with a rate has no samples where it should have."""
        if placed.hole is not None:
            reason = STALLED if stream.stalled_ticks else SILENT
            self._records.announce(stream, *placed.hole, reason)

    def _begin(self, stream: Stream, start_ns: int) -> None:
        """Begin a recording where none is under way."""
        if self.recording is not None:
            return
        self._course.begin(start_ns, held=self._axes.hold(stream))
        for other in self._streams.values():
            if other is not stream:
                self._records.announce_start(other)

    def set_clock(self, clock: ClockState, monotonic_ns: int) -> None:
        """The clock was set, or lost, or led on: a step, if it matters to what is under way."""
        led = self._axes.led
        if self._axes.would_step(clock, monotonic_ns):
            self.end("clock_step", monotonic_ns)
        for stream in led:
            if stream.axis is not None:
                stream.axis.line = clock.line
        self._axes.clock = clock
        if self._kept is not None:
            self._kept.set_clock(clock, monotonic_ns)

    def end(self, reason: str, monotonic_ns: int, missing: Mapping[str, str] = _NOTHING) -> None:
        """End the recording under way, if any; `missing` as in `flush`."""
        for stream in self._streams.values():
            self._settle(stream)
        if self._kept is not None:
            self._kept.end(reason, monotonic_ns)
            self._course.out += self._kept.flush(monotonic_ns)
        if self.recording is not None:
            for name, stream in self._streams.items():
                self._records.drain(stream, monotonic_ns)
                if name in missing:
                    self._records.miss(stream, missing[name], monotonic_ns)
            ends = [stream.batch.end_ns for stream in self._streams.values() if stream.batch.end_ns is not None]
            said = [stream.said_ns for stream in self._streams.values() if stream.said_ns is not None]
            self._course.end(max(ends or said or [self._axes.now(monotonic_ns)]), reason)
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
        if self.recording is not None:
            if monotonic_ns - self._quiet_since_ns > self._rules.silence_ns:
                self.end("silence", monotonic_ns)
            else:
                may_promise = not (late or self._was_late)  # what waits in buffers has its turn before
                for name, stream in self._streams.items():
                    self._records.tick(
                        stream, monotonic_ns, missing.get(name, ""), heard.get(name), may_promise=may_promise
                    )
        self._was_late = late
        if self._kept is not None:
            self._course.out += self._kept.flush(monotonic_ns)
        return self._course.take()
