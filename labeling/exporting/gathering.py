"""Records of a log to the recordings that are wanted of it: what counts, by `ingest.intake`, and nothing else. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.archive.channels import values_under
from ingest.errors import UsageError
from ingest.forgetting import forgotten_by
from ingest.intake import Intake
from ingest.records import (
    Channel,
    Chunk,
    Gap,
    Progress,
    Record,
    RecordingEnd,
    RecordingStart,
    StreamDescription,
)
from ingest.times import Times, newest_time, sample_times

BYTES_MAX: Final = 2_000_000_000
"""So much of samples is held at once."""
_OF_RECORDINGS: Final = (RecordingStart, RecordingEnd, Gap, Progress)


@dataclass(frozen=True, slots=True)
class Selection:
    """What is wanted; what is empty, or None, leaves nothing out."""

    devices: frozenset[str] = frozenset()
    recordings: frozenset[str] = frozenset()
    streams: frozenset[str] = frozenset()
    start_ns: int | None = None
    end_ns: int | None = None
    """Exclusive."""

    def has(self, device: str, recording: str, stream: str) -> bool:
        """Whether a stream is wanted."""
        return (
            device in (self.devices or (device,))
            and recording in (self.recordings or (recording,))
            and stream in (self.streams or (stream,))
        )

    def of(self, times: Times) -> NDArray[np.bool_]:
        """Which samples are wanted."""
        kept = np.ones(len(times), np.bool_)
        if self.start_ns is not None:
            kept &= times >= self.start_ns
        if self.end_ns is not None:
            kept &= times < self.end_ns
        return kept


class Samples(NamedTuple):
    """A stream of a recording."""

    stream: str
    channels: Sequence[Channel]
    """As the newest description has them."""
    times: Times
    """`(samples,)` ns UTC, never falling."""
    values: NDArray[np.float64]
    """`(samples, channels)`, physical, in the channels' units; NaN is missing."""


@dataclass(slots=True)
class Recording:
    """What is wanted of one recording."""

    device: str
    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    chunks: dict[str, list[Chunk]] = field(default_factory=dict)
    """By stream."""


@dataclass(slots=True)
class Gathering:
    """Takes the records of all partitions, each in its order."""

    selection: Selection
    bytes_max: int = BYTES_MAX
    recordings: dict[tuple[str, str], Recording] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    """Samples that do not count, by reason."""
    known: set[str] = field(default_factory=set)
    """The devices that are there."""
    _attributes: dict[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)
    _intakes: dict[int, Intake] = field(default_factory=dict)
    _bytes: int = 0

    def take(self, partition: int, append_ns: int, record: Record) -> None:
        """The next record of a partition.

        Raises:
            UsageError: what is wanted is more than can be held.
        """
        intake = self._intakes.setdefault(partition, Intake(Counter()))
        intake.advance(append_ns)
        if (whom := forgotten_by(record)) is not None:
            intake.forget(*whom)
            for key in [key for key in self.recordings if key[0] == whom[0] and whom[1] in ("", key[1])]:
                del self.recordings[key]
        elif isinstance(record, Chunk):
            self._chunk(intake, record)
        elif isinstance(record, _OF_RECORDINGS) and not intake.is_forgotten(record.device, record.recording):
            key = (record.device, record.recording)
            if isinstance(record, RecordingStart) and record.attributes:
                self._attributes[key] = record.attributes
            (intake.end if isinstance(record, RecordingEnd) else intake.touch)(key)

    def _chunk(self, intake: Intake, chunk: Chunk) -> None:
        gone = intake.is_forgotten(chunk.device, chunk.recording)
        verdict: str = "forgotten" if gone else intake.admit(chunk).verdict
        if verdict == "counts" and newest_time(chunk) > intake.time.limit_ns:
            verdict = "of times that cannot be"
        if not self.selection.has(chunk.device, chunk.recording, chunk.stream):
            self.known.add(chunk.device)
            return
        kept = int(np.count_nonzero(self.selection.of(sample_times(chunk))))
        self.known.add(chunk.device)
        if not kept:
            return
        if verdict != "counts":
            self.left_out["late" if verdict == "ended" else verdict] += kept
            return
        self._bytes += len(chunk.values) + 8 * chunk.count
        if self._bytes > self.bytes_max:
            raise UsageError(
                f"export: what is wanted is more than {self.bytes_max:,} bytes of samples; choose by --recording, "
                "--stream, --from and --to, and export in parts"
            )
        key = (chunk.device, chunk.recording)
        recording = self.recordings.setdefault(key, Recording(*key))
        recording.attributes = self._attributes.get(key, {})
        recording.chunks.setdefault(chunk.stream, []).append(chunk)

    def samples(self, recording: Recording, known: Mapping[bytes, StreamDescription]) -> list[Samples]:
        """The streams of a recording by name; samples whose description is not `known` are counted as left out."""
        found = []
        for stream, chunks in sorted(recording.chunks.items()):
            described = [chunk for chunk in chunks if chunk.schema in known]
            if missing := sum(chunk.count for chunk in chunks if chunk.schema not in known):
                self.left_out["of an unknown description"] += missing
            if described:
                found.append(self._stream(stream, described, known))
        return found

    def _stream(self, stream: str, chunks: Sequence[Chunk], known: Mapping[bytes, StreamDescription]) -> Samples:
        channels = known[chunks[-1].schema].channels
        times, values = [], []
        for chunk in chunks:
            own = known[chunk.schema]
            raw = np.frombuffer(chunk.values, np.dtype(own.dtype).newbyteorder("<")).reshape(chunk.count, -1)
            at = sample_times(chunk)
            kept = self.selection.of(at)
            times.append(at[kept])
            values.append(values_under(channels, own.channels, raw[kept]))
        joined = np.concatenate(times)
        order = np.argsort(joined, kind="stable")
        return Samples(stream, channels, joined[order], np.concatenate(values)[order])
