"""The books of a live line: what sensors said and agents read against what really lies in the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from ingest.draining import drain
from ingest.errors import WireError
from ingest.log.protocol import MARKS, READINGS, Bounds, Log
from ingest.records import Chunk, Gap, MarkAdd, Record
from ingest.wire import decode

UNCOUNTED: Final = frozenset(("columns", "garbage", "json", "too_long", "may_be_dropped", "stalled", "overrun"))
"""Why nobody knows how many samples are missing: a line that is given up may be several that ran into one, or none; a
broker that did not answer in time, or a port's full buffer (on a busy machine, the demo's own), may have dropped some,
or none."""


@dataclass(slots=True)
class InLog:
    """What the log holds of a device, each chunk, gap and mark once, however often it is there."""

    samples: int = 0
    chunks: int = 0
    bytes: int = 0
    """Of all records in `readings`, repetitions too."""
    gaps: Counter[str] = field(default_factory=Counter)
    """Samples that were announced as missing, by reason."""
    unknown: Counter[str] = field(default_factory=Counter)
    """Gaps of which nobody knows how many samples they are."""
    marks: set[str] = field(default_factory=set)
    """The marks' ids."""
    _seen: set[object] = field(default_factory=set)

    def take(self, record: Record) -> None:
        """A record of the device."""
        if isinstance(record, Chunk) and self._is_new((record.stream, record.boot, record.seq)):
            self.samples += record.count
            self.chunks += 1
        elif isinstance(record, Gap) and self._is_new(record):
            if record.samples < 0:
                self.unknown[record.reason] += 1
            else:
                self.gaps[record.reason] += record.samples
        elif isinstance(record, MarkAdd):
            self.marks.add(record.id)

    def _is_new(self, identity: object) -> bool:
        known = identity in self._seen
        self._seen.add(identity)
        return not known


@dataclass(frozen=True, slots=True)
class Account:
    """One device's books."""

    device: str
    stream: str
    way: str
    """How it speaks: `serial`, `mqtt` or `log`."""
    said: int
    """Samples that its sensor said and that were heard, as the simulation counted them."""
    read: int
    """What came to the agent, as the agent counted it: samples, and what gave none, but for `UNCOUNTED`. Of a device
    that speaks into the log itself: samples that were due, sensed or not."""
    samples: int
    """In the log."""
    gaps: Mapping[str, int]
    """Announced in the log as missing: samples by reason."""
    unknown: Mapping[str, int]

    @property
    def announced(self) -> int:
        """Samples announced as missing."""
        return sum(self.gaps.values())

    def disagreements(self) -> list[str]:
        """Where the two sides do not say the same."""
        found = []
        if self.read != self.samples + self.announced:
            found.append(
                f"{self.device}: {self.read:,} samples were read, {self.samples:,} are in the log and "
                f"{self.announced:,} announced as gaps: {self.read - self.samples - self.announced:+,}"
            )
        if self.said != self.samples:
            found.append(f"{self.device}: its sensor said {self.said:,} samples, {self.samples:,} are in the log")
        found += [
            f"{self.device}: {count} gaps of unknown size: {why}"
            for why, count in self.unknown.items()
            if why not in UNCOUNTED
        ]
        return found


async def ends_of(log: Log) -> dict[str, dict[int, int]]:
    """Where the partitions of `readings` and `marks` end now."""
    there = set(await log.topics()) & {READINGS, MARKS}
    return {topic: {number: bounds.end for number, bounds in (await log.bounds(topic)).items()} for topic in there}


async def read_back(log: Log, since: Mapping[str, Mapping[int, int]], devices: Collection[str]) -> dict[str, InLog]:
    """What `readings` and `marks` have got of these devices since `ends_of`.

    Raises:
        LogUnavailableError, CorruptError: the log does not give what it holds.
    """
    found = {device: InLog() for device in devices}
    for topic, ends in (await ends_of(log)).items():
        begins = since.get(topic, {})
        ranges = {number: Bounds(begins.get(number, 0), end) for number, end in ends.items()}
        async for batch in drain(log, topic, ranges):
            for key, value in zip(batch.keys, batch.values, strict=True):
                device = found.get(bytes(key).decode(errors="replace"))
                if device is not None:
                    device.bytes += len(value) if topic == READINGS else 0
                    for record in _records(value):
                        device.take(record)
    return found


def _records(value: bytes) -> Iterable[Record]:
    try:
        return [decode(bytes(value))]
    except WireError:
        return []  # somebody else's: the windowing service sends it to the dead letters
