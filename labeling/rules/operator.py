"""The rules as an operator of the exactly-once engine: `readings` in, marks out.

A chain of its own, beside the windower's: the windower stays as it is, a rule file can change while the windows go on,
and marks, which are published before the seal and named by what they are, may come twice without harm.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np

from ingest.engine.operator import Output, Publication, State
from ingest.errors import CorruptError, StateVersionError, WireError
from ingest.forgetting import Forgotten, forgotten_by
from ingest.intake import Intake, SavedIntake
from ingest.intake import without as intake_without
from ingest.log.protocol import MARKS, Entry, LogBatch
from ingest.records import (
    Chunk,
    Gap,
    MarkAdd,
    Progress,
    Record,
    RecordingEnd,
    RecordingStart,
    StreamDescription,
)
from ingest.times import sample_times
from ingest.wire import check_chunk, encode, parse
from labeling.rules.ruleset import SEMANTICS, RuleSet
from labeling.rules.saving import STATE_VERSION, restore, save
from labeling.rules.saving import without as state_without
from labeling.rules.state import RuleState

CODE: Final = 1000 * SEMANTICS + STATE_VERSION
"""The version of the saved state and of what rules mean."""
_DIGEST: Final = 16
_NOTE_CHARACTERS_MAX: Final = 1000


class _Saved(msgspec.Struct, array_like=True, gc=False):
    intake: SavedIntake
    rules: bytes


class RulesOperator:
    """`ingest.engine.operator.Operator` that runs a set of rules over `readings`."""

    name = "rules"
    code = CODE

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules
        self._schemas: dict[bytes, StreamDescription] = {}

    @property
    def spec(self) -> str:
        """The rules' revision."""
        return self.rules.revision

    def learn(self, schema: bytes, description: StreamDescription) -> None:
        """See `Operator`."""
        self._schemas[schema] = description

    def start(self, saved: State | None) -> RunningRules:
        """See `Operator`."""
        if saved is None:
            return RunningRules(self.rules, self._schemas)
        data = b"".join(saved)
        digest, body = data[:_DIGEST], data[_DIGEST:]
        if hashlib.sha256(body).digest()[:_DIGEST] != digest:
            raise CorruptError("rules state: its checksum does not match; remove the rules' folder to start them anew")
        try:
            state = msgspec.msgpack.decode(body, type=_Saved)
        except (msgspec.MsgspecError, ValueError) as error:
            raise StateVersionError(f"rules state: {error}; remove the rules' folder to start them anew") from None
        return RunningRules(self.rules, self._schemas, state)


def without(parts: State, whom: Forgotten) -> State:
    """The state without what is to be forgotten; the same parts where it has nothing of that. Raises `CorruptError`."""
    data = b"".join(parts)
    digest, body = data[:_DIGEST], data[_DIGEST:]
    if hashlib.sha256(body).digest()[:_DIGEST] != digest:
        raise CorruptError("rules state: its checksum does not match; remove the rules' folder to start them anew")
    state = msgspec.msgpack.decode(body, type=_Saved)
    kept = _Saved(intake_without(state.intake, whom), state_without(state.rules, whom))
    if (kept.intake, kept.rules) == (state.intake, state.rules):
        return parts
    body = msgspec.msgpack.encode(kept)
    return (hashlib.sha256(body).digest()[:_DIGEST] + body,)


