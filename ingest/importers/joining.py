"""What the log already holds of recordings that files join, or that files were imported as before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from ingest.chunker import chunk_end_ns
from ingest.draining import drain
from ingest.errors import UsageError, WireError
from ingest.log.protocol import READINGS, Log, partition_of
from ingest.records import MAX_TIME_NS, Chunk, Record, RecordingEnd, RecordingStart
from ingest.wire import decode

CLOCK_STEP: Final = "clock_step"
"""Why a recording begins or ends where the clock stepped back."""

CONTENT_BYTES: Final = 12
"""So many bytes of an import's boot are its content's; the others say how it was cut into chunks."""


@dataclass(slots=True)
class Known:
    """One recording as the log has it."""

    start_ns: int = MAX_TIME_NS
    """Of its first sample."""
    end_ns: int = 0
    """The end of its newest sample."""
    ended: bool = False
    contents: dict[bytes, int] = field(default_factory=dict)
    """Of the files that are in it: what their boots begin with, and when their first sample lies."""
    chunks: dict[bytes, int] = field(default_factory=dict)
    """By boot: so many of its chunks are there, none left out among them."""
    split_off: bool = False
    """A clock step began it, not a person."""

    def take(self, record: Chunk | RecordingStart | RecordingEnd) -> None:
        """A record of it is in the log."""
        if isinstance(record, Chunk):
            self.start_ns, self.end_ns = min(self.start_ns, record.t0_ns), max(self.end_ns, chunk_end_ns(record))
            content = record.boot[:CONTENT_BYTES]
            self.contents[content] = min(self.contents.get(content, MAX_TIME_NS), record.t0_ns)
            if self.chunks.get(record.boot, 0) == record.seq:
                self.chunks[record.boot] = record.seq + 1
        elif isinstance(record, RecordingStart):
            self.contents.setdefault(record.boot[:CONTENT_BYTES], MAX_TIME_NS)
            self.split_off |= record.reason == CLOCK_STEP
        else:
            self.contents.setdefault(record.boot[:CONTENT_BYTES], MAX_TIME_NS)
            self.ended = True


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


@dataclass(slots=True)
class Holdings:
    """The recordings of devices that are in the log."""

    devices: dict[str, dict[str, Known]] = field(default_factory=dict)
    described: set[bytes] = field(default_factory=set)
    """The descriptions of streams that were written since."""

    def taking(self, records: Iterable[Record]) -> Iterator[Record]:
        """The same records, which are on their way into the log."""
        for record in records:
            yield record
            self.take(record)

    def take(self, record: Record) -> None:
        """A record is in the log."""
        if isinstance(record, Chunk | RecordingStart | RecordingEnd):
            self.devices.setdefault(record.device, {}).setdefault(record.recording, Known()).take(record)

    def of(self, device: str) -> Mapping[str, Known]:
        """The recordings of a device."""
        return self.devices.get(device, {})

    def joined(self, device: str, recording: str) -> Joined:
        """Those that are `recording`, or that clock steps split off it."""
        return Joined({name: known for name, known in self.of(device).items() if _belongs(name, recording)})


async def read_holdings(log: Log, devices: set[str] | None) -> Holdings:
    """What `readings` holds of these devices, or of all: one pass over their partitions.

    What cannot be read there is passed over: it is the readers' to report, and no reason to turn new data away.

    Raises:
        LogUnavailableError: a partition could not be read to its end.
    """
    holdings = Holdings()
    partitions = (await log.topics()).get(READINGS)
    if partitions is None:
        return holdings
    bounds = await log.bounds(READINGS)
    keys = None if devices is None else {device.encode() for device in devices}
    if keys is not None:
        wanted = {partition_of(key, partitions) for key in keys}
        bounds = {partition: bounds[partition] for partition in wanted}
    async for batch in drain(log, READINGS, bounds, on_damage=lambda error: None):
        for key, value in zip(batch.keys, batch.values, strict=True):
            if keys is None or bytes(key) in keys:
                with suppress(WireError):
                    holdings.take(decode(value))
    return holdings


def _belongs(name: str, base: str) -> bool:
    return name == base or (name.startswith(base + "-") and name[len(base) + 1 :].isdigit())
