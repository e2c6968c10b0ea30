"""Delimited text as columns: what every line became is counted, and no line is lost because of another one's quote.

Text without quotes, comments, blank or uneven lines goes to polars as it is, after its separators have been counted
line by line: polars takes a row of any width without a word. Everything else is first made into such text (or, where
quotes mean something, into cells by Python's csv module), with the line of each row kept.

CSV: RFC 4180; a quote inside a cell that does not begin with one is a character like others (`3" pipe`).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.importers.encodings import ADVICE, REPLACED, as_utf8, is_utf8
from ingest.importers.grouping import grouped_by, has_groups, ungrouped
from ingest.importers.header import EMPTY_CELLS, Head, read_head
from ingest.importers.mixing import ROWS, mixed
from ingest.importers.quotes import Rows, Shape, quoted_rows
from ingest.importers.selecting import is_text, left_out
from ingest.importers.source import Lines, Source, Table, Wanted, as_text, inexact, together
from ingest.importers.torn import cut_torn
from ingest.showing import counted

if TYPE_CHECKING:
    import polars as pl

_EXACT_MAX: Final = 2.0**53
_PACKED: Final = (b"\x1f\x8b", b"x\x01", b"x\x9c", b"x\xda", b"\x28\xb5\x2f\xfd")
"""What polars takes for the begin of gzip, zlib or zstd, and unpacks."""


def read_text(source: Source, wanted: Wanted) -> Table:
    """The wanted columns of delimited text.

    Raises:
        UsageError: no such column, a cell that is no number, a row of another width or a quote that nothing closes,
            with its line.
    """
    text = _plain(source, wanted.encoding)
    head = read_head(source.path, text, wanted)
    body, torn, notes = cut_torn(text[head.stop :], head.separator, head.width)
    if not body.strip():
        names = head.has_names
        raise UsageError(f"{source.path}: a header and no rows" if names else f"{source.path}: no rows")
    texts = _texts(body, head)
    values = [index for index in head.values if index not in texts]
    if not values:
        raise UsageError(f"{source.path}: no column of numbers fits --columns {','.join(wanted.columns)}")
    apart = [head.index(name) for name in wanted.apart]
    shape = Shape(source.path, head.separator, head.width, values, apart, head.line, wanted.decimal_comma,
                  wanted.thousands)  # fmt: skip
    rows = _read_rows(body, shape)
    if not len(rows.row_lines):
        raise UsageError(f"{source.path}: no rows")
    lines = _together(rows.lines, head.lines, torn)
    notes = (
        *notes,
        *_notes(lines),
        *left_out([head.names[index] for index in texts]),
        *_nameless(body, head),
        *_mixed(body, head, shape),
    )
    table = Table(
        source.path,
        np.column_stack([_numbers(rows, index, shape) for index in values]),
        together([_time(rows.columns[head.index(name)], shape) for name in wanted.time]),
        tuple(head.names[index] for index in values),
        {name: as_text(rows.columns[head.index(name)]) for name in wanted.keys},
        tuple(head.units[index] for index in values) if head.units else (),
        head.separator if head.width > 1 else "",
        row_lines=rows.row_lines,
        lines=lines,
        notes=notes,
    )
    _check_read(source, text, head, [*values, *apart] if head.has_names else [], table)
    return table


def _time(column: pl.Series, shape: Shape) -> pl.Series:
    """A column of times; a number has a decimal point."""
    return column.str.replace(r"^\s*([+-]?\d+),(\d+)\s*$", "$1.$2") if shape.decimal_comma else column


def _first_rows(body: bytes, separator: str, width: int) -> list[list[str]]:
    """The cells of rows at the beginning that are as wide as they should be."""
    lines = body[: ROWS * max(1, body.find(b"\n") + 1)].decode("utf-8", "replace").split("\n")[:ROWS]
    cells = (line.split(None if separator == " " else separator) for line in lines)
    return [row for row in cells if len(row) == width]


def _texts(body: bytes, head: Head) -> list[int]:
    """The columns that a pattern stands for and that hold text."""
    open_ones = [index for index in head.values if head.names[index] in head.by_pattern]
    rows = _first_rows(body, head.separator, head.width) if open_ones else []
    return [index for index in open_ones if is_text([row[index].strip(' "\r') for row in rows], EMPTY_CELLS)]


def _nameless(body: bytes, head: Head) -> list[str]:
    """What a pattern passes over, as it has no name: it may be an index that pandas wrote, or a channel."""
    rows = _first_rows(body, head.separator, head.width) if head.by_pattern else []
    some = [
        index for index, name in enumerate(head.names) if not name and any(row[index].strip(' "\r') for row in rows)
    ]
    shown = ", ".join(f"{index + 1}" for index in some)
    return [f"without a name, so no channel: {counted(len(some), 'column')}, by number {shown}"] if some else []


def _mixed(body: bytes, head: Head, shape: Shape) -> list[str]:
    """What the columns that are not wanted say of the first rows."""
    others = [index for index in range(head.width) if index not in shape.wanted] if head.has_names else []
    if not others:
        return []
    rows = _first_rows(body, head.separator, head.width)
    told = mixed({head.names[index]: [cells[index] for cells in rows] for index in others})
    return [told] if told else []


def _check_read(source: Source, text: bytes, head: Head, chosen: list[int], table: Table) -> None:
    """Refuse names, units and labels of which bytes were lost, as they are no UTF-8."""
    line = head.line - 1
    words = [(word, line) for index in chosen for word in (head.names[index], *head.units[index : index + 1])]
    for key in table.keys.values():
        lost = key.str.contains(REPLACED, literal=True)
        words += [(key[row], int(table.row_lines[row])) for row in lost.arg_true()[:1] if table.row_lines is not None]
    for word, number in words:
        if REPLACED in word and not is_utf8(text):
            raise UsageError(f'{source.path}: line {number}: "{word}" is not UTF-8; {ADVICE}')


def _plain(source: Source, encoding: str | None) -> bytes:
    """The text as UTF-8, with line feeds at the ends of its lines."""
    text = as_utf8(source.path, source.data, encoding)
    if not text or text.isspace():
        raise UsageError(f"{source.path}: the file is empty")
    if b"\0" in text[:4096]:
        raise UsageError(f"{source.path}: neither text, Parquet nor NumPy; these can be imported, also gzipped")
    if b"\r" in text and text.count(b"\r") != text.count(b"\r\n"):
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return text


def _together(body: Lines, head: Lines, torn: int) -> Lines:
    comments, blank = body.comments + head.comments, body.blank + head.blank
    total = body.total + head.total + torn
    return replace(
        body, total=total, skipped=head.skipped, header=head.header, comments=comments, blank=blank, torn=torn
    )


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
    found = quoted_rows(body, shape) if b'"' in body else _even_rows(body, shape) or _uneven_rows(body, shape)
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
    for kind in (
        (pl.String,)
        if has_groups(body, shape.thousands, decimal_comma=shape.decimal_comma)
        else (pl.Float64, pl.String)
    ):
        try:
            frame = pl.read_csv(
                io.BytesIO(body),
                has_header=False,
                separator=shape.separator,
                quote_char=None,
                schema={f"c{i}": kind if i in shape.values else pl.String for i in range(shape.width)},
                columns=shape.wanted,
                decimal_comma=shape.decimal_comma,
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


# --- cells ------------------------------------------------------------------------------------------------------------


def _numbers(rows: Rows, index: int, shape: Shape) -> NDArray[np.float64]:
    """A column as float64 with NaN for empty cells."""
    import polars as pl

    column = rows.columns[index]
    if column.dtype == pl.String:
        text = ungrouped(column.str.strip_chars(), shape.thousands, decimal_comma=shape.decimal_comma)
        column = text.cast(pl.Float64, strict=False)
        bad = column.is_null() & text.is_not_null() & ~text.is_in(EMPTY_CELLS)
        row = bad.arg_max()
        if row is not None and bad[row]:
            place, is_first = shape.place(int(rows.row_lines[row])), row == 0
            cell = rows.columns[index][row].strip()
            raise UsageError(f"{place}: {_no_number(cell, shape, is_first=is_first)}")
        _check_whole(text, column, rows, shape)
    return column.fill_null(float("nan")).to_numpy()


def _no_number(cell: str, shape: Shape, *, is_first: bool) -> str:
    shown = f'"{cell[:40]}" is no number'
    if is_first and not any(character.isdigit() for character in cell):
        return f"{shown}: is this line one of units? Say --units-row; one of names, --skip-rows"
    if (mark := grouped_by(cell, shape.thousands, decimal_comma=shape.decimal_comma)) is not None:
        return f"{shown}: if it has separators of thousands, say --thousands {mark}"
    if shape.separator != "," and re.fullmatch(r"[+-]?\d*,\d+([eE][+-]?\d+)?", cell):
        return f"{shown}: it has a decimal comma; say --decimal comma"
    return f'{shown}; empty cells are "" or one of {", ".join(EMPTY_CELLS[1:])}'


def _check_whole(text: pl.Series, values: pl.Series, rows: Rows, shape: Shape) -> None:
    """Refuse an integer that float64 does not hold exactly."""
    large = ((values.abs() >= _EXACT_MAX) & values.is_finite()).fill_null(value=False)
    for row in large.arg_true():
        cell: str = text[row]
        if re.fullmatch(r"[+-]?\d+(\.0*)?", cell) and int(cell.partition(".")[0]) != int(values[row]):
            raise inexact(shape.place(int(rows.row_lines[row])), cell)
