"""EDF and EDF+ (Kemp and others 1992 and 2003, edfplus.info), and BioSemi's BDF, whose samples have 24 bits.

The format is one header in ASCII and records of whole numbers, so it is read here: the library for it takes no file
that is cut off, and none with gaps (EDF+D). Raw numbers stay; scale and offset make them physical.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.importers.signals.contents import (
    LOST_BYTES,
    Asked,
    ClockKind,
    Contents,
    FileMark,
    Signal,
    file_label,
    file_unit,
    unique,
)
from ingest.importers.signals.wav import from_24_bits
from ingest.importers.source import Source
from ingest.times import Times

EDF: Final = b"0       "
BDF: Final = b"\xffBIOSEMI"
_FIELDS: Final = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
"""Bytes of what the header has of each signal: label, transducer, unit, bounds (physical, digital), filter, samples."""
_ANNOTATIONS: Final = ("EDF Annotations", "BDF Annotations")
_ANONYMOUS: Final = "01.01.85"
"""Files whose dates were taken out begin on that day."""
_TAL: Final = re.compile(r"([+-]\d+(?:\.\d*)?)(?:\x15(\d+(?:\.\d*)?))?\x14([^\0]*)\x14\0")
_SIGNALS_MAX: Final = 10_000
_NS: Final = 10**9


@dataclass(frozen=True, slots=True)
class _Channel:
    """A signal as the header describes it."""

    label: str
    unit: str
    physical: tuple[float, float]
    digital: tuple[int, int]
    samples: int
    """In a record."""

    @property
    def is_annotations(self) -> bool:
        return self.label in _ANNOTATIONS

    def gain(self) -> tuple[float, float]:
        """Scale and offset: `(digital - least digital) * scale + least physical`."""
        span = self.digital[1] - self.digital[0]
        scale = (self.physical[1] - self.physical[0]) / span if span else 0.0
        return (scale, self.physical[0] - self.digital[0] * scale) if scale else (1.0, 0.0)


@dataclass(frozen=True, slots=True)
class _Header:
    width: int
    """Bytes of a sample."""
    start_ns: int
    """On the wall of who recorded."""
    anonymous: bool
    discontinuous: bool
    has_annotations: bool
    size: int
    records: int
    """-1: not known, as while it is recorded."""
    seconds: Fraction
    """A record's duration."""
    channels: tuple[_Channel, ...]

    @property
    def record_bytes(self) -> int:
        return self.width * sum(channel.samples for channel in self.channels)


def is_edf(data: bytes) -> bool:
    """Whether it begins as one."""
    return data.startswith((EDF, BDF)) and len(data) >= 8


def read_edf(source: Source, asked: Asked) -> Contents:
    """The signals of a file, those of one rate together; annotations are marks. One that is cut off has what is there.

    Raises:
        UsageError: the header says what cannot be, or there is no record.
    """
    path, data = source.path, source.data
    header = _header(path, data)
    body = data[header.size :]
    count = len(body) // header.record_bytes
    lost: Counter[str] = Counter()
    notes: list[str] = []
    if header.records >= 0 and count > header.records:
        notes.append(
            f"behind its {header.records} records lie {len(body) - header.records * header.record_bytes} bytes"
        )
        lost[LOST_BYTES] += len(body) - header.records * header.record_bytes
        count = header.records
    elif torn := len(body) - count * header.record_bytes:
        lost[LOST_BYTES] += torn
    if header.records > count:
        lost["records"] = header.records - count
        notes.append(
            f"the file is cut off: {header.records - count} of its {header.records} records are not there, "
            f"{float((header.records - count) * header.seconds):g} s of signal"
        )
    if not count:
        raise UsageError(f"{path}: an EDF file without a whole record; it is cut off, or nothing was recorded")
    raw = np.frombuffer(body[: count * header.record_bytes], np.uint8).reshape(count, header.record_bytes)
    onsets, marks = _annotations(header, raw, lost)
    offsets = _onsets(header, count, onsets, notes)
    signals = _signals(header, raw, offsets)
    if not signals and not marks:
        raise UsageError(f"{path}: an EDF file that has neither signals nor annotations")
    if lost["annotations"]:
        notes.append(f"{lost['annotations']} annotations are damaged, or say nothing, and were left out")
    clock: ClockKind = "none" if header.anonymous else "local"
    base = 0 if header.anonymous else header.start_ns
    placed = tuple(FileMark(base + mark.start_ns, base + mark.end_ns, mark.label) for mark in marks)
    kind = "BDF" if header.width == 3 else "EDF"
    return Contents(kind, signals, clock, placed, lost=dict(+lost), notes=tuple(notes))


