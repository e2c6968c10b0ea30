"""A file of samples into the log: the stream's description, then a recording's start, chunks and end.

An import is named by its content: its recording, and most of its boot, are a hash of the file's content and of the
options that matter, so that importing twice adds nothing downstream, however each was cut into chunks. What happens to
times that repeat or step back is told in `order`. What became of every line of a text is in the summary: lines =
header + comments + blank + continued + torn ones + samples + rows left out.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.chunker import Limits, Origin, chunk_end_ns, periodic_chunks, stamped_chunks
from ingest.errors import LogConfigError, PermanentError, UsageError
from ingest.importers.joining import CLOCK_STEP, CONTENT_BYTES, Joined, find_joined
from ingest.importers.numbers import choose, pack
from ingest.importers.order import Ordered, Repeated, order
from ingest.importers.publish import publish
from ingest.importers.source import Lines, Source, Table, read_source
from ingest.importers.stamps import Reading, check_plausible, read_stamp, read_stamps
from ingest.importers.tables import read_table
from ingest.log.protocol import READINGS, STREAMS, Entry, Log
from ingest.measures import check_unit
from ingest.progress import Progress
from ingest.records import Channel, Chunk, Clock, Record, RecordingEnd, RecordingStart, StreamDescription, schema_id
from ingest.settings import suggest
from ingest.states import States, check_unscaled, unnamed
from ingest.times import Times, period_of
from ingest.units import format_time
from ingest.wire import MAX_SPAN_NS, encode

T = TypeVar("T")
_LIMITS: Final = Limits()
_NOT_CONTENT: Final = ("open", "limits", "rate", "attributes")
"""Options that the boot does not hold, or holds in another form."""
_NEWER: Final = ("origin", "repeated", "decimal_comma", "states")
"""Options that came later: the boot holds them where they are said, so that older imports keep theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingsOptions:
    """What an import of readings is told; `check` says what does not go together."""

    device: str
    stream: str
    columns: tuple[str, ...]
    units: tuple[str, ...]
    """One for all channels, or one each."""
    rate: Fraction | None = None
    """Hertz; sample `i` lies at `start_ns + i / rate`."""
    start_ns: int | None = None
    """The first sample's time; with a time column, that one counts from there."""
    time_column: str | None = None
    time_unit: str | None = None
    timezone: str | None = None
    origin: tuple[str, int] | None = None
    """A value of the time column and the time that it means, ns UTC: files of one clock keep their offsets."""
    repeated: Repeated | None = None
    """What happens to rows that repeat a time; None: as "first", but never to more than a tenth of the rows."""
    recording: str | None = None
    open: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)
    """What is so of the recording as a whole: see `ingest.attributes`."""
    channel_names: tuple[str, ...] | None = None
    scales: tuple[float, ...] = (1.0,)
    """Physical value per raw one, in the channel's unit: one for all channels, or one each."""
    states: Mapping[str, States] = field(default_factory=dict)
    """By channel, the names of its values: another value is an error."""
    dtype: str = "auto"
    limits: Limits = field(default_factory=Limits)
    array: str | None = None
    """Which array of an `.npz` file."""
    decimal_comma: bool = False
    """Numbers of a text are written as 0,5."""

    def value_columns(self) -> tuple[str, ...]:
        """The columns that become channels: all but the time column."""
        return tuple(name for name in self.columns if name != self.time_column)

    def check(self) -> None:
        """Raise `UsageError` for what contradicts itself."""
        if (self.rate is None) == (self.time_column is None):
            raise UsageError("import: say either --rate with --start, or --time-column")
        if self.rate is not None and self.start_ns is None:
            raise UsageError("import: --rate needs --start, the time of the first sample")
        if self.rate is not None and (self.time_unit or self.timezone):
            raise UsageError("import: --time-unit and --timezone go with --time-column, not with --rate")
        self._check_ordering()
        if self.open and self.recording is None:
            raise UsageError("import: --open needs --recording, the name that the other files will join")
        channels = self.channel_names or self.value_columns()
        count = len(self.value_columns())
        if not count or len(set(self.columns)) != len(self.columns) or len(set(channels)) != len(channels):
            raise UsageError(f"import: --columns names {', '.join(self.columns)}; name at least one, each once")
        for option, given in (("--unit", self.units), ("--scale", self.scales)):
            if len(given) not in (1, count):
                raise UsageError(f"import: {option}: found {len(given)}, expected 1 or {count}, one for each channel")
        if len(channels) != count:
            raise UsageError(f"import: --channel-names: found {len(channels)}, expected {count}, one for each channel")
        names = (("--device", self.device), ("--stream", self.stream), *(("--columns", name) for name in channels))
        for option, name in (*names, *(("--unit", unit) for unit in self.units)):
            if not name or not name.isprintable() or name != name.strip():
                raise UsageError(f'import: {option}: "{name}" is no name')
        for unit in self.units:
            try:
                check_unit(unit)
            except UsageError as error:
                raise UsageError(f"import: --unit: {error}") from None
        check_unscaled(self.states, dict(zip(channels, self._for_each(self.scales), strict=True)), "import: --scale")
        if "." in self.stream:
            raise UsageError(f'import: --stream: "{self.stream}" has a dot, which separates a stream from its channel')

    def _check_ordering(self) -> None:
        if self.rate is not None and (self.origin or self.repeated):
            raise UsageError("import: --origin and --repeated go with --time-column, not with --rate")
        if self.origin is not None and self.start_ns is not None:
            raise UsageError("import: say either --start, the first sample's time, or --origin, a value's time")
        if self.repeated is not None and self.repeated not in get_args(Repeated):
            raise UsageError(f'--repeated: unknown "{self.repeated}"{suggest(self.repeated, get_args(Repeated))}')

    def describe(self, dtype: Any) -> StreamDescription:
        """The stream's description."""
        names = self.channel_names or self.value_columns()
        told = zip(names, self._for_each(self.units), self._for_each(self.scales), strict=True)
        channels = tuple(Channel(name, unit, scale, states=self.states.get(name, ())) for name, unit, scale in told)
        rate = self.rate or Fraction(0)
        return StreamDescription(self.stream, channels, dtype, rate.numerator, rate.denominator)

    def _for_each(self, given: tuple[T, ...]) -> tuple[T, ...]:
        """What was given for all channels, or for each, for each."""
        return given * len(self.value_columns()) if len(given) == 1 else given

    def content(self, source: Source) -> bytes:
        """16 bytes that the same content under the same options always has, however it is cut into chunks."""
        matters = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in _NOT_CONTENT}
        for name in _NEWER:
            if not matters[name]:
                del matters[name]
        matters |= {"chunk": (_LIMITS.span_ns, _LIMITS.bytes), "rate": str(self.rate)}
        told = msgspec.json.encode(matters, order="sorted")
        return hashlib.sha256(source.digest() + told).digest()[:16]

    def boot(self, content: bytes) -> bytes:
        """The boot of an import of this content: cut otherwise, its numbers mean other samples, and it is another boot
        of the same content."""
        if self.limits == _LIMITS:
            return content
        limits = b"%d,%d" % (self.limits.span_ns, self.limits.bytes)
        return content[:CONTENT_BYTES] + hashlib.sha256(content + limits).digest()[: len(content) - CONTENT_BYTES]


