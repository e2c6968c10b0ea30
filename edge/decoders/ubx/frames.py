"""UBX frames out of a stream of bytes (u-blox interface descriptions, "UBX Frame Structure"). Pure.

A frame is B5 62, class, id, the payload's length, the payload, and two sums (RFC 1145, modulo 256). Sentences of NMEA
may lie between frames, as receivers send both; other bytes there are a fault. What looks like a frame and has a wrong
sum is looked through for one that begins within it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from edge.decoders.lines import fault
from edge.protocol import RAW_BYTES, Fault

SYNC: Final = b"\xb5\x62"
PAYLOAD_BYTES: Final = 8192
"""A longer one is none: no receiver has so much to say at once."""
RUN_BYTES: Final = 4096
"""So many bytes without a frame are told."""
_HEADER: Final = 6
_TEXT: Final = bytes((*range(0x20, 0x7F), 0x0D, 0x0A, 0x09))


class UbxFrame(NamedTuple):
    """A frame whose sums are right."""

    kind: tuple[int, int]
    """Class and id."""
    payload: bytes
    offset: int
    end: int


def sums(data: bytes) -> bytes:
    """The two sums of a frame: of what is between the sync and them."""
    values = np.frombuffer(data, np.uint8).astype(np.int64)
    first, second = values.sum(), values @ np.arange(len(values), 0, -1)
    return bytes((int(first) & 0xFF, int(second) & 0xFF))


class UbxFrames:
    """Cuts frames out; `offset` is that of the first byte that it is fed."""

    def __init__(self, offset: int = 0) -> None:
        self.fed = offset
        """The offset behind all that was fed."""
        self._held = b""
        self._begin_run(offset)

    def _begin_run(self, offset: int) -> None:
        """Of the bytes between two frames: where they begin, how they begin, how many they are."""
        self._run_offset, self._run_raw, self._run_size = offset, b"", 0
        self._is_text = True
        self._is_told = False

    def feed(self, data: bytes) -> Iterator[UbxFrame | Fault]:
        """What these bytes complete."""
        self._held += data
        self.fed += len(data)
        while self._held:
            at = self._held.find(SYNC)
            if at < 0:
                at = len(self._held) - self._held.endswith(SYNC[:1])
                yield from self._pass_over(at)
                return
            yield from self._pass_over(at)
            size = self._size()
            if size is None or len(self._held) < size:
                return
            yield from self._frame(size)

    def end(self) -> Iterator[UbxFrame | Fault]:
        """The input is over: what is left is torn, though it may have swallowed whole frames."""
        if self._run_size and not (self._is_text or self._is_told):
            yield fault("sync", self._run_offset, -1, self._run_raw)
        if self._held:
            yield fault("torn", self.fed - len(self._held), -1, self._held)
        while self._held:
            self._is_told = True
            yield from self._pass_over(min(len(SYNC), len(self._held)))
            yield from self.feed(b"")
        self._begin_run(self.fed)

    def _size(self) -> int | None:
        """Of the frame that may begin here; 0 where it cannot, None where that is not known yet."""
        if len(self._held) < _HEADER:
            return None
        length = int.from_bytes(self._held[4:6], "little")
        return 0 if length > PAYLOAD_BYTES else _HEADER + length + 2

    def _frame(self, size: int) -> Iterator[UbxFrame | Fault]:
        begin, whole = self.fed - len(self._held), self._held[:size]
        if size and sums(whole[2:-2]) == whole[-2:]:
            if self._run_size and not (self._is_text or self._is_told):
                yield fault("sync", self._run_offset, -1, self._run_raw)
            self._held = self._held[size:]
            self._begin_run(begin + size)
            yield UbxFrame((whole[2], whole[3]), whole[_HEADER:-2], begin, begin + size)
            return
        if size and not self._is_told:
            yield fault("checksum", begin, -1, whole)
            self._is_told = True
        yield from self._pass_over(len(SYNC))

    def _pass_over(self, count: int) -> Iterator[Fault]:
        """Bytes that are in no frame; a fault each time that they have become so many."""
        while count:
            part = self._held[: min(count, RUN_BYTES - self._run_size)]
            self._held, count = self._held[len(part) :], count - len(part)
            self._run_raw = (self._run_raw + part)[:RAW_BYTES]
            self._run_size += len(part)
            self._is_text &= not part.translate(None, _TEXT)
            if self._run_size == RUN_BYTES:
                if self._is_text:
                    yield fault("no_frame", self._run_offset, 0, self._run_raw)
                elif not self._is_told:
                    yield fault("sync", self._run_offset, -1, self._run_raw)
                self._begin_run(self._run_offset + RUN_BYTES)
