"""A copy of a log that is written meanwhile: its durable records up to some moment, each partition at its own.

`streams` comes last: what is copied of the others finds its descriptions there.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ingest.copying import Copier
from ingest.errors import CorruptError, LogUnavailableError, UsageError
from ingest.files import make_folder
from ingest.log.protocol import STREAMS
from ingest.log.segments.catalog import Catalog, Keeping, Topic
from ingest.log.segments.head import Head, decode_head, write_head
from ingest.log.segments.partition import Partition
from ingest.log.segments.recovery import find_head, listed, segment_name

_TRIES: Final = 100
_NO_BOOT: Final = bytes(16)
_HINTS: Final = ("works-for", "committed-*")
"""What is copied of consumer groups: members do not live in a copy."""


def copy_log(source: Path, to: Path, copier: Copier) -> dict[str, int]:
    """Copy a log's folder, or bring an older copy up to date; returns how many records each topic has there.

    Raises:
        UsageError: `to` is a copy of another log, or holds more than `source` does.
        CorruptError: the copy is not what was to be copied.
    """
    catalog = Catalog(source, Keeping())
    try:
        identity = catalog.identity()
        _check_identity(to, identity)
        for name in ("identity", "topics/.identity"):
            if (source / name).exists():
                copier.copy(source / name, to / name)
        found = {}
        for name in sorted(catalog.topics(), key=lambda name: (name == STREAMS, name)):
            found[name] = _copy_topic(catalog.find(name), source / "topics" / name, to / "topics" / name, copier)
        for pattern in _HINTS:
            for path in _there((source / "groups").glob(f"*/*/{pattern}")):
                copier.copy(path, to / path.relative_to(source))
        return found
    finally:
        catalog.close()


def _check_identity(to: Path, identity: str) -> None:
    try:
        there = (to / "identity").read_text(errors="replace").strip()
    except FileNotFoundError:
        return
    if there != identity:
        raise UsageError(f"{to}: is a copy of the log {there}, not of {identity}; give another folder")


def _there(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if path.is_file()]


def _copy_topic(topic: Topic, source: Path, to: Path, copier: Copier) -> int:
    copier.copy(source / "meta.json", to / "meta.json")
    return sum(_copy_partition(partition, to / str(partition.number), topic, copier) for partition in topic.partitions)


def _copy_partition(partition: Partition, to: Path, topic: Topic, copier: Copier) -> int:
    """Copy a partition as it durably is at one moment; returns how many records that are."""
    make_folder(to)
    _check_behind(partition, to)
    for _ in range(_TRIES):
        head = partition.head()
        bases = partition.bases(head)
        try:
            _copy_segments(partition, to, head, bases, copier)
        except FileNotFoundError:  # retention or compaction took it away
            continue
        if not topic.meta.compacted or set(bases) <= set(listed(partition.folder)):
            break
    else:
        raise LogUnavailableError(f"{partition.folder}: segments vanish while they are copied; see who deletes them")
    for base in set(listed(to)) - set(bases):
        copier.remove(to / segment_name(base))
    kept = head._replace(
        boot=_NO_BOOT, position=head.durable_position, next_offset=head.durable, rewinds=0, cuts=0, cut_bytes=0
    )
    write_head(to / "head", kept)
    _check_whole(to, kept)
    return head.durable - bases[0]


def _copy_segments(partition: Partition, to: Path, head: Head, bases: list[int], copier: Copier) -> None:
    for base in bases:
        size = head.durable_position if base == head.base else None
        copier.copy(partition.path(base), to / segment_name(base), size=size)


def _check_behind(partition: Partition, to: Path) -> None:
    try:
        there = decode_head((to / "head").read_bytes())
    except FileNotFoundError:
        return
    if there is not None and there.durable > partition.head().durable:
        raise UsageError(
            f"{to}: holds records up to {there.durable}, {partition.folder} only up to {partition.head().durable}: "
            "the log has lost its end, or was restored; keep this copy, and give another folder"
        )


def _check_whole(to: Path, head: Head) -> None:
    """Raise `CorruptError` where the copy's newest segment does not end where it should."""
    found = find_head(to, _NO_BOOT, head)
    if (found.head.next_offset, found.head.position, found.size) != (head.durable, head.position, head.position):
        raise CorruptError(
            f"{to / segment_name(head.base)}: ends at record {found.head.next_offset}, expected {head.durable}; "
            "check both disks, and copy again"
        )
