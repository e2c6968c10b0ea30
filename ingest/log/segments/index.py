"""A partition's index: where each key's last record lies, and a spot every megabyte, so that who asks need not scan.

A hint in the file `index` beside the segments, brought up to date by the writing thread as segments roll, and by who
asks and may write. It is believed only for the head's own file (a copy's is made anew), and what is read by it is
checked. A partition has thousands of keys, not millions: beyond `KEYS_MAX` the oldest are forgotten.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

from ingest.files import read_exactly
from ingest.log.segments.head import NO_HOME, Head, Home
from ingest.log.segments.partition import Partition
from ingest.log.segments.recovery import segment_name
from ingest.log.segments.segment import FIXED_BYTES, HEADER, MAX_LENGTH, PREFIX_BYTES, frame_at, resync

KEYS_MAX: Final = 100_000
SPOT_BYTES: Final = 1 << 20
GROWN_BYTES: Final = 4 << 20
"""So much behind the index is scanned again and again before it is written anew."""
BLOCK_BYTES: Final = 1 << 20
"""Read of a segment at once."""
_AHEAD_BYTES: Final = 4 * SPOT_BYTES
_NAME: Final = "index"
_MAGIC: Final = b"SLINDEX1"
_CRC_BYTES: Final = 4


class Spot(NamedTuple):
    """A record's place."""

    offset: int
    append_ns: int
    base: int
    position: int


class Span(NamedTuple):
    """The offsets of a segment, `[base, below)`."""

    base: int
    below: int


_START: Final = Spot(0, 0, -1, 0)


@dataclass(slots=True)
class Index:
    """What is known of a partition up to a record."""

    home: Home = NO_HOME
    """Of the head that it was made by."""
    through: Spot = _START
    """Where scanning goes on."""
    keys: dict[bytes, Spot] = field(default_factory=dict)
    """Each key's last record."""
    spots: list[Spot] = field(default_factory=list)
    """About one a megabyte, rising."""

    def before(self, offset: int) -> Spot | None:
        """The last spot that is not behind an offset."""
        return next((spot for spot in reversed(self.spots) if spot.offset <= offset), None)


_DECODER: Final = msgspec.msgpack.Decoder(Index)
"""Made here, once: what msgspec learns of a dataclass at its first use, another thread sees by halves, and crashes."""


def load(partition: Partition) -> Index:
    """The index as it was written last; an empty one where there is none that holds here."""
    head = partition.head()
    with suppress(OSError, msgspec.MsgspecError, ValueError):
        data = (partition.folder / _NAME).read_bytes()
        body = data[len(_MAGIC) : -_CRC_BYTES]
        if data.startswith(_MAGIC) and int.from_bytes(data[-_CRC_BYTES:], "little") == crc32(body):
            found = _DECODER.decode(body)
            if found.home == head.home and found.through.offset <= head.durable:
                return found
    return Index(home=head.home)


def save(partition: Partition, index: Index) -> None:
    """Write the index; that it could not be written is no error."""
    if partition.is_read_only:
        return
    body = msgspec.msgpack.encode(index)
    temporary = partition.folder / f".{_NAME}.{os.getpid()}.tmp"
    with suppress(OSError):
        temporary.write_bytes(_MAGIC + body + crc32(body).to_bytes(_CRC_BYTES, "little"))
        temporary.replace(partition.folder / _NAME)


def current(partition: Partition) -> Index:
    """The index up to the partition's durable end; written where it has grown much, or a segment was closed."""
    index = load(partition)
    head = partition.head()
    was = index.through
    _bring_up(index, partition, head)
    if index.through.base != was.base or index.through.position - was.position >= GROWN_BYTES:
        save(partition, index)
    return index


def _bring_up(index: Index, partition: Partition, head: Head) -> None:
    """Scan what is behind `through`, heads of frames alone; a damaged one is stepped over as a reader does."""
    bases = partition.bases(head)
    begin = bases[0] if bases else 0
    index.spots = [spot for spot in index.spots if spot.base >= begin]
    for number, base in enumerate(bases):
        if base < index.through.base:
            continue
        at = index.through.position if base == index.through.base else 0
        below = bases[number + 1] if number + 1 < len(bases) else head.durable
        path = partition.path(base)
        with suppress(FileNotFoundError), path.open("rb") as file:
            size = head.durable_position if base == head.base else os.fstat(file.fileno()).st_size
            _bring_up_segment(index, file.fileno(), Span(base, below), at, size)
    while len(index.keys) > KEYS_MAX:
        del index.keys[min(index.keys, key=lambda key: index.keys[key].offset)]


