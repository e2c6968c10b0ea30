"""What is on its way to the disk: kept while the disk takes nothing, given up where memory does not hold it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from edge.recording.terms import Held
from edge.spool.condensing import SPOOL_FULL, Refusals
from edge.spool.entries import Identities, is_note, reading
from ingest.log.protocol import Entry
from ingest.records import Chunk, Gap, Progress, Record, RecordingEnd

UNWRITTEN_BYTES: Final = 8_000_000
"""What is kept in memory while the disk takes nothing; chunks beyond it are given up, counted and announced."""

DISK_FULL: Final = "disk_full"
DISK_FAILED: Final = "disk_failed"
_REFUSED: Final = (DISK_FULL, DISK_FAILED)
"""Why something was given up that no disk took."""


@dataclass(slots=True)
class Write:
    """An entry on its way to the disk; `record` is what it holds, if that may be given up or must follow what is."""

    entry: Entry
    record: Record | None = None
    kernel_boot: bytes = b""


class Unwritten:
    """Collects what the next commit writes. `first` goes before all else."""

    def __init__(self, first: Iterable[Entry], identities: Identities, kernel_boot: bytes) -> None:
        self._kept: list[Write] = []
        self._added = list(map(Write, first))
        """Since the last `collect`: a commit may be under way."""
        self._identities = identities
        self._kernel_boot = kernel_boot
        self._refusals = Refusals()
        self.refused_samples = 0
        """Given up before they were written."""

    def add(self, entries: Iterable[Entry]) -> None:
        """These go with the next commit, before what is collected then."""
        self._added += map(Write, entries)

    def write(self, held: Held) -> Write:
        """A recorder's record as an entry."""
        record, kernel_boot = held.record, self._kernel_boot if held.held else b""
        device: str = record.device  # type: ignore[union-attr]
        return Write(reading(device, record, kernel_boot), record, kernel_boot)

    def collect(self, fresh: list[Write], *, is_full: bool) -> list[Write]:
        """What was not written yet, and what is new. Of that, a spool that is full takes no chunks."""
        fresh = self._refuse(fresh, SPOOL_FULL) if is_full else [*self._announced(), *fresh]
        fresh += map(Write, self._identities.take())
        self._kept, self._added = self._kept + self._added, []
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
        self._kept = [write for write in left if not is_note(write.entry)]
        return False

    def give_up(self, reason: str) -> Counter[tuple[str, str]]:
        """The agent ends, and the disk took nothing: the samples that are lost with it, by device and stream. What is
        left is small: gaps, and the recordings' ends."""
        lost: Counter[tuple[str, str]] = Counter()
        for record in (write.record for write in self._kept):
            if isinstance(record, Chunk):
                lost[record.device, record.stream] += record.count
            elif isinstance(record, Gap) and record.reason in _REFUSED:
                lost[record.device, record.stream] += max(0, record.samples)
        self._kept = [write for write in self._refuse(self._kept, reason) if not is_note(write.entry)]
        return lost

    def _announced(self) -> list[Write]:
        """What was refused, as gaps."""
        gaps = self._refusals.take()
        return [Write(reading(gap.device, gap, kernel_boot), gap, kernel_boot) for gap, kernel_boot in gaps]

    def _refuse(self, writes: Iterable[Write], reason: str) -> list[Write]:
        """What is left when the chunks are given up, and gaps are joined. Progress goes with them: it would pass what
        was not announced."""
        kept: list[Write] = []
        for write in writes:
            if isinstance(write.record, Chunk):
                self.refused_samples += write.record.count
                self._refusals.refuse(write.record, reason, write.kernel_boot)
            elif isinstance(write.record, Gap):
                self._refusals.join(write.record, write.kernel_boot)
            elif isinstance(write.record, RecordingEnd):
                kept += [*self._announced(), write]
            elif not isinstance(write.record, Progress):
                kept.append(write)
        return kept
