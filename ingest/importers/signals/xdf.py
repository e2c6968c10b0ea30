"""XDF, as LabRecorder writes it (github.com/sccn/xdf, Specifications 1.0), read by pyxdf (extra "formats").

pyxdf corrects clocks and jitter. What is damaged is taken out before, chunk by chunk, and counted: a file that is cut
off has what was written before, and a chunk that is not whole is never half of one.
"""

from __future__ import annotations

import io
import logging
import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree import ElementTree

import numpy as np

from ingest.errors import MissingLibraryError, UsageError
from ingest.importers.signals.contents import (
    LOST_BYTES,
    Asked,
    Contents,
    FileMark,
    Signal,
    file_label,
    file_unit,
    seconds_to_ns,
    stream_name,
    unique,
)
from ingest.importers.source import Source
from ingest.units import format_time, parse_iso

XDF: Final = b"XDF:"
_BOUNDARY: Final = bytes.fromhex("43a546dccbf5410fb30ed5467383cbe4")
_FILE_HEADER, _STREAM_HEADER, _SAMPLES, _CLOCK_OFFSET, _BOUNDARY_TAG, _FOOTER = range(1, 7)
_SIZES: Final = {"double64": 8, "float32": 4, "int64": 8, "int32": 4, "int16": 2, "int8": 1}
_CHANNELS_MAX: Final = 10_000
_ONE_CLOCK: Final = "they were taken to have one clock"
_LOOSE: Final = (
    "they are kept as unsynced, and never become windows; if all were recorded on one machine, say --one-clock"
)
_LENGTHS: Final = {1: "<B", 4: "<I", 8: "<Q"}


def is_xdf(data: bytes) -> bool:
    """Whether it begins as one."""
    return data.startswith(XDF)


def read_xdf(source: Source, asked: Asked) -> Contents:
    """The streams of a file; those of texts, and numbers that are called markers, are marks.

    Raises:
        UsageError: nothing of it can be read, or it has no sample.
        MissingLibraryError: the extra "formats" is not installed.
    """
    path = source.path
    try:
        import pyxdf
    except ImportError as error:
        raise MissingLibraryError(f"{path}: an XDF file", error.name, "formats") from None
    whole = _Sieve(source.data)
    clean = whole.sieved()
    log = logging.getLogger("pyxdf")
    level, log.level = log.level, logging.CRITICAL
    try:
        streams, header = pyxdf.load_xdf(io.BytesIO(clean))
    except Exception as error:  # what it raises of a header that is damaged is its to choose
        raise UsageError(f"{path}: an XDF file that cannot be read: {error or type(error).__name__}") from None
    finally:
        log.level = level
    notes = whole.notes()
    read = [_Stream(path, it) for it in streams]
    signals = [it for it in read if it.is_signal and len(it.seconds)]
    markers = [it for it in read if not it.is_signal and len(it.seconds)]
    if not signals and not markers:
        raise UsageError(f"{path}: an XDF file without a sample" + "".join(f"; {note}" for note in notes))
    first = min(float(it.seconds.min()) for it in signals or markers)
    marks = []
    for it in markers:
        marks += it.marks(first, whole.lost)
    if empty := sorted(it.name for it in read if not len(it.seconds)):
        notes.append(f"{len(empty)} streams have no sample: {', '.join(empty)}")
    if loose := sorted(it.name for it in read if len(it.seconds) and not it.synced):
        notes.append(
            f"no clock offsets were measured for {', '.join(loose)}: {_ONE_CLOCK if asked.one_clock else _LOOSE}"
        )
    start_ns, said = _start(header)
    if said and not asked.start_known:
        notes.append(
            f"its clock counts from something else: its first sample was taken to lie where the file says that it was "
            f"begun, {format_time(start_ns)}, which may be off by a second or so; --start says better"
        )
    if whole.lost["labels"]:
        notes.append(f"{whole.lost['labels']} markers are empty and were left out")
    return Contents(
        "XDF",
        tuple(it.signal(first, start_ns, one_clock=asked.one_clock) for it in signals),
        "utc" if said else "none",
        tuple(FileMark(mark.start_ns + start_ns, mark.end_ns + start_ns, mark.label) for mark in marks),
        lost=dict(+whole.lost),
        notes=tuple(notes),
    )


