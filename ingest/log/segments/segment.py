"""Segments: records framed with checksums in append-only files, and what bytes that are not whole mean.

Pure functions over bytes, free of topics, groups and files. A frame is, little-endian::

    u32 length      of all that follows the checksum
    u32 crc         CRC-32 (ISO 3309, as zlib has it) of all that follows it, begun with `length` as its seed
    i64 offset
    i64 append_ns
    i64 durable     the partition's durable end when the frame was written: every offset below it was fsynced
    u16 key length
    key, value

The offset is in the frame since compaction leaves holes. `durable` tells a torn tail from a damaged middle when
nothing but the file is left: bytes below an offset that was once durable were whole, so if they are no more, that is
damage and not a write that a power cut tore (see `scan`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Final, NamedTuple
from zlib import crc32

from ingest.log.protocol import Entry

HEADER: Final = struct.Struct("<IIqqqH")
PREFIX_BYTES: Final = 8
"""Length and checksum."""
FIXED_BYTES: Final = HEADER.size - PREFIX_BYTES
MAX_KEY_BYTES: Final = 0xFFFF
MAX_LENGTH: Final = 32 << 20
"""No frame's `length` is greater: a damaged one is not believed, and not read."""
_PREFIX: Final = struct.Struct("<II")
_REST: Final = struct.Struct("<qqqH")


class Run(NamedTuple):
    """What `parse` found: records in columns, and where and why it stopped."""

    offsets: list[int]
    append_ns: list[int]
    keys: list[bytes]
    values: list[bytes]
    used: int
    """Bytes behind the last whole frame that was taken or skipped."""
    expected: int
    """The offset that the next frame must have; where holes are allowed, the least one."""
    need: int
    """Bytes from `used` on that the frame there wants, 0 where that frame is no frame; -1 when all was taken."""


class Damage(NamedTuple):
    """Bytes `[position, next_position)` are no frames: the records `[offset, next_offset)` cannot be read."""

    position: int
    offset: int
    next_position: int
    next_offset: int


class Scan(NamedTuple):
    """What a segment holds."""

    end: int
    """Bytes that count; a torn tail lies behind them."""
    next_offset: int
    append_ns: int
    """Of the last record; 0 without records."""
    records: int
    damages: tuple[Damage, ...]


def size_of(entries: Sequence[Entry]) -> int:
    """How many bytes the entries' frames take."""
    return sum(map(len, chain.from_iterable(entries))) + HEADER.size * len(entries)


def fitting(entries: Sequence[Entry], at: int, room: int) -> int:
    """The end of the entries from `at` on whose frames take no more than `room` bytes."""
    if size_of(entries[at:]) <= room:
        return len(entries)
    for key, value in entries[at:]:
        room -= len(key) + len(value) + HEADER.size
        if room < 0:
            break
        at += 1
    return at


def encode(entries: Sequence[Entry], offset: int, append_ns: int, durable: int) -> bytes:
    """The frames of consecutive records, the first of which has `offset`."""
    parts: list[bytes] = []
    pack_prefix, pack_rest = _PREFIX.pack, _REST.pack
    for key, value in entries:
        rest = pack_rest(offset, append_ns, durable, len(key)) + key
        length = len(rest) + len(value)
        parts += (pack_prefix(length, crc32(value, crc32(rest, length))), rest, value)
        offset += 1
    return b"".join(parts)


def parse(data: bytes, expected: int, limit: int, *, holes: bool) -> Run:
    """The records below offset `limit` in `data`, which begins with a frame.

    Stops at the first frame that is not whole, or whose offset is not `expected` (with `holes`: is below it).
    """
    offsets: list[int] = []
    times: list[int] = []
    keys: list[bytes] = []
    values: list[bytes] = []
    at, size, need = 0, len(data), -1
    unpack, header, fixed, longest = HEADER.unpack_from, HEADER.size, FIXED_BYTES, MAX_LENGTH
    while at < size:
        if size - at < header:
            need = header
            break
        length, crc, offset, append_ns, _, key_length = unpack(data, at)
        if not fixed + key_length <= length <= longest:
            need = 0
            break
        stop = at + PREFIX_BYTES + length
        if stop > size:
            need = stop - at
            break
        middle = at + header + key_length
        value = data[middle:stop]  # summed apart from what is before it: one copy of it, not two
        if crc32(value, crc32(data[at + PREFIX_BYTES : middle], length)) != crc:
            need = 0
            break
        if offset != expected and (not holes or offset < expected):
            need = 0
            break
        if offset >= limit:
            break
        offsets.append(offset)
        times.append(append_ns)
        keys.append(data[at + header : middle])
        values.append(value)
        expected = offset + 1
        at = stop
    return Run(offsets, times, keys, values, at, expected, need)


class Frame(NamedTuple):
    """A frame's place and what its head says."""

    position: int
    end: int
    offset: int
    append_ns: int
    durable: int
    key: bytes


