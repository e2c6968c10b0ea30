"""What each key of a topic said last, and how a topic grows: by the partitions' indexes, without a scan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ingest.files import as_log_errors
from ingest.log.segments.catalog import Catalog, Keeping, Topic
from ingest.log.segments.index import append_time, bytes_since, current, read_at


@dataclass(frozen=True, slots=True)
class Latest:
    """A key's last record."""

    partition: int
    offset: int
    append_ns: int
    value: bytes | None
    """None where it is no longer there: retention has taken it."""


@dataclass(frozen=True, slots=True)
class Grown:
    """What was appended to a topic since a time."""

    bytes: int
    since_ns: int
    """From here on they are counted."""
    is_bounded: bool
    """Retention takes away as much as comes."""


class TopicTails:
    """The ends of a topic's partitions. Its methods wait for the disk."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._indexes = [current(partition) for partition in topic.partitions]

    def latest(self) -> dict[bytes, Latest]:
        """Each key's last record."""
        found = {}
        for partition, index in zip(self._topic.partitions, self._indexes, strict=True):
            for key, spot in index.keys.items():
                value = read_at(partition.folder, spot)
                found[key] = Latest(partition.number, spot.offset, spot.append_ns, value)
        return found

    def ends(self) -> dict[int, int]:
        """The durable end of each partition."""
        return {partition.number: partition.head().durable for partition in self._topic.partitions}

    def append_ns(self, partition: int, offset: int) -> int | None:
        """When the record at an offset was appended, or the first one behind it; None where that cannot be told."""
        return append_time(self._topic.partitions[partition], self._indexes[partition], offset)

    def grown(self, since_ns: int) -> Grown:
        """What came since a time, or since the first record that is there."""
        pairs = list(zip(self._topic.partitions, self._indexes, strict=True))
        if not any(index.spots for _, index in pairs):
            return Grown(0, since_ns, is_bounded=True)
        began_ns = min(index.spots[0].append_ns for _, index in pairs if index.spots)
        meta = self._topic.meta
        bounded = (meta.retention_ms, meta.retention_bytes) != (None, None)
        trimmed = any(partition.bases(partition.head())[0] for partition, _ in pairs)
        size = sum(bytes_since(partition, index, since_ns) for partition, index in pairs)
        return Grown(size, max(since_ns, began_ns), bounded and trimmed)


class LogTails:
    """A log's topics, looked at from their ends. Its methods wait for the disk, and raise what the log's own do."""

    def __init__(self, folder: Path) -> None:
        self._catalog = Catalog(folder, Keeping())
        self._topics: dict[str, TopicTails] = {}
        self.identity = self._catalog.identity()

    def topic(self, name: str) -> TopicTails | None:
        """A topic's tails as they were when it was first asked for; None where the log has no such topic."""
        if name not in self._topics and name in self._catalog.topics():
            with as_log_errors(self._catalog.folder):
                self._topics[name] = TopicTails(self._catalog.find(name))
        return self._topics.get(name)

    def close(self) -> None:
        """Let go of the files."""
        self._catalog.close()
