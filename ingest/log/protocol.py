"""What every log promises; `segments`, `kafka` and the simulated one pass the same contract suite.

A log is topics of partitions of records. A record has a dense-or-holed, rising offset, an append time that never
runs backwards within a partition (consumers take a running maximum where the transport cannot promise it), a key
and a value. Keys are hashed to partitions with murmur2, as Kafka's default partitioner does, in every log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeAlias

READINGS: Final = "readings"
MARKS: Final = "marks"
STREAMS: Final = "streams"
STATUS: Final = "status"
LIVE: Final = "live"
DEADLETTER: Final = "deadletter"
CONFIG: Final = "config"
"""What agents are to read: the newest for each."""
CONTROL: Final = "control"
"""Commands for sensors."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How a topic is kept: compacted by key, or for how long."""

    name: str
    compacted: bool = False
    retention_ms: int | None = None
    """None: what the log's own default says."""
    retention_bytes: int | None = None
    """Of each partition; None: what the log's own default says."""
    append_timed: bool = False
    """Windowing and labels rest on its append times: a log that lets producers set them is refused."""


TOPICS: Final[Mapping[str, TopicSpec]] = {
    spec.name: spec
    for spec in (
        TopicSpec(READINGS, append_timed=True),
        TopicSpec(MARKS, retention_ms=-1, append_timed=True),
        TopicSpec(STREAMS, compacted=True),
        TopicSpec(STATUS, retention_ms=7 * 86_400_000),
        TopicSpec(LIVE, retention_ms=3_600_000),
        TopicSpec(CONFIG, compacted=True),
        TopicSpec(CONTROL, retention_ms=86_400_000),
        # For people to look at while they still can mend it; who sends nothing but rubbish must not fill the disk.
        TopicSpec(DEADLETTER, retention_ms=30 * 86_400_000, retention_bytes=256_000_000),
    )
}


class Entry(NamedTuple):
    """One record to append."""

    key: bytes
    value: bytes


class Position(NamedTuple):
    """Where an acknowledged record lies."""

    partition: int
    offset: int


class Bounds(NamedTuple):
    """`[begin, end)`: the offsets a partition holds; `end` counts durable records only."""

    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class LogBatch:
    """Consecutive records of one partition, in columns of equal length."""

    topic: str
    partition: int
    offsets: Sequence[int]
    append_ns: Sequence[int]
    keys: Sequence[bytes]
    values: Sequence[bytes]
    next_offset: int
    """Where reading goes on: past the last record here, and past holes that compaction left."""

    def __len__(self) -> int:
        return len(self.offsets)

    def tail(self, start: int) -> LogBatch:
        """The records from index `start` on."""
        return LogBatch(
            self.topic,
            self.partition,
            self.offsets[start:],
            self.append_ns[start:],
            self.keys[start:],
            self.values[start:],
            self.next_offset,
        )

    def before(self, offset: int) -> LogBatch:
        """The records below `offset`."""
        stop = sum(1 for o in self.offsets if o < offset) if self.next_offset > offset else len(self.offsets)
        if stop == len(self.offsets):
            return self
        return LogBatch(
            self.topic,
            self.partition,
            self.offsets[:stop],
            self.append_ns[:stop],
            self.keys[:stop],
            self.values[:stop],
            min(self.next_offset, offset),
        )


@dataclass(frozen=True, slots=True)
class Assigned:
    """This member now owns these partitions; each stays silent until `Member.seek` says where to begin."""

    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Revoked:
    """This member no longer owns these partitions: drop their state, flush nothing."""

    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Truncated:
    """The log begins at `begin`, later than the wanted offset; reading goes on there once `seek` says so."""

    partition: int
    wanted: int
    begin: int


Event: TypeAlias = Assigned | Revoked | Truncated | LogBatch


class Reader(Protocol):
    """Reads given partitions from given offsets, alone."""

    async def fetch(self, timeout_s: float) -> list[LogBatch]:
        """What is there now, or after at most `timeout_s`; an empty list when nothing came.

        Raises:
            TruncatedLogError: a wanted offset is no longer in the log.
            LogUnavailableError: the log cannot be reached, after the log's own retries.
            CorruptError: a record's checksum does not match (`segments`).
        """
        ...

    async def close(self) -> None:
        """Let go of files and connections."""
        ...


