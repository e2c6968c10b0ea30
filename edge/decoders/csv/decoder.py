"""Lines of numbers, separated by commas or anything else: `0.01,-0.02,0.98`.

A line has as many cells as there are columns, and each cell of a channel holds a number; an empty cell, `nan`, `NA`,
`null` or `-` is a missing value, and so is an infinite one, counted. Everything else is a fault. Lines that begin with
`#`, and empty ones, say nothing.
"""

from __future__ import annotations

import csv
import struct
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import ClassVar, Final, Self

import msgspec
import numpy as np

from edge.decoders.cells import DECIMAL, as_text, is_garbage, number, sample
from edge.decoders.lines import Block, Lines, bare, fault, is_long
from edge.decoders.numbers import TIME_UNIT, TIMEZONE, DeviceTime, Row, frames_of
from edge.protocol import Fault, Frame, Key, SourceConfig
from ingest.errors import UsageError

_IN_CELLS: Final = bytes(byte for byte in range(256) if byte not in b",\n")


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
            ("delimiter", "sep", "delim", "field_separator"),
        ),
        "decimal": DECIMAL,
        "time_column": Key(
            "text",
            "Which column has the device's own time.",
            '"t"',
            "none",
            ("time", "timestamp", "time_col", "time_field", "t"),
        ),
        "time_unit": TIME_UNIT,
        "timezone": TIMEZONE,
    }

    def __init__(
        self,
        columns: list[str],
        channels: list[str],
        separator: bytes | None,
        time: tuple[str, DeviceTime] | None,
        *,
        comma: bool = False,
    ) -> None:
        self._lines = Lines()
        self._width = len(columns)
        self._header = [name.strip().lower().encode() for name in columns]
        self._picked = [columns.index(name) for name in channels]
        self._all = self._picked == list(range(self._width))
        self._separator = separator
        self._comma = comma
        """A comma may be a decimal mark."""
        self._time = None if time is None else (columns.index(time[0]), time[1])
        self._seams = b"," * (self._width - 1) + b"\n"
        """What is between cells, of a line."""
        self._parse = msgspec.json.Decoder(list[float]).decode

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` where a channel has no column, or a key says what cannot be."""
        time_column = config.option("time_column", str, "")
        names = [*([time_column] if time_column else []), *config.channels]
        columns: list[str] = config.option("columns", list, names)
        if len(set(map(str, columns))) != len(columns) or not all(isinstance(name, str) for name in columns):
            raise UsageError(f"{config.where}: columns: found {columns}, expected names, each once")
        for name in names:
            if name not in columns:
                raise UsageError(f'{config.where}: columns: found {", ".join(columns)}, "{name}" is missing')
        separator = config.option("separator", str, ",")
        if (len(separator) != 1 or separator == "\n") and separator != "whitespace":
            raise UsageError(f'{config.where}: separator: found {separator!r}, expected one character or "whitespace"')
        decimal = config.option("decimal", str, "," if separator == ";" else ".")
        if decimal not in (".", ",") or decimal == separator:
            raise UsageError(
                f'{config.where}: decimal: found "{decimal}", expected "." or ",", and not the separator "{separator}"'
            )
        time = DeviceTime.from_config(config)
        given = None if separator in ("whitespace", " ") else separator.encode()
        pair = (time_column, time) if time_column else None
        return cls(columns, list(config.channels), given, pair, comma=decimal == ",")

    def feed(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        block, long = self._lines.feed(data)
        found = [] if block is None else self._block(block)
        if long is not None:
            found.append(long)
        return found

    def message(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        return self._block(self._lines.whole(data))

    def reset(self) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        torn, offset = self._lines.reset()
        if not torn:
            return []
        may_be_one = len(torn.split(self._separator)) <= self._width
        return [fault("torn", offset, 1 if may_be_one else -1, torn)]

    # --- all lines at once

    def _block(self, block: Block) -> list[Frame | Fault]:
        values = self._quick(block.data[:-1]) if self._time is None else None
        if values is None:
            return list(frames_of(self._lines.each(block, self._row)))
        packed = struct.pack(f"{len(values)}d", *values)  # half of what `np.array` takes for it, or less
        rows = np.frombuffer(packed).reshape(-1, self._width)
        return [Frame(rows if self._all else rows[:, self._picked], None, block.offset + len(block.data))]

    def _quick(self, text: bytes) -> list[float] | None:
        """The cells of all lines, where nothing is special about any of them; what `_row` would give, else None.

        JSON's numbers are read several times faster than Python's; what only the latter takes (`+1`, `.5`) comes
        second.
        """
        if not text or is_long(text):
            return None
        separator = self._separator
        if separator != b",":
            if b"," in text:
                if not self._comma:
                    return None
                text = text.replace(b",", b".")
            if separator is None:
                text = b"\n".join(b",".join(line.split()) for line in text.split(b"\n"))
            else:
                text = text.replace(separator, b",")
        seams = text.translate(None, _IN_CELLS) + b"\n"  # a hundred times as quick as to look at each line
        if seams != self._seams * (len(seams) // self._width):
            return None
        text = text.replace(b"\n", b",")
        try:
            return self._parse(b"[%b]" % text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _python_floats(text)

    # --- a line

    def _row(self, line: bytes, offset: int) -> Iterable[Row | Fault]:
        text = bare(line)
        if not text.strip() or text.startswith(b"#"):
            return ()
        cells = self._cells(text)
        if len(cells) != self._width:
            return (fault("garbage" if is_garbage(text) else "columns", offset, -1, line),)
        try:
            values = [number(cells[at], comma=self._comma) for at in self._picked]
        except ValueError:
            if [cell.lower() for cell in cells] == self._header:
                return (fault("header", offset, 0, line),)
            return (fault("garbage", offset, -1, line) if is_garbage(text) else fault("number", offset, 1, line),)
        return sample(values, lambda: self._read_time(cells), line, offset, offset + len(line) + 1)

    def _read_time(self, cells: list[bytes]) -> int | None:
        if self._time is None:
            return None
        at, kind = self._time
        text = cells[at].decode("ascii")
        return kind.of_text(text.replace(",", ".") if self._comma and kind.scale is not None else text)

    def _cells(self, text: bytes) -> list[bytes]:
        separator = self._separator
        if b'"' in text and separator is not None:
            try:
                words = next(csv.reader([as_text(text)], delimiter=as_text(separator), skipinitialspace=True))
            except (csv.Error, TypeError, StopIteration):  # an unusual separator, or a NUL
                words = []
            return [word.encode("utf-8", "surrogateescape").strip() for word in words]
        return [cell.strip().strip(b'"') for cell in text.split(separator)]


def _python_floats(text: bytes) -> list[float] | None:
    if b"_" in text:  # Python's own way to group digits
        return None
    try:
        values = list(map(float, text.split(b",")))
    except ValueError:
        return None
    return values if isfinite(sum(values)) else None  # not finite, or many that are large: `_row` tells them apart