@dataclass(frozen=True, slots=True)
class Run:
    """Samples of one recording: on a grid of `period` from `times[0]` on, or with a time each."""

    recording: str
    times: Times
    values: NDArray[Any]
    period: tuple[int, int] | None


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
    """Of a text; None where the file has none. The sum of the next five, the samples and the rows left out."""
    header_lines: int = 0
    comment_lines: int = 0
    blank_lines: int = 0
    continued_lines: int = 0
    torn_lines: int = 0
    short_rows: int = 0
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
    left_open: bool = False
    notes: list[str] = field(default_factory=list)
    """What a person should know."""

    def count(self, lines: Lines) -> None:
        """Take over what became of a text's lines."""
        self.lines, self.header_lines, self.comment_lines = lines.total, lines.header, lines.comments
        self.blank_lines, self.continued_lines, self.torn_lines = lines.blank, lines.continued, lines.torn
        self.short_rows = lines.short

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

    def records(self, joined: Joined) -> Iterator[Record]:
        """Everything that goes to `readings`, in order; counts into `summary` on the way."""
        device, stream, boot, schema = self.options.device, self.options.stream, self.boot, schema_id(self.description)
        seq = 0
        for number, run in enumerate(self.runs):
            origin = Origin(device, run.recording, stream, boot, schema, Clock("import"))
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


def _chunks(origin: Origin, run: Run, limits: Limits, seq: int) -> Iterator[Chunk]:
    if run.period is not None:
        return periodic_chunks(origin, int(run.times[0]), run.period, run.values, limits, seq)
    return stamped_chunks(origin, run.times, run.values, limits, seq)


