"""What a virtual sensor says of its recording, and when: lines, messages, sentences or records. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, NamedTuple

import numpy as np

from ingest.chunker import Limits, Origin, chunk_end_ns, stamped_chunks
from ingest.records import Clock, RecordingEnd, RecordingStart, schema_id
from ingest.records import Gap as GapRecord
from ingest.wire import encode
from simulators.gps import sentences
from simulators.recording import Recording

Format = Literal["csv", "json", "nmea"]
_SLICE: Final = 10_000


class Utterance(NamedTuple):
    """Something said at `t_ns`, event time, in one go."""

    t_ns: int
    data: bytes
    samples: int
    """How many samples are in it."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a sensor puts it."""

    format: Format
    raw: bool = False
    """The sensor's own counts, instead of physical values."""
    stamped: bool = False
    """With the sensor's own time, ns UTC: the first column, or the field `t`. NMEA says its time anyway."""


def speak(recording: Recording, style: Style) -> Iterator[Utterance]:
    """An utterance a sample, each ended by a line feed; for NMEA one an epoch, also for those without a fix."""
    if style.format == "nmea":
        at = set(recording.times.tolist())
        for t_ns, data in sentences(recording):
            yield Utterance(t_ns, data, int(t_ns in at))
        return
    channels = recording.description.channels
    names = [channel.name for channel in channels]
    scales = [1.0 if style.raw else channel.scale for channel in channels]
    for t_ns, counts in _samples(recording):
        values = [f"{count * scale:.15g}" for count, scale in zip(counts, scales, strict=True)]
        if style.format == "csv":
            text = ",".join([str(t_ns), *values] if style.stamped else values)
        else:
            fields = {"t": t_ns} if style.stamped else {}
            text = json.dumps(fields | {name: float(value) for name, value in zip(names, values, strict=True)})
        yield Utterance(t_ns, text.encode() + b"\n", 1)


def _samples(recording: Recording) -> Iterator[tuple[int, list[int]]]:
    """Times and counts as Python's own numbers, a slice at a time: a day of them would not fit."""
    for start in range(0, len(recording.times), _SLICE):
        part = slice(start, start + _SLICE)
        yield from zip(recording.times[part].tolist(), recording.counts[part].tolist(), strict=True)


def records(recording: Recording, device: str, limits: Limits) -> Iterator[Utterance]:
    """The same straight into the log: a start, chunks with the gaps between them announced, an end, all encoded.

    Recording and boot are named by what they hold, so that saying it again adds nothing.
    """
    description, times = recording.description, recording.times
    told = f"{device}/{description.stream}".encode() + times.tobytes() + recording.counts.tobytes()
    boot = hashlib.sha256(told).digest()[:16]
    name = f"{device}-{boot.hex()[:8]}"
    origin = Origin(device, name, description.stream, boot, schema_id(description), Clock("device"))
    end_ns = int(times[0])
    yield Utterance(end_ns, encode(RecordingStart(device, name, boot, end_ns, "simulation")), 0)
    seq = 0
    bounds = [0, *(int(times.searchsorted(gap.end_ns)) for gap in recording.gaps), len(times)]
    for number, (start, stop) in enumerate(pairwise(bounds)):
        values = np.ascontiguousarray(recording.counts[start:stop])
        for chunk in stamped_chunks(origin, times[start:stop], values, limits, seq):
            end_ns, seq = chunk_end_ns(chunk), chunk.seq + 1
            yield Utterance(end_ns, encode(chunk), chunk.count)
        if number < len(recording.gaps):
            gap = recording.gaps[number]
            lost = GapRecord(
                device, name, description.stream, boot, gap.start_ns, gap.end_ns, gap.samples, "simulation"
            )
            yield Utterance(gap.end_ns, encode(lost), 0)
    yield Utterance(end_ns, encode(RecordingEnd(device, name, boot, end_ns, "simulation")), 0)
