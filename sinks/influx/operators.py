"""The sink as operators of the exactly-once engine: folds over `readings`, `marks` and `status` that give points.

The same records give the same points, wherever batches and seals fall: what a dead worker had written already is
written again, and is what is there. Which samples count is said by `ingest.intake`. Pure.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, Protocol, TypeVar

import msgspec

from ingest.engine.manifest import sha256_of
from ingest.engine.operator import Output, State
from ingest.errors import CorruptError, StateVersionError, WireError
from ingest.forgetting import forgotten_by
from ingest.intake import NOTHING, Intake, SavedIntake
from ingest.log.protocol import MARKS, READINGS, STATUS, LogBatch
from ingest.records import (
    Birth,
    Change,
    Chunk,
    CommandResult,
    Death,
    Gap,
    Heartbeat,
    Mark,
    Progress,
    Record,
    RecordingEnd,
    RecordingStart,
    RecordingUndo,
    Status,
    StreamDescription,
)
from ingest.times import newest_time, sample_times
from ingest.wire import check_chunk, parse
from sinks.influx.lines import Batches, head, line, number_fields, text
from sinks.influx.marks import Annotations
from sinks.influx.samples import StreamLines
from sinks.influx.thinning import Span, Thinning

CODE: Final = 1
"""The version of the saved states and of what points look like."""
NAME: Final = "influx"
AGENTS: Final = "sensorloom_agents"
FED_BYTES: Final = 8 << 20
"""So many bytes of points are held before they are sealed, however large a batch of the log is."""
_STREAMS_MAX: Final = 10_000
T = TypeVar("T")


class _Fold(Protocol):
    """What differs between the topics."""

    missing_schema: bytes | None

    def take_record(self, record: Record, append_ns: int, batches: Batches, counts: Counter[str]) -> bool:
        """Fold one record in; False where its schema is not known. Raises `WireError` for one that is none of these."""
        ...

    def skip_record(self, append_ns: int) -> None:
        """There was a record that nobody understands."""
        ...

    def finish(self, batches: Batches) -> None:
        """Give out what waits for the end of a seal."""
        ...

    @property
    def waiting_bytes(self) -> int:
        """How much that is."""
        ...

    def parts(self) -> list[bytes]:
        """The state."""
        ...


class InfluxOperator:
    """`ingest.engine.operator.Operator` over one of the three topics.

    `thin_ns` is the span of thinned samples, 0 for all of them; `target` names the database that they go to.
    """

    name = NAME
    code = CODE

    def __init__(self, topic: str, target: str, thin_ns: int = 0, points: int = 5000) -> None:
        self.topic = topic
        self.thin_ns = thin_ns if topic == READINGS else 0
        self.spec = sha256_of(f"influx: {topic} thinned to {self.thin_ns} ns into {target}".encode())[:16]
        self._points = points
        self._schemas: dict[bytes, StreamDescription] = {}

    def learn(self, schema: bytes, description: StreamDescription) -> None:
        """See `Operator`."""
        self._schemas[schema] = description

    def start(self, saved: State | None) -> InfluxRunning:
        """See `Operator`."""
        first, parts = (b"", []) if saved is None else (saved[0], list(saved[1:]))
        if saved is not None:
            version = _decoded(first[:_VERSION_BYTES], int)
            if version != CODE:
                raise StateVersionError(
                    f"influx state: code version {version}, this is {CODE}; write into another --out"
                )
        counts: Counter[str] = Counter()
        fold: _Fold
        if self.topic == READINGS:
            state = _decoded(parts[0], _SavedSamples) if parts else None
            fold = _Samples(self._schemas, self.thin_ns, counts, state)
        elif self.topic == MARKS:
            try:
                fold = _Marks(parts)
            except (msgspec.MsgspecError, ValueError) as error:
                raise _damaged(error) from None
        else:
            fold = _Agents()
        return InfluxRunning(self.topic, fold, counts, self._points)


_VERSION: Final = msgspec.msgpack.encode(CODE)
_VERSION_BYTES: Final = len(_VERSION)


def _decoded(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, ValueError) as error:
        raise _damaged(error) from None


def _damaged(error: Exception) -> CorruptError:
    return CorruptError(f"influx state: {error}; write into another --out")


class InfluxRunning:
    """`ingest.engine.operator.Running`: collects points until they are taken."""

    urgent = False

    def __init__(self, topic: str, fold: _Fold, counts: Counter[str], points: int) -> None:
        self._topic = topic
        self._fold = fold
        self._counts = counts
        self._batches = Batches(topic, points)

    @property
    def missing_schema(self) -> bytes | None:
        """See `Running`."""
        return self._fold.missing_schema

    def feed(self, batch: LogBatch) -> int:
        """See `Running`; stops where it holds `FED_BYTES`."""
        fold, counts = self._fold, self._counts
        fold.missing_schema = None
        for index, (append_ns, value) in enumerate(zip(batch.append_ns, batch.values, strict=True)):
            if index and self.pending_bytes >= FED_BYTES:
                return index
            try:
                if not fold.take_record(parse(value), append_ns, self._batches, counts):
                    return index
            except WireError:
                fold.skip_record(append_ns)
                counts["undecodable"] += 1
        return len(batch)

    def skip(self, wanted: int, begin: int) -> None:
        """See `Running`; the entry itself names the lost range."""
        self._counts["lost.offsets"] += begin - wanted

    @property
    def pending_bytes(self) -> int:
        """See `Running`."""
        return self._batches.bytes + self._fold.waiting_bytes

    def take(self, tag: str = "") -> Output:
        """See `Running`."""
        self._fold.finish(self._batches)
        drafts = self._batches.take(tag)
        counts = Counter(self._counts)
        self._counts.clear()
        counts["points"] = sum(draft.rows for draft in drafts)
        return Output(drafts, (), counts)

    def snapshot(self) -> State:
        """See `Running`."""
        return (_VERSION, *self._fold.parts())


class _SavedSamples(msgspec.Struct, frozen=True, array_like=True):
    intake: SavedIntake
    spans: list[tuple[str, str, str, Span]]
    schemas: list[tuple[bytes, StreamDescription]]
    """Of the spans: they may be over before a chunk names them again."""


class _Samples:
    """Samples that count, full or thinned."""

    waiting_bytes = 0
    missing_schema: bytes | None = None

    def __init__(
        self,
        schemas: dict[bytes, StreamDescription],
        thin_ns: int,
        counts: Counter[str],
        saved: _SavedSamples | None,
    ) -> None:
        self._schemas = schemas
        self._intake = Intake(counts, None if saved is None else saved.intake)
        self._thinning = Thinning(thin_ns, () if saved is None else saved.spans) if thin_ns else None
        self._streams: dict[tuple[str, bytes], StreamLines] = {}
        schemas.update(() if saved is None else saved.schemas)

    def take_record(self, record: Record, append_ns: int, batches: Batches, counts: Counter[str]) -> bool:
        if type(record) is Chunk:
            check_chunk(record)
            if record.schema not in self._schemas:
                self.missing_schema = record.schema
                return False
            stream = self._stream(record.device, record.schema)
            values = stream.values(record)
            self._advance(append_ns, batches)
            if self._counts(record, counts):
                counts["samples"] += record.count
                if self._thinning is None:
                    batches.add(stream.lines(sample_times(record), values, counts))
                else:
                    self._give(record.device, self._thinning.add(record, values), batches)
            return True
        if (whom := forgotten_by(record)) is not None:
            self._advance(append_ns, batches)
            self._forget(*whom)
        elif isinstance(record, RecordingStart | RecordingEnd | Gap | Progress):
            self._advance(append_ns, batches)
            if not self._intake.is_forgotten(record.device, record.recording):
                self._other(record, batches)
        else:
            raise WireError(f"a {type(record).__name__} is no reading")
        return True

    def skip_record(self, append_ns: int) -> None:
        self._intake.time.advance(append_ns)

    def _advance(self, append_ns: int, batches: Batches) -> None:
        swept = self._intake.advance(append_ns)
        if swept is not NOTHING and self._thinning is not None:
            for device, recording in (*swept.abandoned, *swept.dropped):
                self._give(device, self._thinning.end(device, recording), batches)

    def _counts(self, chunk: Chunk, counts: Counter[str]) -> bool:
        """Whether a chunk's samples count; those that do not are counted by their reason."""
        if self._intake.is_forgotten(chunk.device, chunk.recording):
            self._intake.pass_over(chunk)
            counts["forgotten.samples"] += chunk.count
            return False
        verdict = self._intake.admit(chunk).verdict
        if verdict == "ended":
            counts["late.samples"] += chunk.count
        elif verdict == "counts" and (newest_ns := newest_time(chunk)) > self._intake.time.limit_ns:
            self._intake.quarantine(chunk.device, chunk.count, newest_ns)
            return False
        return verdict == "counts"

    def _forget(self, device: str, recording: str) -> None:
        """Write nothing more of a device, or of one of its recordings."""
        self._intake.forget(device, recording)
        if self._thinning is None:
            return
        if recording:
            self._thinning.end(device, recording)  # its spans go nowhere
        else:
            self._thinning.forget(device)

    def _other(self, record: RecordingStart | RecordingEnd | Gap | Progress, batches: Batches) -> None:
        """Any other record of a recording."""
        act = self._intake.end if isinstance(record, RecordingEnd) else self._intake.touch
        act((record.device, record.recording))
        if self._thinning is None:
            return
        if isinstance(record, RecordingEnd):
            self._give(record.device, self._thinning.end(record.device, record.recording), batches)
        elif isinstance(record, Progress):
            self._give(record.device, self._thinning.complete(record), batches)

    def _give(self, device: str, spans: list[Span], batches: Batches) -> None:
        batches.add([span.line(self._stream(device, span.schema)) for span in spans])

    def _stream(self, device: str, schema: bytes) -> StreamLines:
        stream = self._streams.get((device, schema))
        if stream is None:
            if len(self._streams) >= _STREAMS_MAX:
                self._streams.clear()
            stream = self._streams[device, schema] = StreamLines(device, self._schemas[schema])
        return stream

    def finish(self, batches: Batches) -> None:
        """Spans wait until they are over, whenever that is."""

    def parts(self) -> list[bytes]:
        spans = [] if self._thinning is None else self._thinning.save()
        schemas = [(schema, self._schemas[schema]) for schema in dict.fromkeys(span.schema for *_, span in spans)]
        return [msgspec.msgpack.encode(_SavedSamples(self._intake.save(), spans, schemas))]