def _size(chunk: Chunk) -> int:
    return len(chunk.values) + len(chunk.deltas)


def prepare(source: Source, options: ReadingsOptions) -> Prepared:
    """Read a file and decide everything about its import.

    Raises:
        UsageError: the file or the options, with the line where there is one.
    """
    options.check()
    table = read_table(source, options.columns, options.time_column, options.array, decimal_comma=options.decimal_comma)
    if not len(table.values):
        raise UsageError(f"{source.path}: no rows")
    values, infinite_cells = _finite(table.values)
    table = replace(table, values=values)
    _check_named(table, options)
    dtype = choose(table.values, options.dtype, table.place)
    description = options.describe(dtype)
    content = options.content(source)
    boot = options.boot(content)
    base = options.recording or f"import-{content.hex()[:12]}"
    summary = Summary(options.device, options.stream, boot.hex(), dtype, [c.name for c in description.channels], 0)
    summary.notes += table.notes
    if table.lines is not None:
        summary.count(table.lines)
    if options.rate is not None and options.start_ns is not None:
        period = _period(source.path, options.rate, options.start_ns, len(table.values))
        runs = [Run(base, np.array([options.start_ns]), pack(table.values, dtype), period)]
    else:
        runs = _stamped_runs(table, options, base, dtype, summary)
    summary.samples = sum(len(run.values) for run in runs)
    summary.start_ns = min(int(run.times[0]) for run in runs)
    if table.values.dtype.kind == "f":
        summary.missing_cells = sum(int(np.isnan(run.values).sum()) for run in runs)
    summary.infinite_cells = infinite_cells
    _count_beyond(runs, options.scales, summary)
    if infinite_cells:
        summary.notes.append(f"{infinite_cells} cells are infinite, or beyond a float64: they count as missing")
    summary.recordings = [run.recording for run in runs]
    summary.left_open = options.open
    return Prepared(options, description, boot, tuple(runs), summary)


def _check_named(table: Table, options: ReadingsOptions) -> None:
    """Raise `UsageError` for the first value that is none of its channel's states."""
    names = options.channel_names or options.value_columns()
    for channel, states in options.states.items():
        values = table.values[:, names.index(channel)]
        strange = unnamed(values, states)
        if strange.any():
            row = int(strange.argmax())
            told = f"{table.place(row)}: {channel} is {values[row]:g}, which --values does not name"
            raise UsageError(f"{told}; name it, or correct the file")


def _count_beyond(runs: list[Run], scales: tuple[float, ...], summary: Summary) -> None:
    """Count the values whose physical ones no float32 holds."""
    bound = float(np.finfo(np.float32).max)
    least = bound / max(1.0, *(abs(scale) for scale in scales))
    for run in runs:
        if run.values.dtype.itemsize == 8 or least < bound:
            with np.errstate(over="ignore"):
                physical = np.abs(run.values.astype(np.float64) * np.array(scales))
            summary.beyond_float32 += int(np.count_nonzero(physical > bound))
    if summary.beyond_float32:
        summary.notes.append(f"{summary.beyond_float32} cells are beyond a float32: missing in training windows")


