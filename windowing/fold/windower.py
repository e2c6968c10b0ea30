"""The windower: a pure fold of the records of one partition into windows.

It asks neither clock nor chance and does no I/O. Whatever it decides follows from the records' order alone: which
chunk is a duplicate, which sample late, which window final. The same records give the same windows and counts,
wherever batches end and states are saved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from ingest.deadletters import dead_letter
from ingest.engine.operator import OUTPUT_TO_STATE
from ingest.errors import WireError
from ingest.forgetting import forgotten_by
from ingest.intake import NOTHING, Intake, Key, OpenRecording
from ingest.intervals import IntervalSet
from ingest.log.protocol import LogBatch
from ingest.records import (
    Chunk,
    Gap,
    Progress,
    Record,
    RecordingEnd,
    RecordingStart,
    StreamDescription,
)
from ingest.times import Times, sample_times
from ingest.wire import check_chunk, parse
from windowing.fold.anchors import AnchorMark, Layout
from windowing.fold.convert import Converter
from windowing.fold.cutting import Finished, Late
from windowing.fold.heard import Hearing, started
from windowing.fold.recordings import Recording
from windowing.fold.remarks import lacks_stream
from windowing.fold.state import Saved, restore_recording, save_recording
from windowing.fold.streams import Refused, Stream

BOUND_BYTES: Final = 16 << 20
"""Of so much output no more is made before it was taken; up to `MOST_BOUNDS` times as much beside a large state."""
MOST_BOUNDS: Final = 4
_MOST_NOTES: Final = 8


class Windower:
    """The fold at work on one partition."""

    def __init__(
        self,
        layout: Layout,
        marks: Iterable[AnchorMark],
        schemas: Mapping[bytes, StreamDescription],
        saved: Saved | None = None,
        bound_bytes: int = BOUND_BYTES,
    ) -> None:
        self._layout = layout
        self._plans = {plan.name: plan for plan in layout.plans}
        self._schemas = schemas
        self._marks: dict[str, list[AnchorMark]] = defaultdict(list)
        for mark in sorted(marks, key=lambda mark: (mark.start_ns, mark.id)):
            self._marks[mark.device].append(mark)
        self._converters: dict[tuple[str, bytes], Converter] = {}
        self._streams: dict[tuple[str, str, str], Stream] = {}
        self._recordings: dict[tuple[str, str], Recording] = {}
        self._collected_schemas: dict[bytes, StreamDescription] = {}
        """Of samples that a saved state had collected; what is fed still has to wait until it is told of its schema."""
        self._offset = -1
        self._bound_bytes = self._least_bytes = bound_bytes
        self._overlap = max(1, -(-layout.length // layout.hop))
        self._collected_bytes = 0
        """Of records that were folded since all was settled."""
        self._unsettled: list[OpenRecording] = []
        """The recordings that have something to settle."""
        self._left = False
        """Some windows are final and not cut, since there is enough output."""
        self._lacking: dict[str, None] = {}
        self._finished = Finished()
        self._hearing = Hearing()
        self._intake = Intake(self._finished.counts, None if saved is None else saved.intake)
        self.missing_schema: bytes | None = None
        """The schema id that `feed` stopped at."""
        if saved is not None:
            self._restore(saved)

    @property
    def pending_bytes(self) -> int:
        """About how many bytes of output there are, with what will come of the samples that are only collected."""
        pending = self._finished.bytes + self._overlap * self._collected_bytes
        return max(pending, self._bound_bytes) if self._left else pending

    def feed(self, batch: LogBatch) -> int:
        """Fold the records in; how many were taken (see `ingest.engine.operator.Running`).

        It stops early where there is output of `bound_bytes`, cut or to be cut.
        """
        self.missing_schema = None
        if self._left:
            self.settle()
        before = self._offset
        taken = 0 if self._left else self._fold(batch)
        self._offset = batch.offsets[taken - 1] if taken else before
        self._collected_bytes += sum(map(len, batch.values[:taken]))
        if self._overlap * self._collected_bytes >= self._bound_bytes:
            self.settle()
        return taken

    def _fold(self, batch: LogBatch) -> int:
        """The records of a batch, one by one, until there is enough output; how many."""
        find = self._streams.get
        time, newest_ns = self._intake.time, None
        limit_ns = age_ns = chunks = samples = 0
        taken_of = len(batch)
        for index, (data, append_ns) in enumerate(zip(batch.values, batch.append_ns, strict=True)):
            if append_ns != newest_ns:
                newest_ns = append_ns
                self._advance(append_ns, batch.offsets[index] - 1)
                limit_ns, age_ns = time.limit_ns, time.age_ns
            try:
                record = parse(data)
                if type(record) is Chunk:
                    stream = find((record.device, record.recording, record.stream))
                    if stream is not None and stream.extend(record, limit_ns, age_ns):
                        chunks += 1
                        samples += record.count
                        continue
                    self._offset = batch.offsets[index]
                    check_chunk(record)
                    resumed = stream is not None and self._resume(stream, record)
                    taken = resumed or self._on_chunk(record)
                else:
                    self._offset = batch.offsets[index]
                    taken = self._on_record(record)
            except WireError as error:
                self._bury(batch, index, error)
                taken = True
            if not taken or self._is_full:
                taken_of = index + taken
                break
        self._count(chunks, samples)
        return taken_of

    def _count(self, chunks: int, samples: int) -> None:
        """Count what was taken in, whenever it will be cut."""
        if chunks:
            self._finished.counts["chunks"] += chunks
            self._finished.counts["samples"] += samples

    @property
    def _is_full(self) -> bool:
        return self._left or self._finished.bytes >= self._bound_bytes

    def skip(self, wanted: int, begin: int) -> None:
        """The log no longer has `[wanted, begin)`."""
        self._finished.counts["lost.offsets"] += begin - wanted

    def is_saved_in(self, state_bytes: int) -> None:
        """The state is so large: each seal writes about as much of it, so it is to have some times as much output."""
        self._bound_bytes = max(self._least_bytes, min(OUTPUT_TO_STATE * state_bytes, MOST_BOUNDS * self._least_bytes))

    def settle(self) -> None:
        """Cut every window that is final, until there is enough output."""
        self._collected_bytes = 0
        self._left = False
        unsettled = self._unsettled.copy()
        self._unsettled.clear()
        for known in dict.fromkeys(unsettled):
            recording = self._recordings.get((known.device, known.name))
            if recording is None:
                continue
            if recording.is_due:
                self._settle(recording, self._offset)
            elif recording.is_collecting:
                self._unsettled.append(known)

    def _settle(self, recording: Recording, offset: int) -> None:
        if not recording.settle(offset, self._finished, self._bound_bytes):
            self._left = True

    def take(self) -> Finished:
        """What was finished since the last call."""
        self.settle()
        finished, self._finished = self._finished, Finished()
        self._intake.counts = self._finished.counts
        for device, recording, stream in finished.outrun:
            if len(self._lacking) < _MOST_NOTES:
                self._lacking[lacks_stream(device, recording, stream)] = None
        return finished

    @property
    def notes(self) -> list[str]:
        """What people should know of clocks, and of streams that are not waited for; a bounded number of texts."""
        return [*self._intake.time.notes, *self._lacking]

    # One record.

    def _resume(self, stream: Stream, chunk: Chunk) -> bool:
        """Settle the recording of a stream that has collected enough; did the chunk continue it then?"""
        if not stream.full:
            return False
        self._settle(self._recordings[chunk.device, chunk.recording], self._offset - 1)
        if not stream.extend(chunk, self._intake.time.limit_ns, self._intake.time.age_ns):
            return False
        self._count(1, chunk.count)
        return True

    def _on_chunk(self, chunk: Chunk) -> bool:
        """Take any chunk; False, and nothing done, where its schema is not known, or there is enough output."""
        counts = self._finished.counts
        if self._intake.is_forgotten(chunk.device, chunk.recording):
            self._intake.pass_over(chunk)
            counts["forgotten.samples"] += chunk.count
            return True
        if chunk.stream not in self._plans:
            self._hear(chunk)
            counts["unnamed.samples"] += chunk.count
            known = self._intake.pass_by(chunk)
            if known is not None:
                self._recording(known)
            return True
        converter = self._converter(chunk.stream, chunk.schema)
        if converter is None:
            self.missing_schema = chunk.schema
            return False
        self._hear(chunk)
        if len(chunk.values) != chunk.count * converter.sample_bytes:
            found, expected = len(chunk.values), chunk.count * converter.sample_bytes
            raise WireError(f"chunk: found {found} bytes of values, its schema says {expected}")
        times = None if chunk.period_den > 0 else sample_times(chunk)
        if not self._ready(chunk):
            return False
        verdict, known, seen = self._intake.admit(chunk)
        recording = None if known is None else self._recording(known)
        if verdict in ("duplicate", "unsynced"):
            return True
        if chunk.clock is not None and chunk.clock.uncertainty_ns > self._plans[chunk.stream].max_uncertainty_ns:
            counts["uncertain.samples"] += chunk.count
            self._pass_over(chunk, times, recording)
        elif converter.fault is not None:
            counts[converter.fault] += chunk.count
            self._pass_over(chunk, times, recording)
        elif recording is None:
            times = sample_times(chunk) if times is None else times
            self._refuse(chunk, converter, [Refused("ended", times, chunk.values)])
        else:
            self._accept(chunk, times, recording, converter, seen)
        return True

    def _hear(self, chunk: Chunk) -> None:
        named = chunk.stream in self._plans
        heard = self._hearing.stream(chunk, self._offset, self._schemas.get(chunk.schema), named=named)
        if heard is not None:
            self._finished.described.append(heard)
            self._finished.bytes += 128

    def _ready(self, chunk: Chunk) -> bool:
        """Settle what a stream's next description must not touch; False where there is enough output before that."""
        stream = self._streams.get((chunk.device, chunk.recording, chunk.stream))
        if stream is not None and stream.schema != chunk.schema:
            recording = self._recordings[chunk.device, chunk.recording]
            self._settle(recording, self._offset - 1)
            recording.flush()
        return not self._left

    def _accept(
        self, chunk: Chunk, times: Times | None, recording: Recording, converter: Converter, seen: IntervalSet
    ) -> None:
        stream = recording.streams[chunk.stream]
        if stream.seen is not seen or stream.schema != chunk.schema:
            stream.adopt(chunk.boot, seen, chunk.schema, converter)
        limit_ns = self._intake.time.limit_ns
        refused = stream.accept(chunk, times, limit_ns)
        stream.lead(chunk.count, limit_ns)
        kept = chunk.count - sum(len(part.times) for part in refused)
        self._count(kept > 0, kept)
        if refused:
            self._refuse(chunk, converter, refused)

    def _pass_over(self, chunk: Chunk, times: Times | None, recording: Recording | None) -> None:
        """A chunk that cannot be windowed still says how far its stream has come."""
        times = sample_times(chunk) if times is None else times
        complete_to = int(times.max()) + 1
        if recording is not None and complete_to - 1 <= self._intake.time.limit_ns:
            recording.progress(chunk.stream, complete_to, self._intake.time.limit_ns)

    def _refuse(self, chunk: Chunk, converter: Converter, refused: list[Refused]) -> None:
        finished = self._finished
        for reason, times, values in refused:
            if reason == "quarantine":
                self._intake.quarantine(chunk.device, len(times), int(times.max()))
            else:
                finished.counts["late.samples"] += len(times)
            physical = converter.physical(values)
            finished.bytes += physical.nbytes + times.nbytes + 64
            finished.late.append(
                Late(
                    chunk.device,
                    chunk.stream,
                    chunk.recording,
                    chunk.boot,
                    chunk.seq,
                    self._offset,
                    times,
                    physical,
                    reason,
                )
            )

    def _on_record(self, record: Record) -> bool:
        """Take any other record; False, and nothing lost, where there is enough output before it."""
        handler = _HANDLERS.get(type(record))
        if (whom := forgotten_by(record)) is not None:
            self._on_forget(*whom)
        elif handler is None:
            self._finished.counts["other.records"] += 1
        elif self._intake.is_forgotten(record.device, record.recording):  # type: ignore[union-attr]
            self._finished.counts["forgotten.records"] += 1
        else:
            handler(self, record)
        return not self._left

    def _on_start(self, record: RecordingStart) -> None:
        self._touch((record.device, record.recording))
        self._finished.counts["started.recordings"] += 1
        heard = started(record, self._offset)
        if heard is not None:
            self._finished.started.append(heard)
            self._finished.bytes += 128

    def _on_end(self, record: RecordingEnd) -> None:
        key = (record.device, record.recording)
        recording = self._recordings.get(key)
        if recording is not None and not recording.close(self._offset, self._finished, self._bound_bytes):
            self._left = True
        elif self._intake.end(key):
            self._remove(key)
            self._finished.counts["ended.recordings"] += 1

    def _on_gap(self, record: Gap) -> None:
        self._touch((record.device, record.recording))
        self._finished.counts["gap.records"] += 1
        if record.samples > 0:
            self._intake.count_reason("gap.samples", record.reason, record.samples)

    def _on_progress(self, record: Progress) -> None:
        recording = self._touch((record.device, record.recording))
        if record.stream not in self._plans or recording is None:
            return
        if record.complete_to_ns > self._intake.time.limit_ns:
            self._finished.counts["quarantine.progress"] += 1
        else:
            recording.progress(record.stream, record.complete_to_ns, self._intake.time.limit_ns)

    def _on_forget(self, device: str, recording: str) -> None:
        for key in self._intake.forget(device, recording):
            removed = self._remove(key)
            if removed is not None:
                self._finished.counts["forgotten"] += removed.discard(self._offset, self._finished)

    def _bury(self, batch: LogBatch, index: int, error: WireError) -> None:
        """A record that cannot be understood goes to the dead letters."""
        self._offset = batch.offsets[index]
        self._finished.counts["undecodable"] += 1
        self._finished.bytes += len(batch.values[index])
        self._finished.publications.append(dead_letter(batch, index, str(error)))

    # What is known of recordings, and for how long.

    def _converter(self, stream: str, schema: bytes) -> Converter | None:
        converter = self._converters.get((stream, schema))
        if converter is None and schema in self._schemas:
            converter = self._converters[stream, schema] = Converter(self._schemas[schema], self._plans[stream])
        return converter

    def _touch(self, key: Key) -> Recording | None:
        """The recording that a record belongs to, begun or gone on with; None where it has ended."""
        known = self._intake.touch(key)
        return None if known is None else self._recording(known)

    def _recording(self, known: OpenRecording) -> Recording:
        key = (known.device, known.name)
        recording = self._recordings.get(key)
        if recording is None:
            recording = Recording(self._layout, self._marks.get(key[0], ()), known, self._unsettled)
            self._admit(key, recording)
        return recording

    def _admit(self, key: Key, recording: Recording) -> None:
        self._recordings[key] = recording
        for name, stream in recording.streams.items():
            self._streams[(*key, name)] = stream

    def _remove(self, key: Key) -> Recording | None:
        """Let go of a recording."""
        recording = self._recordings.pop(key, None)
        if recording is not None:
            for name, stream in recording.streams.items():
                stream.peers = ()  # they know each other: memory is free at once
                del self._streams[(*key, name)]
        return recording

    def _advance(self, append_ns: int, offset: int) -> None:
        """The next record's append time: close what is abandoned, drop what is long over."""
        swept = self._intake.advance(append_ns)
        if swept is not NOTHING:
            self._offset = offset
            for key in swept.abandoned:
                self._recordings[key].close(offset, self._finished)
            for key in swept.dropped:
                self._remove(key)

    # The state as plain data.

    def snapshot(self) -> Saved:
        """The state; called when nothing is pending but what `take` left uncut."""
        recordings = [save_recording(recording) for recording in self._recordings.values()]
        schemas = sorted({stream.schema for recording in recordings for stream in recording.streams if stream.pieces})
        described = [(schema, self._schemas.get(schema) or self._collected_schemas[schema]) for schema in schemas]
        return Saved.of(self._intake.save(), self._offset, recordings, described)

    def _restore(self, saved: Saved) -> None:
        self._offset = saved.offset
        self._collected_schemas = dict(saved.schemas)
        for entry in saved.recordings:
            key = (entry.device, entry.name)
            marks = self._marks.get(entry.device, ())
            known = self._intake.open_recording(key)
            self._admit(
                key, restore_recording(entry, self._layout, marks, known, self._unsettled, self._collected_schemas)
            )
        self.settle()


_HANDLERS: Final[Mapping[type, Callable[..., None]]] = {
    RecordingStart: Windower._on_start,
    RecordingEnd: Windower._on_end,
    Gap: Windower._on_gap,
    Progress: Windower._on_progress,
}
