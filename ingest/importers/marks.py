"""A CSV of marks into the log: the header `device,start,end,label`, and optionally `author` and `confidence`.

Times are ISO 8601 with a zone, integer nanoseconds of our days, or numbers of a unit that is said; an empty `end` is an
instant. A mark's id is a hash of its device, range, label and author, so that importing twice adds nothing. Nothing is
written when any row is bad: bytes that are no UTF-8 are bad, for they would make two labels one.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ingest.errors import UsageError
from ingest.importers.publish import publish
from ingest.importers.tables import read_source
from ingest.log.protocol import MARKS, Log
from ingest.progress import Progress
from ingest.records import MarkAdd
from ingest.settings import suggest
from ingest.units import TIME_UNITS, count_ns, parse_iso, parse_time

_TORN: Final = "the last line has no line feed: if the file was cut off, its label is not whole"
REQUIRED: Final = ("device", "start", "end", "label")
OPTIONAL: Final = ("author", "confidence")
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class MarksSummary:
    """What an import of marks did."""

    marks: int
    repeated: int
    """Rows that say the same as an earlier row of the file: written once."""
    lines: int
    """The sum of the header, the next two, the marks and the repeated rows."""
    blank: int
    spanned: int
    """Lines that a quoted cell, or the header, goes on over."""
    devices: int
    labels: dict[str, int]
    start_ns: int
    end_ns: int
    notes: list[str]
    """What a person should know."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for `--json`."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def mark_id(device: str, start_ns: int, end_ns: int, label: str, author: str) -> str:
    """The id of an imported mark: the same for the same content."""
    told = "\0".join((device, str(start_ns), str(end_ns), label, author))
    return "import-" + hashlib.sha256(told.encode()).hexdigest()[:24]


def read_marks(path: str | Path, time_unit: str | None = None) -> list[MarkAdd]:
    """The marks of a CSV file, in its order; `time_unit` is that of times that are numbers (s, ms, us or ns).

    Raises:
        UsageError: with the line of what is wrong.
    """
    return _read(path, _text(path), time_unit)[0]


def _read(path: str | Path, text: str, time_unit: str | None) -> tuple[list[MarkAdd], int]:
    """The marks, and the number of blank lines."""
    if time_unit is not None and time_unit not in TIME_UNITS:
        raise UsageError(f'--time-unit: unknown unit "{time_unit}"; known: {", ".join(TIME_UNITS)}')
    rows = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    try:
        header = [name.strip() for name in next(rows, [])]
        _check_header(path, header)
        found = list(_marks(path, header, rows, time_unit))
    except csv.Error as error:
        raise UsageError(f"{path}: line {max(rows.line_num, 1)}: {error}") from None
    marks = [mark for mark in found if mark is not None]
    return marks, len(found) - len(marks)


def _text(path: str | Path) -> str:
    data = read_source(path).data.removeprefix(b"\xef\xbb\xbf")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"{path}: line {line}: byte {data[error.start]:#x} is not UTF-8; save the file as UTF-8"
        ) from None


def _check_header(path: str | Path, header: list[str]) -> None:
    for name in header:
        if name not in REQUIRED + OPTIONAL:
            raise UsageError(f'{path}: line 1: unknown column "{name}"{suggest(name, REQUIRED + OPTIONAL)}')
        if header.count(name) > 1:
            raise UsageError(f'{path}: line 1: column "{name}" occurs twice')
    for name in REQUIRED:
        if name not in header:
            raise UsageError(f'{path}: line 1: column "{name}" is missing; the header is {",".join(REQUIRED)}')


def _marks(path: str | Path, header: list[str], rows: Any, time_unit: str | None) -> Iterator[MarkAdd | None]:
    """The mark of each row; None for a blank line."""
    for row in rows:
        if not any(cell.strip() for cell in row):
            yield None
            continue
        where = f"{path}: line {rows.line_num}"
        if len(row) != len(header):
            raise UsageError(f"{where}: found {len(row)} columns, expected {len(header)}")
        try:
            yield _mark(dict(zip(header, (cell.strip() for cell in row), strict=True)), time_unit)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None


def _mark(cells: dict[str, str], time_unit: str | None) -> MarkAdd:
    device, label, author = cells["device"], cells["label"], cells.get("author", "")
    for name in ("device", "start", "label"):
        if not cells[name]:
            raise UsageError(f'"{name}" is empty')
    for name in ("device", "label"):
        if not cells[name].isprintable():
            raise UsageError(f'"{name}" holds the character {_unprintable(cells[name])!a}, which nobody sees')
    try:
        confidence = float(cells.get("confidence") or "1")
    except ValueError:
        confidence = -1.0
    if not 0.0 <= confidence <= 1.0:
        raise UsageError(f'confidence: found "{cells["confidence"]}", expected a number from 0 to 1')
    start_ns = _time(cells["start"], time_unit)
    end_ns = _time(cells["end"], time_unit) if cells["end"] else start_ns
    if end_ns < start_ns:
        raise UsageError(f"the end {cells['end']} lies before the start {cells['start']}")
    known = mark_id(device, start_ns, end_ns, label, author)
    return MarkAdd(device, known, start_ns, end_ns, label, author, "import", confidence)


def _time(text: str, unit: str | None) -> int:
    """A time of a row: with `unit`, a number of it, or ISO 8601."""
    if unit is None:
        return parse_time(text)
    return count_ns(text, unit) if _NUMBER.fullmatch(text) else parse_iso(text)


def _unprintable(text: str) -> str:
    return next(character for character in text if not character.isprintable())


async def import_marks(
    log: Log, path: str | Path, progress: Progress | None = None, time_unit: str | None = None
) -> MarksSummary:
    """Bring the marks of a CSV file into `log`; returns when every one is durable.

    Raises:
        UsageError: before anything is written.
        LogUnavailableError, StoreFullError: some may be in the log; importing again completes it.
    """
    text = _text(path)
    rows, blank = _read(path, text, time_unit)
    marks = list({mark.id: mark for mark in rows}.values())
    devices: dict[str, list[MarkAdd]] = {}
    labels: dict[str, int] = {}
    for mark in marks:
        devices.setdefault(mark.device, []).append(mark)
        labels[mark.label] = labels.get(mark.label, 0) + 1
    await log.ensure(MARKS)
    for device, group in devices.items():
        await publish(log, MARKS, device, group, progress)
    start_ns, end_ns = (min(m.start_ns for m in marks), max(m.end_ns for m in marks)) if marks else (0, 0)
    lines = len(io.StringIO(text, newline=None).readlines())
    continued = max(lines - 1 - blank - len(rows), 0)
    notes = [_TORN] if text and not text.endswith(("\n", "\r")) else []
    repeated = len(rows) - len(marks)
    return MarksSummary(len(marks), repeated, lines, blank, continued, len(devices), labels, start_ns, end_ns, notes)
