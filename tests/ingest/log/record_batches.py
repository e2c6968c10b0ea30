"""Record batches as a broker stores them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from aiokafka.record.default_records import DefaultRecordBatchBuilder

T0_MS = 1_700_000_000_000


def record_batch(base_offset: int, values: Sequence[bytes], *, codec: int = 4, producer: int | None = None) -> bytes:
    """A batch; codec 4 is zstd. With a `producer` it belongs to a transaction of that producer id."""
    identity = (0, -1, -1, -1) if producer is None else (1, producer, 0, 0)
    builder = DefaultRecordBatchBuilder(2, codec, *identity, 1 << 20)
    for delta, value in enumerate(values):
        assert builder.append(delta, T0_MS + delta, b"key", value, [])
    return at(base_offset, bytes(builder.build()))


def marker(base_offset: int, producer: int, *, commit: bool) -> bytes:
    """The control batch that ends a transaction."""
    builder = DefaultRecordBatchBuilder(2, 0, 1, producer, 0, -1, 1 << 20)
    assert builder.append(0, T0_MS, struct.pack(">hh", 0, int(commit)), struct.pack(">hi", 0, 0), [])
    batch = bytearray(builder.build())
    batch[22] |= 0x20  # the attribute of a control batch, which the builder does not know
    return at(base_offset, checked(bytes(batch)))


def at(base_offset: int, batch: bytes) -> bytes:
    """The base offset is the broker's to fill in, and outside the checksum."""
    return struct.pack(">q", base_offset) + batch[8:]


def checked(batch: bytes) -> bytes:
    """With the checksum that fits."""
    return batch[:17] + struct.pack(">I", crc32c(batch[21:])) + batch[21:]


def crc32c(data: bytes) -> int:
    """CRC-32C (RFC 3720, appendix B.4), slow and plain."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def flipped(data: bytes, bit: int) -> bytes:
    """With one bit turned over."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def rotten(batch: bytes) -> bytes:
    """With one bit of its last byte turned over."""
    return flipped(batch, 8 * len(batch) - 8)
