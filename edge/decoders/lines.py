"""Bytes to whole lines: bounded, and the same whatever the chunks in which the bytes come."""

from __future__ import annotations

from typing import Final, NamedTuple

from edge.protocol import Fault

MAX_LINE_BYTES: Final = 4096
"""A longer line is a fault: no sensor's reading needs it, and memory stays bounded."""


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

        A block's own lines may be too long as well: whoever cuts them apart looks.
        """
        if self._skipping:
            end = data.find(b"\n") + 1
            if not end:
                self._offset += len(data)
                return None, None
            self._offset += end
            data, self._skipping = data[end:], False
        held = self._held + data
        end = held.rfind(b"\n") + 1
        block = Block(held[:end], self._offset) if end else None
        self._offset += end
        self._held = held[end:]
        if len(self._held) <= self._max:
            return block, None
        fault = Fault("too_long", self._offset)
        self._offset += len(self._held)
        self._held, self._skipping = b"", True
        return block, fault

    def is_long(self, line: bytes) -> bool:
        """Whether a line (without its line feed) is longer than is allowed."""
        return len(line) > self._max

    def reset(self) -> Fault | None:
        """Forget what is not whole: it is a fault."""
        fault = Fault("torn", self._offset) if self._held else None
        self.__init__(self._max)  # type: ignore[misc]
        return fault