def frame_at(data: bytes, at: int) -> Frame | None:
    """The whole frame at byte `at`, else None."""
    if len(data) - at < HEADER.size:
        return None
    length, crc, offset, append_ns, durable, key_length = HEADER.unpack_from(data, at)
    stop = at + PREFIX_BYTES + length
    if not FIXED_BYTES + key_length <= length <= MAX_LENGTH or stop > len(data):
        return None
    body = data[at + PREFIX_BYTES : stop]
    if crc32(body, length) != crc:
        return None
    return Frame(at, stop, offset, append_ns, durable, body[FIXED_BYTES : FIXED_BYTES + key_length])


def resync(data: bytes, at: int, least: int, below: int | None = None) -> Frame | None:
    """The first whole frame at byte `at` or behind it with an offset in `[least, below)`.

    Without `below`, offsets are taken to be dense: so many bytes hold no more than so many frames. The bound keeps
    garbage from being taken for heads of long frames, each of which would have to be summed.
    """
    if below is None:
        below = least + (len(data) - at) // HEADER.size + 1
    longest, last = min(MAX_LENGTH, len(data) - PREFIX_BYTES), len(data) - HEADER.size
    while at <= last:
        length, _, offset, _, _, _ = HEADER.unpack_from(data, at)
        if least <= offset < below and FIXED_BYTES <= length <= longest:
            frame = frame_at(data, at)
            if frame is not None:
                return frame
        if length:
            at += 1
        else:
            stretch = data[at : at + 65_536]
            at += max(1, len(stretch) - len(stretch.lstrip(b"\0")) - 3)
    return None


def frames(data: bytes, base: int, below: int | None = None) -> Iterator[Frame]:
    """The whole frames of a segment, whatever damage or holes lie between; `below` as in `resync`."""
    at, expected = 0, base
    while at < len(data):
        frame = frame_at(data, at)
        if frame is None or frame.offset < expected:
            frame = resync(data, at, expected, below)
            if frame is None:
                return
        yield frame
        at, expected = frame.end, frame.offset + 1


def locate(data: bytes, base: int, wanted: int, below: int) -> int:
    """The byte from which to read on for `wanted`: of its frame, of the hole or the damage that has it, or the end.

    `below` bounds the segment's offsets: a wanted one below it should be here.
    """
    at = 0
    for frame in frames(data, base, below):
        if frame.offset >= wanted:
            return frame.position if frame.offset == wanted else at
        at = frame.end
    return at if wanted < below else len(data)


def scan(data: bytes, base: int, durable: int, ends_write: Callable[[bytes], bool] | None = None) -> Scan:
    """What the newest segment of a partition holds, byte for byte; `durable` is an offset known to have been durable.

    A place that holds no frame is *damage* if an offset at or behind it was durable once, by `durable` or by what later
    frames say: it is stepped over, and counted. Else it is a *torn tail*, which no writer was told to be
    there, and the segment ends before it. Where `ends_write` tells by its key which frame is the last one of a write,
    a write that was never durable and has lost its end is torn as a whole.
    """
    found, durable = _whole_frames(data, base, durable)
    if ends_write is None or found.next_offset <= durable:
        return found
    end, next_offset, records, append_ns = 0, base, 0, 0
    for number, frame in enumerate(frames(data[: found.end], base), 1):
        if frame.offset < durable or ends_write(frame.key):
            end, next_offset, records, append_ns = frame.end, frame.offset + 1, number, frame.append_ns
    if next_offset >= found.next_offset:
        return found
    damages = tuple(damage for damage in found.damages if damage.next_position <= end)
    return Scan(end, max(next_offset, durable), append_ns, records, damages)


def _whole_frames(data: bytes, base: int, durable: int) -> tuple[Scan, int]:
    """`scan`, whatever a frame's place in its write; and the greatest offset known to have been durable."""
    at, expected, records, append_ns = 0, base, 0, 0
    damages: list[Damage] = []
    tail: tuple[int, int] | None = None
    ends: list[tuple[int, int]] = []
    while at < len(data):
        frame = frame_at(data, at)
        if frame is None or frame.offset != expected:
            frame = resync(data, at, expected)
            ends.append((records, append_ns))
            if frame is None:
                tail = (at, expected)
                break
            damages.append(Damage(at, expected, frame.position, frame.offset))
        at, expected, append_ns = frame.end, frame.offset + 1, frame.append_ns
        durable = max(durable, frame.durable)
        records += 1
    for number, damage in enumerate(damages):
        if damage.offset >= durable:
            seen, last_ns = ends[number]
            return Scan(damage.position, damage.offset, last_ns, seen, tuple(damages[:number])), durable
    if tail is not None and tail[1] >= durable:
        return Scan(tail[0], tail[1], append_ns, records, tuple(damages)), durable
    if expected < durable:
        damages.append(Damage(at, expected, len(data), durable))
    return Scan(len(data), max(expected, durable), append_ns, records, tuple(damages)), durable
