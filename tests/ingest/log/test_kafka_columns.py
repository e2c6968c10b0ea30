"""Record batches to columns, without a broker: aborted transactions, and every bit of a header turned over."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder

from ingest.errors import CorruptLogError
from ingest.log.kafka.columns import read_columns
from ingest.log.protocol import LogBatch
from tests.ingest.log.record_batches import at, checked, flipped, marker, record_batch, rotten

END = 1000


def read(
    position: int, data: bytes, *, end: int = END, begins: bool = False, aborted: Sequence[tuple[int, int]] = ()
) -> tuple[LogBatch | None, CorruptLogError | None]:
    return read_columns("readings", 7, position, data, end=end, begins=begins, aborted=aborted)


def found(position: int, data: bytes, *, end: int = END, aborted: Sequence[tuple[int, int]] = ()) -> LogBatch:
    batch, damage = read(position, data, end=end, aborted=aborted)
    assert damage is None
    assert batch is not None
    return batch


def lost(position: int, data: bytes, *, end: int = END) -> tuple[int, int]:
    """What is told of damage right at `position`."""
    batch, damage = read(position, data, end=end)
    assert batch is None
    assert damage is not None
    assert "readings-7" in str(damage)
    assert damage.partition == 7
    return damage.offset, damage.next_offset


def ten(base_offset: int) -> bytes:
    return record_batch(base_offset, [b"%d" % (base_offset + n) for n in range(10)])


@pytest.mark.parametrize("codec", [0, 1, 3, 4], ids=["plain", "gzip", "lz4", "zstd"])
def test_batches_become_columns(codec: int) -> None:
    batch = found(10, record_batch(10, [b"a", b"b"], codec=codec) + record_batch(12, [b"c"], codec=codec))
    assert (batch.topic, batch.partition, batch.next_offset) == ("readings", 7, 13)
    assert (batch.offsets, batch.keys, batch.values) == ([10, 11, 12], [b"key"] * 3, [b"a", b"b", b"c"])
    assert batch.append_ns == [1_700_000_000_000_000_000, 1_700_000_000_001_000_000, 1_700_000_000_000_000_000]


def test_messages_of_the_format_before_kafka_0_11_are_read() -> None:
    builder = LegacyRecordBatchBuilder(1, 0, 1 << 20)
    for n in range(2):
        builder.append(n, 1_700_000_000_000, b"key", b"%d" % n)
    batch = found(0, bytes(builder.build()))
    assert (batch.offsets, batch.values, batch.next_offset) == ([0, 1], [b"0", b"1"], 2)


def test_a_batch_may_be_entered_in_its_middle() -> None:
    batch = found(12, record_batch(10, [b"a", b"b", b"c", b"d"]))
    assert (batch.offsets, batch.values, batch.next_offset) == ([12, 13], [b"c", b"d"], 14)


def test_holes_that_compaction_left_are_passed() -> None:
    batch = found(3, record_batch(10, [b"a"]) + record_batch(40, [b"b"]))
    assert (batch.offsets, batch.next_offset) == ([10, 40], 41)


def test_a_batch_cut_short_by_the_size_limit_is_left_for_the_next_fetch() -> None:
    batch = found(0, record_batch(0, [b"a"]) + record_batch(1, [b"b"])[:-3])
    assert (batch.values, batch.next_offset) == ([b"a"], 1)
    batch = found(0, record_batch(0, [b"a"]) + record_batch(1, [b"b"])[:7])
    assert batch.next_offset == 1


def test_nothing_is_nothing() -> None:
    assert read(5, b"") == (None, None)


# --- transactions


def test_a_control_batch_moves_the_position_and_holds_no_data() -> None:
    batch = found(5, marker(5, 1, commit=True))
    assert (len(batch), batch.next_offset) == (0, 6)


def test_what_was_aborted_is_no_data_and_what_was_committed_is() -> None:
    """Two producers by turns: 1 aborts, then commits; 2 commits, then aborts; one without a transaction beside them."""
    batches = [
        record_batch(0, [b"1 aborted"], producer=1),
        record_batch(1, [b"2 committed"], producer=2),
        record_batch(2, [b"1 aborted too"], producer=1),
        record_batch(3, [b"plain"]),
        marker(4, 1, commit=False),
        marker(5, 2, commit=True),
        record_batch(6, [b"2 aborted"], producer=2),
        record_batch(7, [b"1 committed"], producer=1),
        marker(8, 1, commit=True),
        marker(9, 2, commit=False),
        record_batch(10, [b"2 committed too"], producer=2),
    ]
    wanted = {1: b"2 committed", 3: b"plain", 7: b"1 committed", 10: b"2 committed too"}
    for position in range(11):
        still = [(2, 6)] * (position <= 9) + [(1, 0)] * (position <= 4)  # those that end at or behind it
        batch = found(position, b"".join(batches[position:]), aborted=still)
        assert batch.next_offset == 11
        assert dict(zip(batch.offsets, batch.values, strict=True)) == {o: v for o, v in wanted.items() if o >= position}


# --- damage


def test_records_before_a_corrupt_batch_are_read_and_the_corrupt_one_is_named() -> None:
    bad = rotten(record_batch(2, [b"c", b"d", b"e"]))
    batch, damage = read(0, record_batch(0, [b"a", b"b"]) + bad + record_batch(5, [b"f"]))
    assert batch is not None
    assert damage is not None
    assert (batch.values, batch.next_offset) == ([b"a", b"b"], 2)
    assert (damage.partition, damage.offset, damage.next_offset) == (7, 2, 5)
    assert lost(2, bad) == (2, 5)


def follow(data: dict[int, bytes], position: int, end: int) -> tuple[list[bytes], list[tuple[int, int]]]:
    """What a reader gets and is told that it has lost, from a broker that finds its batches by their right offsets."""
    values: list[bytes] = []
    holes: list[tuple[int, int]] = []
    for _ in range(100):
        if position >= end:
            assert position == end
            return values, holes
        first = max(base for base in data if base <= position)
        answer = b"".join(batch for base, batch in data.items() if base >= first)
        batch, damage = read(position, answer, end=end, begins=True)
        if batch is not None:
            values += batch.values
            position = batch.next_offset
        else:
            assert damage is not None, "it asks for the same for ever"
            holes.append((damage.offset, damage.next_offset))
            position = damage.next_offset
    raise AssertionError("it never comes to the end")


def test_a_batch_with_any_bit_of_its_header_turned_over_costs_its_own_records_at_most() -> None:
    before, batch, behind = ten(90), ten(100), ten(110)
    outside = [b"%d" % n for n in [*range(90, 100), *range(110, 120)]]
    whole = sorted([*outside, *(b"%d" % n for n in range(100, 110))])
    untold = 0
    for bit in range(61 * 8):
        values, holes = follow({90: before, 100: flipped(batch, bit), 110: behind}, 90, 120)
        if holes:
            assert (values, holes) == (outside, [(100, 110)]), f"bit {bit}"
        else:
            assert sorted(values) == whole, f"bit {bit}"
            untold += 1
    assert untold == 5 * 8, "the leader's epoch and the format's number say nothing of the records"


def test_a_last_batch_with_any_bit_of_its_header_turned_over_costs_no_more_than_there_is() -> None:
    for bit in range(61 * 8):
        values, holes = follow({90: ten(90), 100: flipped(ten(100), bit)}, 90, 110)
        assert values[:10] == [b"%d" % n for n in range(90, 100)]
        assert len(values) == 20 or holes[-1][1] == 110, f"bit {bit}"
        assert all(100 <= offset < next_offset <= 110 for offset, next_offset in holes)


def test_a_sector_of_zeros_over_a_header_costs_what_lies_in_it() -> None:
    zeros = bytes(61) + ten(100)[61:]
    assert follow({90: ten(90), 100: zeros, 110: ten(110)}, 90, 120)[1] == [(100, 110)]
    assert follow({90: ten(90), 100: zeros}, 90, 110)[1] == [(100, 110)]


def test_damage_that_lies_before_what_is_wanted_is_passed() -> None:
    """A last offset that is too large makes the broker begin with this batch wherever it is asked behind it."""
    claims_more = at(100, flipped(ten(100), 8 * 23 + 6))
    batch = found(110, claims_more + ten(110))
    assert (batch.offsets[0], batch.next_offset) == (110, 120)


def test_a_batch_within_the_bytes_of_another_is_not_taken_for_what_follows() -> None:
    """Somebody keeps Kafka's own batches as values."""
    outer = rotten(record_batch(0, [ten(50), b"x"], codec=0))
    assert lost(0, outer + record_batch(2, [b"y"])) == (0, 2)


def test_a_right_checksum_over_nonsense_is_damage_too() -> None:
    nonsense = record_batch(0, [b"a"] * 3)
    nonsense = checked(nonsense[:61] + bytes(len(nonsense) - 61))
    assert lost(0, nonsense + record_batch(3, [b"b"])) == (0, 3)


def test_a_length_that_cannot_be_is_damage_and_no_endless_wait() -> None:
    for length in (-1, -(1 << 31), 0, 5, 48, 1 << 30):
        bad = ten(0)[:8] + struct.pack(">i", length) + ten(0)[12:]
        assert lost(0, bad + ten(10)) == (0, 10), length
