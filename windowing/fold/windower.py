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
from ingest.errors import WireError
from ingest.intervals import IntervalSet
from ingest.lifetimes import ABANDONED_NS, DAY_NS, DEDUPE_MEMORY_NS
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
from ingest.times import Times, sample_times
from ingest.wire import check_chunk, parse
from windowing.fold.anchors import AnchorMark, Layout
from windowing.fold.convert import Converter
from windowing.fold.cutting import Finished, Late
from windowing.fold.recordings import Recording
from windowing.fold.state import Saved, SavedIdentity, restore_recording, save_recording
from windowing.fold.streams import NEVER, UNSYNCED, Refused, Stream

_FAR: Final = 1 << 62
_COLLECT_BYTES: Final = 8 << 20
_REASON_CHARACTERS: Final = 48


class Identity:
    """The sequence numbers seen of one (device, stream, boot)."""

    __slots__ = ("seen", "touched_ns")

    def __init__(self, touched_ns: int, seen: IntervalSet | None = None) -> None:
        self.seen = IntervalSet() if seen is None else seen
        self.touched_ns = touched_ns
        """Not before the append time at which its last recording ended."""


class Windower:
    """The fold at work on one partition."""

    def __init__(
        self,
        layout: Layout,
        marks: Iterable[AnchorMark],
        schemas: Mapping[bytes, StreamDescription],
        saved: Saved | None = None,
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
        self._ended: dict[tuple[str, str], int] = {}
        self._identities: dict[tuple[str, str, bytes], Identity] = {}
        self._forgotten: set[str] = set()
        self._append_ns = NEVER
        self._sweep_ns = _FAR
        self._offset = -1
        self._collected_bytes = 0
        self._finished = Finished()
        self.missing_schema: bytes | None = None
        """The schema id that `feed` stopped at."""
        if saved is not None:
            self._restore(saved)

    @property
    def pending_bytes(self) -> int:
        """About how many bytes of output there are."""
        return self._finished.bytes

    def feed(self, batch: LogBatch) -> int:
        """Fold the records in; how many were taken (see `ingest.engine.operator.Running`)."""
        self.missing_schema = None
        find = self._streams.get
        append_ns = self._append_ns
        for index, (data, appended_ns) in enumerate(zip(batch.values, batch.append_ns, strict=True)):
            if appended_ns > append_ns:
                append_ns = self._append_ns = appended_ns
                if append_ns > self._sweep_ns:
                    self._offset = batch.offsets[index] - 1
                    self._sweep()
            try:
                record = parse(data)
                if type(record) is Chunk:
                    stream = find((record.device, record.recording, record.stream))
                    if stream is not None and stream.extend(record, append_ns):
                        continue
                    self._offset = batch.offsets[index]
                    check_chunk(record)
                    if stream is not None and self._resume(stream, record):
                        continue
                    if not self._on_chunk(record):
                        return index
                else:
                    self._offset = batch.offsets[index]
                    self._on_record(record)
            except WireError as error:
                self._bury(batch, index, error)
        if batch.values:
            self._offset = batch.offsets[-1]
            self._collected_bytes += sum(map(len, batch.values))
            if self._collected_bytes > _COLLECT_BYTES:
                self.settle()
        return len(batch)

    def skip(self, wanted: int, begin: int) -> None:
        """The log no longer has `[wanted, begin)`."""
        self._finished.counts["lost.offsets"] += begin - wanted

    def settle(self) -> None:
        """Cut every window that is final."""
        self._collected_bytes = 0
        for recording in self._recordings.values():
            recording.settle(self._offset, self._finished)

    def take(self) -> Finished:
        """What was finished since the last call."""
        self.settle()
        finished, self._finished = self._finished, Finished()
        return finished

    # One record.

    def _resume(self, stream: Stream, chunk: Chunk) -> bool:
        """Settle the recording of a stream that has collected enough; did the chunk continue it then?"""
        if not stream.full:
            return False
        self._recordings[chunk.device, chunk.recording].settle(self._offset - 1, self._finished)
        return stream.extend(chunk, self._append_ns)

    def _on_chunk(self, chunk: Chunk) -> bool:
        """Take any chunk; False, and nothing done, where its schema is not known."""
        key = (chunk.device, chunk.recording)
        counts = self._finished.counts
        if chunk.device in self._forgotten:
            counts["forgotten.samples"] += chunk.count
            return True
        if chunk.stream not in self._plans:
            counts["unnamed.samples"] += chunk.count
            self._touch(key)
            return True
        converter = self._converter(chunk.stream, chunk.schema)
        if converter is None:
            self.missing_schema = chunk.schema
            return False
        if len(chunk.values) != chunk.count * converter.sample_bytes:
            found, expected = len(chunk.values), chunk.count * converter.sample_bytes
            raise WireError(f"chunk: found {found} bytes of values, its schema says {expected}")
        times = None if chunk.period_den > 0 else sample_times(chunk)
        seen = self._identify(chunk)
        if seen is None:
            if key in self._recordings:
                self._touch(key)
            return True
        recording = self._touch(key)
        if recording is not None:
            recording.boots.add(chunk.boot)
        if chunk.clock is not None and chunk.clock.source == UNSYNCED:
            counts["unsynced.samples"] += chunk.count
        elif chunk.clock is not None and chunk.clock.uncertainty_ns > self._plans[chunk.stream].max_uncertainty_ns:
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

    def _accept(
        self, chunk: Chunk, times: Times | None, recording: Recording, converter: Converter, seen: IntervalSet
    ) -> None:
        stream = recording.streams[chunk.stream]
        if stream.schema != chunk.schema:
            recording.settle(self._offset - 1, self._finished)
        if stream.seen is not seen or stream.schema != chunk.schema:
            stream.adopt(chunk.boot, seen, chunk.schema, converter)
        refused = stream.accept(chunk, times, self._append_ns)
        if refused:
            self._refuse(chunk, converter, refused)

    def _identify(self, chunk: Chunk) -> IntervalSet | None:
        """The sequence numbers of the chunk's boot, now with its own; None where it is a duplicate."""
        counts = self._finished.counts
        key = (chunk.device, chunk.stream, chunk.boot)
        identity = self._identities.get(key)
        if identity is None:
            identity = self._identities[key] = Identity(self._append_ns)
            self._sweep_ns = min(self._sweep_ns, self._append_ns + DEDUPE_MEMORY_NS)
        identity.touched_ns = max(identity.touched_ns, self._append_ns)
        seen = identity.seen
        missing = seen.missing
        if not seen.add(chunk.seq):
            counts["duplicate.chunks"] += 1
            counts["duplicate.samples"] += chunk.count
            return None
        if seen.missing != missing:
            counts["missing.chunks"] += seen.missing - missing
        if chunk.missing > 0:
            self._count_reason("missing.samples", chunk.missing_reason, chunk.missing)
        return seen

    def _pass_over(self, chunk: Chunk, times: Times | None, recording: Recording | None) -> None:
        """A chunk that cannot be windowed still says how far its stream has come."""
        times = sample_times(chunk) if times is None else times
        complete_to = int(times.max()) + 1
        if recording is not None and complete_to - 1 <= self._append_ns + DAY_NS:
            recording.progress(chunk.stream, complete_to)

    def _refuse(self, chunk: Chunk, converter: Converter, refused: list[Refused]) -> None:
        finished = self._finished
        for reason, times, values in refused:
            finished.counts["quarantine.samples" if reason == "quarantine" else "late.samples"] += len(times)
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

    def _on_record(self, record: Record) -> None:
        handler = _HANDLERS.get(type(record))
        if handler is None:
            self._finished.counts["other.records"] += 1
        elif isinstance(record, Forget):
            self._on_forget(record)
        elif record.device in self._forgotten:  # type: ignore[union-attr]
            self._finished.counts["forgotten.records"] += 1
        else:
            handler(self, record)

    def _on_start(self, record: RecordingStart) -> None:
        self._touch((record.device, record.recording))
        self._finished.counts["started.recordings"] += 1

    def _on_end(self, record: RecordingEnd) -> None:
        key = (record.device, record.recording)
        if key not in self._ended:
            recording = self._recordings.pop(key, None)
            if recording is not None:
                recording.close(self._offset, self._finished)
                self._drop_streams(recording)
                self._retain(recording)
            self._ended[key] = self._append_ns
            self._sweep_ns = min(self._sweep_ns, self._append_ns + DEDUPE_MEMORY_NS)
            self._finished.counts["ended.recordings"] += 1

    def _on_gap(self, record: Gap) -> None:
        self._touch((record.device, record.recording))
        self._finished.counts["gap.records"] += 1
        if record.samples > 0:
            self._count_reason("gap.samples", record.reason, record.samples)

    def _on_progress(self, record: Progress) -> None:
        recording = self._touch((record.device, record.recording))
        if record.stream not in self._plans or recording is None:
            return
        if record.complete_to_ns - self._append_ns > DAY_NS:
            self._finished.counts["quarantine.progress"] += 1
        else:
            recording.progress(record.stream, record.complete_to_ns)

    def _on_forget(self, record: Forget) -> None:
        device = record.device
        self._forgotten.add(device)
        for key in [key for key in self._recordings if key[0] == device]:
            recording = self._recordings.pop(key)
            self._finished.counts["forgotten"] += recording.discard(self._offset, self._finished)
            self._drop_streams(recording)
        self._ended = {key: at for key, at in self._ended.items() if key[0] != device}
        self._identities = {key: identity for key, identity in self._identities.items() if key[0] != device}

    def _bury(self, batch: LogBatch, index: int, error: WireError) -> None:
        """A record that cannot be understood goes to the dead letters."""
        self._offset = batch.offsets[index]
        self._finished.counts["undecodable"] += 1
        self._finished.bytes += len(batch.values[index])
        self._finished.publications.append(dead_letter(batch, index, str(error)))

    def _count_reason(self, name: str, reason: str, count: int) -> None:
        self._finished.counts[name] += count
        if reason:
            self._finished.counts[f"{name}.{reason[:_REASON_CHARACTERS]}"] += count

    # What is known of recordings, and for how long.

    def _converter(self, stream: str, schema: bytes) -> Converter | None:
        converter = self._converters.get((stream, schema))
        if converter is None and schema in self._schemas:
            converter = self._converters[stream, schema] = Converter(self._schemas[schema], self._plans[stream])
        return converter

    def _touch(self, key: tuple[str, str]) -> Recording | None:
        """The recording that a record belongs to, begun or gone on with; None where it has ended."""
        recording = self._recordings.get(key)
        if recording is None:
            if key in self._ended:
                return None
            recording = Recording(self._layout, self._marks.get(key[0], ()), *key)
            self._admit(key, recording)
        recording.touched_ns = self._append_ns
        recording.closed = False
        return recording

    def _admit(self, key: tuple[str, str], recording: Recording) -> None:
        self._recordings[key] = recording
        self._sweep_ns = min(self._sweep_ns, self._append_ns + ABANDONED_NS)
        for name, stream in recording.streams.items():
            self._streams[(*key, name)] = stream

    def _drop_streams(self, recording: Recording) -> None:
        for name in recording.streams:
            del self._streams[recording.device, recording.name, name]

    def _retain(self, recording: Recording) -> None:
        """The recording is over: its boots are known for a while yet."""
        for stream in self._plans:
            for boot in recording.boots:
                identity = self._identities.get((recording.device, stream, boot))
                if identity is not None:
                    identity.touched_ns = max(identity.touched_ns, self._append_ns)

    def _sweep(self) -> None:
        """Close what is abandoned, forget what is long over; say when to look again."""
        now = self._append_ns
        for key, recording in list(self._recordings.items()):
            silent = now - recording.newest_ns
            if not recording.closed and silent > ABANDONED_NS:
                recording.close(self._offset, self._finished)
                recording.closed = True
                self._finished.counts["abandoned.recordings"] += 1
                self._retain(recording)
                recording.touched_ns = now
            elif recording.closed and silent > DEDUPE_MEMORY_NS:
                del self._recordings[key]
                self._drop_streams(recording)
        self._ended = {key: at for key, at in self._ended.items() if now - at <= DEDUPE_MEMORY_NS}
        open_boots = {(r.device, boot) for r in self._recordings.values() if not r.closed for boot in r.boots}
        self._identities = {
            key: identity
            for key, identity in self._identities.items()
            if (key[0], key[2]) in open_boots or now - identity.touched_ns <= DEDUPE_MEMORY_NS
        }
        self._sweep_ns = min((at + min(ABANDONED_NS, DEDUPE_MEMORY_NS) for at in self._times(open_boots)), default=_FAR)

    def _times(self, open_boots: set[tuple[str, bytes]]) -> Iterable[int]:
        yield from (recording.newest_ns for recording in self._recordings.values())
        yield from self._ended.values()
        yield from (i.touched_ns for key, i in self._identities.items() if (key[0], key[2]) not in open_boots)

    # The state as plain data.

    def snapshot(self) -> Saved:
        """The state; called when nothing is pending."""
        self.settle()
        return Saved(
            append_ns=self._append_ns,
            offset=self._offset,
            forgotten=sorted(self._forgotten),
            ended=[(*key, at) for key, at in self._ended.items()],
            recordings=[save_recording(recording) for recording in self._recordings.values()],
            identities=[
                SavedIdentity(*key, identity.touched_ns, identity.seen.pairs())
                for key, identity in self._identities.items()
            ],
        )

    def _restore(self, saved: Saved) -> None:
        self._append_ns = saved.append_ns
        self._offset = saved.offset
        self._forgotten = set(saved.forgotten)
        self._ended = {(device, recording): at for device, recording, at in saved.ended}
        for identity in saved.identities:
            key = (identity.device, identity.stream, identity.boot)
            self._identities[key] = Identity(identity.touched_ns, IntervalSet(identity.seen))
        for entry in saved.recordings:
            marks = self._marks.get(entry.device, ())
            recording = restore_recording(entry, self._layout, marks)
            self._admit((entry.device, entry.name), recording)
        self._sweep_ns = min(self._append_ns, self._sweep_ns) if self._append_ns != NEVER else _FAR


_HANDLERS: Final[Mapping[type, Callable[..., None]]] = {
    RecordingStart: Windower._on_start,
    RecordingEnd: Windower._on_end,
    Gap: Windower._on_gap,
    Progress: Windower._on_progress,
    Forget: Windower._on_forget,
}