def _finite(values: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """`values` with infinite ones as NaN, and how many those were."""
    infinite = np.isinf(values)
    count = int(np.count_nonzero(infinite))
    return (np.where(infinite, np.nan, values) if count else values), count


def _period(path: str, rate: Fraction, start_ns: int, samples: int) -> tuple[int, int]:
    """The period of a rate, by which all samples have a time."""
    num, den = period_of(rate)
    if num >= MAX_SPAN_NS and den > 1:
        raise UsageError(f"import: --rate {rate} Hz is no simple fraction; write one, as in 1/3Hz")
    if start_ns + samples * num // den >= MAX_SPAN_NS or samples * num // den >= MAX_SPAN_NS:
        raise UsageError(f"{path}: {samples} samples at {rate} Hz take over a century")
    return num, den


def _stamped_runs(table: Table, options: ReadingsOptions, base: str, dtype: Any, summary: Summary) -> list[Run]:
    ordered = order(_times(table, options, summary), table.values, table.place, options.repeated)
    summary.repeated_stamps, summary.jittered_stamps = ordered.repeated, ordered.jittered
    summary.spread_stamps = ordered.spread
    summary.notes += _told(ordered)
    if again := _beginning_again(ordered):
        summary.notes.append(
            f"{again} times the rows begin again at times that were there before: does the file hold several devices, "
            f"one after the other? All rows are taken for {options.device}'s; if so, give each device its own file"
        )
    names = [base, *(f"{base}-{number}" for number in range(2, len(ordered.runs) + 1))]
    summary.clock_steps = [
        {"at": table.where(step.row), "back_ns": step.back_ns, "recording": name}
        for step, name in zip(ordered.steps, names[1:], strict=True)
    ]
    packed = pack(table.values, dtype)
    return [Run(name, ordered.times[rows], packed[rows], None) for name, rows in zip(names, ordered.runs, strict=True)]


def _beginning_again(ordered: Ordered) -> int:
    """How many runs begin in the first half of the one before: so do devices that lie in one file in blocks, while a
    clock that is set goes back by less."""
    count = 0
    for before, run in itertools.pairwise(ordered.runs):
        first, last = ordered.times[before][[0, -1]].tolist()
        count += last > first and ordered.times[run][0] < (first + last) // 2
    return count


def _times(table: Table, options: ReadingsOptions, summary: Summary) -> Times:
    """The rows' times, ns UTC, in the order of the file; counts and notes into `summary`."""
    assert table.time is not None
    counted = options.start_ns is not None or options.origin is not None
    how = Reading(options.time_unit, options.timezone, table.utc, relative=counted)
    stamps = read_stamps(table.time, how, table.place)
    summary.ambiguous_stamps = stamps.ambiguous
    if not counted:
        note = check_plausible(table.time, stamps.times, how, table.place)
        summary.notes += [note] if note else []
        return stamps.times
    if options.origin is not None:
        value, time_ns = options.origin
        shift = time_ns - read_stamp(value, how)
    else:
        assert options.start_ns is not None
        shift = options.start_ns - int(stamps.times[0])
        if options.recording is not None:
            summary.notes.append(
                f"{table.where(0)}, {table.time[0]}, is {format_time(options.start_ns)}: files of one clock keep their "
                "offsets with --origin VALUE=TIME"
            )
    newest, oldest = int(stamps.times.max()) + shift, int(stamps.times.min()) + shift
    if newest >= MAX_SPAN_NS or oldest <= -MAX_SPAN_NS:
        raise UsageError(f"{table.path}: its times are out of range: they go from 1824 to 2116; is the start right?")
    return stamps.times + shift


def _told(ordered: Ordered) -> Iterator[str]:
    if ordered.turned:
        yield "the file lies newest first: its rows were turned round"
    if ordered.repeated:
        yield f"{ordered.repeated} rows repeat a time and were left out; --repeated spread gives each a time of its own"
    if ordered.jittered:
        yield f"{ordered.jittered} rows lie a little behind the newest time and were left out"
    if ordered.spread:
        yield f"{ordered.spread} rows that repeat a time were spread until the next one"


async def import_readings(
    log: Log, path: str | Path, options: ReadingsOptions, progress: Progress | None = None
) -> Summary:
    """Bring a file into `log`; returns when everything is durable.

    Raises:
        UsageError: before anything is written.
        LogUnavailableError, StoreFullError: part of it may be in the log; importing again completes it.
    """
    return await publish_readings(log, prepare(read_source(path), options), progress)


async def publish_readings(log: Log, prepared: Prepared, progress: Progress | None = None) -> Summary:
    """Write a prepared import: its stream's description first, acknowledged, then its readings.

    Raises:
        UsageError, LogConfigError: it would join a recording that has ended, or has a chunk that is too large for the
            log. Nothing was written.
        LogUnavailableError, StoreFullError: part of it may be in the log; importing again completes it.
    """
    options, summary = prepared.options, prepared.summary
    joined = Joined({})
    if options.recording is not None:
        joined = await find_joined(log, options.device, options.recording)
        joined.check(options.device, [run.recording for run in prepared.runs], prepared.boot)
    largest = max((r for r in prepared.records(joined) if isinstance(r, Chunk)), key=_size)
    try:
        await log.check(READINGS, [Entry(options.device.encode(), encode(largest))])
    except LogConfigError:
        raise
    except PermanentError as error:
        raise UsageError(f"import: {error}, with --chunk-bytes") from None
    await log.append(STREAMS, [Entry(schema_id(prepared.description), encode(prepared.description))])
    published = await publish(log, READINGS, options.device, prepared.records(joined), progress)
    summary.bytes = published.bytes
    return summary
