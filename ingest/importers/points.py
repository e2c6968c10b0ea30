"""Points of a time-series database, gathered into streams: a row a time, a column a field. Pure.

A database has tables of its own making: a point is a measurement, tags, a time and some fields. A stream here is a
measurement of a device, which one of the tags names. What a point has more than that must be said to be nothing new:
other tags that differ within a stream make several sensors of it, and are an error.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.importers.source import inexact
from ingest.names import normal
from ingest.settings import suggest
from ingest.times import Times

Tags: TypeAlias = tuple[tuple[str, str], ...]
"""Sorted by name."""
Value: TypeAlias = int | float | str | bool
Codes: TypeAlias = Mapping[str, Mapping[str, int]]
"""By field, or by `stream.field`: the codes of the states that texts name."""
T = TypeVar("T")
OWN: Final = "sensorloom_"
"""Measurements of marks and agents that a sink wrote: they are no samples."""
_SHOWN: Final = 5
_FIELDS_MAX: Final = 1000


class Point(NamedTuple):
    """One point of a file."""

    line: int
    measurement: str
    tags: Tags
    t_ns: int
    fields: Sequence[tuple[str, Value]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """How points are named here."""

    device: str | None = None
    """Whose they all are; None: the tag says it."""
    device_tag: str = "device"
    stream_tags: tuple[str, ...] = ()
    """Tags whose values go into the stream's name: `cpu-0`."""
    measurements: tuple[str, ...] = ()
    """Only these; none named: all."""

    def device_of(self, point: Point, where: str) -> str:
        """Whose it is. Raises `UsageError` where nothing says so."""
        if self.device is not None:
            return self.device
        for name, value in point.tags:
            if name == self.device_tag:
                return value
        known = ", ".join(name for name, _ in point.tags) or "none"
        raise UsageError(
            f'{where}: has no tag "{self.device_tag}" that names its device; its tags: {known}; '
            "say --device-tag TAG, or --device D for all of the file"
        )

    def stream_of(self, point: Point) -> str:
        """Which stream it is of: no name of a stream has a dot."""
        values = dict(point.tags)
        parts = [point.measurement, *(values[tag] for tag in self.stream_tags if tag in values)]
        return "-".join(parts).replace(".", "_")

    def rest_of(self, point: Point) -> Tags:
        """The tags that name neither."""
        named = {*self.stream_tags, *([] if self.device is not None else [self.device_tag])}
        return tuple(pair for pair in point.tags if pair[0] not in named)


@dataclass(slots=True)
class Series:
    """A stream's values by field, as they came."""

    rest: Tags
    measurement: str
    fields: dict[str, tuple[array[int], array[float]]] = field(default_factory=dict)

    def add(self, name: str, t_ns: int, value: float) -> None:
        """One value."""
        found = self.fields.get(name)
        if found is None:
            found = self.fields[name] = (array("q"), array("d"))
        found[0].append(t_ns)
        found[1].append(value)

    def table(self, counts: Counter[str]) -> tuple[Times, NDArray[np.float64]]:
        """Times, rising, and values `(rows, fields)`, fields in the order of their names; a missing one is NaN.

        Of values of one field and time the last one holds, as in the database; they are counted as `overwritten`.
        """
        columns = [(np.array(times, np.int64), np.array(values)) for _, (times, values) in sorted(self.fields.items())]
        times = np.unique(np.concatenate([own for own, _ in columns]))
        table = np.full((len(times), len(columns)), np.nan)
        for number, (own, values) in enumerate(columns):
            newest_first, index = np.unique(own[::-1], return_index=True)
            counts["overwritten"] += len(own) - len(newest_first)
            table[np.searchsorted(times, newest_first), number] = values[::-1][index]
        return times, table


