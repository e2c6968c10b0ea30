"""A partition on disk: what is durable, retention, compaction, what is asked of the disk, and exact bounds."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.errors import CorruptLogError
from ingest.files import create, make_folder, put, write_all
from ingest.log.protocol import Entry
from ingest.log.segments import partition as partition_module
from ingest.log.segments.compaction import compact
from ingest.log.segments.cursor import Cursor, PastBeginError, Place
from ingest.log.segments.partition import FolderGoneError
from ingest.log.segments.recovery import segment_name
from tests.ingest.log.partitions import Disk, append, entries, read_from, values
from tests.support.syncs import Syncs

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
