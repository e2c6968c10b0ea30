"""One stream of a device while it is recorded: its timebase, its samples, and when it was heard. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from edge.protocol import Fault, Frame, Read, SourceConfig
from edge.recording.arrivals import ArrivalTimes
from edge.recording.batching import Account, StreamBatch
from edge.recording.catchup import LOOKED_AT
from edge.recording.stamps import Ahead, Stamp, Timebase
from edge.recording.timebase import Axis, timebase
from edge.recording.unrated import UnratedTimes
from ingest.chunker import Limits

PAUSE_NS: Final = (1_000_000_000, 45_000_000_000)
"""A silent stream says so after the first, then after twice as long each time, up to the second."""
_STAMPS: Final = 256


class Taken(NamedTuple):
    """What a decoder made of bytes that came together."""

    item: Frame | Fault
    stamp: Stamp
    clocks: tuple[int, int]
    """CLOCK_BOOTTIME and wall time of the arrival."""


class Stream:
    """Decoder output on its way to chunks."""

    def __init__(self, config: SourceConfig, limits: Limits, account: Account | None = None) -> None:
        self.config: Final = config
        self.batch: Final = StreamBatch(config, limits, account or Account())
        self.timebase: Timebase = timebase(config.clock, config.rate)
        self.axis: Axis | None = None
        self.said_ns: int | None = None
        """How far this recording's records say that the stream is complete."""
        self.heard_from_ns = 0
        """From when on its source is open, where that is known: of the first recording."""
        self.live_ns = 0
        """When (CLOCK_BOOTTIME) a sample came last that is not a device's backlog."""
        self.stalled_ticks = 0
        """Above 0: bytes had waited in a kernel's buffer lately, which may have run over."""
        self.stalled_from_ns = 0
        """Since when."""
        self.owes_until_ns = 0
        """What comes next tells what a stop has cost: so long (CLOCK_BOOTTIME) nothing is promised; 0: it is known."""
        self._waiting: list[Taken] = []
        self._stamps: deque[tuple[int, Stamp, int | None]] = deque(maxlen=_STAMPS)
        """Of the newest reads: the offset behind them, when they were made, and since when their bytes came evenly."""
        self._fed = 0
        self._due_ns = 0
        self._pause_ns = PAUSE_NS[0]

    def begin(self) -> None:
        """A new recording begins."""
        self.timebase = timebase(self.config.clock, self.config.rate)
        self.axis = None
        self._stamps.clear()
        self.said_ns = None
        self.heard_from_ns = self.owes_until_ns = 0
        self.batch.forget_recording()

    # --- arrivals

    def hear(self, fed: int, reads: Iterable[Read], stamp: Stamp) -> None:
        """`fed` bytes came with this stamp; of what several reads brought, each with its own."""
        assert self.axis is not None
        for read in reads:
            earlier = Stamp(self.axis.stamp(read.monotonic_ns).time_ns, stamp.waited_ns, stamp.trusted)
            began_ns = None if read.began_ns is None else self.axis.stamp(read.began_ns).time_ns
            self._stamps.append((self._fed + read.end, earlier, began_ns))
        self._fed += fed
        self._stamps.append((self._fed, stamp, None))

    def stamp_of(self, offset: int, now: Stamp) -> Stamp:
        """When the bytes before `offset` came."""
        if len(self._stamps) < 2 or self._stamps[-2][0] < offset:
            return now
        begin = None
        for end, stamp, began_ns in self._stamps:
            if end >= offset:
                if began_ns is None or begin is None:
                    return stamp
                span_ns = (stamp.time_ns - began_ns) * (offset - begin) // (end - begin)
                return stamp._replace(time_ns=began_ns + span_ns)
            begin = end
        return now

    def stall(self, ticks: int, stamp: Stamp) -> None:
        """What came with this stamp had waited, which is remembered for so many ticks. Where samples are missing beside
        what a buffer kept, nobody knows: any time since it began to wait."""
        if not self.stalled_ticks:
            self.stalled_from_ns = stamp.time_ns - stamp.waited_ns
        self.stalled_ticks = ticks

    def interrupt(self, *, goes_on: bool = False, is_over: bool = False) -> None:
        """The input was interrupted, and nobody knows what is missing; offsets begin anew, unless it goes on.

        `is_over`: all that is missing lies before now."""
        if not goes_on:
            self._fed = 0
            self._stamps.clear()
        if isinstance(self.timebase, ArrivalTimes):
            self.timebase.interrupt(is_over=is_over)
        else:
            self.timebase.interrupt()

    # --- what waits to be placed

    @property
    def has_grid(self) -> bool:
        """Its samples lie on a grid, in which what is missing shows."""
        return isinstance(self.timebase, ArrivalTimes)

    @property
    def looks_ahead(self) -> bool:
        """Its samples are placed when the reads behind them are known: they tell a backlog from missing samples."""
        return isinstance(self.timebase, ArrivalTimes | UnratedTimes)

    @property
    def pending_bytes(self) -> int:
        """What was collected since the last drain, about."""
        waiting = sum(len(taken.item.values) for taken in self._waiting if isinstance(taken.item, Frame))
        return self.batch.pending_bytes + waiting * self.batch.sample_bytes

    def wait(self, taken: Taken) -> None:
        """Place it later, with what comes until then."""
        self._waiting.append(taken)

    def take_waiting(self) -> Iterator[tuple[Taken, list[Ahead]]]:
        """What waited, in its order, each with the reads behind it."""
        waiting, self._waiting = self._waiting, []
        reads = [(len(t.item.values), t.stamp.time_ns) for t in waiting if isinstance(t.item, Frame)]
        looked_at = len(reads) if self.has_grid else LOOKED_AT
        seen = 0
        for taken in waiting:
            seen += isinstance(taken.item, Frame)
            yield taken, reads[seen : seen + looked_at]

    # --- silence

    def is_due(self, now_ns: int) -> bool:
        """Whether a stream without samples says again how far it is complete, and what it lost."""
        return now_ns >= self._due_ns

    def pause(self, now_ns: int) -> None:
        """It has said so."""
        self._due_ns = now_ns + self._pause_ns
        self._pause_ns = min(2 * self._pause_ns, PAUSE_NS[1])

    def speak(self) -> None:
        """It has samples again."""
        self._due_ns, self._pause_ns = 0, PAUSE_NS[0]
