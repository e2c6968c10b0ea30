"""Delimited text as columns: what every line became is counted, and no line is lost because of another one's quote.

Text without quotes, comments, blank or uneven lines goes to polars as it is, after its separators have been counted
line by line: polars takes a row of any width without a word. Everything else is first made into such text (or, where
quotes mean something, into cells by Python's csv module), with the line of each row kept.

CSV: RFC 4180; a quote inside a cell that does not begin with one is a character like others (`3" pipe`).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.importers.header import EMPTY_CELLS, Head, read_head
from ingest.importers.mixing import ROWS, mixed
from ingest.importers.source import Lines, Source, Table, inexact
from ingest.importers.torn import cut_torn

if TYPE_CHECKING:
    import polars as pl

_EXACT_MAX: Final = 2.0**53
_PACKED: Final = (b"\x1f\x8b", b"x\x01", b"x\x9c", b"x\xda", b"\x28\xb5\x2f\xfd")
"""What polars takes for the begin of gzip, zlib or zstd, and unpacks."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How the rows of a text lie."""

    path: str
    separator: str
    """" " stands for any run of blanks."""
    width: int
    values: list[int]
    """The indices of the value columns, in the channels' order."""
    time: int | None
    line: int
    """Of the first row."""

    @property
    def wanted(self) -> list[int]:
        """The indices of all columns that are read, in the file's order."""
        return sorted({*self.values, *([] if self.time is None else [self.time])})

    def place(self, line: int) -> str:
        """A line of the file, for messages."""
        return f"{self.path}: line {line}"


@dataclass(frozen=True, slots=True)
class Rows:
    """The wanted columns of all rows, by their index: float64 where every cell is a number or empty, else text."""

    columns: dict[int, pl.Series]
    row_lines: NDArray[np.int64]
    lines: Lines


def read_text(source: Source, columns: Sequence[str], time_column: str | None, decimal_comma: bool = False) -> Table:
    """The wanted columns of delimited text.

    Raises:
        UsageError: no such column, a cell that is no number, a row of another width or a quote that nothing closes,
            with its line.
    """
    text = _plain(source)
    head = read_head(source.path, text, columns, time_column, decimal_comma=decimal_comma)
    shape = Shape(source.path, head.separator, head.width, head.values, head.time, head.line)
    body, torn, notes = cut_torn(text[head.stop :], head.separator, head.width)
    if decimal_comma:
        body = body.replace(b",", b".")
    if not body.strip():
        raise UsageError(f"{source.path}: a header and no rows" if head.header else f"{source.path}: no rows")
    rows = _read_rows(body, shape)
    if not len(rows.row_lines):
        raise UsageError(f"{source.path}: no rows")
    values = np.column_stack([_numbers(rows, index, shape) for index in shape.values])
    time = None if shape.time is None else rows.columns[shape.time]
    lines = _together(rows.lines, head, torn)
    notes = (*notes, *_notes(lines), *_mixed(body, head, shape))
    return Table(source.path, values, time, row_lines=rows.row_lines, lines=lines, notes=notes)


def _mixed(body: bytes, head: Head, shape: Shape) -> list[str]:
    """What the columns that are not wanted say of the first rows."""
    others = [index for index in range(len(head.names)) if index not in shape.wanted]
    if not others:
        return []
    separator = None if shape.separator == " " else shape.separator
    lines = body[: ROWS * max(1, body.find(b"\n") + 1)].decode("utf-8", "replace").split("\n")[:ROWS]
    rows = [cells for cells in (line.split(separator) for line in lines) if len(cells) == shape.width]
    told = mixed({head.names[index]: [cells[index] for cells in rows] for index in others})
    return [told] if told else []


def _plain(source: Source) -> bytes:
    """The text with line feeds at the ends of its lines."""
    text = source.data
    if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise UsageError(f"{source.path}: UTF-16 text; save the file as UTF-8")
    text = text.removeprefix(b"\xef\xbb\xbf")
    if not text or text.isspace():
        raise UsageError(f"{source.path}: the file is empty")
    if b"\0" in text[:4096]:
        raise UsageError(f"{source.path}: neither text, Parquet nor NumPy; these can be imported, also gzipped")
    if b"\r" in text and text.count(b"\r") != text.count(b"\r\n"):
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return text


