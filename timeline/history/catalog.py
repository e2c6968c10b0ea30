"""What there is in a log: devices and their streams, recordings, gaps. Pure.

It is told of every record that counts, in the log's order, and remembers a span for what had thousands of chunks.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from ingest.records import StreamDescription

GAPS_MAX: Final = 20_000
"""So many gaps of a stream are known, the newest ones: they are drawn, not counted."""
GAPS_SHOWN_MAX: Final = 2_000
DELETED: Final = "deleted"
"""Why samples are missing that the log's retention has taken before anybody had read them."""
UNSURE_NS: Final = 1_000_000
"""A clock that may be off by more is drawn as unsure."""
UNSURE_MAX: Final = 2_000
"""So many ranges of a stream with an unsure clock are known, the newest ones."""


@dataclass(slots=True)
class RecordingSpan:
    """A recording as far as it is known."""

    device: str
    name: str
    start_ns: int
    until_ns: int
    """Its end, or its newest sample so far."""
    reason: str = ""
    ended: bool = False
    samples: int = 0
    gaps: int = 0
    uncertain: bool = False
    """Some of its times may be off by more than a sample, or come from a clock that was never set."""


@dataclass(frozen=True, slots=True, order=True)
class GapSpan:
    """Samples of a stream that will never come; -1: nobody knows how many."""

    start_ns: int
    end_ns: int
    samples: int
    reason: str


@dataclass(slots=True)
class UnsureSpan:
    """Samples whose times may be off: by so much, either way, or by half or twice as much."""

    start_ns: int
    end_ns: int
    uncertainty_ns: int


@dataclass(slots=True)
class StreamSpan:
    """A stream as far as it is known."""

    schema: bytes
    first_ns: int
    last_ns: int
    gaps: deque[GapSpan] = field(default_factory=lambda: deque(maxlen=GAPS_MAX))
    """By the order in which they were told."""
    unsure: deque[UnsureSpan] = field(default_factory=lambda: deque(maxlen=UNSURE_MAX))
    """In the same order."""
    is_unsure: bool = False
    """Whether the newest samples are."""


