"""The samples that came last, kept in memory: who follows a stream asks for them again and again. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.archive.channels import converted
from ingest.records import Channel
from ingest.times import Times

BYTES_MAX: Final = 32 << 20
"""Of all streams together: of 20 streams at 100 Hz, whose chunks have 100 ms each, some minutes."""
_OVERHEAD: Final = 600
"""Bytes of a chunk beside its samples, about."""


class Piece(NamedTuple):
    """The samples of a chunk: `(samples,)` times, `(samples, channels)` values in the channels' units."""

    channels: tuple[Channel, ...]
    """As they were described."""
    times: Times
    values: NDArray[np.float64]

    def under(self, channels: Sequence[Channel]) -> NDArray[np.float64]:
        """The values as of these channels, `(samples, channels)`; NaN where there is nothing of one."""
        return converted(channels, self.channels, self.values)


class Newest:
    """The pieces that came last, by where their chunks lie in the log, up to so many bytes."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._pieces: OrderedDict[tuple[int, int], Piece] = OrderedDict()

    def keep(self, partition: int, offset: int, piece: Piece) -> None:
        """Keep one more, and let the oldest go where there is no room. A chunk comes once."""
        self._pieces[partition, offset] = piece
        self._bytes += _size(piece)
        while self._bytes > self._bytes_max:
            _, oldest = self._pieces.popitem(last=False)
            self._bytes -= _size(oldest)

    def find(self, partition: int, offset: int) -> Piece | None:
        """The chunk's samples; None: they are to be read in the log."""
        return self._pieces.get((partition, offset))


def _size(piece: Piece) -> int:
    return piece.times.nbytes + piece.values.nbytes + _OVERHEAD
