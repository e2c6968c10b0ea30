"""The archive as an operator of the exactly-once engine: every record of a topic, kept as Parquet.

A seal's output is a file of records in the log's order, a file of samples for each stream and schema in it, and a file
of tiles (`ingest.archive.tiles`) of the samples that count. Samples that do not count are kept too, with the reason:
who cuts windows from the archive decides as one does who reads the log. Which do is said by `ingest.intake`. What still
comes for who is forgotten is counted and not kept: its place has a record that says so, as an erasure leaves them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from ingest.archive.collected import COUNTS, Collected, Samples
from ingest.archive.rows import FORGOTTEN, NOBODY, follows, held
from ingest.archive.steady import Alike, Steady
from ingest.archive.stretch import MANY, MOST, Alikes, rising, take_many
from ingest.engine.manifest import sha256_of
from ingest.engine.operator import Output, State
from ingest.errors import CorruptError, StateVersionError, WireError
from ingest.forgetting import Forgotten, forgotten_by, instead_of
from ingest.intake import Intake, SavedIntake
from ingest.intake import without as intake_without
from ingest.log.protocol import READINGS, LogBatch
from ingest.records import (
    Chunk,
    Forget,
    Gap,
    Progress,
    Record,
    RecordingEnd,
    RecordingStart,
    RecordingUndo,
    StreamDescription,
)
from ingest.times import newest_time
from ingest.wire import check_chunk, parse

CODE: Final = 1
"""The version of the saved state and of the files' columns."""
NAME: Final = "archive"
_NO_STREAMS: Final[Mapping[str, Steady]] = {}
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
            return ArchiveRunning(self.topic, self._schemas)
        try:
            state = msgspec.msgpack.decode(b"".join(saved), type=_State)
        except (msgspec.MsgspecError, ValueError) as error:
            raise CorruptError(f"archive state: {error}; archive the log into another folder") from None
        if state.code != CODE:
            raise StateVersionError(
                f"archive state: code version {state.code}, this is {CODE}; archive the log into another folder"
            )
        return ArchiveRunning(self.topic, self._schemas, state.intake)


def without(parts: State, whom: Forgotten) -> State:
    """The state without what is to be forgotten; the same parts where it has nothing of that."""
    state = msgspec.msgpack.decode(b"".join(parts), type=_State)
    kept = msgspec.structs.replace(state, intake=intake_without(state.intake, whom))
    return parts if kept == state else (msgspec.msgpack.encode(kept),)


