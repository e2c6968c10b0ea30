"""A partition on disk: torn tails, damage, power cuts, interrupted rolls, retention, compaction."""

from __future__ import annotations

import errno
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

import pytest

from ingest.errors import CorruptLogError, TruncatedLogError
from ingest.files import create, make_folder, put, write_all
from ingest.log.protocol import Entry
from ingest.log.segments import partition as partition_module
from ingest.log.segments.compaction import compact
from ingest.log.segments.cursor import Cursor, PastBeginError, Place
from ingest.log.segments.head import Home
from ingest.log.segments.partition import FolderGoneError, Partition, create_partition
from ingest.log.segments.recovery import segment_name
from tests.support.syncs import Syncs

Records = list[tuple[int, bytes]]


def entries(start: int, stop: int, size: int = 20) -> list[Entry]:
    return [Entry(b"pump-%d" % (i % 3), (b"%d|" % i).ljust(size, b"x")) for i in range(start, stop)]


class Clock:
    """Append times that a test sets."""

    now_ns = 1_000

    def __call__(self) -> int:
        return self.now_ns


class Disk:
    """Opens the partition of a folder; every one is closed at the test's end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.opened: list[Partition] = []
        create_partition(folder)

    def open(self, segment_bytes: int = 1 << 20) -> Partition:
        found = Partition(self.folder, 0, segment_bytes=segment_bytes, clock_ns=self.clock)
        self.opened.append(found)
        return found

    def close(self) -> None:
        while self.opened:
            self.opened.pop().close()

    def segments(self) -> list[Path]:
        return sorted(self.folder.glob("*.log"))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    found = Disk(tmp_path / "0")
    yield found
    found.close()


@pytest.fixture
def power_cut(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Ends all, and from there on the kernel is another one than wrote the heads."""

    def cut() -> None:
        disk.close()
        monkeypatch.setattr(partition_module, "boot_id", lambda: b"another boot id.")

    return cut


def append(partition: Partition, batch: list[Entry]) -> int:
    """Durably; the first offset."""
    written = partition.append(batch)
    partition.sync(written)
    return written.first


def read_from(partition: Partition, offset: int = 0, *, dense: bool = True, durable: bool = True) -> Records:
    cursor = Cursor("readings", partition, dense=dense, durable=durable)
    place = Place(offset)
    found: Records = []
    try:
        while True:
            batch, place = cursor.read(place)
            if batch is None:
                return found
            found += zip(batch.offsets, batch.values, strict=True)
    finally:
        cursor.close()


def read_around_damage(partition: Partition) -> tuple[Records, list[tuple[int, int]]]:
    """What can be read, and the ranges that cannot."""
    found: Records = []
    lost = []
    offset = 0
    cursor = Cursor("readings", partition, dense=True, durable=True)
    place = Place(offset)
    while True:
        try:
            batch, place = cursor.read(place)
        except CorruptLogError as error:
            assert error.offset < error.next_offset
            lost.append((error.offset, error.next_offset))
            place = Place(error.next_offset)
            continue
        if batch is None:
            cursor.close()
            return found, lost
        found += zip(batch.offsets, batch.values, strict=True)


def values(start: int, stop: int, size: int = 20) -> Records:
    return [(i, entry.value) for i, entry in zip(range(start, stop), entries(start, stop, size), strict=True)]


# --- durability


def test_only_what_is_synced_is_durable(disk: Disk) -> None:
    partition = disk.open()
    append(partition, entries(0, 3))
    written = partition.append(entries(3, 5))
    assert read_from(partition) == values(0, 3)
    assert read_from(partition, durable=False) == values(0, 5)
    assert (partition.stats().durable_end, partition.stats().end) == (3, 5)
    partition.sync(written)
    assert read_from(disk.open()) == values(0, 5)


def test_append_times_never_run_backwards(disk: Disk) -> None:
    partition = disk.open()
    for now_ns in (5_000, 4_000, 6_000):
        disk.clock.now_ns = now_ns
        append(partition, entries(0, 1))
    batch, _ = Cursor("readings", partition, dense=True, durable=True).read(Place(0))
    assert batch is not None
    assert batch.append_ns == [5_000, 5_000, 6_000]


