"""The folder of a log: its identity, its topics and how each is kept.

::

    DIR/identity                               a UUID, for life
    DIR/topics/.identity                       the same, in case that one is lost
    DIR/topics/TOPIC/meta.json                 partitions, compaction, retention: fixed when the topic is made
    DIR/topics/TOPIC/PARTITION/…               segments, head, lock (`partition`)
    DIR/groups/TOPIC/GROUP/…                   members, owners, committed offsets (`group`)
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

import msgspec

from ingest.errors import CorruptError, LogConfigError
from ingest.files import as_log_errors, create, make_folder, put, sync_folder, write_synced
from ingest.formats import newer_format
from ingest.log.places import shown_names, strangers
from ingest.log.protocol import TOPICS, Entry, TopicSpec, partition_of
from ingest.log.segments.absent import AbsentPartition
from ingest.log.segments.partition import READ_ONLY_ERRORS, Partition, create_partition
from ingest.mounts import network_filesystem

DEFAULT_PARTITIONS: Final = 4
SEGMENT_BYTES: Final = 64 << 20
COMPACTED_SEGMENT_BYTES: Final = 1 << 20
MAX_PARTITIONS: Final = 4096
_FORMAT: Final = 1
_KEYS_REMEMBERED: Final = 65_536
_GONE_KEPT: Final = 16
"""So many topics whose folders were deleted are held open for who reads them still."""


class Meta(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a topic is kept."""

    format: int
    partitions: int
    compacted: bool
    segment_bytes: int
    retention_ms: int | None
    """None: for ever."""
    retention_bytes: int | None
    """Of each partition; None: any number."""


@dataclass(eq=False, slots=True)
class Topic:
    """A topic with its partitions open."""

    name: str
    meta: Meta
    partitions: list[Partition]
    _hashed: dict[bytes, int] = field(default_factory=dict)

    @property
    def is_read_only(self) -> bool:
        """Whether this process may not write it."""
        return any(partition.is_read_only for partition in self.partitions)

    def spread(self, entries: Sequence[Entry]) -> Mapping[int, Sequence[int]]:
        """The indices of the entries by the partition of their keys.

        Hashes are remembered, since few keys come again and again.
        """
        if len(self.partitions) == 1:
            return {0: range(len(entries))}
        spread: dict[int, list[int]] = {}
        for index, (key, _) in enumerate(entries):
            number = self._hashed.get(key)
            if number is None:
                if len(self._hashed) >= _KEYS_REMEMBERED:
                    self._hashed.clear()
                number = self._hashed[key] = partition_of(key, len(self.partitions))
            indices = spread.get(number)
            if indices is None:
                indices = spread[number] = []
            indices.append(index)
        return spread


@dataclass(frozen=True, slots=True)
class Keeping:
    """How this process wants topics to be kept, where their own `TopicSpec` does not say. -1: for ever, any number."""

    partitions: int | None = None
    segment_bytes: int | None = None
    retention_ms: int | None = None
    retention_bytes: int | None = None

    def meta(self, spec: TopicSpec) -> Meta:
        """The meta of a new topic."""
        made = Meta(
            format=_FORMAT,
            partitions=self.partitions or DEFAULT_PARTITIONS,
            compacted=spec.compacted,
            segment_bytes=self.segment_bytes or (COMPACTED_SEGMENT_BYTES if spec.compacted else SEGMENT_BYTES),
            retention_ms=_bound(spec.retention_ms),
            retention_bytes=_bound(spec.retention_bytes),
        )
        return self.retained(made, spec)

    def retained(self, meta: Meta, spec: TopicSpec) -> Meta:
        """`meta`, kept for as long as this process wants; what it does not want to say stays."""
        if spec.compacted or spec.retention_ms is not None:
            return meta
        wanted = {"retention_ms": self.retention_ms, "retention_bytes": self.retention_bytes}
        return msgspec.structs.replace(meta, **{name: _bound(it) for name, it in wanted.items() if it is not None})


def _bound(wanted: int | None) -> int | None:
    return None if wanted is None or wanted < 0 else wanted


