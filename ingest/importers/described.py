"""A file into the log, whether it is a table or says itself what is in it: then all its signals are one recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final

import numpy as np

from ingest.errors import UsageError
from ingest.importers.looking import look
from ingest.importers.numbers import choose, pack
from ingest.importers.options import ReadingsOptions
from ingest.importers.prepared import Event, Prepared, Run, Summary, named
from ingest.importers.readings import (
    count_beyond,
    finite,
    note_infinite,
    ordered_runs,
    prepare_all,
    prepare_table,
)
from ingest.importers.selecting import is_pattern, select
from ingest.importers.signals.contents import Asked, Contents, Signal
from ingest.importers.signals.reading import check_readable, is_described, read_contents
from ingest.importers.source import Source, Table
from ingest.importers.stamps import Reading, read_stamps
from ingest.importers.tables import read_table
from ingest.settings import suggest
from ingest.times import Times
from ingest.units import PLAUSIBLE_NS, format_time
from ingest.wire import MAX_SPAN_NS

_OF_TABLES: Final = (
    ("rate", "--rate"), ("time_unit", "--time-unit"), ("time_format", "--time-format"), ("origin", "--origin"),
    ("decimal_comma", "--decimal"), ("thousands", "--thousands"), ("skip_rows", "--skip-rows"),
    ("units_row", "--units-row"),
    ("device_column", "--device-column"), ("recording_column", "--recording-column"),
    ("label_columns", "--label-column"), ("encoding", "--encoding"),
)  # fmt: skip
"""Options that say what such a file says itself."""


def prepare_file(source: Source, options: ReadingsOptions) -> tuple[Prepared, ...]:
    """Read a file and decide everything about its imports: of a table as `prepare_all`, else one for each signal.

    Raises:
        UsageError: the file or the options.
        MissingLibraryError: what reads such files is not installed.
    """
    check_readable(source)
    if not is_described(source):
        return prepare_all(source, options)
    for name, option in _OF_TABLES:
        if getattr(options, name):
            raise UsageError(f"{source.path}: {option} is of tables; this file says itself what is in it")
    asked = Asked(options.time_column, options.key, options.start_ns is not None, options.one_clock)
    return _prepared(source, read_contents(source, asked), options)


def look_at(source: Source, options: ReadingsOptions) -> list[dict[str, Any]]:
    """What `--dry-run` shows of a file: `look` of each of its streams. Raises as `prepare_file`."""
    check_readable(source)
    if is_described(source):
        return [look(source.path, [part]) for part in prepare_file(source, options)]
    options.check_early()
    table = read_table(source, options.wanted())
    if not len(table.values):
        raise UsageError(f"{source.path}: no rows")
    return [look(source.path, prepare_table(source, table, options.resolved(table)), table.separator, table.names)]


def _prepared(source: Source, contents: Contents, options: ReadingsOptions) -> tuple[Prepared, ...]:
    path = source.path
    if options.time_column is not None and contents.kind != "MCAP":
        raise UsageError(f"{path}: --time-column is of tables and MCAP; a file of {contents.kind} has one time")
    device = options.device or contents.device
    if not device:
        raise UsageError("import: whose stream is it? Say --device D")
    options = replace(options, device=device)
    if not contents.signals:
        raise UsageError(
            f"{path}: holds {len(contents.marks)} annotations and no signal: "
            "sensorloom import marks FILE --field device=D brings them in"
        )
    signals = _chosen(path, contents, options)
    shift_ns = _shift(path, contents, signals, options)
    base = options.recording or f"import-{options.content(source).hex()[:12]}"
    parts = [_part(source, contents, signal, options, base, shift_ns) for signal in signals]
    parts.sort(key=lambda part: part.summary.start_ns)
    first = parts[0]
    first.summary.notes[:0] = contents.notes
    first.summary.lost = dict(contents.lost)
    events = [Event(mark.start_ns + shift_ns, mark.end_ns + shift_ns, mark.label) for mark in contents.marks]
    if options.label:
        events.append(Event(first.summary.start_ns, max(part.end_ns for part in parts), options.label))
    first.summary.marks = len(events)
    return (replace(first, events=tuple(events)), *parts[1:])


def _chosen(path: str, contents: Contents, options: ReadingsOptions) -> list[Signal]:
    """The signals and channels that are wanted, by the streams' names."""
    signals = list(contents.signals)
    known = [signal.name for signal in signals]
    if options.array is not None:
        signals = [signal for signal in signals if signal.name == options.array]
        if not signals:
            raise UsageError(f'{path}: there is no signal "{options.array}"{suggest(options.array, known)}')
    if options.columns:
        signals = [part for signal in signals if (part := _of_columns(path, signal, options.columns)) is not None]
        if not signals:
            names = [name for signal in contents.signals for name in signal.channels]
            raise UsageError(
                f"{path}: no channel fits --columns {','.join(options.columns)}"
                + suggest(options.columns[0], names[:60])
            )
    if len(signals) == 1:
        return [replace(signals[0], name=options.stream or signals[0].name)]
    if options.channel_names:
        raise UsageError(f"{path}: holds {', '.join(known)}; --channel-names is of one of them: choose it with --array")
    given = f"{options.stream}-" if options.stream else ""
    return [replace(signal, name=given + signal.name) for signal in _apart(signals)]