def test_a_roll_makes_durable_what_was_before_it(disk: Disk) -> None:
    partition = disk.open(segment_bytes=300)
    written = partition.append(entries(0, 12))
    bases = partition.bases(partition.head())
    assert bases == [0, 5, 10]
    assert partition.head().durable == 10
    assert all(path.stat().st_size <= 300 for path in disk.segments())
    partition.sync(written)
    assert read_from(partition) == values(0, 12)
    assert [read_from(partition, at) for at in (4, 5, 9, 11)] == [values(at, 12) for at in (4, 5, 9, 11)]


def test_a_segment_is_fsynced_before_the_next_one_is_begun(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    partition = disk.open(segment_bytes=300)
    real, synced = os.fdatasync, list[tuple[int, int]]()

    def noted(fd: int) -> None:
        real(fd)
        synced.append((os.fstat(fd).st_ino, len(disk.segments())))

    monkeypatch.setattr(os, "fdatasync", noted)
    partition.append(entries(0, 12))
    assert synced == [(path.stat().st_ino, number + 1) for number, path in enumerate(disk.segments()[:2])]


def test_a_record_greater_than_a_segment_has_one_of_its_own(disk: Disk) -> None:
    partition = disk.open(segment_bytes=300)
    for i in range(3):
        append(partition, entries(i, i + 1, size=2_000_000 if i == 1 else 20))
    assert partition.bases(partition.head()) == [0, 1, 2]
    assert [len(value) for _, value in read_from(partition)] == [20, 2_000_000, 20]


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


# --- retention


def test_retention_by_size_deletes_the_oldest_whole_segments(disk: Disk) -> None:
    partition = disk.open(segment_bytes=300)
    append(partition, entries(0, 22))
    assert partition.forget(None, 600) == 2
    assert partition.bases(partition.head()) == [10, 15, 20]
    assert partition.forget(None, 600) == 0
    assert partition.stats().begin == 10
    assert read_from(partition, 10) == values(10, 22)
    with pytest.raises(PastBeginError) as caught:
        read_from(partition, 9)
    assert (caught.value.wanted, caught.value.begin) == (9, 10)


def test_retention_by_age_keeps_a_segment_while_one_record_is_young(disk: Disk) -> None:
    partition = disk.open(segment_bytes=300)
    for i in range(12):
        disk.clock.now_ns = 1_000 + i
        append(partition, entries(i, i + 1))
    assert partition.forget(1_005, None) == 0
    assert partition.forget(1_006, None) == 1
    assert read_from(partition, 5) == values(5, 12)
    assert partition.forget(2_000, None) == 2
    assert partition.stats().begin == partition.stats().end == 12
    append(partition, entries(12, 13))
    assert read_from(disk.open(), 12) == values(12, 13)


def test_a_reader_goes_on_in_a_segment_that_retention_took_from_under_it(disk: Disk) -> None:
    partition = disk.open(segment_bytes=300)
    append(partition, entries(0, 12))
    cursor = Cursor("readings", partition, dense=True, durable=True)
    batch, place = cursor.read(Place(0))
    assert batch is not None
    assert batch.next_offset == 5
    partition.trim(10)
    with pytest.raises(PastBeginError):
        cursor.read(place)
    batch, place = cursor.read(Place(10))
    assert batch is not None
    assert batch.offsets == [10, 11]
    cursor.close()


def test_a_file_where_the_log_was_is_a_folder_that_is_gone(disk: Disk) -> None:
    """As where a mount went away and something wrote there: whoever reads or writes on is told, and does not end."""
    partition = disk.open()
    append(partition, entries(0, 3))
    disk.folder.rename(disk.folder.with_name("elsewhere"))
    disk.folder.touch()
    with pytest.raises(FolderGoneError, match="was deleted or replaced"):
        partition.check_there()
    with pytest.raises(FolderGoneError):
        partition.append(entries(3, 4))


# --- compaction


def keyed(start: int, stop: int) -> list[Entry]:
    return [Entry(b"schema-%d" % (i % 4), b"version %2d" % i) for i in range(start, stop)]


def test_compaction_keeps_the_newest_of_each_key_and_every_offset(disk: Disk) -> None:
    partition = disk.open(segment_bytes=300)
    append(partition, [Entry(b"rare", b"version 00"), *keyed(1, 30)])
    before = dict(read_from(partition))
    bases = partition.bases(partition.head())
    assert compact(partition)
    after = read_from(partition, dense=False)
    closed_end = bases[-1]
    assert [o for o, _ in after if o < closed_end] == [0, *(o for o in range(1, closed_end) if o + 4 > 29)]
    assert [o for o, _ in after if o >= closed_end] == list(range(closed_end, 30))
    assert all(before[o] == value for o, value in after)
    assert partition.bases(partition.head()) == [0, closed_end]
    assert read_from(partition, 7, dense=False) == [(o, v) for o, v in after if o >= 7]
    assert not compact(partition)
    append(partition, keyed(30, 60))
    assert compact(partition)
    latest = {o % 4: o for o in range(1, 60)}
    found = dict(read_from(partition, dense=False))
    assert {0, *latest.values()} <= found.keys()
    assert len(found) < 20


def test_a_reader_in_the_middle_of_what_is_compacted_misses_nothing_that_is_kept(disk: Disk) -> None:
    partition = disk.open(segment_bytes=300)
    append(partition, [*keyed(0, 7), Entry(b"rare", b"version 07"), *keyed(8, 40)])
    cursor = Cursor("streams", partition, dense=False, durable=True)
    batch, place = cursor.read(Place(0))
    assert batch is not None
    seen = list(batch.offsets)
    assert compact(partition)
    kept = [o for o, _ in read_from(partition, dense=False)]
    assert 7 in kept
    while batch is not None:
        batch, place = cursor.read(place)
        seen += batch.offsets if batch is not None else []
    assert sorted(set(seen)) == seen
    assert set(kept) <= set(seen)
    cursor.close()


def test_a_compaction_that_was_interrupted_before_its_deletions_changes_nothing(disk: Disk) -> None:
    partition = disk.open(segment_bytes=300)
    append(partition, keyed(0, 30))
    kept = {path: path.read_bytes() for path in disk.segments()[1:-1]}
    assert compact(partition)
    alone = read_from(partition, dense=False)
    for path, data in kept.items():
        path.write_bytes(data)
    assert [o for o, _ in alone] == sorted({o for o, _ in read_from(partition, dense=False)} & {o for o, _ in alone})
    offsets = [o for o, _ in read_from(partition, dense=False)]
    assert offsets == sorted(set(offsets))
    append(partition, keyed(30, 60))
    assert compact(partition)


def test_a_damaged_segment_is_not_compacted(disk: Disk) -> None:
    partition = disk.open(segment_bytes=300)
    append(partition, keyed(0, 30))
    path = disk.segments()[1]
    data = bytearray(path.read_bytes())
    data[50] ^= 1
    path.write_bytes(data)
    assert not compact(partition)
    with pytest.raises(CorruptLogError):
        read_from(partition, dense=False)


# --- what is asked of the disk, and in which order


def test_a_roll_makes_the_new_segments_name_durable_before_anything_is_in_it(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition = disk.open(segment_bytes=300)
    append(partition, entries(0, 3))
    syncs = Syncs(monkeypatch)
    partition.append(entries(3, 8))
    assert syncs.take() == [("fsync", segment_name(0)), ("fsync", "0")]


def test_recovery_makes_durable_what_it_found_and_its_name(
    disk: Disk, power_cut: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    append(disk.open(), entries(0, 3))
    power_cut()
    partition, syncs = disk.open(), Syncs(monkeypatch)
    with partition.locked():
        pass
    assert syncs.take() == [("fsync", segment_name(0)), ("fsync", "0")]


def test_compaction_makes_the_merged_segment_durable_before_it_deletes_the_others(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition = disk.open(segment_bytes=300)
    append(partition, entries(0, 12))
    syncs = Syncs(monkeypatch)
    assert compact(partition)
    merged, name = "compacted.tmp", segment_name(0)
    assert syncs.take() == [
        ("fsync", merged),
        ("replace", merged, name),
        ("fsync", "0"),
        ("unlink", segment_name(5)),
    ]


def test_a_file_that_is_put_or_created_is_durable_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs = Syncs(monkeypatch)
    put(tmp_path / "it", b"1")
    (_, temporary), replaced, named = syncs.take()
    assert temporary.startswith(".it.")
    assert (replaced, named) == (("replace", temporary, "it"), ("fsync", tmp_path.name))
    assert create(tmp_path / "other", b"1")
    (_, temporary), linked, unlinked, named = syncs.take()
    assert (linked, unlinked) == (("link", "other", temporary), ("unlink", temporary))
    assert named == ("fsync", tmp_path.name)


def test_the_name_of_a_folder_is_durable_also_where_another_process_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()  # by who died before it made the name durable
    syncs = Syncs(monkeypatch)
    make_folder(tmp_path / "a")
    assert syncs.take() == [("fsync", tmp_path.name)]
    make_folder(tmp_path / "a" / "b" / "c")
    assert syncs.take() == [("fsync", tmp_path.name), ("fsync", "a"), ("fsync", "b")]


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


# --- exact bounds


def test_a_record_that_is_just_young_enough_keeps_its_segment(disk: Disk) -> None:
    partition = disk.open(segment_bytes=300)  # five records a segment
    for i in range(12):
        disk.clock.now_ns = 1_000 + i
        append(partition, entries(i, i + 1))
    assert partition.forget(1_011, None) == 2  # the newest record is of just that time: its segment stays open
    assert partition.bases(partition.head()) == [10]
    assert partition.forget(1_011, None) == 0
    assert partition.forget(1_012, None) == 1
    assert partition.bases(partition.head()) == [12]


def test_a_partition_keeps_just_as_much_as_is_asked_for(disk: Disk) -> None:
    partition = disk.open(segment_bytes=300)
    append(partition, entries(0, 22))
    sizes = [path.stat().st_size for path in disk.segments()]
    assert len(sizes) == 5
    assert partition.forget(None, sum(sizes[1:]) + 1) == 0  # without the oldest there would be one byte too few
    assert partition.forget(None, sum(sizes[1:])) == 1


def test_trimming_takes_what_ends_at_the_offset(disk: Disk) -> None:
    partition = disk.open(segment_bytes=300)
    append(partition, entries(0, 12))
    assert partition.trim(4) == 0
    assert partition.trim(5) == 1
    assert partition.trim(9) == 0
    assert partition.trim(12) == 1
    assert read_from(partition, 10) == values(10, 12)


def test_what_another_process_took_for_durable_after_a_failed_fsync_is_written_again(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel tells a failed write-back once: a file that is opened afterwards knows nothing of it."""
    partition, other = disk.open(), disk.open()
    append(partition, entries(0, 2))
    written = partition.append(entries(2, 4))
    real, done = os.fdatasync, []

    def failing(fd: int) -> None:
        monkeypatch.setattr(os, "fdatasync", real)
        append(other, entries(4, 6))  # after the failure, before it is dealt with
        monkeypatch.setattr(os, "fdatasync", lambda fd: done.append("fdatasync") or real(fd))  # type: ignore[func-returns-value]
        monkeypatch.setattr(partition_module, "write_all", writing)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def writing(fd: int, data: bytes, position: int) -> None:
        done.append(f"{position}+{len(data)}")
        write_all(fd, data, position)

    monkeypatch.setattr(os, "fdatasync", failing)
    with pytest.raises(OSError, match="Input/output error"):
        partition.sync(written)
    assert done[:2] == [f"0+{written.head.position}", "fdatasync"]
    assert read_from(disk.open()) == values(0, 6)
