"""Bytes to binary frames: records of one length, length-prefixed, COBS, SLIP; bounded, and the same in any chunks.

A frame of fixed or said length is believed where its sync word is there and its checksum is right; without a checksum,
where the next frame's sync word follows it: a record that lost a byte ends in the middle of the next one. Where one is
not, it is a fault, once, and from the next byte on a frame is looked for that can be believed; a fault more for each
`SKIPPED_BYTES` without one. COBS and SLIP say by a byte of its own where a frame ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Protocol, cast

import numpy as np

from edge.decoders.checksums import CHECKSUMS, Bytes2D, Checksum, Sum
from edge.decoders.lines import fault
from edge.protocol import RAW_BYTES, Fault, Key, SourceConfig
from ingest.errors import UsageError
from ingest.settings import suggest

Endian = Literal["little", "big"]
SKIPPED_BYTES: Final = 4096
MAX_FRAME: Final = 65_536
_KINDS: Final = ("fixed", "length", "cobs", "slip")
_LENGTHS: Final[Mapping[str, int]] = {"u8": 1, "u16": 2, "u32": 4}

FRAME_KEYS: Final[Mapping[str, Key]] = {
    "frame": Key(
        "one of fixed, length, cobs, slip",
        "How a port's bytes are cut into frames: records of one length, a length before each, COBS (a 0 ends a frame) "
        "or SLIP (RFC 1055).",
        '"fixed"',
        "none: a message is a frame",
        ("frames", "packet", "packets", "protocol_framing"),
    ),
    "sync": Key(
        "bytes in hexadecimal",
        "The sync word with which each frame of a fixed or said length begins.",
        '"AA 55"',
        "none",
        ("sync_word", "preamble", "magic", "start", "header"),
    ),
    "checksum": Key(
        "one of sum8, xor8, crc8, crc8-maxim, crc16-ccitt, crc16-xmodem, crc16-kermit, crc16-x25, crc16-modbus, crc32",
        "What a frame's last bytes are.",
        '"crc16-ccitt"',
        "none",
        ("crc", "check", "crc16", "crc32"),
    ),
    "checksum_skips": Key(
        "whole number",
        "How many bytes at a frame's beginning the checksum leaves out.",
        "0",
        "those of the sync word",
        ("crc_skips", "crc_from", "crc_start"),
    ),
    "checksum_endian": Key(
        "one of little, big",
        "The checksum's byte order, where it is not that of the rest.",
        '"big"',
        "that of endian",
        ("crc_endian",),
    ),
    "endian": Key(
        "one of little, big",
        "The byte order of all numbers of more than a byte: the least significant byte comes first, or last.",
        '"big"',
        "little",
        ("endianness", "byte_order", "byteorder"),
    ),
    "length_type": Key(
        "one of u8, u16, u32", "The type of the length, behind the sync word.", '"u16"', "u8", ("length_bytes",)
    ),
    "length_adds": Key(
        "whole number",
        "How many bytes follow the length besides those that it counts: 0 where it counts the checksum too, -3 where "
        "it also counts itself and a sync word of 2.",
        "0",
        "those of the checksum",
        ("length_offset", "length_bias"),
    ),
    "max_frame": Key(
        "whole number", "How long a frame may be at most, in bytes.", "4096", "1024", ("max_length", "frame_max")
    ),
}
"""The keys that say how frames are told apart."""


class Piece(NamedTuple):
    """What frames hold, without what frames them."""

    rows: Bytes2D
    """`(frames, bytes)`: frames of one length that follow one another."""
    offset: int
    """Of the first one's first byte."""
    step: int
    """Bytes from one frame to the next, and from a frame's first byte to behind its last."""


class Framing(Protocol):
    """Bytes to frames."""

    def feed(self, data: bytes) -> Iterator[Piece | Fault]:
        """What these bytes complete, in order."""
        ...

    def reset(self) -> Iterator[Piece | Fault]:
        """The input ended or was interrupted: what is whole is given; offsets begin at 0."""
        ...