class Catalog:
    """Devices, streams, recordings and gaps."""

    def __init__(self) -> None:
        self.streams: dict[str, dict[str, StreamSpan]] = {}
        """By device and name."""
        self.recordings: dict[str, dict[str, RecordingSpan]] = {}
        """By device and name."""
        self.version = 0
        """Grows with every new device, stream or description."""
        self._starts: dict[str, list[tuple[int, str]]] = {}

    def begin(self, device: str, recording: str, start_ns: int, reason: str) -> None:
        """A recording's start record."""
        self.recording(device, recording, start_ns).reason = reason

    def end(self, device: str, recording: str, end_ns: int, reason: str) -> None:
        """A recording's end record."""
        known = self.recording(device, recording, end_ns)
        known.until_ns, known.ended, known.reason = max(known.until_ns, end_ns), True, reason

    def samples(
        self, device: str, recording: str, stream: str, schema: bytes, start_ns: int, end_ns: int, count: int
    ) -> StreamSpan:
        """Samples from `start_ns` to `end_ns`, the times of the earliest and the latest one."""
        known = self.recording(device, recording, start_ns)
        known.until_ns, known.samples = max(known.until_ns, end_ns), known.samples + count
        streams = self.streams.setdefault(device, {})
        found = streams.get(stream)
        if found is None:
            self.version += 1
            found = streams[stream] = StreamSpan(schema, start_ns, end_ns)
        elif found.schema != schema:
            self.version += 1
            found.schema = schema
        found.first_ns, found.last_ns = min(found.first_ns, start_ns), max(found.last_ns, end_ns)
        return found

    def clock(
        self, device: str, recording: str, stream: str, start_ns: int, end_ns: int, uncertainty_ns: int
    ) -> UnsureSpan | None:
        """What is known of the clock of samples that were told; the span, where it is unsure."""
        found = self.streams[device][stream]
        was_unsure, found.is_unsure = found.is_unsure, uncertainty_ns > UNSURE_NS
        if not found.is_unsure:
            return None
        self.recordings[device][recording].uncertain = True
        last = found.unsure[-1] if was_unsure else None
        if (
            last is not None
            and last.end_ns <= start_ns
            and last.uncertainty_ns // 2 <= uncertainty_ns <= last.uncertainty_ns * 2
        ):
            last.end_ns = end_ns
        else:
            found.unsure.append(UnsureSpan(start_ns, end_ns, uncertainty_ns))
        return UnsureSpan(start_ns, end_ns, uncertainty_ns)

    def unsure_in(
        self, device: str, streams: Collection[str], start_ns: int, end_ns: int
    ) -> Iterator[tuple[str, UnsureSpan]]:
        """Where the clocks of streams are unsure in a range."""
        known = self.streams.get(device, {})
        for name in streams:
            if name in known:
                yield from ((name, it) for it in known[name].unsure if it.start_ns < end_ns and it.end_ns >= start_ns)

    def gap(self, device: str, recording: str, stream: str, gap: GapSpan) -> None:
        """A gap; of a stream that never had a sample it is not shown."""
        self.recording(device, recording, gap.start_ns).gaps += 1
        found = self.streams.get(device, {}).get(stream)
        if found is not None and gap.end_ns > gap.start_ns:
            found.gaps.append(gap)

    def deleted(self, device: str, recording: str, stream: str, start_ns: int, usual_ns: float) -> GapSpan | None:
        """Behind records that the log deleted before anybody here or the archive had them: what lies between a stream's
        last sample and its next one, at `start_ns`, where that is longer than the usual step of a recording that goes
        on. Nobody knows how many samples it were."""
        known = self.streams.get(device, {}).get(stream)
        goes_on = self.recordings.get(device, {}).get(recording)
        if known is None or goes_on is None:
            return None
        since_ns = max(known.last_ns, goes_on.start_ns)
        return GapSpan(since_ns, start_ns, -1, DELETED) if start_ns - since_ns > 1.5 * usual_ns else None

    def recording(self, device: str, name: str, at_ns: int) -> RecordingSpan:
        """A recording; one that nobody has told of is of this instant on."""
        of_device = self.recordings.setdefault(device, {})
        found = of_device.get(name)
        if found is None:
            found = of_device[name] = RecordingSpan(device, name, at_ns, at_ns)
            insort(self._starts.setdefault(device, []), (at_ns, name))
        return found

    def span(self, device: str) -> tuple[int, int] | None:
        """The first and the last sample of a device; None: it has none."""
        streams = self.streams.get(device)
        if not streams:
            return None
        return min(it.first_ns for it in streams.values()), max(it.last_ns for it in streams.values())

    def recordings_in(self, device: str, start_ns: int, end_ns: int) -> list[RecordingSpan]:
        """The recordings of a device that meet a range, by start."""
        starts = self._starts.get(device, [])
        names = (name for _, name in starts[: bisect_left(starts, (end_ns, ""))])
        found = (self.recordings[device][name] for name in names)
        return [it for it in found if it.until_ns >= start_ns]

    def gaps_in(
        self, device: str, streams: Collection[str], start_ns: int, end_ns: int
    ) -> Iterator[tuple[str, GapSpan]]:
        """The gaps of streams that meet a range: of very many, the longest."""
        known = self.streams.get(device, {})
        for name in streams:
            if name in known:
                met = [gap for gap in known[name].gaps if gap.start_ns < end_ns and gap.end_ns > start_ns]
                if len(met) > GAPS_SHOWN_MAX:
                    met = sorted(met, key=lambda gap: gap.start_ns - gap.end_ns)[:GAPS_SHOWN_MAX]
                yield from ((name, gap) for gap in sorted(met))

    def nearest(self, device: str, start_ns: int, end_ns: int) -> int | None:
        """The instant with samples that is nearest to a range, by the recordings' edges; None: there is none."""
        edges: list[tuple[int, int]] = []
        for it in self.recordings.get(device, {}).values():
            if it.samples:
                nearest = min(max((start_ns + end_ns) // 2, it.start_ns), it.until_ns)
                edges.append((max(start_ns - nearest, nearest - end_ns, 0), nearest))
        return min(edges)[1] if edges else None

    def descriptions(
        self, known: Mapping[bytes, StreamDescription]
    ) -> Iterator[tuple[str, list[tuple[str, StreamSpan, StreamDescription]]]]:
        """Each device with its streams that are described, by name."""
        for device in sorted(self.streams):
            found = sorted(self.streams[device].items())
            yield device, [(name, span, known[span.schema]) for name, span in found if span.schema in known]