def _start(header: dict[str, Any]) -> tuple[int, bool]:
    """When the file was begun, and whether it says so with a zone."""
    try:
        return parse_iso(header["info"]["datetime"][0]), True
    except (KeyError, IndexError, TypeError, UsageError, AttributeError):
        return 0, False


class _Stream:
    """A stream as pyxdf gives it."""

    def __init__(self, path: str, stream: dict[str, Any]) -> None:
        info = stream["info"]
        self.path = path
        self.name = stream_name(_first(info, "name") or _first(info, "type") or f"stream{info['stream_id']}")
        self.series = stream["time_series"]
        self.seconds = np.asarray(stream["time_stamps"], np.float64)
        self.synced = len(stream["clock_times"]) > 0
        is_text = _first(info, "channel_format") == "string"
        self.is_signal = not is_text and "marker" not in _first(info, "type").lower()
        self._info = info
        if len(self.seconds) and not np.isfinite(self.seconds).all():
            raise UsageError(f'{path}: damaged: the stream "{self.name}" has times that are none')

    def signal(self, first: float, start_ns: int, *, one_clock: bool) -> Signal:
        """`first` is the second that `start_ns` stands for."""
        described = _channels(self._info)
        values = np.asarray(self.series)
        labels = [label for label, _ in described] + [""] * values.shape[1]
        units = [file_unit(unit) for _, unit in described] + [""] * values.shape[1]
        return Signal(
            self.name,
            unique(labels[: values.shape[1]], "ch"),
            values,
            seconds_to_ns(self.seconds - first, self.path) + start_ns,
            units=tuple(units[: values.shape[1]]),
            unsynced=not self.synced and not one_clock,
        )

    def marks(self, first: float, lost: Counter[str]) -> list[FileMark]:
        """Each text that is there, or number, at its time."""
        found = []
        for t_ns, cells in zip(seconds_to_ns(self.seconds - first, self.path).tolist(), self.series, strict=True):
            labels = [label for cell in cells if (label := file_label(_shown(cell)))]
            lost["labels"] += len(cells) - len(labels)
            found += [FileMark(t_ns, t_ns, label) for label in labels]
        return found


def _shown(cell: Any) -> str:
    return cell if isinstance(cell, str) else f"{float(cell):g}"


def _first(info: dict[str, Any], name: str) -> str:
    found = info.get(name)
    return found[0] if found and isinstance(found[0], str) else ""


def _channels(info: dict[str, Any]) -> list[tuple[str, str]]:
    """Label and unit of each channel, where the stream describes them."""
    try:
        described = info["desc"][0]["channels"][0]["channel"]
        return [(_first(it, "label") or _first(it, "name"), _first(it, "unit")) for it in described]
    except (KeyError, IndexError, TypeError, AttributeError):
        return []


