"""Damaged logs, damaged datasets, full disks, through the command line: what is lost is said, and nothing else is."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest

import sensorloom
from ingest.errors import CorruptError, SensorloomError
from ingest.log.protocol import DEADLETTER, READINGS
from ingest.log.segments.segment import frames
from tests.integration.site import DEVICES, FILES, Site, SmallDisk, flip

CHAIN = "windows/*/manifest/readings-1"


def segments(site: Site, partition: int = 1, topic: str = READINGS) -> list[Path]:
    return sorted((site.log_folder / "topics" / topic / str(partition)).glob("*.log"))


def edges(segment: Path) -> list[int]:
    """Where its records begin."""
    return [frame.position for frame in frames(segment.read_bytes(), int(segment.stem))]


def check_loss(site: Site, whole: Site, records: int, err: str, partition: int = 1) -> None:
    """So many records are counted as lost, their windows are missing, and all others are as in an undisturbed run."""
    chains = {chain["chain"]: chain["lost"] for chain in site.status()["chains"]}
    assert chains.pop(f"readings-{partition}") == records, err
    assert set(chains.values()) == {0}
    assert "cannot be read" in err
    assert f"readings-{partition}: the log no longer has offsets" in err
    kept, undisturbed = site.windows(), whole.windows()
    assert kept.items() <= undisturbed.items()
    assert len(kept) >= len(undisturbed) - 2 * records - 2
    assert site("dataset", "verify", site.out).code == 0


# --- the log ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number",
    [pytest.param(0, id="first"), pytest.param(1, id="middle", marks=pytest.mark.soak), pytest.param(-1, id="tail")],
)
def test_a_flipped_bit_in_a_segment_costs_one_record(whole: Site, tmp_path: Path, number: int) -> None:
    chance = random.Random(number)
    segment = segments(whole)[number]
    size, begins = segment.stat().st_size, edges(segment)
    header = [begins[2] + byte for byte in (0, 5, 9, 33)]  # length, checksum, offset, key length
    for place in [0, *header, chance.randrange(size), size - 1]:
        site = whole.copy(tmp_path / str(place), dataset=False)
        flip(segments(site)[number], place, chance.randrange(8))
        done = site.drain()
        assert done.code == 0, done.err
        check_loss(site, whole, 1, done.err)


@pytest.mark.parametrize("number", [0, 1, -1], ids=["first", "middle", "tail"])
@pytest.mark.parametrize("kept", [0, 3], ids=["nothing", "some"])
@pytest.mark.parametrize("more", [0, 7], ids=["at an edge", "within a record"])
def test_a_cut_segment_costs_what_was_cut_off(whole: Site, fresh: Site, number: int, kept: int, more: int) -> None:
    segment = segments(fresh)[number]
    begins = edges(segment)
    with segment.open("r+b") as file:
        file.truncate(begins[kept] + more)
    done = fresh.drain()
    assert done.code == 0, done.err
    check_loss(fresh, whole, len(begins) - kept, done.err)


@pytest.mark.parametrize("number", [1, -1], ids=["middle", "newest"])
def test_a_missing_segment_costs_its_records(whole: Site, fresh: Site, number: int) -> None:
    lost = len(edges(segments(fresh)[number]))
    segments(fresh)[number].unlink()
    done = fresh.drain()
    assert done.code == 0, done.err
    check_loss(fresh, whole, lost, done.err)


def test_a_partition_without_any_segment_is_no_end(whole: Site, fresh: Site) -> None:
    for segment in segments(fresh):
        segment.unlink()
    assert fresh.drain().code == 0
    kept = fresh.windows()
    assert kept
    assert kept.items() <= whole.windows().items()
    assert fresh(*fresh.import_words(*FILES[0])).code == 0


@pytest.mark.parametrize("place", [0, 30, 99, None], ids=["magic", "position", "checksum", "missing"])
def test_a_damaged_head_costs_nothing(whole: Site, fresh: Site, place: int | None) -> None:
    head = fresh.log_folder / "topics/readings/1/head"
    if place is None:
        head.unlink()
    else:
        flip(head, place)
    assert fresh.drain().err == ""
    assert fresh.digest() == whole.digest()


@pytest.mark.parametrize("topic", ["readings", "marks", "streams"])
@pytest.mark.parametrize("damage", ["flip", "cut", "missing"])
def test_a_damaged_description_of_a_topic_is_named(whole: Site, fresh: Site, topic: str, damage: str) -> None:
    meta = fresh.log_folder / "topics" / topic / "meta.json"
    data = meta.read_bytes()
    meta.unlink() if damage == "missing" else meta.write_bytes(data[:40] if damage == "cut" else b"x" + data[1:])
    for words in (fresh.window_words("--until-idle"), ["log", "topics", "--log", fresh.log]):
        fresh(*words).refused(1, str(meta), "restore it from a backup")
    meta.write_bytes(data)
    assert fresh.drain().code == 0
    assert fresh.digest() == whole.digest()


def test_a_damaged_description_of_a_stream_stops_nobody_who_has_another(whole: Site, fresh: Site) -> None:
    (segment,) = [found for p in (0, 1) for found in segments(fresh, p, "streams") if found.stat().st_size]
    for place in edges(segment)[1:]:
        flip(segment, place + 60)
    assert fresh.drain().err == ""
    assert fresh.digest() == whole.digest()


def test_a_lost_description_of_a_stream_is_waited_for(whole: Site, fresh: Site) -> None:
    (segment,) = [found for p in (0, 1) for found in segments(fresh, p, "streams") if found.stat().st_size]
    for place in edges(segment):
        flip(segment, place + 60)
    service = fresh.start(*fresh.window_words("--until-idle"))
    service.says("not in streams yet, or lost there")
    assert fresh(*fresh.import_words(*FILES[0])).code == 0
    assert service.ends() == 0
    assert fresh.digest() == whole.digest()


def test_damage_is_passed_by_whoever_looks_into_a_log_or_adds_to_it(whole: Site, fresh: Site) -> None:
    flip(segments(fresh)[0], 700)
    for words in (["cat", "readings", "--until-idle"], ["stats", "--device", device_in(fresh, 1)]):
        done = fresh("log", *words, "--log", fresh.log)
        done.refused(1, str(segments(fresh)[0]), "cannot be read")
        assert done.out
    for device, part in FILES:  # again: the recordings have ended, so what was lost comes too late
        assert fresh(*fresh.import_words(device, part)).code == 0
    done = fresh.drain()
    check_loss(fresh, whole, 1, done.err)


def device_in(site: Site, partition: int) -> str:
    return next(str(record["device"]) for record in site.records(READINGS) if record["partition"] == partition)


def test_damage_behind_what_is_sealed_changes_nothing(whole: Site, site: Site) -> None:
    for segment in segments(site):
        flip(segment, 100)
    assert site.drain().err == ""
    assert site.digest() == whole.digest()


# --- the dataset ------------------------------------------------------------------------------------------------------

FILE_KINDS = {
    "configuration": "dataset.toml",
    "genesis of windows": "windows/*/genesis.json",
    "genesis of labels": "labels/genesis.json",
    "first entry": f"{CHAIN}/000000000000.json",
    "middle entry": f"{CHAIN}/000000000001.json",
    "newest entry": f"{CHAIN}/000000000003.json",
    "entry of labels": "labels/manifest/marks-1/000000000000.json",
    "newest state": "windows/*/state/readings-1/000000000003-*.bin",
    "shard": "windows/*/signal/*.npy",
    "index": "windows/*/index/*.parquet",
    "dropped": "windows/*/dropped/*.parquet",
    "marks": "labels/marks/*.parquet",
    "state of labels": "labels/state/marks-1/*.bin",
}
"""Each pattern's first file is damaged."""


