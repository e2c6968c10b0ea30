"""What is on its way to the disk: kept while the disk takes nothing, given up where memory does not hold it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from edge.recording.recorder import Held
from edge.spool.condensing import SPOOL_FULL, Refusals
from edge.spool.entries import IDENTITIES, Identities, reading
from ingest.log.protocol import Entry
from ingest.records import Chunk, Progress, Record, RecordingEnd

UNWRITTEN_BYTES: Final = 8_000_000
"""What is kept in memory while the disk takes nothing; chunks beyond it are given up, counted and announced."""


@dataclass(slots=True)
class Write:
    """An entry on its way to the disk; `record` is what it holds, if that may be given up or must follow what is."""

    entry: Entry
    record: Record | None = None
    kernel_boot: bytes = b""


class Unwritten:
    """Collects what the next commit writes. `first` goes before all else."""

    def __init__(self, first: Iterable[Entry], identities: Identities, kernel_boot: bytes) -> None:
        self._kept = list(map(Write, first))
        self._identities = identities
        self._kernel_boot = kernel_boot
        self._refusals = Refusals()
        self.refused_samples = 0
        """Given up before they were written."""

    def write(self, held: Held) -> Write:
        """A recorder's record as an entry."""
        record, kernel_boot = held.record, self._kernel_boot if held.held else b""
        device: str = record.device  # type: ignore[union-attr]
        return Write(reading(device, record, kernel_boot), record, kernel_boot)

    def collect(self, fresh: list[Write], *, is_full: bool) -> list[Write]:
        """What was not written yet, and what is new. Of that, a spool that is full takes no chunks."""
        fresh = self._refuse(fresh, SPOOL_FULL) if is_full else [*map(Write, self._refusals.take()), *fresh]
        fresh += map(Write, self._identities.take())
        return self._kept + fresh

    def written(self) -> None:
        """The disk took what `collect` gave."""
        self._kept = []

    def keep(self, writes: Sequence[Write], reason: str) -> bool:
        """The disk took nothing of `writes`: they stay for the next time, as far as memory is allowed for them.

        False where that is not far enough: chunks are given up for `reason`, and identities forgotten, so that what
        is delivered again is new.
        """
        if sum(len(write.entry.value) for write in writes) <= UNWRITTEN_BYTES:
            self._kept = list(writes)
            return True
        left = self._refuse(writes, reason)
        self._identities.forget([write.entry for write in left])
        self._kept = [write for write in left if not write.entry.key.startswith(IDENTITIES)]
        return False

    def _refuse(self, writes: Iterable[Write], reason: str) -> list[Write]:
        """What is left when the chunks are given up. Progress goes with them: it would pass what was not announced."""
        kept: list[Write] = []
        for write in writes:
            if isinstance(write.record, Chunk):
                self.refused_samples += write.record.count
                self._refusals.refuse(write.record, reason, write.kernel_boot)
            elif isinstance(write.record, RecordingEnd):
                kept += [*map(Write, self._refusals.take()), write]
            elif not isinstance(write.record, Progress):
                kept.append(write)
        return kept
