"""A CSV of marks into the log: the header `device,start,end,label`, and optionally `author` and `confidence`.

Times are ISO 8601 with a zone (or in `--timezone`), integer nanoseconds of our days, or numbers of a unit that is said;
with `--origin` numbers count from there. A mark's end is exclusive: what happens at it is no longer the mark's, unless
`--end inclusive` says so. An empty `end` is an instant. A mark's id is a hash of its device, range, label and author,
so that importing twice adds nothing. Nothing is written when any row is bad: bytes that are no UTF-8 are bad, for they
would make two labels one.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ingest.errors import UsageError
from ingest.importers.publish import publish
from ingest.importers.tables import read_source
from ingest.log.protocol import MARKS, Log
from ingest.names import normal
from ingest.progress import Progress
from ingest.records import MAX_TIME_NS, Mark, MarkAdd
from ingest.settings import suggest
from ingest.units import ISO_OFFSET, TIME_UNITS, count_ns, offset_ns, parse_iso, parse_number, parse_time

_TORN: Final = "the last line has no line feed: if the file was cut off, its label is not whole"
REQUIRED: Final = ("device", "start", "end", "label")
OPTIONAL: Final = ("author", "confidence")
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", re.ASCII)
_OFFSET: Final = re.compile(ISO_OFFSET, re.ASCII)
_ZONED: Final = re.compile(rf":\d\d(?:[.,]\d+)?\s*(?:Z|z|{ISO_OFFSET})$", re.ASCII)


@dataclass(frozen=True, slots=True)
class MarkTimes:
    """How the times of a marks file are to be read."""

    unit: str | None = None
    """"s", "ms", "us" or "ns", of times that are numbers; None: they are integer nanoseconds, or name their unit."""
    timezone: str | None = None
    """For times without a zone: an IANA name, or an offset as in +01:00."""
    origin: tuple[str, int] | None = None
    """What a number means: `("12.5", t_ns)` says that 12.5 is that instant; numbers count from there in `unit`."""
    inclusive: bool = False
    """Whether what happens at a mark's end belongs to it."""

    def check(self) -> None:
        """Raise `UsageError` for a unit or zone that is none, or an origin without a unit."""
        if self.unit is not None and self.unit not in TIME_UNITS:
            raise UsageError(f'--time-unit: unknown unit "{self.unit}"; known: {", ".join(TIME_UNITS)}')
        if self.timezone is not None:
            _zone(self.timezone)
        if self.origin is not None:
            if self.unit is None:
                raise UsageError("--origin: say --time-unit s, ms, us or ns as well: what the numbers count")
            parse_number(self.origin[0])

    def read(self, text: str) -> int:
        """The instant, ns UTC. Raises `UsageError`."""
        if self.unit is not None and _NUMBER.fullmatch(text):
            if self.origin is None:
                return count_ns(text, self.unit)
            value, origin_ns = parse_number(self.origin[0]), self.origin[1]
            since = (parse_number(text) - value) * 10 ** TIME_UNITS[self.unit]
            return _in_range(text, origin_ns + since.numerator // since.denominator)
        if self.timezone is not None and ":" in text and not _ZONED.search(text):
            return _local_ns(text, _zone(self.timezone), self.timezone)
        return parse_time(text) if self.unit is None else parse_iso(text)


def _in_range(text: str, t_ns: int) -> int:
    if abs(t_ns) >= MAX_TIME_NS:
        raise UsageError(f'time: "{text}" is out of range: they go from 1824 to 2116')
    return t_ns


def _zone(name: str) -> tzinfo:
    if _OFFSET.fullmatch(name):
        return timezone(timedelta(microseconds=offset_ns(name) // 1000))
    try:
        return UTC if name.upper() in ("UTC", "Z") else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(
            f'--timezone: "{name}" is no zone; use an IANA name (Europe/Brussels), UTC or an offset (+01:00)'
        ) from None


def _local_ns(text: str, zone: tzinfo, name: str) -> int:
    """The instant of a local time. Raises `UsageError` for one that clocks never showed, or showed twice."""
    wall_ns = parse_iso(text, UTC)
    wall = datetime(1970, 1, 1) + timedelta(seconds=wall_ns // 10**9)
    offsets = set()
    for fold in (0, 1):
        local = wall.replace(tzinfo=zone, fold=fold)
        if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == wall:
            offsets.add(local.utcoffset() or timedelta())
    if len(offsets) == 1:
        return wall_ns - round(offsets.pop().total_seconds()) * 10**9
    if not offsets:
        raise UsageError(f'time: "{text}" does not exist in {name}: its clocks were set forward over it')
    early, late = (wall.replace(tzinfo=zone, fold=fold).isoformat() for fold in (0, 1))
    raise UsageError(f'time: "{text}" comes twice in {name}, as {early} and as {late}: write which is meant')


@dataclass(frozen=True, slots=True)
class MarksFile:
    """What a file of marks says."""

    path: str
    marks: tuple[MarkAdd, ...]
    """Each once, in the file's order."""
    repeated: int = 0
    """Rows that say the same as an earlier row: written once."""
    lines: int = 0
    blank: int = 0
    line_of: dict[tuple[str, str], int] = field(default_factory=dict)
    """On which line a mark stands (the last of the row's), by (device, id)."""
    torn: bool = False
    """Its last line has no line feed."""

    @property
    def notes(self) -> list[str]:
        """What a person should know of the file."""
        return [_TORN] if self.torn else []


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


def read_marks(path: str | Path, how: MarkTimes = MarkTimes()) -> list[MarkAdd]:
    """The marks of a CSV file, in its order.

    Raises:
        UsageError: with the line of what is wrong.
    """
    return list(read_file(path, how).marks)


def read_file(path: str | Path, how: MarkTimes = MarkTimes()) -> MarksFile:
    """What a CSV file of marks says. Raises `UsageError` as `read_marks`."""
    how.check()
    text = _text(path)
    rows = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    try:
        header = [name.strip() for name in next(rows, [])]
        _check_header(path, header)
        found = list(_marks(path, header, rows, how))
    except csv.Error as error:
        raise UsageError(f"{path}: line {max(rows.line_num, 1)}: {error}") from None
    marks = [(mark, line) for mark, line in found if mark is not None]
    once: dict[tuple[str, str], tuple[MarkAdd, int]] = {}
    for mark, line in marks:
        once.setdefault((mark.device, mark.id), (mark, line))
    return MarksFile(
        str(path),
        tuple(mark for mark, _ in once.values()),
        repeated=len(marks) - len(once),
        lines=len(io.StringIO(text, newline=None).readlines()),
        blank=len(found) - len(marks),
        line_of={key: line for key, (_, line) in once.items()},
        torn=bool(text) and not text.endswith(("\n", "\r")),
    )


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


def _marks(path: str | Path, header: list[str], rows: Any, how: MarkTimes) -> Iterator[tuple[MarkAdd | None, int]]:
    """The mark of each row, None for a blank line; and its last line."""
    for row in rows:
        if not any(cell.strip() for cell in row):
            yield None, rows.line_num
            continue
        where = f"{path}: line {rows.line_num}"
        if len(row) != len(header):
            raise UsageError(f"{where}: found {len(row)} columns, expected {len(header)}")
        try:
            yield _mark(dict(zip(header, (cell.strip() for cell in row), strict=True)), how), rows.line_num
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None


def _mark(cells: dict[str, str], how: MarkTimes) -> MarkAdd:
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
    start_ns = how.read(cells["start"])
    end_ns = how.read(cells["end"]) if cells["end"] else start_ns
    if end_ns < start_ns:
        raise UsageError(f"the end {cells['end']} lies before the start {cells['start']}")
    if how.inclusive and end_ns > start_ns:  # an instant is one as it is
        end_ns += 1
    known = mark_id(device, start_ns, end_ns, label, author)
    return MarkAdd(device, known, start_ns, end_ns, normal(label), author, "import", confidence)


def _unprintable(text: str) -> str:
    return next(character for character in text if not character.isprintable())


def summarise(file: MarksFile, notes: Sequence[str] = ()) -> MarksSummary:
    """What an import of the file's marks does."""
    marks = file.marks
    labels: dict[str, int] = {}
    for mark in marks:
        labels[mark.label] = labels.get(mark.label, 0) + 1
    start_ns, end_ns = (min(m.start_ns for m in marks), max(m.end_ns for m in marks)) if marks else (0, 0)
    spanned = max(file.lines - 1 - file.blank - len(marks) - file.repeated, 0)
    devices = len({mark.device for mark in marks})
    return MarksSummary(
        len(marks), file.repeated, file.lines, file.blank, spanned, devices, labels, start_ns, end_ns,
        [*file.notes, *notes],
    )  # fmt: skip


async def publish_marks(log: Log, events: Sequence[Mark], progress: Progress | None = None) -> None:
    """Append mark events, each device's in their order; returns when every one is durable.

    Raises:
        LogUnavailableError, StoreFullError: some may be in the log; doing it again completes it.
    """
    devices: dict[str, list[Mark]] = {}
    for event in events:
        devices.setdefault(event.device, []).append(event)
    await log.ensure(MARKS)
    for device, group in devices.items():
        await publish(log, MARKS, device, group, progress)


async def import_marks(
    log: Log, path: str | Path, progress: Progress | None = None, how: MarkTimes = MarkTimes()
) -> MarksSummary:
    """Bring the marks of a CSV file into `log`; returns when every one is durable.

    Raises:
        UsageError: before anything is written.
        LogUnavailableError, StoreFullError: some may be in the log; importing again completes it.
    """
    file = read_file(path, how)
    await publish_marks(log, file.marks, progress)
    return summarise(file)