def _apart(signals: Sequence[Signal]) -> list[Signal]:
    """The signals with names that differ."""
    found: dict[str, Signal] = {}
    for signal in signals:
        name, again = signal.name, 2
        while name in found:
            name, again = f"{signal.name}-{again}", again + 1
        found[name] = replace(signal, name=name)
    return list(found.values())


def _of_columns(path: str, signal: Signal, columns: Sequence[str]) -> Signal | None:
    """The channels that are wanted of a signal; None where there is none."""
    wanted = [column for column in columns if column in signal.channels or "*" in column]
    try:
        ranges = [column for column in columns if column not in wanted and is_pattern(column)]
        names = select(path, [*wanted, *ranges], signal.channels, ()).names if wanted or ranges else ()
    except UsageError:  # a pattern that fits another signal's channels
        names = ()
    if not names:
        return None
    places = [signal.channels.index(name) for name in names]

    def of(given: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(given[place] for place in places) if given else ()

    return replace(
        signal, channels=names, values=signal.values[:, places], units=of(signal.units), scales=of(signal.scales),
        offsets=of(signal.offsets),
    )  # fmt: skip


# --- time -------------------------------------------------------------------------------------------------------------


def _shift(path: str, contents: Contents, signals: Sequence[Signal], options: ReadingsOptions) -> int:
    """What makes instants of the file's times. Raises `UsageError` where nobody says what those are."""
    first_ns = min(signal.start_ns for signal in signals)
    if options.start_ns is not None:
        shift_ns = options.start_ns - first_ns
    elif contents.clock == "local":
        if options.timezone is None:
            raise UsageError(
                f"{path}: begins at {format_time(first_ns).removesuffix('Z')} of a zone that it does not name; "
                "say --timezone ZONE, as in Europe/Brussels, or --start TIME"
            )
        shift_ns = _local_shift(path, first_ns, options.timezone)
    elif contents.clock == "none":
        raise UsageError(f"{path}: a file of {contents.kind} that does not say when it begins; say --start TIME")
    else:
        shift_ns = 0
    if options.timezone is not None and contents.clock != "local":
        raise UsageError(f"{path}: --timezone is of times that name no zone, this file has none of those")
    newest = max(signal.newest_ns for signal in signals)
    if newest + shift_ns >= MAX_SPAN_NS or first_ns + shift_ns <= -MAX_SPAN_NS:
        raise UsageError(f"{path}: its times are out of range: they go from 1824 to 2116; is the start right?")
    return shift_ns


def _local_shift(path: str, t_ns: int, zone: str) -> int:
    """What is added to the time on a wall."""
    import polars as pl

    column = pl.Series("start", [t_ns]).cast(pl.Datetime("ns"))
    stamps = read_stamps(column, Reading(timezone=zone), lambda row: path)
    return int(stamps.times[0]) - t_ns


# --- one signal -------------------------------------------------------------------------------------------------------


def _part(
    source: Source, contents: Contents, signal: Signal, options: ReadingsOptions, base: str, shift_ns: int
) -> Prepared:
    values, infinite_cells = finite(signal.values)
    own = _own(source.path, contents, signal, options)
    table = Table(f"{source.path}: {signal.name}", values, None, signal.channels)
    dtype = choose(values, options.dtype, table.place)
    description = own.describe(dtype)
    summary = Summary(own.device, own.stream, "", dtype, [c.name for c in description.channels], 0)
    times = signal.times + shift_ns
    if signal.rate is not None:
        runs = [_run(signal, base, times, pack(values, dtype))]
    else:
        runs = ordered_runs(table, times, own, base, dtype, (), summary)
    if contents.clock == "utc" and options.start_ns is None and int(times.max()) < PLAUSIBLE_NS:
        when = format_time(int(times.max()))
        summary.notes.append(f"all times lie before 1990, as {when}: was the clock not set? --start TIME says better")
    summary.samples = sum(len(run.values) for run in runs)
    summary.start_ns = min(int(run.times[0]) for run in runs)
    if values.dtype.kind == "f":
        summary.missing_cells = sum(int(np.isnan(run.values).sum()) for run in runs)
    summary.infinite_cells = infinite_cells
    note_infinite(infinite_cells, summary)
    count_beyond(runs, own.scales, summary)
    summary.recordings = [run.recording for run in runs]
    summary.left_open = options.open
    clock = "unsynced" if signal.unsynced else "import"
    moved = shift_ns if options.start_ns is not None else 0
    return named(Prepared(own, description, own.content(source), tuple(runs), summary, moved, clock=clock))


def _run(signal: Signal, base: str, times: Times, values: Any) -> Run:
    assert signal.rate is not None
    period = Fraction(10**9) / signal.rate
    return Run(base, times, values, (period.numerator, period.denominator), starts=signal.starts)


def _own(path: str, contents: Contents, signal: Signal, options: ReadingsOptions) -> ReadingsOptions:
    """The options of one signal, with all that the file says."""
    units = tuple(_unit(path, contents, signal, options, place, name) for place, name in enumerate(signal.channels))
    scales = tuple(signal.scales or (1.0,) * len(units))
    given = options.scales * len(units) if len(options.scales) == 1 else options.scales
    if len(given) != len(units):
        raise UsageError(f"import: --scale: found {len(given)}, expected 1 or {len(units)}, one for each channel")
    offsets = tuple(signal.offsets or (0.0,) * len(units))
    own = replace(
        options,
        stream=signal.name,
        columns=signal.channels,
        units=units[:1] if len({*units}) == 1 else units,
        named_units={},
        scales=tuple(scale * factor for scale, factor in zip(scales, given, strict=True)),
        offsets=tuple(offset * factor for offset, factor in zip(offsets, given, strict=True)) if any(offsets) else (),
        rate=signal.rate,
        label="",
    )
    own.check_channels()
    return own


def _unit(path: str, contents: Contents, signal: Signal, options: ReadingsOptions, place: int, name: str) -> str:
    """A channel's unit: by its name, or its signal's, as the file says it, or as was said for all others."""
    keys = [name, f"{signal.name}.{name}", signal.name]
    if options.channel_names and place < len(options.channel_names):
        keys.append(options.channel_names[place])
    said = [options.named_units[key] for key in keys if key in options.named_units]
    said += [unit for unit in signal.units[place : place + 1] if unit]
    plain = options.units[place : place + 1] if len(options.units) == len(signal.channels) else options.units[:1]
    said += [*plain, *([contents.fallback_unit] if contents.fallback_unit else [])]
    if not said:
        raise UsageError(
            f'{path}: "{name}" of {signal.name} has no unit; say --unit U for all without one, --unit {name}=U, or '
            f'--unit {signal.name}=U; a plain number has the unit "1"'
        )
    return said[0]
