"""Where a partition stands by its files alone: after a power cut, in a copy, or where its head is gone. Only reads."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from ingest.log.segments.head import Head
from ingest.log.segments.segment import FIXED_BYTES, HEADER, MAX_LENGTH, PREFIX_BYTES, Scan, frames, scan

_SUFFIX: Final = ".log"


def segment_name(base: int) -> str:
    """The file of the segment whose first offset is `base`: twenty digits, so that names sort as numbers do."""
    return f"{base:020d}{_SUFFIX}"


def listed(folder: Path) -> list[int]:
    """The first offsets of the segments in a folder, rising."""
    names = (name.removesuffix(_SUFFIX) for name in os.listdir(folder) if name.endswith(_SUFFIX))  # noqa: PTH208
    return sorted(int(name) for name in names if name.isdecimal())


class Found(NamedTuple):
    """What the newest segment says."""

    head: Head
    size: int
    """Bytes of its file; what lies behind the head's position is a torn tail."""
    superfluous: int | None
    """An empty segment behind it, which an interrupted roll left."""
    ends_in_hole: bool
    """Records at its end were durable, and are gone."""


def find_head(
    folder: Path,
    boot: bytes,
    old: Head | None,
    ends_write: Callable[[bytes], bool] | None = None,
    *,
    is_copy: bool = False,
) -> Found:
    """Where a partition stands. `old` is a lower bound of what was durable; None where nothing is known of that.

    With `is_copy`, `old` was copied beside the segments, maybe later than they: where these end as a file does that
    was read while it grew, the head says nothing of what is behind.

    Raises:
        OSError: as the disk says.
    """
    base, append_ns, superfluous = _newest(folder, old)
    path = folder / segment_name(base)
    data = path.read_bytes() if path.exists() else b""
    found = scan(data, base, base, ends_write)
    if old is not None and not (is_copy and _is_beginning(data, found)):
        found = scan(data, base, max(base, old.durable), ends_write)
    reach = max(len(data), old.position if old and old.base == base else 0)
    head = Head(
        boot,
        base,
        found.end,
        found.next_offset,
        max(found.append_ns, append_ns, old.append_ns if old else 0),
        found.next_offset,
        found.end,
        old.rewinds if old else 0,
        (old.cuts if old else 0) + (reach > found.end),
        (old.cut_bytes if old else 0) + reach - found.end,
    )
    ends_in_hole = bool(found.damages) and found.damages[-1].next_offset == found.next_offset
    return Found(head, len(data), superfluous, ends_in_hole)


def _is_beginning(data: bytes, found: Scan) -> bool:
    """Whether what lies behind the last whole frame is the beginning of the next one, or nothing; a frame that is all
    there, with other bytes than were written, is damage."""
    rest = data[found.end :]
    if len(rest) < HEADER.size:
        return True
    length, _, offset, _, _, key_length = HEADER.unpack_from(rest)
    fits: bool = FIXED_BYTES + key_length <= length <= MAX_LENGTH
    return fits and bool(offset == found.next_offset and PREFIX_BYTES + length > len(rest))


def _newest(folder: Path, old: Head | None) -> tuple[int, int, int | None]:
    """The base of the segment to write on, the newest append time before it where that segment is empty, and an empty
    segment that counts for nothing."""
    bases = listed(folder)
    if not bases:
        return (old.durable if old else 0), 0, None
    last = bases[-1]
    if len(bases) == 1 or (folder / segment_name(last)).stat().st_size:
        return last, 0, None
    previous, newest_ns = bases[-2], 0
    data = (folder / segment_name(previous)).read_bytes()
    for frame in frames(data, previous, last):
        newest_ns = frame.append_ns
    if scan(data, previous, 0).next_offset > last:  # a roll was interrupted, and the old segment went on
        return previous, 0, last
    return last, newest_ns, None