class RunningRules:
    """The rules at work on one partition; see `ingest.engine.operator.Running`."""

    urgent = False

    def __init__(self, rules: RuleSet, schemas: Mapping[bytes, StreamDescription], saved: _Saved | None = None) -> None:
        self._schemas = schemas
        self._streams = rules.streams
        self._state = RuleState(rules) if saved is None else restore(rules, saved.rules)
        self._counts: Counter[str] = Counter()
        self._intake = Intake(self._counts, None if saved is None else saved.intake)
        self._state.counts = self._counts
        self.missing_schema: bytes | None = None
        """The schema id that `feed` stopped at."""

    def feed(self, batch: LogBatch) -> int:
        """See `Running`."""
        self.missing_schema = None
        newest_ns = None
        for index, (data, append_ns) in enumerate(zip(batch.values, batch.append_ns, strict=True)):
            if append_ns != newest_ns:
                newest_ns = append_ns
                self._advance(append_ns)
            try:
                record = parse(data)
                if type(record) is not Chunk:
                    self._on_record(record)
                elif not self._on_chunk(record):
                    return index
            except WireError:  # the windower sends it to the dead letters
                self._counts["undecodable"] += 1
        return len(batch)

    def _advance(self, append_ns: int) -> None:
        abandoned, dropped = self._intake.advance(append_ns)
        for key in abandoned:
            self._state.close(*key)
        for key in dropped:
            self._state.end(*key)

    def _on_chunk(self, chunk: Chunk) -> bool:
        """Take a chunk; False, and nothing done, where its schema is not known."""
        check_chunk(chunk)
        intake = self._intake
        if intake.is_forgotten(chunk.device, chunk.recording):
            intake.pass_over(chunk)
            self._counts["forgotten.samples"] += chunk.count
            return True
        if chunk.stream not in self._streams:
            intake.pass_by(chunk)
            return True
        description = self._schemas.get(chunk.schema)
        if description is None:
            self.missing_schema = chunk.schema
            return False
        dtype: np.dtype[Any] = np.dtype(description.dtype).newbyteorder("<")
        channels = len(description.channels)
        if len(chunk.values) != chunk.count * channels * dtype.itemsize:
            raise WireError(f"chunk: found {len(chunk.values)} bytes of values, its schema says otherwise")
        times = sample_times(chunk)
        verdict = intake.admit(chunk).verdict
        if verdict == "ended":
            self._counts["late.samples"] += chunk.count
        if verdict != "counts":
            return True
        values = np.frombuffer(chunk.values, dtype=dtype).reshape(-1, channels)
        ahead = times > intake.time.limit_ns
        if ahead.any():
            intake.quarantine(chunk.device, int(ahead.sum()), int(times.max()))
            times, values = times[~ahead], values[~ahead]
        self._state.feed(chunk.device, chunk.recording, chunk.stream, times, values, description)
        return True

    def _on_record(self, record: Record) -> None:
        if (whom := forgotten_by(record)) is not None:
            self._intake.forget(*whom)
            self._state.forget(*whom)
            return
        match record:
            case RecordingStart() | RecordingEnd() | Gap() | Progress():
                if self._intake.is_forgotten(record.device, record.recording):
                    self._counts["forgotten.records"] += 1
                else:
                    self._on_reading(record)
            case _:
                self._counts["other.records"] += 1

    def _on_reading(self, record: RecordingStart | RecordingEnd | Gap | Progress) -> None:
        key = (record.device, record.recording)
        if isinstance(record, RecordingEnd):
            if self._intake.end(key):
                self._state.end(*key)
            return
        goes_on = self._intake.touch(key) is not None
        if isinstance(record, Progress) and goes_on:
            if record.complete_to_ns > self._intake.time.limit_ns:
                self._counts["quarantine.progress"] += 1
            else:
                self._state.progress(*key, record.stream, record.complete_to_ns)

    def skip(self, wanted: int, begin: int) -> None:
        """See `Running`."""
        self._counts["lost.offsets"] += begin - wanted

    @property
    def pending_bytes(self) -> int:
        """See `Running`."""
        return self._state.pending_bytes

    def take(self, tag: str = "") -> Output:
        """See `Running`: the marks that were finished, to be published before the seal."""
        marks = sorted(self._state.take(), key=_order)
        notes = [
            f'rule "{label}" does not run on {where}: {shortened(reason)}'
            for (label, reason), where in self._state.faults.items()
        ]
        notes += [
            f'rule "{label}" has a max_gap shorter than the time between samples of {stream} on {where}: '
            "every sample is a gap, and a mark of its own; give the rule a longer max_gap, or none"
            for (label, stream), where in self._state.short_gaps.items()
        ]
        notes += [
            f'rule "{label}" waited a day for {stream}, which {device} for one does not send any more: '
            "without it, it is unknown there; what comes of it later is left out, counted as unwaited.samples"
            for (label, stream), device in self._state.unwaited.items()
        ]
        output = Output((), tuple(map(_publication, marks)), Counter(self._counts), [*self._intake.time.notes, *notes])
        self._counts.clear()
        return output

    def snapshot(self) -> State:
        """See `Running`."""
        body = msgspec.msgpack.encode(_Saved(self._intake.save(), save(self._state)))
        return (hashlib.sha256(body).digest()[:_DIGEST] + body,)


def shortened(text: str) -> str:
    """A text that quotes what devices say, of bounded length."""
    return text if len(text) <= _NOTE_CHARACTERS_MAX else text[:_NOTE_CHARACTERS_MAX] + " …"


def _order(mark: MarkAdd) -> tuple[str, int, int, str]:
    return mark.device, mark.start_ns, mark.end_ns, mark.id


def _publication(mark: MarkAdd) -> Publication:
    return Publication(MARKS, Entry(mark.device.encode(), encode(mark)))