def _bring_up_segment(index: Index, fd: int, span: Span, at: int, size: int) -> None:
    """Scan a segment from byte `at` up to `size`, in blocks: a writer does this as well, and has little memory."""
    while at < size:
        block = read_exactly(fd, min(BLOCK_BYTES, size - at), at)
        if not block:
            return
        taken = _scan(index, block, span, at, whole=at + len(block) >= size)
        if taken == 0:  # damage, or a record larger than a block: look at all that is left
            if at + len(block) < size:
                _scan(index, read_exactly(fd, size - at, at), span, at, whole=True)
            return
        at += taken


def _scan(index: Index, data: bytes, span: Span, start: int, *, whole: bool) -> int:
    """Take the frames of a segment from byte `start` on; how many bytes of `data`, which lie there, they are.

    Without the `whole` rest of the segment it ends before what is no frame, or goes on behind `data`.
    """
    unpack, size, header = HEADER.unpack_from, len(data), HEADER.size
    base, below, expected = span.base, span.below, max(span.base, index.through.offset)
    last: dict[bytes, tuple[int, int, int]] = {}
    at, append_ns = 0, index.through.append_ns
    spot_at = index.spots[-1].position + SPOT_BYTES - start if index.spots and index.spots[-1].base == base else 0
    while at + header <= size:
        length, _, offset, append_ns, _, key_length = unpack(data, at)
        stop = at + PREFIX_BYTES + length
        if not FIXED_BYTES + key_length <= length <= MAX_LENGTH or stop > size or not expected <= offset < below:
            frame = resync(data, at, expected, below) if whole else None
            if frame is None:
                break
            at, stop, offset, append_ns = frame.position, frame.end, frame.offset, frame.append_ns
            key_length = len(frame.key)
        last[data[at + header : at + header + key_length]] = offset, append_ns, at
        if at >= spot_at:
            index.spots.append(Spot(offset, append_ns, base, start + at))
            spot_at = at + SPOT_BYTES
        expected, at = offset + 1, stop
    index.through = Spot(expected, append_ns, base, start + at)
    for key, (offset, key_ns, position) in last.items():
        index.keys[key] = Spot(offset, key_ns, base, start + position)
    return at


def read_at(folder: Path, spot: Spot) -> bytes | None:
    """The value of the record at a spot; None where it is not there any more."""
    with suppress(FileNotFoundError), (folder / segment_name(spot.base)).open("rb") as file:
        head = read_exactly(file.fileno(), HEADER.size, spot.position)
        if len(head) < HEADER.size:
            return None
        length = HEADER.unpack(head)[0]
        if length <= MAX_LENGTH:
            data = read_exactly(file.fileno(), PREFIX_BYTES + length, spot.position)
            frame = frame_at(data, 0)
            if frame is not None and frame.offset == spot.offset:
                return data[HEADER.size + len(frame.key) :]
    return None


def append_time(partition: Partition, index: Index, offset: int) -> int | None:
    """When the record at an offset was appended, or the first one behind it; None where that cannot be told."""
    spot = index.before(offset)
    if spot is None:
        return None
    with suppress(FileNotFoundError), partition.path(spot.base).open("rb") as file:
        data, at = read_exactly(file.fileno(), _AHEAD_BYTES, spot.position), 0
        while (frame := frame_at(data, at)) is not None:
            if frame.offset >= offset:
                return frame.append_ns
            at = frame.end
    return None


def since(partition: Partition, append_ns: int) -> int:
    """An offset before which no record was appended at a time or later, a megabyte before the first one at most."""
    begin = partition.stats().begin
    before = [spot.offset for spot in current(partition).spots if spot.append_ns < append_ns]
    return max(begin, before[-1]) if before else begin


def place_of(partition: Partition, offset: int, base: int) -> int | None:
    """The byte of a record in its segment, found from a spot near it; None where it must be looked for."""
    spot = load(partition).before(offset)
    if spot is None or spot.base != base:
        return None
    with suppress(FileNotFoundError), partition.path(base).open("rb") as file:
        data, at = read_exactly(file.fileno(), _AHEAD_BYTES, spot.position), 0
        while (frame := frame_at(data, at)) is not None and frame.offset <= offset:
            if frame.offset == offset:
                return spot.position + at
            at = frame.end
    return None


def bytes_since(partition: Partition, index: Index, since_ns: int) -> int:
    """About how many bytes were appended since a time."""
    head = partition.head()
    first = next((spot for spot in index.spots if spot.append_ns >= since_ns), None)
    if first is None:
        return 0
    sizes = [partition.path(base).stat().st_size for base in partition.bases(head) if first.base <= base < head.base]
    return sum(sizes) + head.durable_position - first.position
