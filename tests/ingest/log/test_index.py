"""A partition's index says what a scan would say, however it was brought up to date, and is no more than a hint."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ingest.log.protocol import Entry
from ingest.log.segments import cursor as cursor_module
from ingest.log.segments import index as index_module
from ingest.log.segments.cursor import Cursor, Place
from ingest.log.segments.index import Index, append_time, bytes_since, current, place_of, read_at, since
from ingest.log.segments.partition import Partition, create_partition

SEGMENT_BYTES = 2_000


@pytest.fixture(params=[1 << 20, 333, 20])
def partition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Partition]:
    """With small segments, a spot every few records, and a clock that tells the number of the write.

    Read in blocks that hold a segment, a few records, less than one.
    """
    monkeypatch.setattr(index_module, "BLOCK_BYTES", request.param)
    monkeypatch.setattr(index_module, "SPOT_BYTES", 300)
    monkeypatch.setattr(index_module, "GROWN_BYTES", 500)
    create_partition(tmp_path / "0")
    writes = iter(range(1, 1_000_000))
    with closing(Partition(tmp_path / "0", 0, segment_bytes=SEGMENT_BYTES, clock_ns=lambda: next(writes))) as found:
        yield found


def write(partition: Partition, *keys: bytes) -> None:
    """A record for each key, each with a write of its own."""
    for key in keys:
        offset = partition.head().next_offset
        partition.sync(partition.append([Entry(key, b"%d" % offset)]))


def last_of(partition: Partition, index: Index) -> dict[bytes, bytes | None]:
    return {key: read_at(partition.folder, spot) for key, spot in index.keys.items()}


def test_each_keys_last_record_is_found_over_segments(partition: Partition) -> None:
    write(partition, b"gone", *[b"k%d" % (n % 3) for n in range(200)])
    assert len(partition.bases(partition.head())) > 3
    index = current(partition)
    assert last_of(partition, index) == {b"gone": b"0", b"k0": b"199", b"k1": b"200", b"k2": b"198"}
    assert index.through.offset == 201


def test_it_grows_as_one_made_at_once(partition: Partition) -> None:
    for n in range(60):
        write(partition, b"k%d" % (n % 4), b"other")
        grown = current(partition)
    (partition.folder / "index").unlink()
    anew = current(partition)
    assert (grown.keys, grown.through) == (anew.keys, anew.through)
    assert grown.spots[0].offset == 0


def test_what_is_not_durable_is_not_in_it(partition: Partition) -> None:
    write(partition, b"a")
    written = partition.append([Entry(b"b", b"1")])
    assert set(current(partition).keys) == {b"a"}
    partition.sync(written)
    assert set(current(partition).keys) == {b"a", b"b"}


def test_append_times_and_growth_are_told_by_its_spots(partition: Partition) -> None:
    write(partition, *[b"k"] * 150)
    index = current(partition)
    assert [append_time(partition, index, offset) for offset in (0, 1, 77, 149)] == [1, 2, 78, 150]
    assert append_time(partition, index, 150) is None
    whole = sum(path.stat().st_size for path in partition.folder.glob("*.log"))
    assert bytes_since(partition, index, 0) == whole
    since = bytes_since(partition, index, 100)
    assert abs(since - whole / 3) < 400  # a spot is off by what lies between two
    assert bytes_since(partition, index, 1_000) == 0


def test_reading_begins_near_a_time_and_never_behind_it(partition: Partition) -> None:
    assert since(partition, 5) == 0
    write(partition, *[b"k"] * 150)
    for append_ns in range(152):  # record n has n + 1
        first = max(0, min(150, append_ns - 1))
        assert first - 10 <= since(partition, append_ns) <= first
    partition.trim(100)
    assert since(partition, 0) == partition.stats().begin > 0
    partition.sync(partition.append([Entry(b"k", b"at once")] * 40))
    assert 140 <= since(partition, 151) <= 150


def test_a_records_byte_is_found_from_near_it(partition: Partition) -> None:
    write(partition, *[b"k%d" % n for n in range(150)])
    places = {spot.offset: spot for spot in current(partition).keys.values()}
    found = [place_of(partition, offset, places[offset].base) for offset in range(150)]
    known = [place for place in found if place is not None]
    assert len(known) > 100
    assert known == [places[offset].position for offset, place in enumerate(found) if place is not None]
    assert place_of(partition, 5, places[149].base) is None, "it is in another segment"


def test_a_reader_begins_at_the_same_record_whatever_the_index_says(partition: Partition) -> None:
    write(partition, *[b"k"] * 150)
    current(partition)
    for name in ("as it is", "foreign", "missing"):
        if name == "foreign":  # of another file, whose records lie elsewhere
            index = current(partition)
            index.spots = [spot._replace(position=spot.position + 7, offset=spot.offset) for spot in index.spots]
            index_module.save(partition, index)
        elif name == "missing":
            (partition.folder / "index").unlink()
        with closing(Cursor("readings", partition, dense=True, durable=True)) as cursor:
            for offset in range(150):
                batch, _ = cursor.read(Place(offset))
                assert batch is not None
                assert batch.offsets[0] == offset, name


def test_who_has_read_all_goes_on_at_the_end_without_a_walk_to_it(
    partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive's reader did so at each start: there is no spot behind the last record."""
    write(partition, *[b"k"] * 105)
    monkeypatch.delattr(cursor_module, "locate")
    with closing(Cursor("readings", partition, dense=True, durable=True)) as cursor:
        batch, place = cursor.read(Place(105))
        assert batch is None
        write(partition, b"k")
        batch, _ = cursor.read(place)
        assert batch is not None
        assert batch.offsets == [105]


