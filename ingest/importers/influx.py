"""An export of InfluxDB into the log: a recording of each device, with a stream of each measurement.

Each stream goes the way of any other table (`ingest.importers.readings`): as one that has a time and a column a field.
All streams of a device join one recording, which is named by the content of the file and by what was said of it.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.chunker import Limits
from ingest.errors import UsageError
from ingest.importers.annotated import is_annotated, read_annotated
from ingest.importers.lineprotocol import SCALES, read_lines
from ingest.importers.points import Naming, Series, gather, of_field, told
from ingest.importers.readings import Prepared, ReadingsOptions, prepare, publish_readings
from ingest.importers.source import Source
from ingest.log.protocol import Log
from ingest.progress import Progress
from ingest.settings import suggest
from ingest.states import States
from ingest.times import Times

_HEX: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluxOptions:
    """What an import of an export is told."""

    naming: Naming = field(default_factory=Naming)
    unit: str = ""
    """Of all fields that `units` does not name."""
    units: Mapping[str, str] = field(default_factory=dict)
    """By field, or by `measurement.field`."""
    states: Mapping[str, States] = field(default_factory=dict)
    """By field, or by `measurement.field`: its values are these, as texts by name or as codes."""
    time_unit: str = "ns"
    """The unit of times in line protocol."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    by_pace: bool = False
    """As `ReadingsOptions.by_pace`."""

    def unit_of(self, stream: str, name: str) -> str:
        """A field's unit; states have none. Raises `UsageError` where none is said."""
        if of_field(self.states, stream, name):
            return "1"
        unit = self.units.get(f"{stream}.{name}") or self.units.get(name) or self.unit
        if not unit:
            raise UsageError(
                f"import: --unit: {stream}.{name} has none; say --unit {name}=U, or --unit U for all others; "
                'a plain number has the unit "1"'
            )
        return unit

    def recording(self, source: Source) -> str:
        """The recording's id: the same for the same content and options."""
        said = {
            "device": self.naming.device,
            "device_tag": self.naming.device_tag,
            "stream_tags": self.naming.stream_tags,
            "measurements": sorted(self.naming.measurements),
            "unit": self.unit,
            "units": dict(self.units),
            "time_unit": self.time_unit,
        } | ({"states": dict(self.states)} if self.states else {})
        told = msgspec.json.encode(said, order="sorted")
        return f"import-{hashlib.sha256(source.digest() + told).hexdigest()[:_HEX]}"


@dataclass(frozen=True, slots=True)
class Export:
    """An export before anything is written: imports in the order in which they are to be written."""

    recording: str
    imports: tuple[Prepared, ...]
    counts: Mapping[str, int]
    """Of the file: lines, points, values, and what is no sample."""
    notes: tuple[str, ...]

    @property
    def samples(self) -> int:
        """Of all streams."""
        return sum(prepared.summary.samples for prepared in self.imports)

    def as_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        streams = [
            {
                "device": it.summary.device,
                "stream": it.summary.stream,
                "samples": it.summary.samples,
                "missing_cells": it.summary.missing_cells,
                "channels": len(it.summary.channels),
                "bytes": it.summary.bytes,
            }
            for it in self.imports
        ]
        counted = {name: self.counts.get(name, 0) for name in sorted({*self.counts, "lines", "points", "values"})}
        return {"recording": self.recording, "samples": self.samples, "streams": streams, **counted} | {
            "notes": list(self.notes)
        }


def prepare_influx(source: Source, options: InfluxOptions) -> Export:
    """Read an export and decide everything about its import.

    Raises:
        UsageError: the file or the options, with the line where there is one.
    """
    if options.time_unit not in SCALES:
        raise UsageError(f'--time-unit: unknown unit "{options.time_unit}"{suggest(options.time_unit, SCALES)}')
    try:
        text = source.data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{source.path}: byte {error.start} is not UTF-8; is this an export as text?") from None
    counts: Counter[str] = Counter()
    if is_annotated(text):
        points = read_annotated(source.path, text, counts)
    else:
        points = read_lines(source.path, text, options.time_unit, counts)
    codes = {key: {name: code for code, name in states} for key, states in options.states.items()}
    found = gather(source.path, points, options.naming, counts, codes)
    _check_used(options.states, found)
    if not found:
        raise UsageError(f"{source.path}: no numbers to import{_what_else(counts)}")
    recording = options.recording(source)
    tables = {key: series.table(counts) for key, series in sorted(found.items())}
    last = dict(tables.keys())
    imports = tuple(
        _prepared(source, key, found[key], *table, options, recording, is_open=last[key[0]] != key[1])
        for key, table in tables.items()
    )
    notes = [*told(counts, found), *(f"{it.summary.stream}: {note}" for it in imports for note in it.summary.notes)]
    return Export(recording, imports, counts, tuple(notes))


def _check_used(states: Mapping[str, States], found: Mapping[tuple[str, str], Series]) -> None:
    """Raise `UsageError` for states of a field that the file does not have: its name would be mistyped."""
    fields = {
        name for (_, stream), series in found.items() for own in series.fields for name in (own, f"{stream}.{own}")
    }
    for key in states:
        if key not in fields:
            raise UsageError(f'--values: there is no field "{key}"{suggest(key, sorted(fields)[:60])}')


def _what_else(counts: Mapping[str, int]) -> str:
    kinds = {name: counts[name] for name in ("texts", "other_measurements", "own_measurements") if counts.get(name)}
    return "".join(f"; {name.replace('_', ' ')}: {count}" for name, count in kinds.items())


def _prepared(
    source: Source,
    key: tuple[str, str],
    series: Series,
    times: Times,
    values: NDArray[np.float64],
    options: InfluxOptions,
    recording: str,
    *,
    is_open: bool,
) -> Prepared:
    device, stream = key
    names = sorted(series.fields)
    columns = [f"c{number}" for number in range(len(names))]
    given = ReadingsOptions(
        device=device,
        stream=stream,
        columns=("t", *columns),
        units=tuple(options.unit_of(series.measurement, name) for name in names),
        time_column="t",
        time_unit="ns",
        recording=recording,
        open=is_open,
        attributes=options.attributes,
        channel_names=tuple(names),
        states={name: states for name in names if (states := of_field(options.states, stream, name))},
        limits=options.limits,
        by_pace=options.by_pace,
    )
    path = f"{source.path} ({stream} of {device})"
    return prepare(Source(path, _as_text(columns, times, values), source.max_bytes), given)


def _as_text(columns: list[str], times: Times, values: NDArray[np.float64]) -> bytes:
    """A table as CSV, which says each number to the last bit: the same for the same content, whoever made the file."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["t", *columns])
    for t_ns, row in zip(times.tolist(), values.tolist(), strict=True):
        writer.writerow([t_ns, *("" if value != value else repr(value) for value in row)])
    return file.getvalue().encode()


async def publish_influx(log: Log, export: Export, progress: Progress | None = None) -> None:
    """Write a prepared export, stream by stream.

    Raises:
        UsageError, LogConfigError, LogUnavailableError, StoreFullError: as `publish_readings`; importing again
            completes what is there.
    """
    for prepared in export.imports:
        await publish_readings(log, prepared, progress)
