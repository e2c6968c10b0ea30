"""What a configuration would make of a log: its readings are folded into windows that nobody keeps."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ingest.draining import drain
from ingest.errors import WireError
from ingest.log.protocol import MARKS, READINGS, Log, LogBatch
from ingest.progress import Progress
from ingest.records import Chunk, RecordingEnd, StreamDescription
from ingest.schemas import SchemaRegistry
from ingest.times import sample_times
from ingest.wire import check_chunk, parse
from labeling.counting import CountedRules
from service.anchors import Anchors, read_anchors
from windowing.dataset.labelled import Choice
from windowing.fold.anchors import Layout
from windowing.fold.cutting import Finished
from windowing.fold.windower import Windower
from windowing.spec import WindowSpec

_MEASURED_CHUNKS: Final = 20


@dataclass(slots=True)
class StreamFigures:
    """What was found of one stream, over all devices."""

    devices: set[str] = field(default_factory=set)
    recordings: set[tuple[str, str]] = field(default_factory=set)
    samples: int = 0
    descriptions: list[StreamDescription] = field(default_factory=list)
    steps_ns: list[float] = field(default_factory=list)
    """Distances between samples, the median of each of the first chunks."""

    @property
    def step_ns(self) -> int | None:
        """How far its samples lie apart; None where no chunk has two."""
        return round(float(np.median(self.steps_ns))) if self.steps_ns else None

    @property
    def rates_hz(self) -> list[float]:
        """The nominal rates that its descriptions name."""
        return sorted({d.rate_num / d.rate_den for d in self.descriptions if d.rate_num and d.rate_den})

    @property
    def channels(self) -> dict[str, list[str]]:
        """The channels that its descriptions name, each with its units."""
        units: dict[str, dict[str, None]] = {}
        for description in self.descriptions:
            for channel in description.channels:
                units.setdefault(channel.name, {})[channel.unit] = None
        return {name: list(found) for name, found in units.items()}


@dataclass(slots=True)
class Survey:
    """What was found in a log, and what would become of it."""

    spec: WindowSpec
    streams: dict[str, StreamFigures] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    """As the windower counts: windows, samples, drops by reason …"""
    places: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    """Device, recording and start of the first dropped window, by reason."""
    spans: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    """First and last sample of each recording."""
    ended: set[tuple[str, str]] = field(default_factory=set)
    records: int = 0
    anchors: int = 0
    """Marks that windows would be anchored at."""
    other_anchors: int = 0
    """Marks of rules that the configuration does not name: no windows begin at them."""
    schemas: dict[bytes, StreamDescription] = field(default_factory=dict)
    """The descriptions that chunks name, by their ids."""
    undescribed: int = 0
    """Records behind a chunk whose description is not in the log: a run waits for it."""

    @property
    def windows(self) -> int:
        """How many windows there would be."""
        return self.counts["windows"]

    @property
    def drops(self) -> dict[str, int]:
        """Windows that would not be made, by reason."""
        return {name[5:]: n for name, n in sorted(self.counts.items()) if name.startswith("drop.")}

    @property
    def open(self) -> int:
        """Recordings that have not ended: their last windows may still come."""
        return len(self.spans.keys() - self.ended)


async def survey(
    log: Log, spec: WindowSpec, rules: CountedRules | None = None, progress: Progress | None = None
) -> Survey:
    """Fold a log's readings, up to its present end, under a specification; windows may begin at marks of `rules`.

    Raises:
        LogUnavailableError, CorruptLogError: the log cannot be read.
    """
    found = Survey(spec)
    registry = SchemaRegistry(log)
    await registry.refresh()
    anchors = await _anchors(log, rules) if spec.anchor == "mark" else Anchors()
    found.anchors, found.other_anchors = len(anchors.marks), anchors.others
    if READINGS not in await log.topics():
        return found
    bounds = await log.bounds(READINGS)
    layout, windowers = Layout.of(spec), dict[int, Windower]()
    async for batch in drain(log, READINGS, bounds):
        windower = windowers.get(batch.partition)
        if windower is None:
            windower = windowers[batch.partition] = Windower(layout, anchors.marks, found.schemas)
        _look_at(found, batch, registry)
        _feed(found, windower, batch)
        if progress is not None:
            progress.advance(len(batch))
    return found


async def _anchors(log: Log, rules: CountedRules | None) -> Anchors:
    if MARKS not in await log.topics():
        return Anchors()
    bounds = await log.bounds(MARKS)
    return await read_anchors(log, tuple((number, *bounds[number]) for number in sorted(bounds)), Choice(rules))


def _feed(found: Survey, windower: Windower, batch: LogBatch) -> None:
    """Fold a batch; what becomes final is counted and let go."""
    rest = batch
    while True:
        taken = windower.feed(rest)
        _count(found, windower.take())
        rest = rest.tail(taken)
        if windower.missing_schema is not None:
            found.undescribed += len(rest)
            return
        if not len(rest):
            break
    while windower.pending_bytes and (finished := windower.take()).bytes:
        _count(found, finished)


def _count(found: Survey, finished: Finished) -> None:
    found.counts.update(finished.counts)
    for dropped in finished.dropped:
        place = (dropped.origin.device, dropped.origin.recording, dropped.t0_ns)
        found.places.setdefault(dropped.reason, place)


def _look_at(found: Survey, batch: LogBatch, registry: SchemaRegistry) -> None:
    """Take note of what streams and recordings there are."""
    found.records += len(batch)
    for data in batch.values:
        try:
            record = parse(data)
            if type(record) is Chunk:
                check_chunk(record)
        except WireError:
            continue
        if isinstance(record, Chunk):
            _look_at_chunk(found, record, registry)
        elif isinstance(record, RecordingEnd):
            found.ended.add((record.device, record.recording))


def _look_at_chunk(found: Survey, chunk: Chunk, registry: SchemaRegistry) -> None:
    figures = found.streams.setdefault(chunk.stream, StreamFigures())
    key = (chunk.device, chunk.recording)
    figures.devices.add(chunk.device)
    figures.recordings.add(key)
    figures.samples += chunk.count
    if chunk.schema not in found.schemas:
        description = registry.get(chunk.schema)
        if description is not None:
            found.schemas[chunk.schema] = description
            figures.descriptions.append(description)
    times = sample_times(chunk)
    if chunk.count > 1 and len(figures.steps_ns) < _MEASURED_CHUNKS:
        figures.steps_ns.append(float(np.median(np.diff(times))))
    first, last = found.spans.get(key, (int(times[0]), int(times[-1])))
    if chunk.count == 1 and last < times[0] and len(figures.steps_ns) < _MEASURED_CHUNKS:
        figures.steps_ns.append(float(times[0] - last))
    found.spans[key] = (min(first, int(times.min())), max(last, int(times.max())))
