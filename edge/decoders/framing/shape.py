"""What frames have in common: how one is made besides its payload, and what comes of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from edge.decoders.checksums import Bytes2D, Checksum, Sum
from edge.protocol import Fault

Endian = Literal["little", "big"]


class Piece(NamedTuple):
    """What frames hold, without what frames them."""

    rows: Bytes2D
    """`(frames, bytes)`: frames of one length that follow one another."""
    offset: int
    """Of the first one's first byte."""
    step: int
    """Bytes from one frame to the next, and from a frame's first byte to behind its last."""


class Framing(Protocol):
    """Bytes to frames."""

    def feed(self, data: bytes) -> Iterator[Piece | Fault]:
        """What these bytes complete, in order."""
        ...

    def reset(self) -> Iterator[Piece | Fault]:
        """The input ended or was interrupted: what is whole is given; offsets begin at 0."""
        ...


@dataclass(frozen=True, slots=True)
class Shape:
    """How a frame is made, besides its payload."""

    sync: bytes = b""
    check: Checksum | Sum | None = None
    skips: int = 0
    """Bytes at its beginning that the checksum leaves out."""
    check_endian: Endian = "little"
    is_torn_at_start: bool = False
    """What comes first after an opening may be the rest of a frame."""

    @property
    def check_size(self) -> int:
        """The checksum's length in bytes."""
        return 0 if self.check is None else self.check.size

    def is_right(self, frame: bytes) -> bool:
        """Whether a frame's checksum is that of its bytes."""
        if self.check is None:
            return True
        end = len(frame) - self.check.size
        return self.check.of(frame[self.skips : end]) == int.from_bytes(frame[end:], self.check_endian)

    def are_right(self, rows: Bytes2D) -> Any:
        """The same of many frames of one length, `(frames,)` booleans."""
        if self.check is None:
            return np.ones(len(rows), dtype=np.bool_)
        end = rows.shape[1] - self.check.size
        said = np.zeros(len(rows), dtype=np.uint32)
        for column in rows.T[end:] if self.check_endian == "big" else rows.T[: end - 1 : -1]:
            said = said << np.uint32(8) | column
        return self.check.of_each(rows[:, self.skips : end]) == said


def piece_of(payload: bytes, offset: int, size: int) -> Piece:
    """Of one frame, of `size` bytes from an offset on."""
    return Piece(np.frombuffer(payload, dtype=np.uint8).reshape(1, -1), offset, size)