@dataclass(frozen=True, slots=True)
class Shape:
    """How a frame is made, besides its payload."""

    sync: bytes = b""
    check: Checksum | Sum | None = None
    skips: int = 0
    """Bytes at its beginning that the checksum leaves out."""
    check_endian: Endian = "little"
    is_torn_at_start: bool = False
    """What comes first after an opening may be the rest of a frame."""

    @property
    def check_size(self) -> int:
        """The checksum's length in bytes."""
        return 0 if self.check is None else self.check.size

    def is_right(self, frame: bytes) -> bool:
        """Whether a frame's checksum is that of its bytes."""
        if self.check is None:
            return True
        end = len(frame) - self.check.size
        return self.check.of(frame[self.skips : end]) == int.from_bytes(frame[end:], self.check_endian)

    def are_right(self, rows: Bytes2D) -> Any:
        """The same of many frames of one length, `(frames,)` booleans."""
        if self.check is None:
            return np.ones(len(rows), dtype=np.bool_)
        end = rows.shape[1] - self.check.size
        said = np.zeros(len(rows), dtype=np.uint32)
        for column in rows.T[end:] if self.check_endian == "big" else rows.T[: end - 1 : -1]:
            said = said << np.uint32(8) | column
        return self.check.of_each(rows[:, self.skips : end]) == said


class _Synced:
    """Frames that begin with a sync word or end in a checksum, and say themselves how long they are."""

    def __init__(self, shape: Shape, smallest: int, largest: int) -> None:
        self.shape = shape
        self._smallest = smallest
        """So many bytes a frame has at least: nothing is said of fewer."""
        self._largest = largest
        self._begin()

    def _begin(self) -> None:
        self._held = b""
        self._offset = 0
        """Of the first byte held."""
        self._is_locked = not self.shape.is_torn_at_start
        """A frame begins where the one before ended."""
        self._is_new = True
        """Nothing was given yet, no fault either."""
        self._seen = b""
        """The last bytes that were skipped in search of a frame."""
        self._skip_end = self._largest
        """The offset up to which may be skipped without a fault more."""

    def judge(self, at: int) -> int | str:
        """The length of the frame at a place of `_held`; 0: more bytes must come; else why it is none."""
        raise NotImplementedError

    def payload(self, frame: bytes) -> bytes:
        """What a frame holds."""
        raise NotImplementedError

    def last(self, at: int) -> int | str:
        """The same as `judge` where that says 0, and nothing more comes."""
        return "torn"

    def bulk(self, at: int) -> tuple[Piece | None, int]:
        """Frames from a place on that can be told at once, and the place behind them."""
        return None, at

    def feed(self, data: bytes) -> Iterator[Piece | Fault]:
        """See `Framing`."""
        self._held += data
        yield from self._take(is_last=False)

    def reset(self) -> Iterator[Piece | Fault]:
        """See `Framing`."""
        yield from self._take(is_last=True)
        if self._is_new and self._seen:
            yield fault("torn", self._offset - len(self._seen), -1, self._seen)
        self._begin()

    def _take(self, *, is_last: bool) -> Iterator[Piece | Fault]:
        at, held = 0, self._held
        while at < len(held):
            if self._is_locked:
                pieces, at = self.bulk(at)
                if pieces is not None:
                    self._is_new = False
                    yield pieces
                    continue
            else:
                to = self._next(at)
                yield from self._skip(held[at:to], self._offset + at)
                at = to
                if at == len(held):
                    break
            found = self.judge(at)
            if found == 0:
                if not is_last:
                    break
                found = self.last(at)
            if isinstance(found, int) and not self._is_locked:
                self._is_locked = True
            elif isinstance(found, int):
                self._is_new = False
                yield _one(self.payload(held[at : at + found]), self._offset + at, found)
                at += found
            else:
                size = RAW_BYTES if found == "torn" else self._smallest
                yield from self._refuse(found, held[at : at + size], self._offset + at)
                at += 1
        self._offset += at
        self._held = held[at:]

    def _refuse(self, reason: str, raw: bytes, offset: int) -> Iterator[Fault]:
        """No frame begins here: a fault where one should have, and the search goes on behind its first byte."""
        if not self._is_locked:
            yield from self._skip(raw[:1], offset)
            return
        self._is_locked, self._is_new = False, False
        self._seen, self._skip_end = raw[:1], offset + SKIPPED_BYTES
        yield fault(reason, offset, -1, raw)

    def _next(self, at: int) -> int:
        """Where a frame may begin, from a place on: at a sync word, or what may become one."""
        sync, held = self.shape.sync, self._held
        found = held.find(sync, at)
        if found >= 0:
            return found
        tails = range(min(len(sync) - 1, len(held) - at), 0, -1)
        return next((len(held) - size for size in tails if held.endswith(sync[:size])), len(held))

    def _skip(self, data: bytes, offset: int) -> Iterator[Fault]:
        while offset + len(data) >= self._skip_end:
            cut = self._skip_end - offset
            self._seen = (self._seen + data[:cut])[-RAW_BYTES:]
            self._is_new = False
            yield fault("sync", self._skip_end - len(self._seen), -1, self._seen)
            data, offset, self._skip_end = data[cut:], self._skip_end, self._skip_end + SKIPPED_BYTES
        self._seen = (self._seen + data)[-RAW_BYTES:]


