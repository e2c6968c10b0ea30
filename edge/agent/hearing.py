"""What a pipeline has heard of its sensor: counts, the newest bytes, the last lines that gave no sample. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from edge.protocol import RAW_BYTES, REPEATED, Arrival, Fault, Frame

BAD_LINES: Final = 8
"""So many are kept."""
NEWEST_BYTES: Final = 4096
"""So much of the newest arrival is kept."""


class BadLine(NamedTuple):
    """Bytes that gave no sample."""

    reason: str
    raw: bytes
    """Their beginning, at most `RAW_BYTES`."""
    wall_ns: int


@dataclass(slots=True)
class Hearing:
    """Counts since the agent began."""

    absent: set[int] = field(default_factory=set)
    """Of the channels those, by their numbers, that never had a value; who makes this names all of them."""

    arrivals: int = 0
    size_bytes: int = 0
    heard_ns: int | None = None
    """When the newest bytes came, by the boot-time clock."""
    waited: int = 0
    """Arrivals that had waited somewhere: how fast they come says nothing of the sensor."""
    newest: bytes = b""
    """The end of the newest arrival."""
    faults: dict[str, int] = field(default_factory=dict)
    """By reason, each fault once, however many samples it lost."""
    bad: deque[BadLine] = field(default_factory=lambda: deque(maxlen=BAD_LINES))
    first_ns: int | None = None
    """When the first bytes came, as `heard_ns`."""
    samples: int = 0
    """That were decoded; of those, some may not be placed yet."""
    frame: Frame | None = None
    """The newest samples."""

    def note(self, item: Arrival, found: Iterable[Frame | Fault]) -> None:
        """An arrival, and what the decoder made of it."""
        self.arrivals += 1
        self.size_bytes += len(item.data)
        self.waited += item.waited_ns > 0
        self.heard_ns = item.monotonic_ns
        self.first_ns = self.first_ns or item.monotonic_ns
        self.newest = item.data if len(item.data) <= NEWEST_BYTES else item.data[-NEWEST_BYTES:]
        for one in found:
            if type(one) is Fault:
                self.faults[one.reason] = self.faults.get(one.reason, 0) + 1
                if one.reason == REPEATED:
                    continue
                self.bad.append(BadLine(one.reason, one.raw or self.newest[:RAW_BYTES], item.wall_ns))
            elif type(one) is Frame:
                self.frame = one
                self.samples += len(one.values)
                if self.absent:
                    self.absent.difference_update(np.flatnonzero(~np.isnan(one.values).all(axis=0)).tolist())
