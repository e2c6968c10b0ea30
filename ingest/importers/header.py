"""Where the rows of a delimited text begin, what separates their cells, and which of the columns are wanted."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, replace
from typing import Final

from ingest.errors import UsageError
from ingest.importers.encodings import ADVICE
from ingest.importers.grouping import unmarked
from ingest.importers.selecting import Selected, is_pattern, select
from ingest.importers.source import Lines, Wanted, named, positional

EMPTY_CELLS: Final = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "null", "NULL", "None", "-")
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
    names: tuple[str, ...]
    """Of all columns."""
    values: list[int]
    """The indices of the value columns, in the order of `--columns`."""
    stop: int
    """Where the rows begin in the text."""
    line: int
    """The line of the first row."""
    lines: Lines
    """What became of the lines before it."""
    has_names: bool = True
    """Whether the text itself has them."""
    by_pattern: frozenset[str] = frozenset()
    """The value columns that nobody named."""
    units: tuple[str, ...] = ()
    """Of all columns, where a row of units was told of."""

    def index(self, name: str) -> int:
        """Of the column that has the name."""
        return self.names.index(name)


@dataclass(slots=True)
class _Start:
    """Lines before the first that says something, and that one."""

    at: int = 0
    number: int = 1
    skipped: int = 0
    comments: int = 0
    blank: int = 0
    comment: str = ""
    """The last line that was a comment."""
    line: str = ""

    def lines(self, header: int) -> Lines:
        """What became of the lines before the rows, of which `header` are the header's."""
        total = self.skipped + header + self.comments + self.blank
        return Lines(total, header, self.comments, self.blank, skipped=self.skipped)


def read_head(path: str, text: bytes, wanted: Wanted) -> Head:
    """What stands before the rows of `text`, whose lines end in line feeds.

    The first line is the header where it has all wanted names, be they numbers; a comment before numbers is, where it
    has them. Text of numbers without such a header has its columns in the order of `columns`.

    Raises:
        UsageError: the wanted columns are not there.
    """
    start = _skip(path, text, wanted.skip_rows)
    separator = separator_of(start.line, decimal_comma=wanted.decimal_comma)
    fields, read = _fields(path, text, start, separator)
    named_ones = [name for name in (*wanted.columns, *wanted.apart) if name in fields or not is_pattern(name)]
    plain = [unmarked(field, wanted.thousands) for field in fields]
    are_values = all(_is_value(field, wanted.decimal_comma) for field in plain)
    has_names = set(named_ones) <= set(fields) and not (are_values and not named_ones)
    if not has_names and are_values:
        said = _split(start.comment.lstrip("#%/ "), separator)
        if not (set(named_ones) <= set(said) and len(said) == len(fields)):
            return _nameless(path, start, separator, len(fields), wanted)
        # The comment was the header, so it is one comment less.
        start.comments -= 1
        selected = select(path, wanted.columns, said, wanted.apart)
        return _head(start, separator, said, selected, start.at, start.number, 1)
    advice = _advice(text, start, named_ones, fields, separator)
    named(path, wanted.apart, fields, advice)
    selected = select(path, wanted.columns, fields, wanted.apart, advice)
    at, number = _behind(text, start.at, read), start.number + read
    units: tuple[str, ...] = ()
    if wanted.units_row:
        stop = _behind(text, at, 1)
        units = tuple(map(_unit, _split(text[at:stop].decode(errors="replace").rstrip("\r\n"), separator)))
        if len(units) < len(fields):
            raise UsageError(f"{path}: line {number}: found {len(units)} units, expected {len(fields)}")
        at, number, read = stop, number + 1, read + 1
    return replace(_head(start, separator, fields, selected, at, number, read), units=units)


def _head(
    start: _Start, separator: str, names: list[str], selected: Selected, at: int, number: int, header: int
) -> Head:
    values = [names.index(name) for name in selected.names]
    lines = start.lines(header)
    return Head(separator, len(names), tuple(names), values, at, number, lines, by_pattern=selected.by_pattern)


def _nameless(path: str, start: _Start, separator: str, found: int, wanted: Wanted) -> Head:
    """The head of a text that names no columns."""
    if any(map(is_pattern, wanted.columns)) or wanted.units_row:
        raise UsageError(
            f"{path}: line {start.number} has no names; name all {found} columns in order, as in --columns a,b,c"
        )
    values = positional(path, wanted, found)
    return Head(separator, found, wanted.columns, values, start.at, start.number, start.lines(0), has_names=False)


def _behind(text: bytes, at: int, lines: int) -> int:
    """Where the text goes on after so many lines."""
    for _ in range(lines):
        at = text.find(b"\n", at) + 1 or len(text)
    return at


def _unit(cell: str) -> str:
    """A unit as a row of units has it: `[bar]`, `(bar)` or `bar`; what has none is a plain number."""
    text = cell.strip().strip('"').strip()
    if len(text) >= 2 and text[0] + text[-1] in ("[]", "()"):
        text = text[1:-1].strip()
    return "1" if text in ("", "-", "–", "—") else text


def _skip(path: str, text: bytes, rows: int) -> _Start:
    """Pass over so many lines, then over blank ones and comments."""
    start = _Start(_behind(text, 0, rows), 1 + rows, rows)
    if rows and start.at >= len(text):
        raise UsageError(f"{path}: --skip-rows {rows} leaves nothing of it")
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


def separator_of(line: str, *, decimal_comma: bool = False) -> str:
    """Comma, semicolon, bar or tab, whichever the line has; " " stands for any run of blanks."""
    for separator in ";\t|":
        cells = [cell.strip() for cell in line.split(separator)]
        if len(cells) > 1 and (decimal_comma or all(_is_value(cell, decimal_comma=True) for cell in cells)):
            return separator
    if decimal_comma:
        return " "
    separator = max(",;|", key=line.count)
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
        return f" Line {start.number} is not UTF-8: {ADVICE}."
    number = start.number
    for line in text[start.at : start.at + _HEADER_BYTES_MAX].split(b"\n")[1:_HEADER_LINES_MAX]:
        number, text_line = number + 1, line.decode(errors="replace").rstrip("\r")
        if set(names) <= {cell.strip(' "') for cell in _split(text_line, separator_of(text_line, decimal_comma=False))}:
            return f" Line {number} has them: say --skip-rows {number - 1}."
    return ""