class FixedFrames(_Synced):
    """Frames of `size` bytes."""

    def __init__(self, shape: Shape, size: int) -> None:
        super().__init__(shape, size, size)
        self._size = size
        self._ahead = 0 if shape.check is not None else len(shape.sync)
        """Bytes of the next frame that say that this one is whole."""
        self._sync = np.frombuffer(shape.sync, dtype=np.uint8)

    def payload(self, frame: bytes) -> bytes:
        """See `_Synced`."""
        return frame[len(self.shape.sync) : len(frame) - self.shape.check_size]

    def judge(self, at: int) -> int | str:
        """See `_Synced`."""
        held, size, sync = self._held, self._size, self.shape.sync
        if len(held) - at < size:
            return 0
        if not held.startswith(sync, at):
            return "sync"
        if len(held) - at < size + self._ahead:
            return 0
        if self._ahead and not held.startswith(sync, at + size):
            return "sync"
        return size if self.shape.is_right(held[at : at + size]) else "checksum"

    def last(self, at: int) -> int | str:
        """See `_Synced`: without a checksum, the frame whose successor never came."""
        rest = self._held[at:]
        if self._ahead and len(rest) >= self._size and self.shape.sync.startswith(rest[self._size :]):
            return self._size
        return "torn"

    def bulk(self, at: int) -> tuple[Piece | None, int]:
        """See `_Synced`."""
        size, sync = self._size, self._sync
        count = (len(self._held) - at - self._ahead) // size
        if count < 2:
            return None, at
        data = np.frombuffer(self._held, dtype=np.uint8, offset=at)
        rows = data[: count * size].reshape(count, size)
        good = (rows[:, : len(sync)] == sync).all(axis=1)
        if self._ahead:
            behind = data[count * size : count * size + len(sync)] == sync
            good &= np.append(good[1:], behind.all())
        good &= self.shape.are_right(rows)
        whole = count if good.all() else int(good.argmin())
        if not whole:
            return None, at
        payload = rows[:whole, len(sync) : size - self.shape.check_size]
        return Piece(payload, self._offset + at, size), at + whole * size


