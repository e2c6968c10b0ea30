"""Rows of a text whose quotes mean something: cells by Python's csv module, with the line of each row kept.

RFC 4180; a quote that opens a cell which would go on over a row is one that somebody forgot, and is refused.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.importers.header import EMPTY_CELLS
from ingest.importers.source import Lines

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Shape:
    """How the rows of a text lie."""

    path: str
    separator: str
    """" " stands for any run of blanks."""
    width: int
    values: list[int]
    """The indices of the value columns, in the channels' order."""
    texts: list[int]
    """Those of the columns that are read as text: times, devices, labels."""
    line: int
    """Of the first row."""
    decimal_comma: bool = False
    thousands: str = ""
    """See `Wanted`."""

    @property
    def wanted(self) -> list[int]:
        """The indices of all columns that are read, in the file's order."""
        return sorted({*self.values, *self.texts})

    def place(self, line: int) -> str:
        """A line of the file, for messages."""
        return f"{self.path}: line {line}"


@dataclass(frozen=True, slots=True)
class Rows:
    """The wanted columns of all rows, by their index: float64 where every cell is a number or empty, else text."""

    columns: dict[int, pl.Series]
    row_lines: NDArray[np.int64]
    lines: Lines


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


def quoted_rows(body: bytes, shape: Shape) -> Rows:
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
