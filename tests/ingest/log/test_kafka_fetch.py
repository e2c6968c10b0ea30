"""Record batches to columns, without a broker: corrupt ones, holes, and the middle of a batch."""

from __future__ import annotations

import struct

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from ingest.log.kafka.fetch import read_columns


def record_batch(base_offset: int, values: list[bytes], *, codec: int = 4) -> bytes:
    """A batch as a broker stores it; codec 4 is zstd."""
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 20)
    for delta, value in enumerate(values):
        assert builder.append(delta, 1_700_000_000_000 + delta, b"key", value, [])
    # The base offset is the broker's to fill in, and outside the checksum.
    return struct.pack(">q", base_offset) + bytes(builder.build())[8:]


def rotten(batch: bytes) -> bytes:
    return batch[:-1] + bytes([batch[-1] ^ 1])


@pytest.mark.parametrize("codec", [0, 1, 3, 4], ids=["plain", "gzip", "lz4", "zstd"])
def test_batches_become_columns(codec: int) -> None:
    data = record_batch(10, [b"a", b"b"], codec=codec) + record_batch(12, [b"c"], codec=codec)
    batch, error = read_columns("readings", 3, 10, data)
    assert error is None
    assert batch is not None
    assert (batch.topic, batch.partition, batch.next_offset) == ("readings", 3, 13)
    assert (batch.offsets, batch.keys, batch.values) == ([10, 11, 12], [b"key"] * 3, [b"a", b"b", b"c"])
    assert batch.append_ns == [1_700_000_000_000_000_000, 1_700_000_000_001_000_000, 1_700_000_000_000_000_000]


def test_a_batch_may_be_entered_in_its_middle() -> None:
    batch, _ = read_columns("readings", 0, 12, record_batch(10, [b"a", b"b", b"c", b"d"]))
    assert batch is not None
    assert (batch.offsets, batch.values, batch.next_offset) == ([12, 13], [b"c", b"d"], 14)


def test_a_batch_cut_short_by_the_size_limit_is_left_for_the_next_fetch() -> None:
    whole, cut = record_batch(0, [b"a"]), record_batch(1, [b"b"])[:-3]
    batch, error = read_columns("readings", 0, 0, whole + cut)
    assert batch is not None
    assert (batch.values, batch.next_offset, error) == ([b"a"], 1, None)
    assert read_columns("readings", 0, 1, cut) == (None, None)


def test_nothing_is_nothing() -> None:
    assert read_columns("readings", 0, 5, b"") == (None, None)


def test_records_before_a_corrupt_batch_are_read_and_the_corrupt_one_is_named() -> None:
    bad = rotten(record_batch(2, [b"c", b"d", b"e"]))
    batch, error = read_columns("readings", 7, 0, record_batch(0, [b"a", b"b"]) + bad + record_batch(5, [b"f"]))
    assert batch is not None
    assert error is not None
    assert (batch.values, batch.next_offset) == ([b"a", b"b"], 2)
    assert (error.partition, error.offset, error.next_offset) == (7, 2, 5)

    batch, error = read_columns("readings", 7, 2, bad)
    assert batch is None
    assert error is not None
    assert (error.offset, error.next_offset) == (2, 5)
    assert "readings-7" in str(error)
