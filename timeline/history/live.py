"""The end of a log's readings: each record into the catalog and the index, and what is news to who follows. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ingest.archive.channels import converted
from ingest.errors import WireError
from ingest.forgetting import forgotten_by
from ingest.intake import Intake
from ingest.log.protocol import LogBatch
from ingest.records import Channel, Chunk, Gap, RecordingEnd, RecordingStart, StreamDescription
from ingest.times import Times, newest_time, sample_times
from ingest.wire import decode
from timeline.history.catalog import Catalog, GapSpan, UnsureSpan
from timeline.history.logindex import LogIndex, physical

FEED_MAX: Final = 256
"""So many records are taken at once: some milliseconds, after which a mark may pass."""
RECENT: Final = 64
"""So many of a stream's newest chunks are at hand."""


class Samples(NamedTuple):
    """New samples of a stream: `(samples,)` times that rise, `(samples, channels)` values in their units."""

    device: str
    stream: str
    times: Times
    values: NDArray[np.float64]
    channels: tuple[Channel, ...]
    """As they were described."""

    def under(self, channels: Sequence[Channel]) -> NDArray[np.float64]:
        """The values as of these channels, `(samples, channels)`; NaN where there is nothing of one."""
        return converted(channels, self.channels, self.values)


@dataclass(frozen=True, slots=True)
class NewGap:
    """A gap that was announced, or lies right before new samples."""

    device: str
    stream: str
    gap: GapSpan


@dataclass(frozen=True, slots=True)
class NewRecording:
    """A recording began or ended."""

    device: str
    recording: str


@dataclass(frozen=True, slots=True)
class NewUnsure:
    """New samples come from a clock that is unsure."""

    device: str
    stream: str
    span: UnsureSpan


@dataclass(frozen=True, slots=True)
class Redescribed:
    """A stream that was known has other channels from here on, or others of something."""

    device: str
    stream: str


News: TypeAlias = Samples | NewGap | NewRecording | NewUnsure | Redescribed


class Live:
    """Reads a log's records as they come; `catalog` is what there is."""

    def __init__(self, catalog: Catalog, descriptions: Mapping[bytes, StreamDescription], index: LogIndex | None):
        self.catalog = catalog
        self.counts: Counter[str] = Counter()
        """What was set aside, by reason: `ingest.intake`'s, and `undecodable`, `forgotten`, `quarantine`."""
        self.recent: dict[tuple[str, str], deque[Samples]] = {}
        self._descriptions = descriptions
        self._index = index
        self._intakes: dict[int, Intake] = {}
        self._lost: dict[int, set[tuple[str, str]]] = {}
        """Of partitions that the log has deleted records of: streams that have gone on since."""
        self.missing_schema: bytes | None = None
        """What nobody has described yet: feeding stopped before it."""

    def feed(self, batch: LogBatch) -> tuple[int, list[News]]:
        """How many records were taken, `FEED_MAX` at most, or less where a description is missing; and what is new."""
        self.missing_schema = None
        intake = self._intakes.setdefault(batch.partition, Intake(self.counts))
        news: list[News] = []
        columns = batch.offsets[:FEED_MAX], batch.append_ns[:FEED_MAX], batch.values[:FEED_MAX]
        rows = zip(*columns, strict=True)
        for place, (offset, append_ns, value) in enumerate(rows):
            intake.advance(append_ns)
            try:
                record = decode(bytes(value))
                if isinstance(record, Chunk):
                    if record.schema not in self._descriptions:
                        self.missing_schema = record.schema
                        return place, news
                    news += self._chunk(record, intake, batch.partition, offset)
                elif (whom := forgotten_by(record)) is not None:
                    intake.forget(*whom)
                elif isinstance(record, RecordingStart | RecordingEnd | Gap):
                    news += self._other(record, intake)
            except WireError:
                self.counts["undecodable"] += 1
        return len(columns[0]), news

    def lose(self, partition: int) -> None:
        """The log has deleted records of a partition that nobody here has read."""
        self._lost[partition] = set()

    def _deleted(self, chunk: Chunk, times: Times, partition: int) -> GapSpan | None:
        """The gap behind a loss, before the first chunk of each stream."""
        stream = chunk.device, chunk.stream
        if partition not in self._lost or stream in self._lost[partition]:
            return None
        self._lost[partition].add(stream)
        usual_ns = (int(times[-1]) - int(times[0])) / max(1, len(times) - 1)
        return self.catalog.deleted(chunk.device, chunk.recording, chunk.stream, int(times[0]), usual_ns)

    def _chunk(self, chunk: Chunk, intake: Intake, partition: int, offset: int) -> Iterator[News]:
        description = self._descriptions[chunk.schema]
        if len(chunk.values) != chunk.count * len(description.channels) * np.dtype(description.dtype).itemsize:
            raise WireError("its values do not fit its schema")
        gone = intake.is_forgotten(chunk.device, chunk.recording)
        verdict: str = "forgotten" if gone else intake.admit(chunk).verdict
        if verdict == "counts" and newest_time(chunk) > intake.time.limit_ns:
            verdict = "quarantine"
        if verdict != "counts":
            self.counts[verdict] += 1
            return
        times, values = sample_times(chunk), physical(chunk, description)
        if (times[1:] < times[:-1]).any():
            order = np.argsort(times, kind="stable")
            times, values = times[order], values[order]
        start_ns, end_ns = int(times[0]), int(times[-1])
        before = self.catalog.streams.get(chunk.device, {}).get(chunk.stream)
        since_ns = start_ns if before is None else before.last_ns
        if before is not None and before.schema != chunk.schema:
            yield Redescribed(chunk.device, chunk.stream)
        args = chunk.device, chunk.recording, chunk.stream
        deleted = self._deleted(chunk, times, partition)
        self.catalog.samples(*args, chunk.schema, start_ns, end_ns, chunk.count)
        uncertainty_ns = 0 if chunk.clock is None else chunk.clock.uncertainty_ns
        unsure = self.catalog.clock(*args, start_ns, end_ns, uncertainty_ns)
        if unsure is not None:
            yield NewUnsure(chunk.device, chunk.stream, unsure)
        if self._index is not None:
            self._index.feed(chunk, times, values, partition, offset)
        announced = GapSpan(since_ns, start_ns, chunk.missing, chunk.missing_reason) if chunk.missing else None
        gap = deleted or announced
        if gap is not None and gap.start_ns < start_ns:
            self.catalog.gap(*args, gap)
            yield NewGap(chunk.device, chunk.stream, gap)
        samples = Samples(chunk.device, chunk.stream, times, values, description.channels)
        self.recent.setdefault((chunk.device, chunk.stream), deque(maxlen=RECENT)).append(samples)
        yield samples

    def _other(self, record: RecordingStart | RecordingEnd | Gap, intake: Intake) -> Iterator[News]:
        device, recording = record.device, record.recording
        if intake.is_forgotten(device, recording):
            return
        if isinstance(record, Gap):
            intake.touch((device, recording))
            gap = GapSpan(record.start_ns, record.end_ns, record.samples, record.reason)
            self.catalog.gap(device, recording, record.stream, gap)
            yield NewGap(device, record.stream, gap)
            return
        if isinstance(record, RecordingStart):
            intake.touch((device, recording))
            self.catalog.begin(device, recording, record.start_ns, record.reason)
        else:
            intake.end((device, recording))
            self.catalog.end(device, recording, record.end_ns, record.reason)
        yield NewRecording(device, recording)
