"""A file of samples into the log: the stream's description, then a recording's start, chunks and end.

An import is named by its content: its recording, and most of its boot, are a hash of the file's content and of the
options that matter, so that importing twice adds nothing downstream, however each was cut into chunks. What happens to
times that repeat or step back is told in `order`. What became of every line of a text is in the summary: lines =
header + comments + blank + continued + torn ones + samples + rows left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ingest.errors import LogConfigError, PermanentError, UsageError
from ingest.importers.joining import Holdings, read_holdings
from ingest.importers.labels import Labels, Span, labels_of
from ingest.importers.marks import publish_marks
from ingest.importers.numbers import choose, pack
from ingest.importers.options import ReadingsOptions
from ingest.importers.order import Ordered, order
from ingest.importers.prepared import Prepared, Run, Summary, named
from ingest.importers.publish import publish
from ingest.importers.source import Source, Table, read_source
from ingest.importers.stamps import Reading, check_plausible, read_stamp, read_stamps
from ingest.importers.tables import read_table
from ingest.importers.undo import check_forgotten, forgotten_recordings
from ingest.log.protocol import READINGS, STREAMS, Entry, Log
from ingest.progress import Progress
from ingest.records import (
    Chunk,
    SampleType,
    schema_id,
)  # fmt: skip
from ingest.states import unnamed
from ingest.times import Times, period_of
from ingest.units import format_time
from ingest.wire import MAX_SPAN_NS, encode

__all__ = ["Prepared", "ReadingsOptions", "Summary", "import_readings", "prepare", "publish_readings"]

DEVICES_MAX: Final = 10_000
"""A column of more names is none of devices."""
_INFINITE: Final = "{} cells are infinite, or beyond a float64: they count as missing"


def _size(chunk: Chunk) -> int:
    return len(chunk.values) + len(chunk.deltas)


def prepare(source: Source, options: ReadingsOptions) -> Prepared:
    """Read a file of one device and decide everything about its import.

    Raises:
        UsageError: the file or the options, with the line where there is one.
    """
    (prepared,) = prepare_all(source, options)
    return prepared


def prepare_all(source: Source, options: ReadingsOptions) -> tuple[Prepared, ...]:
    """Read a file and decide everything about the imports of its devices, in the order in which they come in it.

    Raises:
        UsageError: the file or the options, with the line where there is one.
    """
    options.check_early()
    table = read_table(source, options.wanted())
    if not len(table.values):
        raise UsageError(f"{source.path}: no rows")
    return prepare_table(source, table, options.resolved(table))


def prepare_table(source: Source, table: Table, options: ReadingsOptions) -> tuple[Prepared, ...]:
    """What is to be done with a table of a file's, whose `options` are resolved. Raises `UsageError`."""
    values, infinite_cells = finite(table.values)
    table = replace(table, values=values)
    if options.device_column is None and options.recording_column is None:
        options.check()
        _check_named(table, options)
        dtype = choose(table.values, options.dtype, table.place)
        return (_prepared(source, table, options, dtype, infinite_cells),)
    dtype = choose(table.values, options.dtype, table.place)
    found: list[Prepared] = []
    for device, of_device in _apart(table, options.device_column, "device", options.device):
        whole = table.part(of_device)
        for recording, rows in _apart(whole, options.recording_column, "recording", options.recording):
            named = _recording_name(recording, options) if options.recording_column else recording
            own = replace(options, device=device or "", recording=named)
            own.check()
            part = replace(table.part(of_device[rows]), lines=None, notes=table.notes if not found else ())
            _check_named(part, own)
            found.append(_prepared(source, part, own, dtype, int(np.isinf(part.values).sum())))
    note_infinite(infinite_cells, found[0].summary)
    return tuple(found)


def _apart(
    table: Table, column: str | None, what: str, given: str | None
) -> Iterator[tuple[str | None, NDArray[np.int64]]]:
    """The rows of each value of a column, in the order in which they come; of none, all are `given`'s."""
    if column is None:
        yield given, np.arange(len(table.values), dtype=np.int64)
        return
    values = table.keys[column]
    if (nameless := values == "").any():
        raise UsageError(f'{table.place(nameless.arg_max() or 0)}: "{column}" is empty: whose row is it?')
    names = values.unique(maintain_order=True).to_list()
    if len(names) > DEVICES_MAX:
        raise UsageError(f'{table.path}: "{column}" names {len(names):,} {what}s; is it the right column?')
    for name in names:
        yield name, (values == name).arg_true().to_numpy().astype(np.int64)


