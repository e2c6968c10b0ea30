"""Compaction: of records with one key, closed segments keep the newest.

All closed segments are merged into one under the name of the first. Readers find their place by offset, so nothing
changes for them but holes. A damaged segment is left alone: merging would hide what was lost.
"""

from __future__ import annotations

import os
from pathlib import Path

from ingest.files import read_exactly, sync_folder, try_lock, write_synced
from ingest.log.segments.head import Head
from ingest.log.segments.partition import Partition
from ingest.log.segments.segment import Frame, frames


def compact(partition: Partition) -> bool:
    """Merge the closed segments if that is due; whether it was done.

    It is due when what was closed since the last merge is at least as much as that merge left: each byte is
    rewritten a bounded number of times.
    """
    claim = try_lock(partition.folder / "compaction")
    if claim is None:  # another process is at it
        return False
    try:
        with partition.locked() as head:
            closed = partition.bases(head)[:-1]
        sizes = [partition.path(base).stat().st_size for base in closed]
        if len(closed) < 2 or sum(sizes[1:]) < sizes[0]:
            return False
        merged = _merge(partition, head, closed)
        return merged is not None and _swap(partition, closed, merged)
    finally:
        os.close(claim)


def _merge(partition: Partition, head: Head, closed: list[int]) -> bytes | None:
    """The bytes of the merged segment; None where a closed one is damaged."""
    bases = [*closed, head.base]
    read: list[tuple[bytes, list[Frame]]] = []
    for number, base in enumerate(bases):
        with partition.path(base).open("rb") as file:
            size = head.position if base == head.base else os.fstat(file.fileno()).st_size
            data = read_exactly(file.fileno(), size, 0)
        below = bases[number + 1] if number + 1 < len(bases) else head.next_offset
        found = list(frames(data, base, below))
        if sum(frame.end - frame.position for frame in found) != len(data):
            return None
        read.append((data, found))
    newest = {frame.key: frame.offset for _, found in read for frame in found}
    return b"".join(
        data[frame.position : frame.end]
        for data, found in read[:-1]
        for frame in found
        if newest[frame.key] == frame.offset
    )


def _swap(partition: Partition, closed: list[int], merged: bytes) -> bool:
    """Put the merged segment in the place of the closed ones; a crash between leaves at most records too many."""
    temporary = Path(partition.folder / "compacted.tmp")
    write_synced(temporary, merged)
    with partition.locked() as head:
        if partition.bases(head)[: len(closed)] != closed:
            temporary.unlink()
            return False
        temporary.replace(partition.path(closed[0]))
        sync_folder(partition.folder)
        for base in closed[1:]:
            partition.path(base).unlink()
    return True
