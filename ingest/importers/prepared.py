"""An import before anything is written: its runs of samples, what they are called, and the records that they become."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.chunker import Limits, Origin, chunk_end_ns, periodic_chunks, stamped_chunks
from ingest.importers.joining import CLOCK_STEP, Joined
from ingest.importers.labels import Span
from ingest.importers.marks import imported_mark
from ingest.importers.options import ReadingsOptions
from ingest.importers.source import Lines
from ingest.records import Chunk, Clock, MarkAdd, Record, RecordingEnd, RecordingStart, StreamDescription, schema_id
from ingest.times import Times, advance


class Event(NamedTuple):
    """A label that the file has beside its samples, over `[start_ns, end_ns)`; an instant where both are equal."""

    start_ns: int
    end_ns: int
    label: str


@dataclass(frozen=True, slots=True)
class Run:
    """Samples of one recording: on a grid of `period` from `times[0]` on, or with a time each. A grid may be in pieces:
    then `times` has the first time of each."""

    recording: str
    times: Times
    values: NDArray[Any]
    period: tuple[int, int] | None
    labels: tuple[Span, ...] = ()
    """What its samples are called."""
    starts: tuple[int, ...] = (0,)
    """The first sample of each piece."""

    def pieces(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """The time of the first sample, and the samples, of each piece of a grid."""
        for t0_ns, (first, behind) in zip(self.times.tolist(), pairwise([*self.starts, len(self.values)]), strict=True):
            yield t0_ns, self.values[first:behind]

    def moved(self, by_ns: int) -> Run:
        """The same at another time."""
        return replace(self, times=self.times + by_ns)

    def time_of(self, index: int) -> int:
        """The instant of a sample; of the one behind the last, where it would lie."""
        if self.period is not None:
            piece = bisect_right(self.starts, index) - 1
            return advance(int(self.times[piece]), 0, *self.period, index - self.starts[piece])[0]
        if index < len(self.times):
            return int(self.times[index])
        return int(self.times[-1]) + self.step_ns()

    def step_ns(self) -> int:
        """The usual time between two samples."""
        if self.period is not None:
            return self.period[0] // self.period[1]
        return max(1, int(np.median(np.diff(self.times)))) if len(self.times) > 1 else 1

    def end_of(self, span: Span) -> int:
        """Where a label ends: at the next sample, or a usual step behind its last one where that comes earlier."""
        return min(self.time_of(span.behind), self.time_of(span.behind - 1) + max(self.step_ns(), 1))


@dataclass(slots=True)
class Summary:
    """What an import did; `as_dict` is what `--json` prints."""

    device: str
    stream: str
    boot: str
    dtype: str
    channels: list[str]
    samples: int
    chunks: int = 0
    bytes: int = 0
    """On the wire, times and record headers included."""
    lines: int | None = None
    """Of a text; None where the file has none. The sum of the next six, the samples and the rows left out."""
    header_lines: int = 0
    comment_lines: int = 0
    blank_lines: int = 0
    continued_lines: int = 0
    torn_lines: int = 0
    skipped_lines: int = 0
    short_rows: int = 0
    marks: int = 0
    """That labels became."""
    missing_cells: int = 0
    infinite_cells: int = 0
    """`inf`, or a number that no float64 holds: no sensor measured that, so they are among the missing ones."""
    beyond_float32: int = 0
    """Kept as float64, and missing in training windows, which are float32."""
    repeated_stamps: int = 0
    jittered_stamps: int = 0
    spread_stamps: int = 0
    ambiguous_stamps: int = 0
    start_ns: int = 0
    end_ns: int = 0
    recordings: list[str] = field(default_factory=list)
    clock_steps: list[dict[str, Any]] = field(default_factory=list)
    lost: dict[str, int] = field(default_factory=dict)
    """What of the file could not be read, by kind."""
    left_open: bool = False
    notes: list[str] = field(default_factory=list)
    """What a person should know."""

    def count(self, lines: Lines) -> None:
        """Take over what became of a text's lines."""
        self.lines, self.header_lines, self.comment_lines = lines.total, lines.header, lines.comments
        self.blank_lines, self.continued_lines, self.torn_lines = lines.blank, lines.continued, lines.torn
        self.short_rows, self.skipped_lines = lines.short, lines.skipped

    def steps_in_words(self) -> list[str]:
        """The steps of the clock, each as a person should hear of it."""
        return [
            f"{step['at']}: the clock steps {'back' if step['back_ns'] > 0 else 'forward'} by "
            f'{abs(step["back_ns"]) / 1e9:g} s: recording "{step["recording"]}" begins'
            for step in self.clock_steps
        ]

    def as_dict(self) -> dict[str, Any]:
        """Plain data, with bytes per sample."""
        result = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return result | {"bytes_per_sample": round(self.bytes / self.samples, 2)}


