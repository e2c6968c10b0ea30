"""How much a spool keeps, and what it has come to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from edge.spool.condensing import DropPolicy

SEGMENT_BYTES: Final = (64_000, 4_000_000)
"""Least and most of a segment: a sixteenth of the spool in between."""


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """How much is kept, for how long, and what goes first."""

    max_bytes: int = 2_000_000_000
    max_age_ns: int | None = None
    drop: DropPolicy = "oldest"

    @property
    def segment_bytes(self) -> int:
        """The size of a segment."""
        least, most = SEGMENT_BYTES
        return min(most, max(least, self.max_bytes // 16))

    @property
    def small_bytes(self) -> int:
        """A segment of so many bytes is joined with others when it is made smaller."""
        return self.segment_bytes // 2

    @property
    def room_bytes(self) -> int:
        """What a segment that was made smaller may take: what does not fit is dropped by rule. So much is set aside on
        the disk, to be able to do so when it is full."""
        return self.segment_bytes // 4


@dataclass(slots=True)
class SpoolStats:
    """What a queue has come to since it was opened."""

    dropped_samples: int = 0
    dropped_chunks: int = 0
    dropped_records: Counter[str] = field(default_factory=Counter)
    """Of other kinds, by what they were: `status`, `recordings`, `rule marks`, `marks`, `unreadable`."""
    damaged_records: int = 0
    lost_records: int = 0
    """That were not in the log yet when the queue's folder was deleted."""
    payload_bytes: int = 0
    """Keys and values that were committed."""
    written_bytes: int = 0
    """What was written for them: segments, heads and marks, and what condensing wrote anew."""
    fsyncs: int = 0