class Member(Protocol):
    """One worker of a consumer group over one topic."""

    async def poll(self, timeout_s: float) -> list[Event]:
        """Changes of ownership and records, in the order in which they count. Raises as `Reader.fetch`,
        but a missing range is the event `Truncated`."""
        ...

    def seek(self, partition: int, offset: int) -> None:
        """Begin, or go on, delivering an owned partition at `offset`; ignored where it is no longer owned."""
        ...

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Note how far the group is, as a hint for lag monitors; failure is not an error."""
        ...

    async def close(self) -> None:
        """Leave the group."""
        ...


class Log(Protocol):
    """A named log. Opening one is cheap; topics are created at first use."""

    url: str

    @property
    def trouble(self) -> str:
        """Why the log gives no answer just now, for people; empty when all is well, or nobody asks."""
        ...

    @property
    def remarks(self) -> Sequence[str]:
        """What a person should know of how the log is set up, or of what was changed under those who use it. It grows;
        each text is to be told once."""
        ...

    async def identity(self) -> str:
        """A name that this log keeps for life and no other log has (Kafka's cluster id, a UUID in `segments`)."""
        ...

    async def topics(self) -> dict[str, int]:
        """The topics that exist, with their number of partitions."""
        ...

    async def ensure(self, topic: str) -> int:
        """The topic's number of partitions; creates it where it is missing.

        Raises:
            LogConfigError: it exists, but set up so that promises cannot be kept.
        """
        ...

    async def check(self, topic: str, entries: Sequence[Entry]) -> None:
        """Nothing where `append` would take entries of this size; for who must not begin what cannot be finished.

        Raises:
            PermanentError: an entry is too large for the topic.
            LogUnavailableError: the log cannot be asked.
        """
        ...

    async def append(self, topic: str, entries: Sequence[Entry]) -> list[Position]:
        """Append, and return when every entry is durable: fsynced (`segments`), or acks=all (Kafka).

        Entries of one key keep their order, within a call and over calls that are under way at once.
        When it raises, any of the entries may or may not be in the log.

        Raises:
            LogUnavailableError: not acknowledged in time.
            StoreFullError: the disk is full (`segments`).
        """
        ...

    async def bounds(self, topic: str) -> dict[int, Bounds]:
        """Begin and durable end of every partition of an existing topic."""
        ...

    async def since(self, topic: str, append_ns: int) -> dict[int, int]:
        """Where to begin reading each partition of an existing topic for what was appended at `append_ns` or later:
        nothing of that lies before, and not much else behind."""
        ...

    async def committed(self, topic: str, group: str) -> dict[int, int]:
        """The offsets that the group's members last committed."""
        ...

    def reader(self, topic: str, start: Mapping[int, int], *, durable: bool = True) -> Reader:
        """Read the partitions in `start` from their offsets; `durable=False` may also see what is not yet fsynced."""
        ...

    async def join(self, topic: str, group: str, instance: str, *, owner: str = "") -> Member:
        """Become a member of a group; `instance` is this worker's lasting name (static membership), `owner` the lasting
        name of that for which the group works, such as a dataset's. Nobody asks after an owner without a name.

        Raises:
            LogConfigError: the group works for another owner: each would get a part of the partitions.
        """
        ...

    async def close(self) -> None:
        """Finish what is under way and let go."""
        ...


def murmur2(data: bytes) -> int:
    """The 32-bit murmur2 hash as Apache Kafka's `Utils.murmur2` computes it, as an unsigned integer."""
    length = len(data)
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ length) & mask
    for i in range(0, length - length % 4, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k ^= k >> 24
        h = (h * m & mask) ^ (k * m & mask)
    tail = data[length - length % 4 :]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * m & mask
    h ^= h >> 13
    h = h * m & mask
    return h ^ (h >> 15)


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key, as Kafka's default partitioner has it."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