def _together(body: Lines, head: Head, torn: int) -> Lines:
    comments, blank = body.comments + head.comments, body.blank + head.blank
    total = body.total + head.header + head.comments + head.blank + torn
    return replace(body, total=total, header=head.header, comments=comments, blank=blank, torn=torn)


def _notes(lines: Lines) -> Iterator[str]:
    if lines.blank:
        yield f"{lines.blank} blank lines were left out"
    if lines.continued:
        yield f"{lines.continued} lines belong to quoted cells that go on over several lines"
    if lines.short:
        yield f"{lines.short} rows end before their last column: the cells that they lack are missing"


# --- rows -------------------------------------------------------------------------------------------------------------


def _read_rows(body: bytes, shape: Shape) -> Rows:
    blank = 0
    if body.endswith((b"\n\n", b"\n\r\n")):
        rows = body.rstrip(b"\r\n") + b"\n"
        body, blank = rows, body.count(b"\n", len(rows) - 1) - 1
    if b'"' in body:
        body = _unquoted(body, shape)
    found = _quoted_rows(body, shape) if b'"' in body else _even_rows(body, shape) or _uneven_rows(body, shape)
    lines = replace(found.lines, total=found.lines.total + blank, blank=found.lines.blank + blank)
    return replace(found, lines=lines)


def _even_rows(body: bytes, shape: Shape) -> Rows | None:
    """The rows of a body that has nothing but such of equal width, else None."""
    if shape.separator == " " and _has_runs_of_blanks(body):
        body = _single_spaces(body)
    commented = b"#" in body and (body.startswith(b"#") or b"\n#" in body)
    if commented or not _is_even(body, shape):
        return None
    columns = _parse(body, shape)
    if shape.width == 1 and columns[0].null_count():
        return None  # a blank line looks like an empty cell
    rows = len(columns[shape.wanted[0]])
    return Rows(columns, np.arange(shape.line, shape.line + rows), Lines(rows))


def _has_runs_of_blanks(body: bytes) -> bool:
    """Whether anything but one space stands between columns, or a space at an end of a line."""
    blank = np.frombuffer(body, np.uint8) <= ord(" ")
    return bool((blank[1:] & blank[:-1]).any()) or b"\t" in body


def _single_spaces(body: bytes) -> bytes:
    """The same with exactly one space between columns and none at the ends of lines."""
    return re.sub(rb" ?\n ?", b"\n", re.sub(rb"[ \t\r]+", b" ", body)).strip(b" ")


def _unquoted(body: bytes, shape: Shape) -> bytes:
    """The same without quotes, where each of them opens or closes a cell that means the same without it."""
    mark = shape.separator.encode()
    pairs, odd = divmod(body.count(b'"'), 2)
    if odd or b'"#' in body or (shape.width == 1 and b'""' in body) or body.endswith(b'\n""'):
        return body  # the last: a line that would be none
    if _only(body, b'"' + mark + b"\n").replace(b'""', b"").count(b'"'):
        return body  # a quote holds separators or line feeds
    opening = body.count(mark + b'"') + body.count(b'\n"') + body.startswith(b'"')
    ends = (b'"' + mark, b'"\n', b'"\r\n')
    closing = sum(map(body.count, ends)) + body.endswith((b'"', b'"\r'))
    return body.translate(None, b'"') if opening == closing == pairs else body


