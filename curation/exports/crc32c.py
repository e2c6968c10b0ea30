"""CRC-32C (Castagnoli, RFC 3720 B.4) of many byte strings at once, and TFRecord's mask of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = np.uint32(0xA282EAD8)


@cache
def _table() -> NDArray[np.uint32]:
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, (values >> 1) ^ np.uint32(_POLYNOMIAL), values >> 1).astype(np.uint32)
    return values


def crc32c(strings: Sequence[bytes]) -> NDArray[np.uint32]:
    """The checksum of each, `(strings,) uint32`.

    They are laid with their ends below one another, as zeros before a string change nothing of a register of zeros;
    the register's first value of ones is the same as the first four bytes inverted.
    """
    width = max(map(len, strings), default=0) + 4
    rows = np.zeros((width, len(strings)), np.uint8)
    for column, string in enumerate(strings):
        begin = width - 4 - len(string)
        rows[begin : width - 4, column] = np.frombuffer(string, np.uint8)
        rows[begin : begin + 4, column] ^= 0xFF
    table, register = _table(), np.zeros(len(strings), np.uint32)
    for row in rows[: width - 4]:
        register = table[(register ^ row) & 0xFF] ^ (register >> np.uint32(8))
    # A string of fewer than four bytes has inverted ones behind its end, which are still in the register.
    for column, string in enumerate(strings):
        if len(string) < 4:
            register[column] ^= np.uint32((1 << 8 * (4 - len(string))) - 1)
    return ~register


def masked(checksums: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Rotated right by 15 bits, plus a constant: as TFRecord keeps them."""
    return ((checksums >> np.uint32(15)) | (checksums << np.uint32(17))) + _MASK_DELTA