# --- header -----------------------------------------------------------------------------------------------------------


def _header(path: str, data: bytes) -> _Header:
    def number(at: int, size: int, what: str) -> Fraction:
        text = data[at : at + size].decode("latin-1").strip(" \0")
        try:
            return Fraction(text)
        except (ValueError, ZeroDivisionError):
            raise UsageError(f'{path}: the header says "{text}" for {what}; it is damaged') from None

    if len(data) < 256:
        raise UsageError(f"{path}: an EDF file that ends in its header; it is cut off")
    count = int(number(252, 4, "the number of signals"))
    size = 256 * (count + 1)
    if not 1 <= count <= _SIGNALS_MAX or len(data) < size:
        raise UsageError(f"{path}: an EDF file of {count} signals that ends in its header; it is cut off or damaged")
    seconds = number(244, 8, "the duration of a record")
    cells, at = [], 256
    for width in _FIELDS:
        cells.append([(at + width * each, width) for each in range(count)])
        at += width * count
    channels = []
    for each in range(count):
        text = [data[at : at + width].decode("latin-1").strip(" \0") for at, width in (row[each] for row in cells)]
        bounds = [number(*cells[row][each], "the range of " + text[0]) for row in (3, 4, 5, 6)]
        samples = int(number(*cells[8][each], "the samples of " + text[0]))
        if samples < 0:
            raise UsageError(f"{path}: {text[0]} has {samples} samples in a record; the header is damaged")
        channels.append(
            _Channel(
                text[0],
                file_unit(text[2]),
                (float(bounds[0]), float(bounds[1])),
                (int(bounds[2]), int(bounds[3])),
                samples,
            )
        )
    reserved = data[192:236].decode("latin-1")
    has_annotations = any(channel.is_annotations for channel in channels)
    if seconds < 0 or (not seconds and any(not channel.is_annotations for channel in channels)):
        raise UsageError(f"{path}: a record lasts {float(seconds):g} s, as its header says; it is damaged")
    anonymous, start_ns = _start(path, data)
    header = _Header(
        3 if data.startswith(BDF) else 2, start_ns, anonymous, reserved[:5] in ("EDF+D", "BDF+D"), has_annotations,
        size, int(number(236, 8, "the number of records")), seconds, tuple(channels),
    )  # fmt: skip
    if not header.record_bytes:
        raise UsageError(f"{path}: its records are empty; the header is damaged")
    return header