class LengthFrames(_Synced):
    """Frames that say their length behind the sync word."""

    def __init__(self, shape: Shape, length_size: int, endian: Endian, adds: int, most: int) -> None:
        self._head = len(shape.sync) + length_size
        super().__init__(shape, self._head + max(1, shape.check_size), most)
        self._endian: Endian = endian
        self._adds = adds

    def payload(self, frame: bytes) -> bytes:
        """See `_Synced`."""
        return frame[self._head : len(frame) - self.shape.check_size]

    def judge(self, at: int) -> int | str:
        """See `_Synced`."""
        held, sync = self._held, self.shape.sync
        if len(held) - at < self._smallest:
            return 0
        if not held.startswith(sync, at):
            return "sync"
        said = int.from_bytes(held[at + len(sync) : at + self._head], self._endian)
        size = self._head + said + self._adds
        if not self._smallest <= size <= self._largest:
            return "length"
        is_checked = self.shape.check is not None
        if len(held) - at < size + (0 if is_checked else len(sync)):
            return 0
        if not is_checked and not held.startswith(sync, at + size):
            return "sync"
        return size if self.shape.is_right(held[at : at + size]) else "checksum"

    def last(self, at: int) -> int | str:
        """See `_Synced`: without a checksum, the frame whose successor never came."""
        rest, sync = self._held[at:], self.shape.sync
        if self.shape.check is not None or len(rest) < self._smallest:
            return "torn"
        size = self._head + int.from_bytes(rest[len(sync) : self._head], self._endian) + self._adds
        return size if len(rest) >= size and sync.startswith(rest[size:]) else "torn"


class EndedFrames:
    """Frames behind which a byte stands that is in none of them: COBS's 0, SLIP's END."""

    def __init__(self, shape: Shape, end: int, unstuff: Callable[[bytes], bytes], reason: str, most: int) -> None:
        self._shape = shape
        self._end = bytes([end])
        self._unstuff = unstuff
        self._reason = reason
        self._most = 2 * most + 2
        """A frame's bytes with what stuffs them."""
        self._begin()

    def _begin(self) -> None:
        self._held = b""
        self._offset = 0
        self._is_torn = self._shape.is_torn_at_start
        self._is_skipping = False

    def feed(self, data: bytes) -> Iterator[Piece | Fault]:
        """See `Framing`."""
        *frames, last = (self._held + data).split(self._end)
        for frame in frames:
            yield from self._frame(frame)
            self._offset += len(frame) + 1
            self._is_torn = self._is_skipping = False
        self._held = last
        if len(last) > self._most and not self._is_skipping:
            yield fault("too_long", self._offset, -1, last[: self._most])
            self._is_skipping = True
        if self._is_skipping:
            self._offset += len(last)
            self._held = b""

    def reset(self) -> Iterator[Piece | Fault]:
        """See `Framing`."""
        if self._held:
            yield fault("torn", self._offset, -1, self._held)
        self._begin()

    def _frame(self, frame: bytes) -> Iterator[Piece | Fault]:
        if not frame or self._is_skipping:
            return
        if len(frame) > self._most:
            yield fault("too_long", self._offset, -1, frame)
            return
        try:
            found = self._unstuff(frame)
        except ValueError:
            reason = self._reason
        else:
            end = len(found) - self._shape.check_size
            reason = "checksum" if end < 1 or not self._shape.is_right(found) else ""
            # Without a checksum nobody knows whether the first one is whole.
            if not reason and not (self._is_torn and self._shape.check is None):
                yield _one(found[:end], self._offset, len(frame) + 1)
        if reason and not self._is_torn:
            yield fault(reason, self._offset, -1, frame)


def _one(payload: bytes, offset: int, size: int) -> Piece:
    return Piece(np.frombuffer(payload, dtype=np.uint8).reshape(1, -1), offset, size)


def cobs(frame: bytes) -> bytes:
    """A frame of Consistent Overhead Byte Stuffing (Cheshire, Baker 1999) without its 0. Raises `ValueError`."""
    found, at = bytearray(), 0
    while at < len(frame):
        code = frame[at]
        block = frame[at + 1 : at + code]
        if not code or len(block) < code - 1 or 0 in block:
            raise ValueError("no COBS")
        found += block
        at += code
        if code < 0xFF and at < len(frame):
            found.append(0)
    return bytes(found)


