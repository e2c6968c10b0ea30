"""Checksums are those of the catalogues, one by one and many at once."""

from __future__ import annotations

import zlib
from binascii import crc_hqx

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.decoders.checksums import CHECKSUMS

KNOWN = {
    "sum8": 0xDD,
    "xor8": 0x31,
    "crc8": 0xF4,
    "crc8-maxim": 0xA1,
    "crc16-ccitt": 0x29B1,
    "crc16-xmodem": 0x31C3,
    "crc16-kermit": 0x2189,
    "crc16-x25": 0x906E,
    "crc16-modbus": 0x4B37,
    "crc32": 0xCBF43926,
}


@pytest.mark.parametrize("name", CHECKSUMS)
def test_check_values(name: str) -> None:
    assert CHECKSUMS[name].of(b"123456789") == KNOWN[name]


@given(st.binary(min_size=12, max_size=60))
def test_many_at_once_are_those_of_each(data: bytes) -> None:
    rows = np.frombuffer(data[: len(data) // 6 * 6], dtype=np.uint8).reshape(-1, 6)
    for check in CHECKSUMS.values():
        assert check.of_each(rows).tolist() == [check.of(row.tobytes()) for row in rows]
    assert CHECKSUMS["crc32"].of(data) == zlib.crc32(data)
    assert CHECKSUMS["crc16-xmodem"].of(data) == crc_hqx(data, 0)
