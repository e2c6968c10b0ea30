"""The archive as an operator of the exactly-once engine: every record of a topic, kept as Parquet.

A seal's output is a file of records in the log's order, a file of samples for each stream and schema in it, and a file
of tiles (`ingest.archive.tiles`) of the samples that count. Samples that do not count are kept too, with the reason:
who cuts windows from the archive decides as one does who reads the log. Which do is said by `ingest.intake`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from ingest.archive.collected import Collected, Kept, Samples
from ingest.archive.rows import NOBODY, follows, held
from ingest.engine.manifest import sha256_of
from ingest.engine.operator import Output, State
from ingest.errors import CorruptError, StateVersionError, WireError
from ingest.intake import Intake, SavedIntake
from ingest.log.protocol import LogBatch
from ingest.records import (
    Chunk,
    Forget,
    Gap,
    Progress,
    Record,
    RecordingEnd,
    RecordingStart,
    StreamDescription,
)
from ingest.times import newest_time
from ingest.wire import check_chunk, parse

CODE: Final = 1
"""The version of the saved state and of the files' columns."""
NAME: Final = "archive"


_OF_RECORDINGS: Final = (RecordingStart, RecordingEnd, Gap, Progress)


def kind_of(record: Record) -> str:
    """What a record is, as a word: "recording_end", "gap", "mark_add" …"""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(record).__name__).lower()


class _State(msgspec.Struct, frozen=True, array_like=True):
    code: int
    intake: SavedIntake


class ArchiveOperator:
    """`ingest.engine.operator.Operator` over any topic; its folder is `<archive>/<topic>`."""

    name = NAME
    code = CODE

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.spec = sha256_of(f"archive: every record of {topic}".encode())[:16]
        self._schemas: dict[bytes, StreamDescription] = {}

    def learn(self, schema: bytes, description: StreamDescription) -> None:
        """See `Operator`."""
        self._schemas[schema] = description

    def start(self, saved: State | None) -> ArchiveRunning:
        """See `Operator`."""
        if saved is None:
            return ArchiveRunning(self._schemas)
        try:
            state = msgspec.msgpack.decode(b"".join(saved), type=_State)
        except (msgspec.MsgspecError, ValueError) as error:
            raise CorruptError(f"archive state: {error}; archive the log into another folder") from None
        if state.code != CODE:
            raise StateVersionError(
                f"archive state: code version {state.code}, this is {CODE}; archive the log into another folder"
            )
        return ArchiveRunning(self._schemas, state.intake)


class ArchiveRunning:
    """`ingest.engine.operator.Running`: collects rows and samples until they are taken."""

    urgent = False

    def __init__(self, schemas: Mapping[bytes, StreamDescription], saved: SavedIntake | None = None) -> None:
        self._schemas = schemas
        self._collected = Collected()
        self._intake = Intake(self._collected.counts, saved)
        self.missing_schema: bytes | None = None

    def feed(self, batch: LogBatch) -> int:
        """See `Running`; takes every record whose schema is known: a batch is small beside a seal."""
        self.missing_schema = None
        collected = self._collected
        columns = zip(batch.offsets, batch.append_ns, batch.keys, batch.values, strict=True)
        for index, (offset, append_ns, key, value) in enumerate(columns):
            self._intake.advance(append_ns)
            try:
                record = parse(value)
                if type(record) is Chunk:
                    check_chunk(record)
                    if record.schema not in self._schemas:
                        self.missing_schema = record.schema
                        return index
                    kept = self._chunk(value, record)
                else:
                    kept = self._other(record)
            except WireError:
                kept = Kept("undecodable", "", NOBODY)
            collected.add(offset, append_ns, key, value, kept)
        return len(batch)

    def _chunk(self, value: bytes, chunk: Chunk) -> Kept:
        collected = self._collected
        samples = collected.samples.get((chunk.stream, chunk.schema))
        if samples is None:
            samples = collected.samples[chunk.stream, chunk.schema] = Samples(self._schemas[chunk.schema])
        if len(chunk.values) != chunk.count * samples.sample_bytes:
            raise WireError("its values do not fit its schema")
        verdict = self._verdict(chunk)
        samples.indices.append(len(collected.offsets))
        samples.chunks.append(chunk)
        if follows(chunk, value):
            return Kept("chunk", verdict, chunk, True)
        return Kept("chunk", verdict, held(chunk))

    def _verdict(self, chunk: Chunk) -> str:
        if self._intake.is_forgotten(chunk.device):
            return "forgotten"
        verdict = self._intake.admit(chunk).verdict
        if verdict == "counts" and (newest_ns := newest_time(chunk)) > self._intake.time.limit_ns:
            self._intake.quarantine(chunk.device, chunk.count, newest_ns)
            return "quarantine"
        return verdict

    def _other(self, record: Record) -> Kept:
        """Any other record: what it says of a recording changes what counts behind it."""
        device, recording = getattr(record, "device", ""), getattr(record, "recording", "")
        if isinstance(record, Forget):
            self._intake.forget(device)
        elif isinstance(record, _OF_RECORDINGS) and not self._intake.is_forgotten(device):
            act = self._intake.end if isinstance(record, RecordingEnd) else self._intake.touch
            act((device, recording))
        stream = getattr(record, "stream", "")
        about = msgspec.structs.replace(NOBODY, device=device, recording=recording, stream=stream)
        return Kept(kind_of(record), "", about)

    def skip(self, wanted: int, begin: int) -> None:
        """See `Running`; the entry itself names the lost range."""
        self._collected.counts["lost.offsets"] += begin - wanted

    @property
    def pending_bytes(self) -> int:
        """See `Running`."""
        return self._collected.bytes

    def take(self, tag: str = "") -> Output:
        """See `Running`."""
        from ingest.archive.writing import drafts_of

        collected, self._collected = self._collected, Collected()
        self._intake.counts = self._collected.counts
        counts = collected.counts
        counts.update(f"records.{kind}" for kind in collected.kinds)
        counts["samples"] = sum(chunk.count for chunk in collected.chunks)
        return Output(drafts_of(collected, tag) if collected.offsets else (), (), counts)

    def snapshot(self) -> State:
        """See `Running`."""
        return (msgspec.msgpack.encode(_State(CODE, self._intake.save())),)