class _Marks:
    """Marks as annotations."""

    missing_schema: bytes | None = None

    def __init__(self, saved: list[bytes]) -> None:
        self._annotations = Annotations(saved)

    @property
    def waiting_bytes(self) -> int:
        return self._annotations.waiting_bytes

    def take_record(self, record: Record, append_ns: int, batches: Batches, counts: Counter[str]) -> bool:
        if isinstance(record, Mark):
            self._annotations.add(record, counts)
        elif (whom := forgotten_by(record)) is not None:
            if not whom[1]:  # a mark names no recording
                self._annotations.forget(whom[0])
        elif not isinstance(record, RecordingUndo):
            raise WireError(f"a {type(record).__name__} is no mark")
        return True

    def skip_record(self, append_ns: int) -> None:
        """No mark rests on the log's time."""

    def finish(self, batches: Batches) -> None:
        batches.add(self._annotations.take())

    def parts(self) -> list[bytes]:
        return self._annotations.save()


class _Agents:
    """Agents' births, heartbeats with their figures, and deaths."""

    waiting_bytes = 0
    missing_schema: bytes | None = None

    def take_record(self, record: Record, append_ns: int, batches: Batches, counts: Counter[str]) -> bool:
        if not isinstance(record, Status):
            raise WireError(f"a {type(record).__name__} is no status")
        counts["status"] += 1
        pairs = [("up", "0i" if isinstance(record, Death) else "1i"), ("event", text(type(record).__name__.lower()))]
        match record:
            case Birth():
                pairs.append(("version", text(record.version)))
            case Heartbeat():
                pairs += number_fields(record.figures, ("up", "event", "version", "reason"))
            case Death():
                pairs.append(("reason", text(record.reason)))
            case Change():
                said = (record.what, record.old, record.new, record.outcome, record.reason)
                pairs += zip(("what", "old", "new", "outcome", "reason"), map(text, said), strict=True)
            case CommandResult():
                became = (record.source, record.name, record.outcome, record.reason)
                pairs += zip(("source", "command", "outcome", "reason"), map(text, became), strict=True)
        batches.add([line(head(AGENTS, {"device": record.device, "agent": record.agent}), pairs, record.time_ns)])
        return True

    def skip_record(self, append_ns: int) -> None:
        """No status rests on the log's time."""

    def finish(self, batches: Batches) -> None:
        """Nothing waits."""

    def parts(self) -> list[bytes]:
        return []


TOPICS: Final = (READINGS, MARKS, STATUS)
"""What can be written."""
