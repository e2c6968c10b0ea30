"""A partition on disk that is not as it was left: torn tails, power cuts, interrupted rolls, damage, copies."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import pytest

from ingest.errors import CorruptLogError, TruncatedLogError
from ingest.log.segments.head import Home
from ingest.log.segments.partition import Partition
from ingest.log.segments.recovery import segment_name
from tests.ingest.log.partitions import Disk, append, entries, read_around_damage, read_from, values

# --- torn tails


def test_a_tail_torn_at_any_byte_by_a_power_cut_is_cut_off(
    disk: Disk, tmp_path: Path, power_cut: Callable[[], None]
) -> None:
    partition = disk.open()
    append(partition, entries(0, 3))
    whole = disk.segments()[0].stat().st_size
    partition.append(entries(3, 5))
    power_cut()
    data = disk.segments()[0].read_bytes()
    middle = (whole + len(data)) // 2
    for cut in range(whole, len(data) + 1):
        torn = shutil.copytree(disk.folder, tmp_path / f"cut-{cut}")
        (torn / disk.segments()[0].name).write_bytes(data[:cut])
        partition = Partition(torn, 0, segment_bytes=1 << 20)
        kept = 3 + (cut >= middle) + (cut == len(data))
        assert read_from(partition) == values(0, kept), f"cut at byte {cut}"
        lost = len(data) - (whole, middle, len(data))[kept - 3]
        assert (partition.stats().torn_tails, partition.stats().torn_bytes) == (int(lost > 0), lost)
        assert append(partition, entries(kept, 6)) == kept
        assert read_from(partition) == values(0, 6)
        partition.close()


def test_what_a_killed_writer_left_half_written_is_cut_off(disk: Disk) -> None:
    partition, other = disk.open(), disk.open()
    append(partition, entries(0, 3))
    with disk.segments()[0].open("ab") as file:
        file.write(b"\x50\x00\x00\x00half a frame")
    assert read_from(other) == values(0, 3)
    assert append(other, entries(3, 4)) == 3
    assert read_from(partition) == values(0, 4)
    assert (other.stats().torn_tails, other.stats().torn_bytes) == (1, 16)


def test_zeros_behind_the_end_after_a_power_cut_are_cut_off(disk: Disk, power_cut: Callable[[], None]) -> None:
    append(disk.open(), entries(0, 3))
    power_cut()
    with disk.segments()[0].open("ab") as file:
        file.write(bytes(100_000))
    partition = disk.open()
    assert read_from(partition) == values(0, 3)
    assert append(partition, entries(3, 4)) == 3


@pytest.mark.parametrize("damage", ["gone", "empty", "garbage", "flipped"])
def test_without_a_head_the_segments_alone_say_where_it_stands(disk: Disk, damage: str) -> None:
    partition = disk.open(segment_bytes=300)
    append(partition, entries(0, 8))
    disk.close()
    head = disk.folder / "head"
    data = bytearray(head.read_bytes())
    data[30] ^= 1
    head.unlink()
    if damage != "gone":
        head.write_bytes({"empty": b"", "garbage": b"x" * 500, "flipped": bytes(data)}[damage])
    partition = disk.open()
    assert read_from(partition) == values(0, 8)
    assert append(partition, entries(8, 9)) == 8
    assert read_from(disk.open()) == values(0, 9)


def test_the_heads_last_version_may_be_older_than_the_file(disk: Disk, power_cut: Callable[[], None]) -> None:
    """The head is never fsynced: a power cut may bring back one from before the last roll."""
    partition = disk.open(segment_bytes=300)
    append(partition, entries(0, 3))
    old = (disk.folder / "head").read_bytes()
    append(partition, entries(3, 12))
    power_cut()
    (disk.folder / "head").write_bytes(old)
    partition = disk.open(segment_bytes=300)
    assert read_from(partition) == values(0, 12)
    assert append(partition, entries(12, 13)) == 12


@pytest.mark.parametrize("after", ["kill", "power cut"])
def test_an_interrupted_roll_leaves_nothing_behind(disk: Disk, after: str, power_cut: Callable[[], None]) -> None:
    partition = disk.open()
    append(partition, entries(0, 3))
    partition.path(3).touch()  # a roll made the file, and was killed before it told the head
    append(partition, entries(3, 5))
    if after == "power cut":
        power_cut()
    partition = disk.open(segment_bytes=260)
    assert read_from(partition) == values(0, 5)
    assert [read_from(partition, at) for at in (2, 3, 4)] == [values(at, 5) for at in (2, 3, 4)]
    append(partition, entries(5, 9))
    assert read_from(partition) == values(0, 9)


def test_the_append_time_survives_an_empty_active_segment(disk: Disk, power_cut: Callable[[], None]) -> None:
    partition = disk.open()
    disk.clock.now_ns = 9_000
    append(partition, entries(0, 3))
    with partition.locked() as head:
        partition.roll(head)
    power_cut()
    (disk.folder / "head").unlink()
    disk.clock.now_ns = 10
    partition = disk.open()
    append(partition, entries(3, 4))
    assert partition.head().append_ns == 9_000
    assert read_from(partition) == values(0, 4)


# --- damage


def test_a_flip_of_any_byte_is_found_and_costs_one_record(disk: Disk) -> None:
    partition = disk.open(segment_bytes=300)
    append(partition, entries(0, 12))
    for number, path in enumerate(disk.segments()):
        data = path.read_bytes()
        first = number * 5
        for at in range(len(data)):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
            hit = first + at // (len(data) // min(5, 12 - first))
            found, lost = read_around_damage(partition)
            assert lost == [(hit, hit + 1)], f"{path.name} byte {at}"
            assert found == values(0, hit) + values(hit + 1, 12)
        path.write_bytes(data)
    assert read_around_damage(partition) == (values(0, 12), [])


def test_damage_says_where_and_what_to_do(disk: Disk) -> None:
    partition = disk.open()
    append(partition, entries(0, 5))
    path = disk.segments()[0]
    data = path.read_bytes()
    size = len(data) // 5
    path.write_bytes(data[: size * 2 + 40] + b"??" + data[size * 2 + 42 :])
    assert read_from(partition, 3) == values(3, 5)
    with pytest.raises(CorruptLogError) as caught:
        read_from(partition, 2)
    assert (caught.value.partition, caught.value.offset, caught.value.next_offset) == (0, 2, 3)
    for word in (str(path), f"byte {size * 2}", "2 to 2", "backup", "go on from offset 3"):
        assert word in str(caught.value)


def test_damage_does_not_keep_others_from_appending(disk: Disk, power_cut: Callable[[], None]) -> None:
    append(disk.open(), entries(0, 5))
    power_cut()
    path = disk.segments()[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 5 + 45] ^= 4
    path.write_bytes(data)
    partition = disk.open()
    assert append(partition, entries(5, 7)) == 5
    assert read_around_damage(partition) == (values(0, 1) + values(2, 7), [(1, 2)])
    assert partition.stats().torn_tails == 0


@pytest.mark.parametrize("cut", [0, 1, 100, 200])
def test_durable_records_that_are_gone_leave_a_loud_hole_and_their_offsets_are_not_used_again(
    disk: Disk, cut: int
) -> None:
    append(disk.open(), entries(0, 5))
    disk.close()
    path = disk.segments()[0]
    left = cut // (path.stat().st_size // 5)
    path.write_bytes(path.read_bytes()[:cut])
    partition = disk.open()
    assert append(partition, entries(5, 7)) == 5
    assert read_around_damage(partition) == (values(0, left) + values(5, 7), [(left, 5)])
    assert read_around_damage(disk.open()) == (values(0, left) + values(5, 7), [(left, 5)])


def test_a_segment_that_is_gone_from_the_middle_is_a_loud_hole(disk: Disk) -> None:
    partition = disk.open(segment_bytes=300)
    append(partition, entries(0, 12))
    disk.segments()[1].unlink()
    assert read_around_damage(partition) == (values(0, 5) + values(10, 12), [(5, 10)])


def test_an_offset_past_the_end_is_refused(disk: Disk) -> None:
    partition = disk.open()
    append(partition, entries(0, 3))
    assert read_from(partition, 3) == []
    with pytest.raises(TruncatedLogError, match="the log ends at 3"):
        read_from(partition, 4)


# --- copies


def copied(disk: Disk, to: Path, *names: str) -> None:
    """As a backup that reads file by file: these are copied now."""
    to.mkdir(exist_ok=True)
    for name in names:
        shutil.copy2(disk.folder / name, to / name)


def test_a_copy_whose_head_is_newer_than_its_segment_ends_with_the_last_whole_record(
    disk: Disk, tmp_path: Path
) -> None:
    partition = disk.open()
    append(partition, entries(0, 5))
    copied(disk, tmp_path / "copy", segment_name(0))
    append(partition, entries(5, 10))
    copied(disk, tmp_path / "copy", "head", "lock")
    copy = Partition(tmp_path / "copy", 0, segment_bytes=1 << 20)
    assert read_around_damage(copy) == (values(0, 5), [])
    assert copy.stats().torn_tails == 1
    assert append(copy, entries(5, 7)) == 5
    assert read_around_damage(copy) == (values(0, 7), [])
    copy.close()


def test_a_copy_that_lacks_the_newest_segment_of_its_head_ends_with_the_one_before(disk: Disk, tmp_path: Path) -> None:
    partition = disk.open(segment_bytes=300)
    append(partition, entries(0, 5))
    there = [path.name for path in disk.segments()]
    append(partition, entries(5, 40))
    copied(disk, tmp_path / "copy", *there, "head")
    copy = Partition(tmp_path / "copy", 0, segment_bytes=300)
    found, lost = read_around_damage(copy)
    assert (found, lost) == (values(0, len(found)), [])
    assert append(copy, entries(len(found), 40)) == len(found) >= 5
    assert read_around_damage(copy) == (values(0, 40), [])
    copy.close()


def test_damage_before_the_end_of_a_copy_is_damage(disk: Disk, tmp_path: Path) -> None:
    partition = disk.open()
    for number in range(6):
        append(partition, entries(number, number + 1))
    copied(disk, tmp_path / "copy", segment_name(0), "head")
    data = bytearray((tmp_path / "copy" / segment_name(0)).read_bytes())
    data[len(data) // 3] ^= 1
    (tmp_path / "copy" / segment_name(0)).write_bytes(data)
    copy = Partition(tmp_path / "copy", 0, segment_bytes=1 << 20)
    _, [(lost, after)] = read_around_damage(copy)
    assert after == lost + 1
    copy.close()


@pytest.mark.parametrize("at", [-1, -30, -50])
def test_a_damaged_last_record_of_a_copy_is_damage(disk: Disk, tmp_path: Path, at: int) -> None:
    """A file that was read while it grew ends early; it never ends in other bytes."""
    append(disk.open(), entries(0, 5))
    copied(disk, tmp_path / "copy", segment_name(0), "head")
    data = bytearray((tmp_path / "copy" / segment_name(0)).read_bytes())
    data[at] ^= 1
    (tmp_path / "copy" / segment_name(0)).write_bytes(data)
    copy = Partition(tmp_path / "copy", 0, segment_bytes=1 << 20)
    assert read_around_damage(copy) == (values(0, 4), [(4, 5)])
    copy.close()


def test_a_copy_cut_at_any_byte_ends_with_its_last_whole_record(disk: Disk, tmp_path: Path) -> None:
    append(disk.open(), entries(0, 3))
    data = disk.segments()[0].read_bytes()
    for size in range(len(data) // 3, len(data) + 1):
        copied(disk, tmp_path / str(size), "head")
        (tmp_path / str(size) / segment_name(0)).write_bytes(data[:size])
        copy = Partition(tmp_path / str(size), 0, segment_bytes=1 << 20)
        assert read_around_damage(copy) == (values(0, 3 * size // len(data)), [])
        copy.close()


def test_a_segment_that_is_cut_short_in_its_place_is_damage(disk: Disk) -> None:
    """Here the head is no copy: what it promises was there."""
    append(disk.open(), entries(0, 5))
    disk.close()
    os.truncate(disk.folder / segment_name(0), 100)
    found, lost = read_around_damage(disk.open())
    assert (found, lost) == (values(0, 1), [(1, 5)])


def test_a_head_of_the_first_format_is_read(disk: Disk) -> None:
    append(disk.open(), entries(0, 5))
    head = disk.opened[0].head()
    disk.close()
    fields = struct.pack("<8s16s9q", b"WMHEAD1\0", *head[:10])
    (disk.folder / "head").write_bytes(fields + struct.pack("<I", crc32(fields)))
    partition = disk.open()
    assert partition.head() == head._replace(home=Home(0, 0))
    assert append(partition, entries(5, 6)) == 5
    assert read_from(partition) == values(0, 6)
    assert partition.head().home.inode == (disk.folder / "head").stat().st_ino
