"""Appending by sectors: what the disk is given, and what is read."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.log.segments import sectors
from ingest.log.segments.sectors import SECTOR, Sectors, open_direct, padded


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "f").touch()
    fd = open_direct(tmp_path / "f")
    yield fd
    os.close(fd)


def test_what_is_appended_is_read_and_the_last_sector_is_filled_with_zeros(tmp_path: Path, file: int) -> None:
    rng, found, appends = random.Random(1), b"", Sectors()
    for turn in range(200):
        data = rng.randbytes(rng.choice((1, 100, 511, 512, 513, 1500, 70_000 if turn % 50 == 0 else 7)))
        appends.append(file, data, len(found))
        found += data
        if turn % 17 == 0:
            appends = Sectors()  # another process goes on
        if turn % 20 == 0:
            assert (tmp_path / "f").read_bytes().rstrip(b"\0") == found.rstrip(b"\0")
    assert (tmp_path / "f").read_bytes() == found.ljust(padded(len(found)), b"\0")


def test_an_append_writes_the_sectors_that_change(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real, writes = os.pwrite, list[tuple[int, int]]()

    def noted(fd: int, data: bytes, position: int) -> int:
        writes.append((position, len(data)))
        return real(fd, data, position)

    monkeypatch.setattr(os, "pwrite", noted)
    appends = Sectors()
    for position, size in ((0, 700), (700, 100), (800, 224), (1024, 10)):
        appends.append(file, bytes(size), position)
    assert writes == [(0, 1024), (512, 512), (512, 512), (1024, 512)]


def test_what_was_taken_back_is_written_over(tmp_path: Path, file: int) -> None:
    appends = Sectors()
    appends.append(file, b"a" * 700, 0)
    appends.append(file, b"b" * 700, 700)
    os.ftruncate(file, 700)
    appends.append(file, b"c" * 10, 700)
    assert (tmp_path / "f").read_bytes() == (b"a" * 700 + b"c" * 10).ljust(1024, b"\0")


@pytest.mark.parametrize("refuses", ["opening", "writing"])
def test_where_sectors_are_not_taken_bytes_are_written_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: str
) -> None:
    path, opening, writing = tmp_path / "f", os.open, os.pwrite
    path.touch()

    def opens(path: Path, flags: int, mode: int = 0o777) -> int:
        if refuses == "opening" and flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return opening(path, flags, mode)

    def writes(fd: int, data: bytes, position: int) -> int:
        if refuses == "writing" and sectors._is_direct(fd):
            raise OSError(errno.EINVAL, "Invalid argument")
        return writing(fd, data, position)

    monkeypatch.setattr(os, "open", opens)
    monkeypatch.setattr(os, "pwrite", writes)
    fd, appends = open_direct(path), Sectors()
    appends.append(fd, b"a" * 700, 0)
    appends.append(fd, b"b" * 7, 700)
    assert path.read_bytes() == b"a" * 700 + b"b" * 7
    os.close(fd)


def test_a_full_disk_is_told(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes, position: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space left"):
        Sectors().append(file, b"a", 0)


def test_a_sector_is_what_every_disk_takes() -> None:
    assert [padded(size) for size in (0, 1, SECTOR, SECTOR + 1)] == [0, SECTOR, SECTOR, 2 * SECTOR]
