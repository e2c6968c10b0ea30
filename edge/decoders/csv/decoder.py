"""Lines of numbers, separated by commas or anything else: `0.01,-0.02,0.98`.

A line has as many cells as there are columns, and each cell of a channel holds a number; an empty cell or `nan` is a
missing value. Everything else is a fault. Lines that begin with `#`, and empty ones, say nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import isfinite, isinf, isnan, nan
from operator import methodcaller
from typing import ClassVar, Self

import numpy as np

from edge.decoders.lines import Block, Lines
from edge.decoders.numbers import TIME_UNIT, Row, TimeParser, frames_of, time_parser
from edge.protocol import Fault, Frame, Key, SourceConfig
from ingest.errors import UsageError


class CsvDecoder:
    """Decodes lines whose columns are `columns`, each a channel, the time, or one that nobody wants."""

    keys: ClassVar[Mapping[str, Key]] = {
        "columns": Key(
            "list of names",
            "What a line's cells are, in their order: channels, the time, and what nobody wants.",
            '["t", "x", "y", "z"]',
            "the time column, then the channels",
            ("fields", "header", "column", "cols"),
        ),
        "separator": Key(
            'one character, or "whitespace"',
            "What is between two cells.",
            '";"',
            ",",
            ("delimiter", "sep", "delim"),
        ),
        "time_column": Key(
            "text", "The column that has the device's own time.", '"t"', "none", ("time", "timestamp", "time_col")
        ),
        "time_unit": TIME_UNIT,
    }

    def __init__(
        self, columns: list[str], channels: list[str], separator: bytes | None, time: tuple[str, TimeParser] | None
    ) -> None:
        self._lines = Lines()
        self._columns = columns
        self._header = [name.encode() for name in columns]
        self._picked = [columns.index(name) for name in channels]
        self._all = self._picked == list(range(len(columns)))
        self._separator = separator
        self._time = None if time is None else (columns.index(time[0]), time[1])

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` where a channel has no column."""
        time_column = config.option("time_column", str, "")
        names = [*([time_column] if time_column else []), *config.channels]
        columns: list[str] = config.option("columns", list, names)
        if len(set(map(str, columns))) != len(columns) or not all(isinstance(name, str) for name in columns):
            raise UsageError(f"{config.where}: columns: found {columns}, expected names, each once")
        for name in names:
            if name not in columns:
                raise UsageError(f'{config.where}: columns: found {", ".join(columns)}, "{name}" is missing')
        separator = config.option("separator", str, ",")
        if len(separator) != 1 and separator != "whitespace":
            raise UsageError(f'{config.where}: separator: found "{separator}", expected one character or "whitespace"')
        time = (time_column, time_parser(config)) if time_column else None
        given = None if separator in ("whitespace", " ") else separator.encode()
        return cls(columns, list(config.channels), given, time)

    def feed(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        block, fault = self._lines.feed(data)
        if block is not None:
            frame = self._quick(block) if self._all else None
            if frame is not None:
                yield frame
            else:
                yield from frames_of(self._rows(block))
        if fault is not None:
            yield fault

    def message(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        return self.feed(data if data.endswith(b"\n") else data + b"\n")

    def reset(self) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        fault = self._lines.reset()
        return [] if fault is None else [fault]

    def _quick(self, block: Block) -> Frame | None:
        """All lines at once, where nothing is special about any of them; what `_rows` would give, else None."""
        lines = block.data.split(b"\n")
        lines.pop()
        width = len(self._columns)
        if self._lines.is_long(max(lines, key=len)) or b"_" in block.data:
            return None
        if self._separator is None:
            cells = block.data.split()
            widths = {len(line.split()) for line in lines}
        else:
            separator = self._separator
            cells = block.data[:-1].replace(b"\n", separator).split(separator)
            widths = {count + 1 for count in set(map(methodcaller("count", separator), lines))}
        if widths != {width}:
            return None
        try:
            values = list(map(float, cells))
        except ValueError:
            return None
        if not isfinite(sum(values)):  # one that is not finite, or too many that are large: `_rows` tells them apart
            return None
        return Frame(np.array(values).reshape(-1, width), None, block.offset + len(block.data))

    def _rows(self, block: Block) -> Iterator[Row | Fault]:
        offset = block.offset
        for line in block.data[:-1].split(b"\n"):
            item = self._row(line, offset)
            offset += len(line) + 1
            if item is not None:
                yield item

    def _row(self, line: bytes, offset: int) -> Row | Fault | None:
        if self._lines.is_long(line):
            return Fault("too_long", offset)
        if not line.strip() or line.startswith(b"#"):
            return None
        cells = [cell.strip() for cell in line.split(self._separator)]
        if cells == self._header:
            return Fault("header", offset, 0)
        if len(cells) != len(self._columns):
            return Fault("columns", offset)
        try:
            values = [_number(cells[at]) for at in self._picked]
            time = None if self._time is None else self._time[1](cells[self._time[0]].decode("ascii"))
        except (ValueError, ArithmeticError):
            return Fault("number", offset)
        if all(map(isnan, values)):
            return Fault("missing", offset)
        return values, time, offset + len(line) + 1


def _number(cell: bytes) -> float:
    """A cell's number. Raises `ValueError`."""
    if not cell:
        return nan
    if b"_" in cell:  # Python's own way to group digits
        raise ValueError("no number")
    value = float(cell)
    if isinf(value):
        raise ValueError("infinite")
    return value
