"""Frames behind which a byte stands that is in none of them: COBS and SLIP. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edge.decoders.framing.shape import Piece, Shape, piece_of
from edge.decoders.lines import fault
from edge.protocol import Fault


class EndedFrames:
    """Frames behind which a byte stands that is in none of them: COBS's 0, SLIP's END."""

    def __init__(self, shape: Shape, end: int, unstuff: Callable[[bytes], bytes], reason: str, most: int) -> None:
        self._shape = shape
        self._end = bytes([end])
        self._unstuff = unstuff
        self._reason = reason
        self._most = 2 * most + 2
        """A frame's bytes with what stuffs them."""
        self._begin()

    def _begin(self) -> None:
        self._held = b""
        self._offset = 0
        self._is_torn = self._shape.is_torn_at_start
        self._is_skipping = False

    def feed(self, data: bytes) -> Iterator[Piece | Fault]:
        """See `Framing`."""
        *frames, last = (self._held + data).split(self._end)
        for frame in frames:
            yield from self._frame(frame)
            self._offset += len(frame) + 1
            self._is_torn = self._is_skipping = False
        self._held = last
        if len(last) > self._most and not self._is_skipping:
            yield fault("too_long", self._offset, -1, last[: self._most])
            self._is_skipping = True
        if self._is_skipping:
            self._offset += len(last)
            self._held = b""

    def reset(self) -> Iterator[Piece | Fault]:
        """See `Framing`."""
        if self._held:
            yield fault("torn", self._offset, -1, self._held)
        self._begin()

    def _frame(self, frame: bytes) -> Iterator[Piece | Fault]:
        if not frame or self._is_skipping:
            return
        if len(frame) > self._most:
            yield fault("too_long", self._offset, -1, frame)
            return
        try:
            found = self._unstuff(frame)
        except ValueError:
            reason = self._reason
        else:
            end = len(found) - self._shape.check_size
            reason = "checksum" if end < 1 or not self._shape.is_right(found) else ""
            # Without a checksum nobody knows whether the first one is whole.
            if not reason and not (self._is_torn and self._shape.check is None):
                yield piece_of(found[:end], self._offset, len(frame) + 1)
        if reason and not self._is_torn:
            yield fault(reason, self._offset, -1, frame)


def cobs(frame: bytes) -> bytes:
    """A frame of Consistent Overhead Byte Stuffing (Cheshire, Baker 1999) without its 0. Raises `ValueError`."""
    found, at = bytearray(), 0
    while at < len(frame):
        code = frame[at]
        block = frame[at + 1 : at + code]
        if not code or len(block) < code - 1 or 0 in block:
            raise ValueError("no COBS")
        found += block
        at += code
        if code < 0xFF and at < len(frame):
            found.append(0)
    return bytes(found)


def slip(frame: bytes) -> bytes:
    """A frame of SLIP (RFC 1055) without its END. Raises `ValueError`."""
    first, *parts = frame.split(b"\xdb")
    found = [first]
    for part in parts:
        if part[:1] not in (b"\xdc", b"\xdd"):
            raise ValueError("no SLIP")
        found.append((b"\xc0" if part[:1] == b"\xdc" else b"\xdb") + part[1:])
    return b"".join(found)
