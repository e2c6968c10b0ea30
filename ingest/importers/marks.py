"""A file of marks into the log: what its rows are is told in `markrows`.

Times are ISO 8601 with a zone (or in `--timezone`), integer nanoseconds of our days, or numbers of a unit that is said;
with `--origin` numbers count from there. A mark's end is exclusive: what happens at it is no longer the mark's, unless
`--end inclusive` says so. Times may also count from where a recording begins, in samples or in seconds: then the
log has to have it (`grids`). An empty `end` is an instant. A mark's id is a hash of its device, range, label and
author, so that importing twice adds nothing. Nothing is written when any row is bad: bytes that are no UTF-8 are bad,
for they would make two labels one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from fractions import Fraction
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ingest.errors import UsageError
from ingest.importers.encodings import check_encoding, decoded
from ingest.importers.grids import Grids, Key, UnknownRecordingError
from ingest.importers.markrows import USUAL, Fields, Rows, read_rows
from ingest.importers.publish import publish
from ingest.importers.sheets import is_sheet, sheet_as_text
from ingest.importers.signals.annotations import annotations_as_text
from ingest.importers.signals.reading import is_described
from ingest.importers.source import read_source
from ingest.log.protocol import MARKS, Log
from ingest.names import normal
from ingest.progress import Progress
from ingest.records import MAX_TIME_NS, Mark, MarkAdd
from ingest.units import ISO_OFFSET, TIME_UNITS, count_ns, offset_ns, parse_iso, parse_number, parse_time

_TORN: Final = "the last line has no line feed: if the file was cut off, its label is not whole"
_INDEX: Final = re.compile(r"\d{1,12}", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", re.ASCII)
_COMMA: Final = re.compile(r"[+-]?\d*,\d+", re.ASCII)
_POINT: Final = re.compile(r"[+-]?\d*\.\d[\d.,]*", re.ASCII)
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
    index_base: int | None = None
    """Times are numbers of samples in their recording, the first one's is this."""
    stream: str | None = None
    """Whose samples are counted, where streams differ."""
    from_start: str | None = None
    """What a number means that is the recording's first sample: numbers count from there in `unit`."""
    decimal_comma: bool = False
    """Numbers are written as in 1,5."""

    @property
    def is_relative(self) -> bool:
        """Whether times count from where their recording begins."""
        return self.index_base is not None or self.from_start is not None

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
        if self.index_base not in (None, 0, 1):
            raise UsageError(f"--index-base: found {self.index_base}, expected 0 or 1: the number of the first sample")
        if self.from_start is not None:
            if self.unit is None or self.index_base is not None:
                raise UsageError(
                    "--origin VALUE=recording: say --time-unit s, ms, us or ns as well, and no --index-base"
                )
            parse_number(self.from_start)
        if self.index_base is not None and (self.unit or self.timezone or self.origin):
            raise UsageError("--index-base: samples are counted; --time-unit, --timezone and --origin are of times")

    def pointed(self, cells: Mapping[str, str]) -> Mapping[str, str]:
        """The cells with points in their numbers. Raises `UsageError` where one is written the other way."""
        wrong, option = (_POINT, "point") if self.decimal_comma else (_COMMA, "comma")
        numbers = {name: cells[name] for name in ("start", "end", "confidence")}
        for name, text in numbers.items():
            if wrong.fullmatch(text):
                raise UsageError(f'{name}: "{text}" has a {option}: say --decimal {option} if that is its decimal mark')
        return {**cells, **{name: text.replace(",", ".") for name, text in numbers.items() if _COMMA.fullmatch(text)}}

    def in_recording(self, cells: Mapping[str, str], key: Key, grids: Grids) -> tuple[int, int]:
        """Start and end of a mark whose times count from where its recording begins. Raises `UsageError`."""
        if self.index_base is None:
            start_ns = grids.since_ns(key, self._since(cells["start"]))
            return start_ns, grids.since_ns(key, self._since(cells["end"])) if cells["end"] else start_ns
        first = self._index(cells["start"])
        start_ns = grids.sample_ns(key, self.stream, first, is_end=False)
        if not cells["end"]:
            return start_ns, start_ns
        behind = self._index(cells["end"]) + self.inclusive
        if behind <= first:
            raise UsageError(f"from {cells['start']} to {cells['end']} there is no sample; is the end --end inclusive?")
        return start_ns, grids.sample_ns(key, self.stream, behind, is_end=True)

    def _index(self, text: str) -> int:
        assert self.index_base is not None
        if not _INDEX.fullmatch(text) or int(text) < self.index_base:
            raise UsageError(f'found "{text}", expected the number of a sample, from {self.index_base} on')
        return int(text) - self.index_base

    def _since(self, text: str) -> Fraction:
        assert self.from_start is not None
        assert self.unit is not None
        scale = Fraction(10 ** TIME_UNITS[self.unit])
        return (parse_number(text) - parse_number(self.from_start)) * scale

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
    elsewhere: int = 0
    """Rows of recordings that the log does not have, left out."""
    headers: int = 1
    """Lines of names."""

    @property
    def notes(self) -> list[str]:
        """What a person should know of the file."""
        left = f"{self.elsewhere} rows are of recordings that the log does not have, and were left out"
        return [*([_TORN] if self.torn else []), *([left] if self.elsewhere else [])]


