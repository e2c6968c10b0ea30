"""Frames that begin with a sync word or end in a checksum: of one length, or with their length before them. Pure.

Where one is not what it should be, it is a fault, once, and from the next byte on a frame is looked for that can be
believed; a fault more for each `SKIPPED_BYTES` without one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from edge.decoders.framing.shape import Endian, Piece, Shape, piece_of
from edge.decoders.lines import fault
from edge.protocol import RAW_BYTES, Fault

SKIPPED_BYTES: Final = 4096


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
                yield piece_of(self.payload(held[at : at + found]), self._offset + at, found)
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
        good = self.shape.are_right(rows)
        for column, byte in enumerate(self.shape.sync):
            good &= rows[:, column] == byte
        if self._ahead:
            behind = data[count * size : count * size + len(sync)] == sync
            good &= np.append(good[1:], behind.all())
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
