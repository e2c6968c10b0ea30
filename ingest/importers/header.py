"""Where the rows of a delimited text begin, what separates their cells, and which of the columns are wanted."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ingest.errors import UsageError
from ingest.importers.source import named, positional

EMPTY_CELLS: Final = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "-")
COMMENTS: Final = ("#", "%", "//")
"""What begins a line before the header that says nothing; among the rows only `#` does, as at the edge."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf|[+-]?nan|NA|", re.IGNORECASE)
_COMMA_NUMBER = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
_TIME = re.compile(r"\d{4}-\d\d-\d\d.*")
_HEADER_BYTES_MAX: Final = 1 << 20
_HEADER_LINES_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Head:
    """What stands before the rows."""

    separator: str
    """" " stands for any run of blanks."""
    width: int
    values: list[int]
    """The indices of the value columns, in the order of `--columns`."""
    time: int | None
    stop: int
    """Where the rows begin in the text."""
    line: int
    """The line of the first row."""
    header: int = 0
    """How many lines the header has."""
    comments: int = 0
    blank: int = 0
    names: tuple[str, ...] = ()
    """Of all columns, where the header has them."""


@dataclass(slots=True)
class _Start:
    """Lines before the first that says something, and that one."""

    at: int = 0
    number: int = 1
    comments: int = 0
    blank: int = 0
    comment: str = ""
    """The last line that was a comment."""
    line: str = ""


def read_head(
    path: str, text: bytes, columns: Sequence[str], time_column: str | None, *, decimal_comma: bool = False
) -> Head:
    """What stands before the rows of `text`, whose lines end in line feeds.

    The first line is the header where it has all wanted names, be they numbers; a comment before numbers is, where it
    has them. Text of numbers without such a header has its columns in the order of `columns`.

    Raises:
        UsageError: the wanted columns are not there.
    """
    start = _skip(path, text)
    separator = _separator(start.line, decimal_comma=decimal_comma)
    names = [*columns, *([] if time_column is None or time_column in columns else [time_column])]
    wanted = [name for name in columns if name != time_column]
    fields, read = _fields(path, text, start, separator)
    if not set(names) <= set(fields) and all(_is_value(field, decimal_comma) for field in fields):
        said = _split(start.comment.lstrip("#%/ "), separator)
        if not (set(names) <= set(said) and len(said) == len(fields)):
            values = positional(path, columns, len(fields), time_column)
            time = None if time_column is None else list(columns).index(time_column)
            at, line = start.at, start.number
            return Head(separator, len(fields), values, time, at, line, 0, start.comments, start.blank)
        values, time = _indices(path, wanted, time_column, said, "")
        # The comment was the header, so it is one comment less.
        at, line = start.at, start.number
        return Head(separator, len(fields), values, time, at, line, 1, start.comments - 1, start.blank, tuple(said))
    advice = _advice(text, start, names, fields, separator)
    values, time = _indices(path, wanted, time_column, fields, advice)
    at = start.at
    for _ in range(read):
        at = text.find(b"\n", at) + 1 or len(text)
    line = start.number + read
    return Head(separator, len(fields), values, time, at, line, read, start.comments, start.blank, tuple(fields))


def _indices(
    path: str, wanted: list[str], time_column: str | None, fields: list[str], advice: str
) -> tuple[list[int], int | None]:
    values = named(path, wanted, fields, advice)
    return values, None if time_column is None else named(path, [time_column], fields, advice)[0]


def _skip(path: str, text: bytes) -> _Start:
    """Pass over blank lines and comments."""
    start = _Start()
    while start.at < len(text):
        stop = text.find(b"\n", start.at)
        stop = len(text) if stop < 0 else stop
        if stop - start.at > _HEADER_BYTES_MAX:
            raise UsageError(f"{path}: line {start.number} has {stop - start.at:,} bytes; is this a file of rows?")
        line = text[start.at : stop].decode(errors="replace").rstrip("\r")
        if line.strip() and not line.lstrip().startswith(COMMENTS):
            start.line = line
            return start
        if line.strip():
            start.comments, start.comment = start.comments + 1, line.strip()
        else:
            start.blank += 1
        start.at, start.number = stop + 1, start.number + 1
    raise UsageError(f"{path}: no rows, only comments and blank lines")


def _fields(path: str, text: bytes, start: _Start, separator: str) -> tuple[list[str], int]:
    """The cells of the first line, and how many lines they take: a quoted name may go on over several."""
    if '"' not in start.line:
        return _split(start.line, separator), 1
    lines = text[start.at : start.at + _HEADER_BYTES_MAX].decode(errors="replace").split("\n")[:_HEADER_LINES_MAX]
    rows = csv.reader((line + "\n" for line in lines), delimiter=separator, skipinitialspace=True, strict=True)
    try:
        fields = [field.strip() for field in next(rows)]
    except csv.Error as error:
        raise UsageError(f"{path}: line {start.number}: {error}") from None
    return fields, rows.line_num


def _split(line: str, separator: str) -> list[str]:
    return line.split() if separator == " " else [field.strip() for field in line.split(separator)]


def _separator(line: str, *, decimal_comma: bool) -> str:
    """Comma, semicolon or tab, whichever the line has; " " stands for any run of blanks."""
    for separator in ";\t":
        cells = [cell.strip() for cell in line.split(separator)]
        if len(cells) > 1 and (decimal_comma or all(_is_value(cell, decimal_comma=True) for cell in cells)):
            return separator
    if decimal_comma:
        return " "
    separator = max(",;", key=line.count)
    if separator in line:
        return separator
    mixed = " " in line and all(_NUMBER.fullmatch(word) for word in line.split())
    return "\t" if "\t" in line and not mixed else " "


def _is_value(field: str, decimal_comma: bool) -> bool:
    if decimal_comma and _COMMA_NUMBER.fullmatch(field):
        return True
    return _NUMBER.fullmatch(field) is not None or _TIME.fullmatch(field) is not None


def _advice(text: bytes, start: _Start, names: list[str], fields: list[str], separator: str) -> str:
    """What to do where the first line has not all wanted columns."""
    if set(names) <= set(fields):
        return ""
    if any(_COMMA_NUMBER.fullmatch(field) for field in fields) and separator != ",":
        return " Its numbers have a decimal comma: say --decimal comma."
    if "\ufffd" in start.line:
        return f" Line {start.number} is not UTF-8: save the file as UTF-8."
    number = start.number
    for line in text[start.at : start.at + _HEADER_BYTES_MAX].split(b"\n")[1:_HEADER_LINES_MAX]:
        number, text_line = number + 1, line.decode(errors="replace").rstrip("\r")
        if set(names) <= {cell.strip(' "') for cell in _split(text_line, _separator(text_line, decimal_comma=False))}:
            return f" Line {number} has them: take out the lines before it, or begin them with #."
    return ""