def _start(path: str, data: bytes) -> tuple[bool, int]:
    day, clock = data[168:176].decode("latin-1"), data[176:184].decode("latin-1")
    if day == _ANONYMOUS:
        return True, 0
    found = re.fullmatch(r"(\d\d)\.(\d\d)\.(\d\d)(\d\d)\.(\d\d)\.(\d\d)", day + clock)
    try:
        if found is None:
            raise ValueError
        d, m, y, hour, minute, second = map(int, found.groups())
        start = datetime(1900 + y if y >= 85 else 2000 + y, m, d, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return True, 0  # edfplus.info: a date that is not known is "yy" and the like
    return False, int(start.timestamp()) * _NS


# --- records ----------------------------------------------------------------------------------------------------------


def _columns(header: _Header) -> list[tuple[_Channel, slice]]:
    """Where each channel's bytes lie in a record."""
    found, at = [], 0
    for channel in header.channels:
        size = header.width * channel.samples
        found.append((channel, slice(at, at + size)))
        at += size
    return found


def _annotations(
    header: _Header, raw: NDArray[np.uint8], lost: Counter[str]
) -> tuple[list[int | None], list[FileMark]]:
    """When each record begins as it says itself, and what is annotated; ns from the file's start."""
    onsets: list[int | None] = [None] * len(raw)
    marks: list[FileMark] = []
    first = True
    for channel, place in _columns(header):
        if not channel.is_annotations:
            continue
        for record, cell in enumerate(raw[:, place]):
            text = cell.tobytes().decode("utf-8", "replace")
            read = 0
            for found in _TAL.finditer(text):
                read += len(found[0])
                onset, length = _ns(found[1]), _ns(found[2] or "0")
                labels = found[3].split("\x14")
                if first and onsets[record] is None and not labels[0]:
                    onsets[record] = onset
                    labels = labels[1:]
                known = [label for text in labels if (label := file_label(text))]
                lost["annotations"] += len([text for text in labels if text]) - len(known)
                marks += [FileMark(onset, onset + length, label) for label in known]
            lost["annotations"] += len(text.replace("\0", "")) > len(text[:read].replace("\0", ""))
        first = False
    return onsets, marks


def _ns(text: str) -> int:
    """Nanoseconds of seconds with decimals."""
    return round(Fraction(text) * _NS)


def _onsets(header: _Header, count: int, said: list[int | None], notes: list[str]) -> Times:
    """When each record begins, `(records,)` ns from the file's start."""
    if not header.has_annotations or said[0] is None or not header.seconds:
        return _grid(header, 0, count)
    if not header.discontinuous:
        return _grid(header, said[0], count)
    onsets: list[int] = []
    for record in range(count):
        told = said[record]
        if told is None:
            notes.append(f"record {record} does not say when it begins: it was taken to follow the one before")
        onsets.append(onsets[-1] + round(header.seconds * _NS) if told is None else told)
    return np.array(onsets, np.int64)


def _grid(header: _Header, first_ns: int, count: int) -> Times:
    return np.array([first_ns + int(number * header.seconds * _NS) for number in range(count)], np.int64)


def _signals(header: _Header, raw: NDArray[np.uint8], onsets: Times) -> tuple[Signal, ...]:
    groups: dict[int, list[tuple[_Channel, slice]]] = {}
    for channel, place in _columns(header):
        if channel.samples and not channel.is_annotations:
            groups.setdefault(channel.samples, []).append((channel, place))
    steps = np.diff(onsets)
    most_ns = int(header.seconds * _NS)
    breaks = [0, *(np.flatnonzero(np.abs(steps - most_ns) > 1) + 1).tolist()]
    base = 0 if header.anonymous else header.start_ns
    signals = []
    for samples, group in sorted(groups.items(), reverse=True):
        rate = samples / header.seconds
        values = np.concatenate([_numbers(raw[:, place], header.width) for _, place in group], axis=1)
        gains = [channel.gain() for channel, _ in group]
        signals.append(
            Signal(
                "edf" if len(groups) == 1 else f"{rate}Hz",
                unique([channel.label for channel, _ in group], "ch"),
                values,
                onsets[breaks] + base,
                rate,
                tuple(record * samples for record in breaks),
                tuple(channel.unit or "1" for channel, _ in group),
                tuple(scale for scale, _ in gains),
                tuple(offset for _, offset in gains),
            )
        )
    return tuple(signals)


def _numbers(cells: NDArray[np.uint8], width: int) -> NDArray[Any]:
    """A channel's samples of all records, `(samples, 1)`."""
    raw = cells.tobytes()
    return (np.frombuffer(raw, "<i2") if width == 2 else from_24_bits(raw)).reshape(-1, 1)
