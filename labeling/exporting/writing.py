"""A recording as files: MCAP, or CSV and Parquet, one of each stream. `import readings` reads them back to equal values
and times; a file that is there is never written over.

CSV and Parquet have the columns `time_ns`, whole nanoseconds since 1970 UTC, and the channels. The second line of a CSV
has the units, the metadata `sensorloom` of a Parquet file has them as JSON. MCAP has a topic of each stream, in JSON
with a JSON Schema, and `/marks`; a stream with a position has `…/fix` beside it, a foxglove.LocationFix, for maps.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import quote

import msgspec
import numpy as np

from ingest.errors import MissingLibraryError, UsageError
from ingest.importers.signals.mcapfile import ABOUT, DERIVED, MARK_SCHEMA, UNIT_KEY
from ingest.records import Channel
from labeling.exporting.gathering import Recording, Samples
from labeling.marks import ResolvedMark

TIME: Final = "time_ns"
FORMATS: Final = ("mcap", "csv", "parquet")
_SAFE: Final = " !#$&'()+,;=@[]^_`{}~-"
_PLACES: Final = {"latitude": ("lat", "latitude"), "longitude": ("lon", "longitude"), "altitude": ("alt", "altitude")}
_SLICE: Final = 65_536


def file_name(name: str) -> str:
    """A name as a part of a path: what would lead elsewhere is written as %XX."""
    return quote(name, safe=_SAFE + ":") if name.strip(".") else name.replace(".", "%2E")


def write_recording(
    folder: Path, form: str, recording: Recording, streams: Sequence[Samples], marks: Sequence[ResolvedMark]
) -> list[Path]:
    """Write a recording of `streams` and, as MCAP, its `marks`; the files that were written.

    Raises:
        UsageError: a file is there already, or a stream cannot be written so.
        MissingLibraryError: what writes MCAP is not installed.
    """
    home = folder / file_name(recording.device)
    if form == "mcap":
        path = home / f"{file_name(recording.name)}.mcap"
        _write(path, lambda file: write_mcap(file, recording, streams, marks))
        return [path]
    written = []
    for samples in streams:
        if TIME in (channel.name for channel in samples.channels):
            raise UsageError(
                f'export: {samples.stream} has a channel "{TIME}", as the times are called; choose --format mcap'
            )
        path = home / file_name(recording.name) / f"{file_name(samples.stream)}.{form}"
        write: Callable[[IO[bytes]], None]
        if form == "csv":
            write = lambda file, it=samples: write_csv(file, it)  # type: ignore[misc] # noqa: E731
        else:
            write = lambda file, it=samples: write_parquet(file, recording, it)  # type: ignore[misc] # noqa: E731
        _write(path, write)
        written.append(path)
    return written


def write_marks(folder: Path, marks: Iterable[ResolvedMark]) -> Path:
    """Write `marks.csv`, as `import marks` reads it. Raises `UsageError` where it is there."""
    path = folder / "marks.csv"
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["device", "start", "end", "label", "author", "confidence"])
    for it in marks:
        lines.writerow([it.device, it.start_ns, it.end_ns, it.label, it.author, repr(it.confidence)])
    _write(path, lambda file: file.write(text.getvalue().encode()))
    return path


def _write(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """A whole file or none."""
    if path.exists():
        raise UsageError(f"{path}: is there already; choose another --out, or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("wb") as file:
            write(file)
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)


# --- tables -----------------------------------------------------------------------------------------------------------


def _table(samples: Samples) -> Any:
    import pyarrow as pa

    columns = [pa.array(samples.times)]
    columns += [pa.array(column, from_pandas=True) for column in samples.values.T]  # NaN is null
    return pa.table(columns, names=[TIME, *(channel.name for channel in samples.channels)])


def write_csv(file: IO[bytes], samples: Samples) -> None:
    """Numbers as short as they can be, which mean the same; what is missing is empty."""
    from pyarrow import csv as arrow

    head = io.StringIO()
    lines = csv.writer(head, lineterminator="\n")
    lines.writerow([TIME, *(channel.name for channel in samples.channels)])
    lines.writerow(["ns", *(channel.unit for channel in samples.channels)])
    file.write(head.getvalue().encode())
    arrow.write_csv(_table(samples), file, arrow.WriteOptions(include_header=False))


def write_parquet(file: IO[bytes], recording: Recording, samples: Samples) -> None:
    """A table, whose metadata says of whom it is."""
    from pyarrow import parquet

    told = _about(recording) | {"stream": samples.stream, "units": {it.name: it.unit for it in samples.channels}}
    table = _table(samples).replace_schema_metadata({ABOUT: msgspec.json.encode(told)})
    parquet.write_table(table, file, compression="zstd")


def _about(recording: Recording) -> dict[str, Any]:
    return {"device": recording.device, "recording": recording.name, "attributes": dict(recording.attributes)}


# --- MCAP -------------------------------------------------------------------------------------------------------------


def write_mcap(
    file: IO[bytes], recording: Recording, streams: Sequence[Samples], marks: Sequence[ResolvedMark]
) -> None:
    """All streams, in the order of their times, and the marks. Raises `MissingLibraryError`."""
    try:
        from mcap.writer import Writer
    except ImportError as error:
        raise MissingLibraryError("export: MCAP", error.name, "formats") from None
    writer = Writer(file)
    writer.start(profile="", library="sensorloom")
    attributes = {f"attribute:{name}": value for name, value in recording.attributes.items()}
    writer.add_metadata(ABOUT, {"device": recording.device, "recording": recording.name, **attributes})
    topics = [_Topic(writer, samples) for samples in streams]
    owners = np.concatenate([np.full(len(it.times), number) for number, it in enumerate(streams)])
    rows = np.concatenate([np.arange(len(it.times)) for it in streams])
    order = np.argsort(np.concatenate([it.times for it in streams]), kind="stable")
    for start in range(0, len(order), _SLICE):
        part = order[start : start + _SLICE]
        for number, row in zip(owners[part].tolist(), rows[part].tolist(), strict=True):
            topics[number].write(row)
    if marks:
        schema = writer.register_schema(MARK_SCHEMA, "jsonschema", _schema(dict.fromkeys(_MARK, "string")))
        channel = writer.register_channel("/marks", "json", schema)
        for it in marks:
            told = dict(zip(_MARK, (str(it.start_ns), str(it.end_ns), it.label, it.author), strict=True))
            at = max(it.start_ns, 0)
            writer.add_message(channel, at, msgspec.json.encode(told), at)
    writer.finish()  # type: ignore[no-untyped-call]


_MARK: Final = ("start_ns", "end_ns", "label", "author")
"""What a message of a mark has; times as text, for readers whose numbers are doubles."""


def _schema(types: dict[str, str], units: dict[str, str] | None = None) -> bytes:
    """A JSON Schema, without which Foxglove shows no fields."""
    known = units or {}
    properties = {name: {"type": kind} | ({"description": known[name]} if name in known else {})
                  for name, kind in types.items()}  # fmt: skip
    return msgspec.json.encode({"type": "object", "properties": properties})


class _Topic:
    """One stream's messages."""

    def __init__(self, writer: Any, samples: Samples) -> None:
        if len(samples.times) and int(samples.times[0]) < 0:
            raise UsageError(
                f"export: {samples.stream} has times before 1970, which MCAP cannot hold; choose --format csv"
            )
        self._writer, self._samples = writer, samples
        self._names = [channel.name for channel in samples.channels]
        units = {channel.name: channel.unit for channel in samples.channels}
        schema = writer.register_schema(
            f"sensorloom.{samples.stream}", "jsonschema", _schema(dict.fromkeys(self._names, "number"), units)
        )
        told = {UNIT_KEY + name: unit for name, unit in units.items()}
        self._channel = writer.register_channel(f"/{samples.stream}", "json", schema, told)
        self._fix = self._places(samples.channels)
        if self._fix:
            types = {"timestamp": "object", "frame_id": "string", **dict.fromkeys(_PLACES, "number")}
            schema = writer.register_schema("foxglove.LocationFix", "jsonschema", _schema(types))
            self._fixes = writer.register_channel(f"/{samples.stream}/fix", "json", schema, {DERIVED: "true"})

    @staticmethod
    def _places(channels: Sequence[Channel]) -> dict[str, int]:
        """Which channels say where it is; none where it does not say latitude and longitude in degrees."""
        names = {channel.name: place for place, channel in enumerate(channels) if channel.unit in ("deg", "m")}
        found = {field: names[name] for field, known in _PLACES.items() for name in known if name in names}
        return found if {"latitude", "longitude"} <= found.keys() else {}

    def write(self, row: int) -> None:
        """One sample, without what is missing: null is no number to who reads by the schema."""
        t_ns, values = int(self._samples.times[row]), self._samples.values[row].tolist()
        told = {name: value for name, value in zip(self._names, values, strict=True) if value == value}
        self._writer.add_message(self._channel, t_ns, msgspec.json.encode(told), t_ns)
        if self._fix and all(values[place] == values[place] for place in self._fix.values()):
            seconds, rest = divmod(t_ns, 10**9)
            fix = {name: values[place] for name, place in self._fix.items()}
            told_fix = {"timestamp": {"sec": seconds, "nsec": rest}, "frame_id": "", "altitude": 0.0, **fix}
            self._writer.add_message(self._fixes, t_ns, msgspec.json.encode(told_fix), t_ns)