def _recording_name(value: str | None, options: ReadingsOptions) -> str:
    """What a value of the column names: a number alone is no name."""
    assert value is not None
    if options.recording or value.isdecimal():
        return f"{options.recording or options.recording_column}-{value}"
    return value


def _prepared(
    source: Source, table: Table, options: ReadingsOptions, dtype: SampleType, infinite_cells: int
) -> Prepared:
    description = options.describe(dtype)
    content = options.content(source)
    base = options.recording or f"import-{content.hex()[:12]}"
    summary = Summary(options.device, options.stream, "", dtype, [c.name for c in description.channels], 0)
    summary.notes += table.notes
    if table.lines is not None:
        summary.count(table.lines)
    labels = tuple(labels_of(column, table.keys[column.column], table.place) for column in options.label_columns)
    shift_ns = 0
    if options.rate is not None and options.start_ns is not None:
        period = _period(source.path, options.rate, options.start_ns, len(table.values))
        spans = _spans(labels, options.label, np.arange(len(table.values)))
        runs = [Run(base, np.array([options.start_ns]), pack(table.values, dtype), period, spans)]
    else:
        times, shift_ns = _times(table, options, summary)
        runs = ordered_runs(table, times, options, base, dtype, labels, summary)
    summary.samples = sum(len(run.values) for run in runs)
    summary.start_ns = min(int(run.times[0]) for run in runs)
    if table.values.dtype.kind == "f":
        summary.missing_cells = sum(int(np.isnan(run.values).sum()) for run in runs)
    summary.infinite_cells = infinite_cells
    count_beyond(runs, options.scales, summary)
    note_infinite(infinite_cells, summary)
    summary.recordings = [run.recording for run in runs]
    summary.left_open = options.open
    summary.marks = sum(len(run.labels) for run in runs)
    return named(Prepared(options, description, content, tuple(runs), summary, shift_ns))


def _spans(labels: Sequence[Labels], label: str, rows: NDArray[np.int64]) -> tuple[Span, ...]:
    """What these rows are called."""
    whole = [Span(0, len(rows), label)] if label else []
    return (*whole, *(span for each in labels for span in each.runs(rows)))


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


def count_beyond(runs: list[Run], scales: tuple[float, ...], summary: Summary) -> None:
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


def note_infinite(cells: int, summary: Summary) -> None:
    """Tell of cells that `finite` has made missing."""
    if cells:
        summary.notes.append(_INFINITE.format(cells))


def finite(values: NDArray[Any]) -> tuple[NDArray[Any], int]:
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


def ordered_runs(
    table: Table,
    times: Times,
    options: ReadingsOptions,
    base: str,
    dtype: Any,
    labels: Sequence[Labels],
    summary: Summary,
) -> list[Run]:
    """The runs of a table within which time rises strictly; what was left out is counted into `summary`."""
    ordered = order(times, table.values, table.place, options.repeated)
    summary.repeated_stamps, summary.jittered_stamps = ordered.repeated, ordered.jittered
    summary.spread_stamps = ordered.spread
    summary.notes += _told(ordered)
    if again := _beginning_again(ordered):
        summary.notes.append(
            f"{again} times the rows begin again at times that were there before: does the file hold several devices, "
            f"one after the other? All rows are taken for {options.device}'s; if so, say --device-column"
        )
    names = [base, *(f"{base}-{number}" for number in range(2, len(ordered.runs) + 1))]
    summary.clock_steps = [
        {"at": table.where(step.row), "back_ns": step.back_ns, "recording": name}
        for step, name in zip(ordered.steps, names[1:], strict=True)
    ]
    packed = pack(table.values, dtype)
    return [
        Run(name, ordered.times[rows], packed[rows], None, _spans(labels, options.label, rows))
        for name, rows in zip(names, ordered.runs, strict=True)
    ]


