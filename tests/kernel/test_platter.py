"""What a power cut leaves of what was written: all before the last flush, of the rest some whole sectors."""

from __future__ import annotations

import random
import struct
from pathlib import Path

from tests.kernel.platter import SECTOR, cut, is_loose

FLUSH, FUA, DISCARD = 1, 2, 4


def entry(sector: int, data: bytes, flags: int = 0) -> bytes:
    return struct.pack("<QQQQ", sector, len(data) // SECTOR, flags, 0).ljust(SECTOR, b"\0") + data


def block(letter: bytes, sectors: int = 1) -> bytes:
    return letter * SECTOR * sectors


def left(tmp_path: Path, log: bytes, seed: int) -> str:
    """A letter for each of the disk's eight sectors."""
    disk, writes = tmp_path / "disk", tmp_path / "writes"
    disk.write_bytes(block(b"-", 8))
    writes.write_bytes(log)
    done = cut(disk, writes, random.Random(seed))
    data = disk.read_bytes()
    assert all(data[at : at + SECTOR] == data[at : at + 1] * SECTOR for at in range(0, len(data), SECTOR))
    assert (done.durable, done.kept + done.lost) == (3, 6)
    assert done.lost
    return data[::SECTOR].decode()


def test_what_was_flushed_or_forced_is_there_and_of_the_rest_any_part(tmp_path: Path) -> None:
    log = block(b"s") + entry(0, block(b"a", 2)) + entry(0, b"", FLUSH) + entry(6, block(b"d", 2), DISCARD)[:SECTOR]
    log += entry(1, block(b"b", 5)) + entry(7, block(b"f"), FUA) + entry(2, block(b"c"))
    seen = {left(tmp_path, log + entry(3, block(b"x", 4))[:-1], seed) for seed in range(40)}  # killed as it wrote that
    assert seen == {left(tmp_path, log + bytes(2 * SECTOR), seed) for seed in range(40)}
    assert len(seen) > 20
    for disk in seen:
        for letter, allowed in zip(disk, ("a", "ab", "-bc", "-b", "-b", "-b", "-", "f"), strict=True):
            assert letter in allowed, disk


def test_a_cut_takes_something_while_a_write_waits_for_its_flush(tmp_path: Path) -> None:
    disk, writes = tmp_path / "disk", tmp_path / "writes"
    disk.write_bytes(block(b"-", 8))
    flushed = block(b"s") + entry(0, block(b"a", 2)) + entry(0, b"", FLUSH) + entry(7, block(b"f"), FUA)
    for log, loose in ((flushed, 0), (flushed + entry(3, block(b"b")), 1)):
        writes.write_bytes(log)
        assert is_loose(writes) is bool(loose)
        assert {cut(disk, writes, random.Random(seed)).lost for seed in range(40)} == {loose}
