"""What the log already holds of a recording that the files of several streams join."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from ingest.chunker import chunk_end_ns
from ingest.draining import drain
from ingest.errors import UsageError, WireError
from ingest.log.protocol import READINGS, Log, LogBatch, partition_of
from ingest.records import Chunk, RecordingEnd, RecordingStart
from ingest.wire import decode

CLOCK_STEP: Final = "clock_step"
"""Why a recording begins or ends where the clock stepped back."""

CONTENT_BYTES: Final = 12
"""So many bytes of an import's boot are its content's; the others say how it was cut into chunks."""


@dataclass(slots=True)
class Known:
    """One recording as the log has it."""

    end_ns: int = 0
    """The end of its newest sample."""
    ended: bool = False
    contents: set[bytes] = field(default_factory=set)
    """Of the files that are in it: what their boots begin with."""
    split_off: bool = False
    """A clock step began it, not a person."""


@dataclass(frozen=True, slots=True)
class Joined:
    """The recordings `R`, `R-2`, … of a device that earlier imports have begun."""

    known: Mapping[str, Known]

    def end_ns(self, recording: str) -> int:
        """Where its samples in the log end; 0 where there are none."""
        return self.known[recording].end_ns if recording in self.known else 0

    def still_open(self, besides: set[str]) -> list[str]:
        """Recordings split off by clock steps that have no end yet, but for `besides`."""
        return sorted(n for n, known in self.known.items() if known.split_off and not known.ended and n not in besides)

    def check(self, device: str, recordings: Iterable[str], boot: bytes) -> None:
        """Raise `UsageError` where a new file would join a recording that has ended; the same file may come again."""
        for name in recordings:
            known = self.known.get(name)
            if known is not None and known.ended and boot[:CONTENT_BYTES] not in known.contents:
                raise UsageError(
                    f'import: recording "{name}" of {device} has ended; '
                    "choose another --recording, and give --open to all of its files but the last"
                )


async def find_joined(log: Log, device: str, recording: str) -> Joined:
    """What `readings` holds of `recording`, and of those that clock steps split off it: one pass over a partition.

    What cannot be read there is passed over: it is the readers' to report, and no reason to turn new data away.

    Raises:
        LogUnavailableError: the partition could not be read to its end.
    """
    known: dict[str, Known] = {}
    partitions = (await log.topics()).get(READINGS)
    if partitions is None:
        return Joined(known)
    partition = partition_of(device.encode(), partitions)
    bounds = await log.bounds(READINGS)
    async for batch in drain(log, READINGS, {partition: bounds[partition]}, on_damage=lambda error: None):
        _take(known, batch, device, recording)
    return Joined(known)


def _take(known: dict[str, Known], batch: LogBatch, device: str, recording: str) -> None:
    key = device.encode()
    for entry_key, value in zip(batch.keys, batch.values, strict=True):
        if entry_key != key:
            continue
        try:
            record = decode(value)
        except WireError:
            continue
        if not isinstance(record, Chunk | RecordingStart | RecordingEnd) or not _belongs(record.recording, recording):
            continue
        found = known.setdefault(record.recording, Known())
        found.contents.add(record.boot[:CONTENT_BYTES])
        if isinstance(record, Chunk):
            found.end_ns = max(found.end_ns, chunk_end_ns(record))
        elif isinstance(record, RecordingStart):
            found.split_off |= record.reason == CLOCK_STEP
        else:
            found.ended = True


def _belongs(name: str, base: str) -> bool:
    return name == base or (name.startswith(base + "-") and name[len(base) + 1 :].isdigit())