def slip(frame: bytes) -> bytes:
    """A frame of SLIP (RFC 1055) without its END. Raises `ValueError`."""
    first, *parts = frame.split(b"\xdb")
    found = [first]
    for part in parts:
        if part[:1] not in (b"\xdc", b"\xdd"):
            raise ValueError("no SLIP")
        found.append((b"\xc0" if part[:1] == b"\xdc" else b"\xdb") + part[1:])
    return b"".join(found)


def framing_of(config: SourceConfig, size: int | None) -> Framing | None:
    """What the keys say of frames; None: a message is one. `size` is that of a record, None where frames differ.

    Raises:
        UsageError: a key says what cannot be, or frames could not be told apart.
    """
    where, kind = config.where, config.option("frame", str, "")
    if kind and kind not in _KINDS:
        raise UsageError(f'{where}: frame: unknown value "{kind}"{suggest(kind, _KINDS)}')
    if not kind:
        for key in FRAME_KEYS.keys() - {"frame", "endian"}:
            if key in config.options:
                raise UsageError(f'{where}: {key}: says something of frames; say frame = "fixed", or another kind')
        if config.type in ("serial", "exec"):
            raise UsageError(f"{where}: frame is missing: how are the port's bytes cut into frames? One of {_LISTED}")
        return None
    shape, most = _shape(config, kind), config.option("max_frame", int, 1024)
    if not 8 <= most <= MAX_FRAME:
        raise UsageError(f"{where}: max_frame: {most} is not in 8..{MAX_FRAME}")
    if kind == "cobs":
        return EndedFrames(shape, 0x00, cobs, kind, most)
    if kind == "slip":
        return EndedFrames(shape, 0xC0, slip, kind, most)
    if shape.check_size < 2 and not (len(shape.sync) > 1 or (shape.sync and shape.check_size)):
        raise UsageError(
            f'{where}: frame: "{kind}" needs a sync word and a checksum, or one of both that has two bytes: '
            "nobody knows else where a frame begins"
        )
    if kind == "fixed":
        if size is None:
            raise UsageError(f'{where}: frame: "fixed" is for the decoder binary; say one of length, cobs, slip')
        return FixedFrames(shape, len(shape.sync) + size + shape.check_size)
    text = config.option("length_type", str, "u8")
    if text not in _LENGTHS:
        raise UsageError(f'{where}: length_type: unknown value "{text}"{suggest(text, _LENGTHS)}')
    adds = config.option("length_adds", int, shape.check_size)
    return LengthFrames(shape, _LENGTHS[text], endian_of(config), adds, most)


_LISTED: Final = ", ".join(_KINDS)


def endian_of(config: SourceConfig, key: str = "endian", default: str = "little") -> Endian:
    """A byte order. Raises `UsageError`."""
    found = config.option(key, str, default)
    if found not in ("little", "big"):
        raise UsageError(f'{config.where}: {key}: found "{found}", expected "little" or "big"')
    return cast(Endian, found)


def _shape(config: SourceConfig, kind: str) -> Shape:
    where, text, name = config.where, config.option("sync", str, ""), config.option("checksum", str, "")
    try:
        sync = bytes.fromhex(text)
    except ValueError:
        raise UsageError(f'{where}: sync: found "{text}", expected bytes in hexadecimal, as in "AA 55"') from None
    if sync and kind in ("cobs", "slip"):
        raise UsageError(f'{where}: sync: frame = "{kind}" has no sync word: take it out')
    if name and name not in CHECKSUMS:
        raise UsageError(f'{where}: checksum: unknown checksum "{name}"{suggest(name, CHECKSUMS)}')
    endian = endian_of(config)
    skips = config.option("checksum_skips", int, len(sync))
    if not 0 <= skips <= 64:
        raise UsageError(f"{where}: checksum_skips: {skips} is not in 0..64")
    return Shape(
        sync,
        CHECKSUMS.get(name),
        skips,
        endian_of(config, "checksum_endian", endian),
        is_torn_at_start=config.type == "serial",
    )
