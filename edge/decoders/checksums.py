"""Checksums of binary frames: sums, exclusive ors and CRCs, of one frame or of many at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Bytes2D = NDArray[np.uint8]
"""`(frames, bytes)`."""


@dataclass(frozen=True)
class Checksum:
    """A CRC, in the parameters of Williams' "A painless guide to CRC error detection algorithms"."""

    bits: int
    poly: int
    init: int = 0
    is_reflected: bool = False
    xor_out: int = 0

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return self.bits // 8

    @cached_property
    def table(self) -> NDArray[np.uint32]:
        """What a byte adds to the CRC of what follows, `(256,)`."""
        mask, top = (1 << self.bits) - 1, 1 << (self.bits - 1)
        poly = int(f"{self.poly:0{self.bits}b}"[::-1], 2) if self.is_reflected else self.poly
        found = []
        for byte in range(256):
            crc = byte if self.is_reflected else byte << (self.bits - 8)
            for _ in range(8):
                if self.is_reflected:
                    crc = crc >> 1 ^ (poly if crc & 1 else 0)
                else:
                    crc = (crc << 1 ^ (poly if crc & top else 0)) & mask
            found.append(crc)
        return np.array(found, dtype=np.uint32)

    @cached_property
    def _list(self) -> list[int]:
        table: list[int] = self.table.tolist()
        return table

    def of(self, data: bytes) -> int:
        """Of one frame."""
        crc, table, shift, mask = self.init, self._list, self.bits - 8, (1 << self.bits) - 1
        if self.is_reflected:
            for byte in data:
                crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
        else:
            for byte in data:
                crc = (crc << 8 & mask) ^ table[crc >> shift ^ byte]
        return crc ^ self.xor_out

    def of_each(self, rows: Bytes2D) -> NDArray[np.uint32]:
        """Of many frames of one length, `(frames,)`.

        A CRC is linear: a frame's is that of as many zeros, and what each of its bytes by itself adds to that.
        """
        tables, zeros = _tables(self, rows.shape[1])
        found = np.full(len(rows), zeros, dtype=np.uint32)
        for column, table in zip(rows.T, tables, strict=True):
            found ^= table.take(column, mode="clip")  # a byte is within the table: nothing needs to be looked after
        return found


@lru_cache(maxsize=16)
def _tables(check: Checksum, length: int) -> tuple[list[NDArray[np.uint32]], int]:
    """What each byte at each place of a frame adds to its CRC, and the CRC of a frame of zeros."""
    step, mask, found = check.table, np.uint32((1 << check.bits) - 1), list[NDArray[np.uint32]]()
    table = step
    for _ in range(length):
        found.append(table)
        if check.is_reflected:
            table = table >> np.uint32(8) ^ step[table & np.uint32(0xFF)]
        else:
            table = (table << np.uint32(8) & mask) ^ step[table >> np.uint32(check.bits - 8)]
    return found[::-1], check.of(bytes(length))


@dataclass(frozen=True)
class Sum:
    """The sum of all bytes, or their exclusive or, in one byte."""

    is_xor: bool = False
    size: int = 1

    def of(self, data: bytes) -> int:
        """Of one frame."""
        return int(self.of_each(np.frombuffer(data, dtype=np.uint8).reshape(1, -1))[0])

    def of_each(self, rows: Bytes2D) -> NDArray[np.uint32]:
        """Of many frames of one length, `(frames,)`."""
        add = np.bitwise_xor if self.is_xor else np.add
        found: NDArray[np.uint32] = add.reduce(rows, axis=1, dtype=np.uint8).astype(np.uint32)
        return found


CHECKSUMS: Final[Mapping[str, Checksum | Sum]] = {
    "sum8": Sum(),
    "xor8": Sum(is_xor=True),
    "crc8": Checksum(8, 0x07),
    "crc8-maxim": Checksum(8, 0x31, is_reflected=True),
    "crc16-ccitt": Checksum(16, 0x1021, 0xFFFF),
    "crc16-xmodem": Checksum(16, 0x1021),
    "crc16-kermit": Checksum(16, 0x1021, is_reflected=True),
    "crc16-x25": Checksum(16, 0x1021, 0xFFFF, is_reflected=True, xor_out=0xFFFF),
    "crc16-modbus": Checksum(16, 0x8005, 0xFFFF, is_reflected=True),
    "crc32": Checksum(32, 0x04C11DB7, 0xFFFFFFFF, is_reflected=True, xor_out=0xFFFFFFFF),
}
"""By the names of agent.toml."""