class Catalog:
    """The topics of a log. For several threads at once; its methods wait for the disk."""

    def __init__(self, folder: Path, keeping: Keeping) -> None:
        network = network_filesystem(folder)
        if network is not None:
            raise LogConfigError(
                f"{folder}: lies on a network file system ({network}), whose locks and fsync do not hold what the log "
                "promises; put it on a local disk, or use kafka://"
            )
        if keeping.partitions is not None and not 1 <= keeping.partitions <= MAX_PARTITIONS:
            raise LogConfigError(f"{folder}: partitions: {keeping.partitions} is not in 1..{MAX_PARTITIONS}")
        self.folder = folder
        self._keeping = keeping
        self._lock = threading.Lock()
        self._open: dict[str, Topic] = {}
        self._gone: list[Topic] = []
        """Whose folders are no longer there; somebody may still read them."""

    def identity(self) -> str:
        """The log's UUID; whoever asks first makes it. One that was lost comes back from its second copy."""
        path, spare = self.folder / "identity", self.folder / "topics" / ".identity"
        with as_log_errors(path):
            text = _identity_in(path) or _identity_in(spare)
            if not text:
                self._check_free()
                make_folder(spare.parent)
                create(path, f"{uuid4()}\n".encode())
                text = _identity_in(path)
            self._keep(path, spare, text)
        return text

    def _check_free(self) -> None:
        """Raise `LogConfigError` where the folder holds other files: it was hardly meant to become a log."""
        others = strangers(self.folder) if self.folder.is_dir() else []
        if others:
            raise LogConfigError(
                f"{self.folder}: holds other files ({shown_names(others)}), and no log; name a folder of its own"
            )

    def _keep(self, path: Path, spare: Path, text: str) -> None:
        """Both files hold the identity, as far as this process may write."""
        data = f"{text}\n".encode()
        try:
            if not path.exists():
                create(path, data)
            if spare.parent.is_dir() and (not spare.exists() or spare.read_bytes() != data):
                put(spare, data)
        except OSError as error:
            if error.errno not in READ_ONLY_ERRORS:
                raise

    def topics(self) -> dict[str, int]:
        """The topics that exist, with their number of partitions."""
        root = self.folder / "topics"
        with as_log_errors(root):
            if not root.is_dir():
                return {}
            names = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
        for name in names:
            self._check_described(name)
        return {name: self._meta(name).partitions for name in names if self._is_described(name)}

    def find(self, name: str) -> Topic:
        """An existing topic. Raises `LogConfigError` where there is none of that name."""
        with self._lock, as_log_errors(self._folder(name)):
            return self._opened(name) or self._open.setdefault(name, self._load(name))

    def _opened(self, name: str) -> Topic | None:
        """A topic that is open, unless its folder was deleted meanwhile: then it is looked for anew."""
        topic = self._open.get(name)
        if topic is None or topic.partitions[0].is_there():
            return topic
        self._gone.append(self._open.pop(name))
        while len(self._gone) > _GONE_KEPT:
            _close(self._gone.pop(0))
        return None

    def ensure(self, name: str) -> Topic:
        """The topic, created where it is missing, and kept from now on for as long as this process wants.

        Raises:
            LogConfigError: the name is none, or the topic has another number of partitions than was asked for.
        """
        check_name(name)
        with self._lock, as_log_errors(self._folder(name)):
            opened = self._opened(name)
        if opened is None and not self._is_described(name):
            with as_log_errors(self._folder(name)):
                opened = self._created(name)
        topic = opened or self.find(name)
        wanted, there = self._keeping.partitions, topic.meta.partitions
        if wanted is not None and wanted != there:
            raise LogConfigError(
                f"{self._folder(name)}: the topic has {there} partitions, {wanted} were asked for; leave the number "
                "out or give the same one: with another one a device's records would part. For another number, "
                "begin a new log"
            )
        self._retain(topic)
        return topic

    def closed(self) -> Iterator[Topic]:
        """The topics that are not open here, each opened for as long as the caller looks at it."""
        for name in self.topics():
            if name not in self._open:
                with as_log_errors(self._folder(name)):
                    topic = self._load(name)
                try:
                    yield topic
                finally:
                    _close(topic)

    def _retain(self, topic: Topic) -> None:
        meta = self._keeping.retained(topic.meta, _spec(topic.name))
        if meta != topic.meta:
            path = self._folder(topic.name) / "meta.json"
            with as_log_errors(path):
                put(path, _as_bytes(meta))
            topic.meta = meta

    def close(self) -> None:
        """Let go of all files."""
        with self._lock:
            for topic in [*self._open.values(), *self._gone]:
                _close(topic)
            self._open.clear()
            self._gone.clear()

    def _folder(self, name: str) -> Path:
        return self.folder / "topics" / name

    def _meta(self, name: str) -> Meta:
        path = self._folder(name) / "meta.json"
        with as_log_errors(path):
            data = path.read_bytes()
        try:
            meta = msgspec.json.decode(data, type=Meta)
        except (msgspec.MsgspecError, ValueError) as error:
            if problem := newer_format(data, _FORMAT):
                raise LogConfigError(f"{path}: {problem}") from None
            raise CorruptError(f"{path}: not a topic's description: {error}; restore it from a backup") from None
        if meta.format != _FORMAT:
            raise LogConfigError(f"{path}: found format {meta.format}, expected {_FORMAT}; upgrade sensorloom")
        return meta

    def _load(self, name: str) -> Topic:
        folder = self._folder(name)
        self._check_described(name)
        if not self._is_described(name):
            known = ", ".join(self.topics()) or "none yet"
            raise LogConfigError(f"{self.folder}: has no topic {name!r}; there are: {known}")
        meta = self._meta(name)
        with as_log_errors(folder):
            partitions = [
                Partition(folder / str(number), number, segment_bytes=meta.segment_bytes)
                for number in range(meta.partitions)
            ]
        return Topic(name, meta, partitions)

    def _created(self, name: str) -> Topic | None:
        """The topic, made; one without records where this process may only read the log, None where others made it."""
        try:
            self.identity()
            self._create(name)
        except OSError as error:
            if error.errno not in READ_ONLY_ERRORS or not (self.folder / "topics").is_dir():
                raise
            meta = self._keeping.meta(_spec(name))
            absent: list[Partition] = [
                AbsentPartition(self._folder(name) / str(number), number, error) for number in range(meta.partitions)
            ]
            with self._lock:
                return self._open.setdefault(name, Topic(name, meta, absent))
        return None

    def _create(self, name: str) -> None:
        """Make the topic whole under another name, then rename: of several who try, one succeeds."""
        root = self.folder / "topics"
        make_folder(root)
        temporary = root / f".{name}.{uuid4().hex}"
        temporary.mkdir()
        try:
            meta = self._keeping.meta(_spec(name))
            for number in range(meta.partitions):
                create_partition(temporary / str(number))
            write_synced(temporary / "meta.json", _as_bytes(meta))
            sync_folder(temporary)
            os.rename(temporary, self._folder(name))  # noqa: PTH104 - fails where the folder is there and not empty
            sync_folder(root)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            self._check_described(name)
            if not (self._folder(name) / "meta.json").exists():
                raise

    def _is_described(self, name: str) -> bool:
        path = self._folder(name) / "meta.json"
        with as_log_errors(path):
            return path.exists()

    def _check_described(self, name: str) -> None:
        path = self._folder(name) / "meta.json"
        if not self._is_described(name) and any(path.parent.glob("*/head")):
            raise CorruptError(f"{path}: is missing, but the topic's partitions are there; restore it from a backup")


def _identity_in(path: Path) -> str:
    """The UUID in a file; "" where there is no such file."""
    if not path.exists():
        return ""
    text = path.read_text(encoding="ascii", errors="replace").strip()
    if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text):
        raise CorruptError(
            f"{path}: found {text[:40]!r}, expected a UUID; restore the file from a backup, or from "
            "topics/.identity, which holds the same"
        )
    return text


def _close(topic: Topic) -> None:
    for partition in topic.partitions:
        partition.close()


def _spec(name: str) -> TopicSpec:
    return TOPICS.get(name, TopicSpec(name))


def _as_bytes(meta: Meta) -> bytes:
    return msgspec.json.encode(meta) + b"\n"


def check_name(name: str) -> None:
    """Raise `LogConfigError` for a topic name that Kafka would refuse too."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", name) or name.startswith("."):
        raise LogConfigError(f"topic {name!r}: a name is 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'")
