"""Sheets of Excel and LibreOffice, read by a library of their own, an extra.

A sheet becomes text as a spreadsheet would save it, numbers to the last digit and dates as ISO 8601, and goes the way
of all text: what is skipped, names, units, labels and blank rows mean the same there, and a row has the number that the
spreadsheet shows. A midnight among times is one, though its reader says a date. What a sheet would unpack to
is known before it is unpacked, as far as the file says.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from ingest.errors import MissingLibraryError, UsageError
from ingest.importers.source import Source, too_large
from ingest.settings import suggest

_COMMA_NUMBER: Final = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
_SHOWN_MAX: Final = 60
"""Names in a message."""
_SHEETS: Final = (b"PK", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")


def is_sheet(source: Source) -> bool:
    """Whether it is .xlsx, .xlsb, .ods or .xls."""
    if source.data.startswith(_SHEETS[1]):
        return True
    if not source.data.startswith(_SHEETS[0]):
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(source.data)) as archive:
            return not {"[Content_Types].xml", "META-INF/manifest.xml"}.isdisjoint(archive.namelist())
    except Exception:  # a damaged one makes zipfile raise what it likes; whoever reads it says what is wrong
        return False


def sheet_as_text(source: Source, name: str | None, *, decimal_comma: bool = False) -> Source:
    """A sheet as CSV; `name` chooses one where there are several. Its numbers have decimal points, also those that are
    text with a `decimal_comma`.

    Raises:
        UsageError: it is damaged, locked or too large, or has no such sheet.
        MissingLibraryError: the extra "excel" is not installed.
    """
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError as error:
        raise MissingLibraryError(f"{source.path}: a spreadsheet", error.name, "excel") from None
    _check_size(source)
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(source.data))
        names = list(book.sheet_names)
        rows = book.get_sheet_by_name(chosen(source.path, names, name)).to_python(skip_empty_area=False)
    except UsageError:
        raise
    except (CalamineError, OSError, ValueError) as error:
        shown = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{source.path}: a spreadsheet that cannot be read: {shown}") from None
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    timed = _timed(rows)
    for row in rows:
        cells = [_cell(value, is_time=place in timed) for place, value in enumerate(row)]
        if decimal_comma:
            cells = [cell.replace(",", ".") if _COMMA_NUMBER.fullmatch(cell) else cell for cell in cells]
        if any(cells):
            writer.writerow(cells)
        else:
            text.write("\n")
    return Source(source.path, text.getvalue().encode(), source.max_bytes)


def _check_size(source: Source) -> None:
    """Raise `UsageError` where a ZIP file says that it unpacks to more than it may."""
    if source.data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(source.data)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > source.max_bytes:
            raise too_large(source.path, f"{size:,} bytes", source.max_bytes)


def _timed(rows: Sequence[Sequence[Any]]) -> set[int]:
    """The columns that hold times of days: a date among them is a midnight."""
    return {place for row in rows for place, value in enumerate(row) if isinstance(value, datetime)}


def _cell(value: Any, *, is_time: bool) -> str:
    """A cell as text: the same number when it is read again."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date | time):
        return f"{value.isoformat()} 00:00:00" if is_time and isinstance(value, date) else value.isoformat()
    if isinstance(value, timedelta):
        return repr(value / timedelta(seconds=1))
    return " ".join(str(value).split())


def chosen(path: str, names: Sequence[str], name: str | None) -> str:
    """The one of several that is meant. Raises `UsageError`."""
    if not names:
        raise UsageError(f"{path}: holds nothing that can be imported")
    if name is None and len(names) == 1:
        return names[0]
    if name is None:
        shown = [*names[:_SHOWN_MAX], *(["…"] if len(names) > _SHOWN_MAX else [])]
        raise UsageError(f"{path}: holds {', '.join(shown)}; choose one with --array")
    if name not in names:
        raise UsageError(f'{path}: there is no "{name}"{suggest(name, names[:_SHOWN_MAX])}')
    return name