def test_what_retention_took_is_remembered_but_not_read(partition: Partition) -> None:
    write(partition, b"gone", *[b"k"] * 150)
    current(partition)
    partition.trim(100)
    index = current(partition)
    assert last_of(partition, index) == {b"gone": None, b"k": b"150"}
    assert index.spots[0].base == partition.bases(partition.head())[0] > 0


def test_the_index_of_another_file_is_not_believed(partition: Partition, tmp_path: Path) -> None:
    """A copy whose index came last: it may know of records that the copy has not."""
    write(partition, *[b"a"] * 20)
    shutil.copytree(partition.folder, tmp_path / "copy")
    write(partition, *[b"b"] * 60)
    current(partition)
    shutil.copy(partition.folder / "index", tmp_path / "copy" / "index")
    with closing(Partition(tmp_path / "copy", 0, segment_bytes=SEGMENT_BYTES)) as copy:
        write(copy, *[b"c"] * 80)
        assert last_of(copy, current(copy)) == {b"a": b"19", b"c": b"99"}


@pytest.mark.parametrize("damage", [b"", b"SLINDEX1", b"x" * 100])
def test_a_damaged_index_is_made_anew(partition: Partition, damage: bytes) -> None:
    write(partition, *[b"a"] * 50)
    current(partition)
    (partition.folder / "index").write_bytes(damage)
    assert last_of(partition, current(partition)) == {b"a": b"49"}


def test_damage_in_a_segment_is_stepped_over(partition: Partition) -> None:
    write(partition, *[b"k%d" % n for n in range(20)])
    path = partition.path(0)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    path.write_bytes(data)
    known = set(current(partition).keys)
    assert 17 <= len(known) < 20
    assert {b"k0", b"k19"} <= known


def test_a_record_that_is_damaged_or_another_is_not_given(partition: Partition) -> None:
    write(partition, b"a", b"b")
    spot = current(partition).keys[b"a"]
    assert read_at(partition.folder, spot) == b"0"
    assert read_at(partition.folder, spot._replace(offset=1)) is None
    assert read_at(partition.folder, spot._replace(position=spot.position + 3)) is None
    assert read_at(partition.folder, spot._replace(position=10_000)) is None
    data = bytearray(partition.path(0).read_bytes())
    data[spot.position + 34] ^= 1
    partition.path(0).write_bytes(data)
    assert read_at(partition.folder, spot) is None


def test_keys_without_number_are_forgotten(partition: Partition, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "KEYS_MAX", 5)
    write(partition, *[b"k%d" % n for n in range(20)])
    assert set(current(partition).keys) == {b"k%d" % n for n in range(15, 20)}