# --- what is whole of a file ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Sieve:
    """Keeps the chunks that are whole; behind damage it goes on at the next boundary."""

    data: bytes
    lost: Counter[str] = field(default_factory=Counter)
    torn: bool = False
    sizes: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    """By stream: channels, and bytes of a value (0: texts)."""

    def sieved(self) -> bytes:
        """The file without what is damaged."""
        kept, at = [XDF], len(XDF)
        while at < len(self.data):
            begin, behind = self._frame(at)
            if behind is None:
                on = self._boundary(at)
                self.lost[LOST_BYTES] += on - at
                self.torn |= on == len(self.data)
                at = on
                continue
            if self._is_whole(begin, behind):
                kept.append(self.data[at:behind])
            else:
                self.lost["chunks"] += 1
                self.lost[LOST_BYTES] += behind - at
            at = behind
        return b"".join(kept)

    def notes(self) -> list[str]:
        """What a person should know of it."""
        told = []
        if self.torn:
            told.append("the file is cut off, or damaged to its end: what came before was read")
        if self.lost[LOST_BYTES]:
            told.append(f"{self.lost[LOST_BYTES]} bytes are damaged, {self.lost['chunks']} chunks among them: left out")
        return told

    def _frame(self, at: int) -> tuple[int, int | None]:
        """Where a chunk's tag and where its end lie; no end where there is no such chunk."""
        form = _LENGTHS.get(self.data[at])
        begin = at + 1 + (struct.calcsize(form) if form else 0)
        if form is None or begin + 2 > len(self.data):
            return begin, None
        behind = begin + struct.unpack_from(form, self.data, at + 1)[0]
        tag = int.from_bytes(self.data[begin : begin + 2], "little")
        is_chunk = _FILE_HEADER <= tag <= _FOOTER and begin + 2 <= behind <= len(self.data)
        return begin, behind if is_chunk else None

    def _boundary(self, at: int) -> int:
        """Behind the next boundary chunk, or the file's end."""
        found = self.data.find(_BOUNDARY, at + 1)
        return len(self.data) if found < 0 else found + len(_BOUNDARY)

    def _is_whole(self, begin: int, behind: int) -> bool:
        tag, stream = int.from_bytes(self.data[begin : begin + 2], "little"), self.data[begin + 2 : begin + 6]
        body = self.data[begin + 6 : behind]
        if tag == _FILE_HEADER:
            return _xml(self.data[begin + 2 : behind]) is not None
        if tag == _STREAM_HEADER:
            return stream not in self.sizes and self._describes(stream, body)
        if tag == _BOUNDARY_TAG:
            return True
        if stream not in self.sizes:
            return False
        if tag == _CLOCK_OFFSET:
            return len(body) == 16 and bool(np.isfinite(np.frombuffer(body, "<f8")).all())
        return self._is_samples(stream, body) if tag == _SAMPLES else _xml(body) is not None

    def _describes(self, stream: bytes, body: bytes) -> bool:
        info = _xml(body)
        if info is None:
            return False
        try:
            channels, rate = int(info.findtext("channel_count", "")), float(info.findtext("nominal_srate", ""))
        except ValueError:
            return False
        form = info.findtext("channel_format", "")
        if not 0 < channels <= _CHANNELS_MAX or not 0 <= rate < 1e9 or (form != "string" and form not in _SIZES):
            return False
        self.sizes[stream] = channels, _SIZES.get(form, 0)
        return True

    def _is_samples(self, stream: bytes, body: bytes) -> bool:
        """Whether the samples of a chunk end where it does."""
        channels, size = self.sizes[stream]
        try:
            count, at = _varlen(body, 0)
            if count > len(body):
                return False
            for _ in range(count):
                if body[at] not in (0, 8):
                    return False
                at += 1 + body[at]
                if size:
                    at += channels * size
                    continue
                for _ in range(channels):
                    length, at = _varlen(body, at)
                    at += length
        except (IndexError, KeyError, struct.error):
            return False
        return at == len(body)


def _varlen(body: bytes, at: int) -> tuple[int, int]:
    form = _LENGTHS[body[at]]
    value: int = struct.unpack_from(form, body, at + 1)[0]
    return value, at + 1 + struct.calcsize(form)


def _xml(data: bytes) -> ElementTree.Element | None:
    """An element; None for what is none, and for what declares entities, of which a few mean gigabytes."""
    if b"<!" in data.replace(b"<!--", b""):
        return None
    try:
        return ElementTree.fromstring(data.decode("utf-8", "replace"))
    except (ElementTree.ParseError, ValueError):
        return None