def _is_even(body: bytes, shape: Shape) -> bool:
    """Whether every line has as many separators as columns need."""
    mark = shape.separator.encode()
    found = _only(body, mark + b"\n")
    if not body.endswith(b"\n"):
        found += b"\n"
    line = mark * (shape.width - 1) + b"\n"
    return found == line * (len(found) // len(line))


def _only(body: bytes, kept: bytes) -> bytes:
    """The bytes of a body that are among `kept`."""
    return body.translate(None, bytes(set(range(256)) - set(kept)))


def _parse(body: bytes, shape: Shape) -> dict[int, pl.Series]:
    """The wanted columns of even text: values as float64, or as text where one of them is no number."""
    import polars as pl

    if body.startswith(_PACKED):
        raise UsageError(f"{shape.place(shape.line)}: these bytes are no text; unpack the file, or see what damaged it")
    for kind in (pl.Float64, pl.String):
        try:
            frame = pl.read_csv(
                io.BytesIO(body),
                has_header=False,
                separator=shape.separator,
                quote_char=None,
                schema={f"c{i}": kind if i in shape.values else pl.String for i in range(shape.width)},
                columns=shape.wanted,
                encoding="utf8-lossy",
            )
        except pl.exceptions.PolarsError as error:
            if kind == pl.String:
                raise UsageError(f"{shape.path}: {str(error).splitlines()[0]}") from None
            continue
        columns = {i: frame[f"c{i}"] for i in shape.wanted}
        if kind == pl.String or not any(_is_large(columns[i]) for i in shape.values):
            return columns
    raise AssertionError("text is always read as text")


def _is_large(column: pl.Series) -> bool:
    """Whether integers in it may have been rounded."""
    low, high = column.min(), column.max()  # of those that are numbers
    return (isinstance(high, float) and high >= _EXACT_MAX) or (isinstance(low, float) and low <= -_EXACT_MAX)


def _uneven_rows(body: bytes, shape: Shape) -> Rows:
    """Lines that are no rows are taken out; rows that end early get empty cells."""
    blank = comments = short = 0
    kept: list[bytes] = []
    numbers: list[int] = []
    mark, spaced = shape.separator.encode(), shape.separator == " "
    pieces = body.removesuffix(b"\n").split(b"\n")
    for number, line in enumerate(pieces, shape.line):
        row = b" ".join(line.split()) if spaced else line.strip(b" \r")
        if not row:
            blank += 1
            continue
        if row.startswith(b"#"):
            comments += 1
            continue
        found = row.count(mark) + 1
        if found == shape.width + 1 and row.endswith(mark):
            row, found = row[: -len(mark)], shape.width
        if found > shape.width or (spaced and found < shape.width):
            advice = "; write NA where a cell is missing" if found < shape.width else ""
            raise UsageError(f"{shape.place(number)}: found {found} columns, expected {shape.width}{advice}")
        short += found < shape.width
        kept.append(row + mark * (shape.width - found))
        numbers.append(number)
    lines = Lines(len(pieces), comments=comments, blank=blank, short=short)
    columns = _parse(b"\n".join(kept) + b"\n", shape) if kept else {}
    assert all(len(column) == len(kept) for column in columns.values())
    return Rows(columns, np.array(numbers, dtype=np.int64), lines)


# --- quotes -----------------------------------------------------------------------------------------------------------


class _Feed:
    """Lines for the csv module, which asks for more inside of a quoted cell; between rows, what is none is skipped."""

    def __init__(self, lines: list[str], first: int) -> None:
        self._lines = lines
        self._first = first
        self.at = 0
        self.between = True
        self.blank = self.comments = 0
        self.began = 0
        """The index of the line in which the row under way began."""

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        while self.at < len(self._lines):
            line = self._lines[self.at]
            self.at += 1
            if not self.between:
                return line
            if not line.strip():
                self.blank += 1
            elif line.startswith("#"):
                self.comments += 1
            else:
                self.began, self.between = self.at - 1, False
                return line
        raise StopIteration

    def over(self) -> list[str]:
        """The lines that the row before went on over, after its first; the next line begins a row."""
        self.between = True
        return self._lines[self.began + 1 : self.at]

    @property
    def line(self) -> int:
        """Where the row under way began in the file."""
        return self._first + self.began


def _quoted_rows(body: bytes, shape: Shape) -> Rows:
    """Rows whose quotes hold separators, quotes or line feeds, or are none."""
    import polars as pl

    feed = _Feed(body.decode(errors="replace").removesuffix("\n").split("\n"), shape.line)
    cells: dict[int, list[str | None]] = {i: [] for i in shape.wanted}
    numbers: list[int] = []
    short = continued = 0
    rows = csv.reader((line + "\n" for line in feed), delimiter=shape.separator, skipinitialspace=True, strict=True)
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise UsageError(
                f"{shape.place(feed.line)}: a quoted cell is not closed as it should be: {error}"
            ) from None
        if row is None:
            break
        over = feed.over()
        _check_over(over, feed.line, shape)
        continued += len(over)
        if len(row) == shape.width + 1 and not row[-1].strip():
            row.pop()
        if len(row) > shape.width:
            raise UsageError(f"{shape.place(feed.line)}: found {len(row)} columns, expected {shape.width}")
        short += len(row) < shape.width
        for i in shape.wanted:
            cells[i].append(row[i] if i < len(row) else None)
        numbers.append(feed.line)
    total = len(numbers) + continued + feed.blank + feed.comments
    lines = Lines(total, comments=feed.comments, blank=feed.blank, continued=continued, short=short)
    columns = {i: pl.Series(f"c{i}", column, dtype=pl.String) for i, column in cells.items()}
    return Rows(columns, np.array(numbers, dtype=np.int64), lines)


def _check_over(lines: list[str], line: int, shape: Shape) -> None:
    """Refuse a cell that goes on over lines that are rows themselves: its quote is a character, or was forgotten."""
    for number, text in enumerate(lines, line + 1):
        cells = text.split(shape.separator)
        if len(cells) == shape.width > 1 and all(_is_plain(cells[i]) for i in shape.wanted):
            raise UsageError(
                f"{shape.place(line)}: a quote opens a cell that would go on over line {number}, which is a row; "
                "take the quote out, or put the cell in quotes and write it twice"
            )


def _is_plain(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return re.match(r"\s*\d{4}-\d\d-\d\d", cell) is not None or cell.strip() in EMPTY_CELLS
    return True


# --- cells ------------------------------------------------------------------------------------------------------------


def _numbers(rows: Rows, index: int, shape: Shape) -> NDArray[np.float64]:
    """A column as float64 with NaN for empty cells."""
    import polars as pl

    column = rows.columns[index]
    if column.dtype == pl.String:
        text = column.str.strip_chars()
        column = text.cast(pl.Float64, strict=False)
        bad = column.is_null() & text.is_not_null() & ~text.is_in(EMPTY_CELLS)
        row = bad.arg_max()
        if row is not None and bad[row]:
            place, is_first = shape.place(int(rows.row_lines[row])), row == 0
            raise UsageError(f"{place}: {_no_number(text[row], shape.separator, is_first=is_first)}")
        _check_whole(text, column, rows, shape)
    return column.fill_null(float("nan")).to_numpy()


def _no_number(cell: str, separator: str, *, is_first: bool) -> str:
    shown = f'"{cell[:40]}" is no number'
    if is_first and not any(character.isdigit() for character in cell):
        return f"{shown}: is this line one of units, or of names? Take it out of the file"
    if separator != "," and re.fullmatch(r"[+-]?\d*,\d+([eE][+-]?\d+)?", cell):
        return f"{shown}: it has a decimal comma; say --decimal comma"
    return f'{shown}; empty cells are "" or one of {", ".join(EMPTY_CELLS[1:])}'


def _check_whole(text: pl.Series, values: pl.Series, rows: Rows, shape: Shape) -> None:
    """Refuse an integer that float64 does not hold exactly."""
    large = ((values.abs() >= _EXACT_MAX) & values.is_finite()).fill_null(value=False)
    for row in large.arg_true():
        cell: str = text[row]
        if re.fullmatch(r"[+-]?\d+(\.0*)?", cell) and int(cell.partition(".")[0]) != int(values[row]):
            raise inexact(shape.place(int(rows.row_lines[row])), cell)