def _beginning_again(ordered: Ordered) -> int:
    """How many runs begin in the first half of the one before: so do devices that lie in one file in blocks, while a
    clock that is set goes back by less."""
    count = 0
    for before, run in itertools.pairwise(ordered.runs):
        first, last = ordered.times[before][[0, -1]].tolist()
        count += last > first and ordered.times[run][0] < (first + last) // 2
    return count


def _times(table: Table, options: ReadingsOptions, summary: Summary) -> tuple[Times, int]:
    """The rows' times, ns UTC, in the order of the file; counts and notes into `summary`. And what
    `start_ns` added to them."""
    assert table.time is not None
    counted = options.start_ns is not None or options.origin is not None
    how = Reading(options.time_unit, options.timezone, table.utc, counted, options.time_format)
    stamps = read_stamps(table.time, how, table.place)
    summary.ambiguous_stamps = stamps.ambiguous
    if stamps.doubtful is not None and options.start_ns is None:
        row, count = stamps.doubtful
        summary.notes.append(
            f"{table.where(row)}, {table.time[row]}: {count} times may be of either pass through the hour that "
            f"{options.timezone} has twice, and were taken for the first; an offset (--timezone +01:00) leaves no doubt"
        )
    if not counted:
        note = check_plausible(table.time, stamps.times, how, table.place, table.where)
        summary.notes += [note] if note else []
        return stamps.times, 0
    if options.origin is not None:
        value, time_ns = options.origin
        shift = time_ns - read_stamp(value, how)
    else:
        assert options.start_ns is not None
        shift = options.start_ns - int(stamps.times[0])
        if options.recording is not None and not options.keeps_offsets:
            summary.notes.append(
                f"{table.where(0)}, {table.time[0]}, is {format_time(options.start_ns)}: files of one clock keep their "
                "offsets with --origin VALUE=TIME"
            )
    newest, oldest = int(stamps.times.max()) + shift, int(stamps.times.min()) + shift
    if newest >= MAX_SPAN_NS or oldest <= -MAX_SPAN_NS:
        raise UsageError(f"{table.path}: its times are out of range: they go from 1824 to 2116; is the start right?")
    return stamps.times + shift, 0 if options.start_ns is None else shift


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


async def publish_readings(
    log: Log,
    prepared: Prepared,
    progress: Progress | None = None,
    holdings: Holdings | None = None,
    *,
    there: bool = False,
    forgotten: Collection[tuple[str, str]] | None = None,
) -> Summary:
    """Write a prepared import: its stream's description first, acknowledged, then its readings, then the marks that
    its labels are. `holdings` is what the log has of its device, where that was looked at before; it grows. Where its
    readings are `there`, only the marks are written. `forgotten` is what does not come back, where that was looked at.

    Raises:
        UsageError, LogConfigError: it was to be forgotten, would join a recording that has ended, or has a chunk that
            is too large for the log. Nothing was written.
        LogUnavailableError, StoreFullError: part of it may be in the log; importing again completes it.
    """
    options, summary = prepared.options, prepared.summary
    forgotten = await forgotten_recordings(log) if forgotten is None else forgotten
    check_forgotten(options.device, [run.recording for run in prepared.runs], forgotten)
    if holdings is None:
        holdings = await read_holdings(log, {options.device}) if options.recording is not None else Holdings()
    if not there:
        await _publish_samples(log, prepared, progress, holdings)
    if marks := prepared.marks():
        await publish_marks(log, marks)
    return summary


async def _publish_samples(log: Log, prepared: Prepared, progress: Progress | None, holdings: Holdings) -> None:
    options = prepared.options
    joined = holdings.joined(options.device, prepared.base)
    joined.check(options.device, [run.recording for run in prepared.runs], prepared.boot)
    largest = max((r for r in prepared.records(joined) if isinstance(r, Chunk)), key=_size)
    try:
        await log.check(READINGS, [Entry(options.device.encode(), encode(largest))])
    except LogConfigError:
        raise
    except PermanentError as error:
        raise UsageError(f"import: {error}, with --chunk-bytes") from None
    if (known := schema_id(prepared.description)) not in holdings.described:
        await log.append(STREAMS, [Entry(known, encode(prepared.description))])
        holdings.described.add(known)
    published = await publish(log, READINGS, options.device, holdings.taking(prepared.records(joined)), progress)
    prepared.summary.bytes = published.bytes