def gather(
    path: str, points: Iterable[Point], naming: Naming, counts: Counter[str], codes: Codes | None = None
) -> dict[tuple[str, str], Series]:
    """The series by device and stream; `counts` is told of what is no number, by its kind. Of fields that `codes` has,
    texts are names of states.

    Raises:
        UsageError: a point whose device nobody names, tags that make several series of a stream, a number that no
            float64 holds, or a state that has no name.
    """
    found: dict[tuple[str, str], Series] = {}
    for point in points:
        if naming.measurements and point.measurement not in naming.measurements:
            counts["other_measurements"] += 1
            continue
        if not naming.measurements and point.measurement.startswith(OWN):
            counts["own_measurements"] += 1
            continue
        counts["points"] += 1
        where = f"{path}: line {point.line}"
        stream = naming.stream_of(point)
        numbers = [
            (name, number)
            for name, value in point.fields
            if (number := _number(_coded(value, name, stream, codes or {}, where), where, counts)) is not None
        ]
        if not numbers:
            continue
        key = (naming.device_of(point, where), stream)
        rest = naming.rest_of(point)
        series = found.get(key)
        if series is None:
            series = found[key] = Series(rest, point.measurement)
        elif series.rest != rest or series.measurement != point.measurement:
            raise _several(where, key, series, point, rest)
        for name, number in numbers:
            series.add(name, point.t_ns, number)
        if len(series.fields) > _FIELDS_MAX:
            raise UsageError(f"{where}: {key[1]} of {key[0]} has over {_FIELDS_MAX} fields; choose by --measurement")
    return found


def of_field(found: Mapping[str, T], stream: str, name: str) -> T | None:
    """What is said of a field, by `stream.field` or by its name alone."""
    return found.get(f"{stream}.{name}", found.get(name))


def _coded(value: Value, name: str, stream: str, codes: Codes, where: str) -> Value:
    """A state's code, where a text names one."""
    known = of_field(codes, stream, name) if isinstance(value, str) else None
    if known is None or not isinstance(value, str):
        return value
    code = known.get(normal(value.strip()))
    if code is None:
        raise UsageError(f'{where}: {stream}.{name} is "{value}", which --values does not name{suggest(value, known)}')
    return code


def _number(value: Value, where: str, counts: Counter[str]) -> float | None:
    if isinstance(value, str):
        counts["texts"] += 1
        return None
    number = float(value)
    if isinstance(value, int) and int(number) != value:
        raise inexact(where, value)
    if not math.isfinite(number):
        counts["infinite"] += 1
        return None
    counts["values"] += 1
    return number


def _several(where: str, key: tuple[str, str], series: Series, point: Point, rest: Tags) -> UsageError:
    device, stream = key
    if series.measurement != point.measurement:
        return UsageError(
            f'{where}: the measurements "{series.measurement}" and "{point.measurement}" would both be the stream '
            f"{stream}; import them one after the other, with --measurement"
        )
    differing = dict(series.rest).keys() ^ dict(rest).keys() | {name for name, _ in set(series.rest) ^ set(rest)}
    names = ", ".join(sorted(differing)[:_SHOWN])
    return UsageError(
        f"{where}: {stream} of {device} has several values of the tags {names}: are they sensors of their own? "
        f"Say --stream-tag {sorted(differing)[0]}, which puts its values into the streams' names"
    )


def told(counts: Mapping[str, int], found: Mapping[tuple[str, str], Series]) -> list[str]:
    """What a person should know of what was gathered."""
    notes = []
    if counts.get("texts"):
        notes.append(f"{counts['texts']} values are texts: they are no samples, and were left out")
    if counts.get("infinite"):
        notes.append(f"{counts['infinite']} values are infinite or not a number: they count as missing")
    if counts.get("own_measurements"):
        notes.append(f"{counts['own_measurements']} points are marks and status that a sink wrote: they were left out")
    if counts.get("overwritten"):
        notes.append(f"{counts['overwritten']} values have a later one of the same time, which holds")
    left = sorted({f"{name}={value}" for series in found.values() for name, value in series.rest})
    if left:
        more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
        notes.append(f"tags that name neither device nor stream were left out: {', '.join(left[:_SHOWN])}{more}")
    return notes
