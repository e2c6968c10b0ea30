"""Texts to numbers, and numbers to samples: what the decoders of lines share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from math import isinf, isnan, nan
from typing import Final

from edge.decoders.lines import MAX_LINE_BYTES, Lines, bare, fault
from edge.decoders.numbers import Row, frames_of
from edge.protocol import Fault, Frame, Key

DECIMAL: Final = Key(
    "one of . and ,",
    "What else than a point is between a number's whole and its decimals.",
    '","',
    ". and, where the separator is ;, also ,",
    ("decimal_mark", "decimal_point", "decimal_separator", "decimal_comma"),
)
_EMPTY: Final = frozenset((b"", b"NA", b"N/A", b"null", b"NULL", b"None", b"-"))
"""Cells that say that there is no value, as in files that are imported; and `nan`, however it is written."""
_ODD: Final = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_GARBAGE_SHARE: Final = 0.2
"""A line with so many bytes that are no text was no line of the sensor's: a degree sign in another encoding is one."""


def number(cell: bytes, *, comma: bool = False) -> float:
    """A cell's number; NaN where it says that there is none; may be infinite. Raises `ValueError`."""
    if cell in _EMPTY:
        return nan
    if b"_" in cell:  # Python's own way to group digits
        raise ValueError("no number")
    return float(cell.replace(b",", b".") if comma and b"." not in cell else cell)


def is_garbage(text: bytes) -> bool:
    """Whether this is no text: another baud rate, noise, a binary protocol."""
    if _ODD.search(text):
        return True
    high = len(as_text(text)) - len(text.decode("utf-8", "ignore"))
    return high >= _GARBAGE_SHARE * len(text)


def as_text(data: bytes) -> str:
    """As UTF-8; other bytes stay what they are."""
    return data.decode("utf-8", "surrogateescape")


def sample(
    values: list[float], read_time: Callable[[], int | None], text: bytes, offset: int, end: int
) -> tuple[Row | Fault, ...]:
    """A text's values as a row: an infinite one is a missing one, counted; without any value there is no sample.

    `read_time` gives the device's time, and raises `ValueError` where it cannot be read.
    """
    infinite = any(map(isinf, values))
    if infinite:
        values = [nan if isinf(value) else value for value in values]
    if all(map(isnan, values)):
        return (fault("infinite" if infinite else "missing", offset, 1, text),)
    try:
        time = read_time()
    except ValueError:
        return (fault("time", offset, 1, text),)
    row = values, time, end
    return (fault("infinite", offset, 0, text), row) if infinite else (row,)


class LineDecoder:
    """A decoder whose samples are a line each: `read_line` says what one says."""

    def __init__(self, max_bytes: int = MAX_LINE_BYTES) -> None:
        self._lines = Lines(max_bytes)

    def read_line(self, line: bytes, text: bytes, offset: int) -> Iterable[Row | Fault]:
        """What a line says; `text` is the line without what nobody sees, and is not empty."""
        raise NotImplementedError

    def feed(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        block, long = self._lines.feed(data)
        if block is not None:
            yield from frames_of(self._lines.each(block, self._line))
        if long is not None:
            yield long

    def message(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        return frames_of(self._lines.each(self._lines.whole(data), self._line))

    def reset(self) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        torn, offset = self._lines.reset()
        return [fault("torn", offset, -1, torn)] if torn else []

    def _line(self, line: bytes, offset: int) -> Iterable[Row | Fault]:
        text = bare(line)
        return self.read_line(line, text, offset) if text.strip() else ()