class ArchiveRunning:
    """`ingest.engine.operator.Running`: collects rows and samples until they are taken."""

    urgent = False

    def __init__(
        self, topic: str, schemas: Mapping[bytes, StreamDescription], saved: SavedIntake | None = None
    ) -> None:
        self._topic, self._schemas = topic, schemas
        self._collected = Collected()
        self._samples: dict[tuple[str, bytes], Samples] = {}
        self._steady: dict[tuple[str, str], dict[str, Steady]] = {}
        """The streams of each recording that has not ended."""
        self._alikes = Alikes()
        """What the next chunks may be; until the next `take`."""
        self._intake = Intake(self._collected.counts, saved)
        self.missing_schema: bytes | None = None

    def feed(self, batch: LogBatch) -> int:
        """See `Running`; takes every record whose schema is known: a batch is small beside a seal."""
        self.missing_schema = None
        taken = self._fold(batch)
        self._collected.place(batch, taken)
        return taken

    def _fold(self, batch: LogBatch) -> int:
        begin, few = 0, MANY
        while begin < len(batch):
            taken = self._take_alike(batch, begin)
            few = MANY if taken >= MANY else min(2 * few, MOST)  # where it is of no use it is seldom tried
            begin += taken
            stop = min(begin + few, len(batch)) if taken < MOST else begin
            begin += self._take_each(batch, begin, stop)
            if begin < stop:
                break
        return begin

    def _take_alike(self, batch: LogBatch, begin: int) -> int:
        """Take records from `begin` on as long as all are chunks that are known by their bytes; how many those were, 0
        where they are too few."""
        time, own = self._intake.time, slice(begin, min(begin + MOST, len(batch)))
        append_ns, values = batch.append_ns[own], batch.values[own]
        even = rising(append_ns, time.last_ns, time.last_ns + self._intake.quiet_ns)
        forms = self._alikes.known(batch.keys[own][:even], values[:even])
        if len(forms) < MANY:
            return 0
        taken = take_many(self._alikes, forms, values[: len(forms)], append_ns, time, self._collected)
        if taken:
            self._intake.advance(append_ns[taken - 1])
        return taken

    def _take_each(self, batch: LogBatch, begin: int, stop: int) -> int:
        """Take the records of `[begin, stop)` one after the other; how many: all, or those before one whose schema is
        not known."""
        own, taken = slice(begin, stop), 0
        intake, alikes_of, newest_ns, limit_ns, age_ns = self._intake, self._alikes.of, None, 0, 0
        for append_ns, key, value in zip(batch.append_ns[own], batch.keys[own], batch.values[own], strict=True):
            if append_ns != newest_ns:
                newest_ns = append_ns
                for dropped in intake.advance(append_ns).dropped:
                    self._let_go(*dropped)
                limit_ns, age_ns = intake.time.limit_ns, intake.time.age_ns
            for alike in alikes_of(key, ()):
                if value.startswith(alike.head) and alike.takes(value, limit_ns, age_ns):
                    break
            else:
                if not self._take_in(key, value, limit_ns, age_ns):
                    return taken
            taken += 1
        return taken

    def _take_in(self, key: bytes, value: bytes, limit_ns: int, age_ns: int) -> bool:
        """Take any record; False, and nothing done, where its schema is not known."""
        collected = self._collected
        place = len(collected.form)
        try:
            record = parse(value)
            if self._intake.forgets and self._leaves_out(record):
                return True
            if type(record) is not Chunk:
                collected.add(self._other(record, place))
                collected.values[place] = value
                return True
            check_chunk(record)
            steady = self._steady.get((record.device, record.recording), _NO_STREAMS).get(record.stream)
            if steady is not None and steady.takes(record, limit_ns, age_ns):
                samples = steady.samples
            elif record.schema not in self._schemas:
                self.missing_schema = record.schema
                return False
            else:
                steady, samples = None, self._admit(record, place)
        except WireError:
            if self._intake.is_forgotten(key.decode(errors="replace")):
                self._leave_out(key.decode(errors="replace"))
                return True
            collected.kinds[place], collected.verdicts[place] = "undecodable", ""
            collected.values[place] = value
            collected.add(NOBODY)
            return True
        samples.places.append(place)
        if not follows(record, value):
            collected.values[place] = value
            collected.add(held(record))
            return True
        collected.add(record)
        if steady is not None and steady.is_even(record) and key == record.device.encode():
            self._alikes.add(key, Alike(record, steady, collected))
        return True

    def _leaves_out(self, record: Record) -> bool:
        """Leave out a record of who is forgotten, but what says who is; False where it is of others."""
        device = getattr(record, "device", "")
        if isinstance(record, Forget | RecordingUndo) or not self._intake.is_forgotten(
            device, getattr(record, "recording", "")
        ):
            return False
        if isinstance(record, Chunk):
            check_chunk(record)
            self._intake.pass_over(record)
            self._collected.counts["forgotten.samples"] += record.count
        self._leave_out(device)
        return True

    def _leave_out(self, device: str) -> None:
        collected, place = self._collected, len(self._collected.form)
        whole = self._topic == READINGS and self._intake.is_forgotten(device)
        collected.counts["forgotten.records"] += 1
        collected.values[place] = instead_of(device if whole else "")
        collected.kinds[place], collected.verdicts[place] = FORGOTTEN, ""
        collected.add(NOBODY)

    def _admit(self, chunk: Chunk, place: int) -> Samples:
        """Where the samples of any chunk wait; says whether it counts."""
        key = (chunk.stream, chunk.schema)
        samples = self._samples.get(key)
        if samples is None:
            samples = Samples(*key, self._schemas[chunk.schema])
        if len(chunk.values) != chunk.count * samples.sample_bytes:
            raise WireError("its values do not fit its schema")
        self._samples[key] = samples
        verdict = self._verdict(chunk, samples)
        if verdict != COUNTS:
            self._collected.verdicts[place] = verdict
        return samples

    def _verdict(self, chunk: Chunk, samples: Samples) -> str:
        verdict, known, seen = self._intake.admit(chunk)
        if verdict != COUNTS:
            return verdict
        if (newest_ns := newest_time(chunk)) > self._intake.time.limit_ns:
            self._intake.quarantine(chunk.device, chunk.count, newest_ns)
            return "quarantine"
        if known is not None:
            streams = self._steady.setdefault((chunk.device, chunk.recording), {})
            streams[chunk.stream] = Steady(chunk, known, seen, samples)
        return verdict

    def _other(self, record: Record, place: int) -> Chunk:
        """Any other record, as a chunk of no samples: what it says of a recording changes what counts behind it."""
        device, recording = getattr(record, "device", ""), getattr(record, "recording", "")
        if (whom := forgotten_by(record)) is not None:
            self._intake.forget(*whom)
            for key in [key for key in self._steady if key[0] == device and whom[1] in ("", key[1])]:
                self._let_go(*key)
        elif isinstance(record, _OF_RECORDINGS):
            act = self._intake.end if isinstance(record, RecordingEnd) else self._intake.touch
            act((device, recording))
            if isinstance(record, RecordingEnd):
                self._let_go(device, recording)
        self._collected.kinds[place], self._collected.verdicts[place] = kind_of(record), ""
        return msgspec.structs.replace(NOBODY, device=device, recording=recording, stream=getattr(record, "stream", ""))

    def _let_go(self, device: str, recording: str) -> None:
        """Nothing goes on by itself in a recording any more."""
        self._steady.pop((device, recording), None)
        self._alikes.drop(device.encode())

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
        self._alikes.clear()
        self._intake.counts = self._collected.counts
        waiting = [samples.take() for samples in self._samples.values() if samples.places]
        collected.samples = sorted(waiting, key=lambda samples: samples.places[0])
        return Output(drafts_of(collected, tag) if collected.offsets else (), (), collected.count())

    def snapshot(self) -> State:
        """See `Running`."""
        return (msgspec.msgpack.encode(_State(CODE, self._intake.save())),)