@dataclass(frozen=True, slots=True)
class MarksSummary:
    """What an import of marks did."""

    marks: int
    repeated: int
    """Rows that say the same as an earlier row of the file: written once."""
    lines: int
    """The sum of the header, the next two, the marks, and the repeated rows and those left out."""
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


def imported_mark(
    device: str, start_ns: int, end_ns: int, label: str, author: str = "", confidence: float = 1.0
) -> MarkAdd:
    """An imported mark: the same content is the same mark."""
    known = mark_id(device, start_ns, end_ns, label, author)
    return MarkAdd(device, known, start_ns, end_ns, normal(label), author, "import", confidence)


def read_marks(path: str | Path, how: MarkTimes = MarkTimes()) -> list[MarkAdd]:
    """The marks of a CSV file, in its order.

    Raises:
        UsageError: with the line of what is wrong.
    """
    return list(read_file(path, how).marks)


def read_file(path: str | Path, how: MarkTimes = MarkTimes(), fields: Fields = USUAL) -> MarksFile:
    """What a file of marks says, whose times need no recording. Raises `UsageError` as `read_marks`."""
    return place(load(path, how, fields), how)


def load(path: str | Path, how: MarkTimes, fields: Fields, encoding: str | None = None) -> Rows:
    """The rows of a file of marks, of which a text may have another encoding than UTF-8. Raises `UsageError`."""
    how.check()
    check_encoding(encoding)
    return read_rows(str(path), _text(path, encoding), fields)


def place(rows: Rows, how: MarkTimes, grids: Grids | None = None, *, skip_unknown: bool = False) -> MarksFile:
    """The marks of rows; `grids` is what the log has of recordings, where times or devices need that. `skip_unknown`
    leaves out, counted, what is of recordings that it does not have.

    Raises:
        UsageError: with the line of what is wrong; nothing is left.
    """
    once: dict[tuple[str, str], tuple[MarkAdd, int]] = {}
    elsewhere = 0
    for row in rows.rows:
        try:
            mark = _mark(row.cells, how, grids)
        except UnknownRecordingError as error:
            if not skip_unknown:
                raise UsageError(
                    f"{rows.path}: line {row.line}: {error}; --skip-unknown leaves such rows out"
                ) from None
            elsewhere += 1
            continue
        except UsageError as error:
            raise UsageError(f"{rows.path}: line {row.line}: {error}") from None
        once.setdefault((mark.device, mark.id), (mark, row.line))
    if elsewhere and not once:
        raise UsageError(f"{rows.path}: the log has none of its recordings, as line {rows.rows[0].line} names")
    return MarksFile(
        rows.path,
        tuple(mark for mark, _ in once.values()),
        repeated=len(rows.rows) - elsewhere - len(once),
        lines=rows.lines,
        blank=rows.blank,
        line_of={key: line for key, (_, line) in once.items()},
        torn=rows.torn,
        elsewhere=elsewhere,
        headers=rows.headers,
    )


def _text(path: str | Path, encoding: str | None) -> str:
    source = read_source(path)
    if is_described(source):
        return annotations_as_text(source)
    data = sheet_as_text(source, None).data if is_sheet(source) else source.data
    return decoded(str(path), data, encoding)


def _mark(cells: Mapping[str, str], how: MarkTimes, grids: Grids | None) -> MarkAdd:
    cells = how.pointed(cells)
    device, label, author = cells["device"], cells["label"], cells["author"]
    key = None
    if grids is not None:
        key = grids.find(device, cells["recording"])
        device = key[0]
    for name, text in (("device", device), ("start", cells["start"]), ("label", label)):
        if not text:
            raise UsageError(f'"{name}" is empty')
    for name, text in (("device", device), ("label", label)):
        if not text.isprintable():
            raise UsageError(f'"{name}" holds the character {_unprintable(text)!a}, which nobody sees')
    try:
        confidence = float(cells["confidence"] or "1")
    except ValueError:
        confidence = -1.0
    if not 0.0 <= confidence <= 1.0:
        raise UsageError(f'confidence: found "{cells["confidence"]}", expected a number from 0 to 1')
    if how.is_relative and key is not None and grids is not None:
        start_ns, end_ns = how.in_recording(cells, key, grids)
    else:
        start_ns = how.read(cells["start"])
        end_ns = how.read(cells["end"]) if cells["end"] else start_ns
    if end_ns < start_ns:
        raise UsageError(f"the end {cells['end']} lies before the start {cells['start']}")
    if how.inclusive and how.index_base is None and end_ns > start_ns:  # an instant is one as it is
        end_ns += 1
    return imported_mark(device, start_ns, end_ns, label, author, confidence)


def _unprintable(text: str) -> str:
    return next(character for character in text if not character.isprintable())


def summarise(file: MarksFile, notes: Sequence[str] = ()) -> MarksSummary:
    """What an import of the file's marks does."""
    marks = file.marks
    labels: dict[str, int] = {}
    for mark in marks:
        labels[mark.label] = labels.get(mark.label, 0) + 1
    start_ns, end_ns = (min(m.start_ns for m in marks), max(m.end_ns for m in marks)) if marks else (0, 0)
    spanned = max(file.lines - file.headers - file.blank - len(marks) - file.repeated - file.elsewhere, 0)
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
