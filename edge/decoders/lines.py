"""Bytes to whole lines: bounded, and the same whatever the chunks in which the bytes come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple, TypeVar

from edge.decoders.guard import FAILED
from edge.protocol import RAW_BYTES, Fault

T = TypeVar("T")
MAX_LINE_BYTES: Final = 4096
"""A longer line is a fault: no sensor's reading needs it, and memory stays bounded."""
_UNSEEN: Final = b"\r\x00 "
BOM: Final = b"\xef\xbb\xbf"


def fault(reason: str, offset: int, samples: int, line: bytes) -> Fault:
    """A fault that shows the beginning of its line."""
    return Fault(reason, offset, samples, line[:RAW_BYTES])


def bare(line: bytes) -> bytes:
    """A line without what nobody sees: CR and NULs at its end (C strings sent whole), a byte order mark before it."""
    return line.rstrip(_UNSEEN).removeprefix(BOM)


def is_long(lines: bytes, most: int = MAX_LINE_BYTES) -> bool:
    """Whether any of the lines has more than `most` bytes."""
    begin = 0
    while len(lines) - begin > most:
        begin = lines.rfind(b"\n", begin, begin + most + 1) + 1
        if not begin:
            return True
    return False


class Block(NamedTuple):
    """Whole lines, each with its line feed, that lie one behind the other."""

    data: bytes
    offset: int
    """Of its first byte."""


class Lines:
    """Splits a stream of bytes behind its last line feed; what is behind it waits for more."""

    def __init__(self, max_bytes: int = MAX_LINE_BYTES) -> None:
        self._max = max_bytes
        self._held = b""
        self._offset = 0
        """Bytes before `_held`."""
        self._skipping = False
        """The rest of a line that was too long is thrown away."""

    def feed(self, data: bytes) -> tuple[Block | None, Fault | None]:
        """The lines that `data` completes; the fault, if any, lies behind them: the line that has begun is too long.

        A block's own lines may be too long as well: `each` looks.
        """
        if self._skipping:
            end = data.find(b"\n") + 1
            if not end:
                self._offset += len(data)
                return None, None
            self._offset += end
            data, self._skipping = data[end:], False
        end, block = data.rfind(b"\n") + 1, None
        if end:
            block = Block(self._held + data[:end], self._offset)
            self._offset += len(block.data)
            self._held = data[end:]
        else:
            self._held += data
        if len(self._held) <= self._max:
            return block, None
        long = fault("too_long", self._offset, -1, self._held)
        self._offset += len(self._held)
        self._held, self._skipping = b"", True
        return block, long

    def whole(self, data: bytes) -> Block:
        """A message as lines, the last one ended by a line feed."""
        block = Block(data if data.endswith(b"\n") else data + b"\n", self._offset + len(self._held))
        self._offset += len(block.data)
        return block

    def each(self, block: Block, read: Callable[[bytes, int], Iterable[T]]) -> Iterator[T | Fault]:
        """What `read` makes of each line and its offset; one that is too long, or that it raises for, is a fault."""
        offset = block.offset
        for line in block.data[:-1].split(b"\n"):
            if len(line) > self._max:
                yield fault("too_long", offset, -1, line)
            else:
                try:
                    yield from read(line, offset)
                except Exception:  # a bug: it must not cost more than this line
                    yield fault(FAILED, offset, -1, line)
            offset += len(line) + 1

    def reset(self) -> tuple[bytes, int]:
        """Forget everything; the line that was not whole, and its offset."""
        torn = self._held, self._offset
        self._held, self._offset, self._skipping = b"", 0, False
        return torn