@dataclass(frozen=True, slots=True)
class Prepared:
    """An import before anything is written."""

    options: ReadingsOptions
    description: StreamDescription
    boot: bytes
    runs: tuple[Run, ...]
    summary: Summary
    shift_ns: int = 0
    """What `--start` added to the times of the file's own clock."""
    events: tuple[Event, ...] = ()
    """What the file has labelled beside its samples."""
    clock: str = "import"
    """As `ingest.records.Clock.source`."""

    @property
    def base(self) -> str:
        """The recording, without the number that a step of the clock adds."""
        return self.runs[0].recording

    @property
    def end_ns(self) -> int:
        """Where the next sample would lie."""
        return max(run.time_of(len(run.values)) for run in self.runs)

    def moved(self, by_ns: int) -> Prepared:
        """The same at another time. The name of the import stays: it is of what the file holds."""
        if not by_ns:
            return self
        runs = tuple(run.moved(by_ns) for run in self.runs)
        summary = replace(self.summary, start_ns=self.summary.start_ns + by_ns)
        events = tuple(Event(it.start_ns + by_ns, it.end_ns + by_ns, it.label) for it in self.events)
        return replace(self, runs=runs, summary=summary, events=events)

    def marks(self) -> list[MarkAdd]:
        """What labels become: ranges of the device, whose ends are exclusive."""
        device, author = self.options.device, self.options.author
        beside = [imported_mark(device, it.start_ns, it.end_ns, it.label, author) for it in self.events]
        return beside + [
            imported_mark(device, run.time_of(span.first), run.end_of(span), span.label, author)
            for run in self.runs
            for span in run.labels
        ]

    def records(self, joined: Joined) -> Iterator[Record]:
        """Everything that goes to `readings`, in order; counts into `summary` on the way."""
        device, stream, boot, schema = self.options.device, self.options.stream, self.boot, schema_id(self.description)
        seq = 0
        for number, run in enumerate(self.runs):
            origin = Origin(device, run.recording, stream, boot, schema, Clock(self.clock))
            reason = CLOCK_STEP if number else "import"
            attributes = dict(self.options.attributes)
            yield RecordingStart(device, run.recording, boot, int(run.times[0]), reason, attributes=attributes)
            chunk: Chunk | None = None
            for chunk in _chunks(origin, run, self.options.limits, seq):
                yield chunk
            assert chunk is not None
            seq = chunk.seq + 1
            end_ns = chunk_end_ns(chunk)
            self.summary.end_ns = max(self.summary.end_ns, end_ns)
            if not self.options.open:
                last = number == len(self.runs) - 1
                end_ns = max(end_ns, joined.end_ns(run.recording))
                yield RecordingEnd(device, run.recording, boot, end_ns, "end_of_file" if last else CLOCK_STEP)
        self.summary.chunks = seq
        if not self.options.open:
            for recording in joined.still_open({run.recording for run in self.runs}):
                yield RecordingEnd(device, recording, boot, joined.end_ns(recording), "end_of_file")


def named(prepared: Prepared) -> Prepared:
    """An import whose boot is its content's alone so far: cut at its pace, with the boot that says how it is cut."""
    runs = prepared.runs
    steps = sum(len(run.values) - 1 for run in runs)
    lasting_ns = sum(run.time_of(len(run.values) - 1) - run.time_of(0) for run in runs)
    options = prepared.options.paced(steps, lasting_ns)
    boot = options.boot(prepared.boot)
    prepared.summary.boot = boot.hex()
    return replace(prepared, options=options, boot=boot)


def _chunks(origin: Origin, run: Run, limits: Limits, seq: int) -> Iterator[Chunk]:
    if run.period is None:
        yield from stamped_chunks(origin, run.times, run.values, limits, seq)
        return
    for t0_ns, values in run.pieces():
        for chunk in periodic_chunks(origin, t0_ns, run.period, values, limits, seq):
            yield chunk
            seq = chunk.seq + 1