def flipped(path: Path) -> None:
    flip(path, path.stat().st_size // 2 + 3, 1)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [flipped, cut, Path.unlink])
@pytest.mark.parametrize("pattern", FILE_KINDS.values(), ids=FILE_KINDS.keys())
def test_a_damaged_dataset_is_never_believed(
    whole: Site, site: Site, pattern: str, damage: Callable[[Path], None]
) -> None:
    """Every command says what is wrong, or gives what an undisturbed one would; put back, all is as before."""
    path = sorted(site.out.glob(pattern))[0]
    data = path.read_bytes()
    damage(path)
    try:
        found = site.windows()
    except SensorloomError as error:
        assert path.name in str(error)
    else:
        assert found.items() <= whole.windows().items()
        assert len(found) == len(whole.windows())
    for words in (("dataset", "digest", site.out), ("dataset", "status", site.out), site.window_words("--until-idle")):
        done = site(*words)
        if done.code:
            done.refused(done.code, path.name)
            assert done.code in (1, 2)
    if path.exists() and path.read_bytes() != data:
        report = site("dataset", "verify", site.out)
        assert report.code == 1
        assert path.name in report.err
    path.write_bytes(data)
    assert site.drain().code == 0
    assert site.digest() == whole.digest()
    assert site("dataset", "verify", site.out).code == 0


@pytest.mark.parametrize("seq", [0, 1, 2])
def test_an_entry_deleted_from_the_middle_of_a_chain_is_a_hole(site: Site, whole: Site, seq: int) -> None:
    (entry,) = site.out.glob(f"{CHAIN}/{seq:012d}.json")
    data = entry.read_bytes()
    entry.unlink()
    with pytest.raises(CorruptError, match=f"{entry.name}: is missing"):
        sensorloom.open(site.out)
    assert not sensorloom.open(site.out, damaged="skip").windows().is_empty()
    for words in ("status", "digest"):
        site("dataset", words, site.out).refused(1, f"{entry}: is missing")
    report = site("dataset", "verify", site.out)
    assert report.code == 1
    assert f"{entry}: is missing from its chain" in report.err
    site.drain().refused(1, f"{entry}: is missing")
    assert not entry.exists()
    entry.write_bytes(data)
    assert site.drain().code == 0
    assert site.digest() == whole.digest()


def test_a_chain_without_its_newest_entry_is_made_again(site: Site, whole: Site) -> None:
    (entry,) = site.out.glob(f"{CHAIN}/000000000003.json")
    entry.unlink()
    with pytest.raises(CorruptError, match=f"{entry.name}: is missing, but the chain went on to it"):
        sensorloom.open(site.out)
    assert site.drain().err == ""
    assert site.digest() == whole.digest()


# --- full disks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", ["size=4k", "size=48k", "size=8m,nr_inodes=4", "size=8m,nr_inodes=16"])
def test_the_service_waits_for_room(whole: Site, fresh: Site, options: str) -> None:
    with SmallDisk(fresh.out, options, 16_000) as disk:
        with disk.limit():
            service = fresh.start(*fresh.window_words("--until-idle"))
        try:
            service.says("make room, and it goes on by itself")
            disk.grow(service)
            assert service.ends() == 0
            assert service.err.count("\n") < 20
            assert fresh.digest() == whole.digest()
            assert fresh("dataset", "verify", fresh.out).code == 0
        finally:
            service.kill()


def test_a_service_that_waits_for_room_can_be_stopped(whole: Site, fresh: Site) -> None:
    with SmallDisk(fresh.out, "size=48k", 16_000) as disk:
        with disk.limit():
            service = fresh.start(*fresh.window_words("--until-idle"))
        service.says("make room")
        assert service.ends(signal=15) == 1
        disk.grow()
        assert fresh.drain().code == 0
        assert fresh.digest() == whole.digest()


@pytest.mark.parametrize("options", ["size=4k", "size=48k", "size=64k"])
def test_an_import_says_that_the_disk_is_full_and_a_repeat_completes_it(
    whole: Site, tmp_path: Path, options: str
) -> None:
    site = Site(tmp_path).prepare()
    with SmallDisk(site.log_folder, options, 3000) as disk:
        with disk.limit():
            for device, part in FILES:
                done = site(*site.import_words(device, part))
                if done.code:
                    break
        done.refused(1, "No space left" if disk.mounted else "File too large", "free some space")
        disk.grow()
        site.fill()
        assert site.drain().code == 0
        assert site.digest() == whole.digest()
        assert site("dataset", "verify", site.out).code == 0


def test_a_service_whose_log_is_full_waits_with_what_it_has_to_say(whole: Site, tmp_path: Path) -> None:
    site = Site(tmp_path).prepare()
    with SmallDisk(site.log_folder, "size=8m", 65_000) as disk:
        site.create_topics().fill()
        site.append(READINGS, (DEVICES[0].encode(), b"\xff" * 70_000))
        filler = site.log_folder / "filler"
        if disk.mounted:
            fill_up(filler)
        with disk.limit():
            service = site.start(*site.window_words("--until-idle"))
        try:
            service.says("free some space")
            filler.unlink(missing_ok=True)
            disk.grow(service)
            assert service.ends() == 0
        finally:
            service.kill()
        assert site.digest() == whole.digest()
        assert len(site.records(DEADLETTER)) == 1


def fill_up(filler: Path) -> None:
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
