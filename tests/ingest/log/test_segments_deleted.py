"""What is deleted, moved or locked under a log on `segments`: nothing is acknowledged that is not there."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from ingest.errors import LogUnavailableError
from ingest.log.protocol import Entry
from ingest.log.segments import SegmentLog


async def _read_values(log: SegmentLog) -> list[bytes]:
    reader = log.reader("readings", {0: 0})
    values: list[bytes] = []
    while batches := await reader.fetch(0.0):
        values += [value for batch in batches for value in batch.values]
    return values


@pytest.mark.parametrize("how", ["log", "topics", "topic", "moved", "another log in its place"])
def test_what_is_acknowledged_lies_in_a_folder_that_is_there(tmp_path: Path, how: str) -> None:
    folder = tmp_path / "log"

    async def main() -> None:
        log = SegmentLog(folder, partitions=1)
        await log.append("readings", [Entry(b"k", b"0")])
        gone = {"topics": folder / "topics", "topic": folder / "topics" / "readings"}.get(how, folder)
        if how == "moved":
            gone.rename(tmp_path / "elsewhere")
        else:
            shutil.rmtree(gone)
        if how.startswith("another"):
            other = SegmentLog(folder, partitions=1)
            await other.append("readings", [Entry(b"k", b"of another")])
            await other.close()
        acknowledged = []
        for number in range(1, 5):
            with contextlib.suppress(LogUnavailableError):
                await log.append("readings", [Entry(b"k", b"%d" % number)])
                acknowledged.append(b"%d" % number)
        assert acknowledged[-1] == b"4", "it recovers by itself"
        assert [value for value in await _read_values(SegmentLog(folder)) if value.isdigit()] == acknowledged
        assert await _read_values(log) == await _read_values(SegmentLog(folder)), "who reads with it finds the new one"
        await log.close()

    asyncio.run(main())


def test_a_folder_that_goes_while_its_bytes_are_fsynced_acknowledges_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, real = tmp_path / "log", os.fdatasync

    def deleted(fd: int) -> None:
        real(fd)
        shutil.rmtree(folder, ignore_errors=True)

    async def main() -> None:
        log = SegmentLog(folder, partitions=1)
        await log.append("readings", [Entry(b"k", b"0")])
        with monkeypatch.context() as patched:
            patched.setattr(os, "fdatasync", deleted)
            with pytest.raises(LogUnavailableError, match="was deleted or replaced while it was in use"):
                await log.append("readings", [Entry(b"k", b"1")])
        await log.append("readings", [Entry(b"k", b"1")])
        assert await _read_values(log) == [b"1"]
        await log.close()

    asyncio.run(main())


@pytest.mark.parametrize("how", ["deleted", "moved"])
def test_an_open_segment_that_lost_its_name_is_put_back(tmp_path: Path, how: str) -> None:
    async def main() -> None:
        log = SegmentLog(tmp_path, partitions=1)
        for number in range(3):
            await log.append("readings", [Entry(b"k", b"%d" % number)])
        (segment,) = (tmp_path / "topics" / "readings" / "0").glob("*.log")
        segment.rename(tmp_path / "elsewhere") if how == "moved" else segment.unlink()
        await log.append("readings", [Entry(b"k", b"3")])
        assert await _read_values(SegmentLog(tmp_path)) == [b"0", b"1", b"2", b"3"]
        await log.close()

    asyncio.run(main())


def test_a_segment_deleted_while_it_is_fsynced_acknowledges_nothing_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fdatasync

    def deleted(fd: int) -> None:
        real(fd)
        for segment in tmp_path.rglob("*.log"):
            segment.unlink()

    async def main() -> None:
        log = SegmentLog(tmp_path, partitions=1)
        await log.append("readings", [Entry(b"k", b"0")])
        with monkeypatch.context() as patched:
            patched.setattr(os, "fdatasync", deleted)
            with pytest.raises(LogUnavailableError, match="a file was deleted meanwhile; write again"):
                await log.append("readings", [Entry(b"k", b"1")])
        await log.append("readings", [Entry(b"k", b"1")])
        assert await _read_values(SegmentLog(tmp_path)) == [b"0", b"1"]
        await log.close()

    asyncio.run(main())


def test_a_folder_that_may_not_be_entered_is_an_unavailable_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may enter everything: the refusal is the kernel's, given by hand."""
    real = os.stat

    def refused(path: Any, *args: Any, **more: Any) -> os.stat_result:
        if str(path).startswith(str(tmp_path / "log")):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *args, **more)

    async def main() -> None:
        log = SegmentLog(tmp_path / "log", partitions=1)
        with monkeypatch.context() as patched:
            patched.setattr(os, "stat", refused)
            for call in (log.append("readings", [Entry(b"k", b"v")]), log.topics(), log.identity()):
                with pytest.raises(LogUnavailableError, match="Permission denied"):
                    await call
        await log.append("readings", [Entry(b"k", b"v")])
        await log.close()

    asyncio.run(main())


def test_a_lost_identity_comes_back_from_its_second_copy(tmp_path: Path) -> None:
    async def identity() -> str:
        log = SegmentLog(tmp_path, partitions=1)
        await log.append("readings", [Entry(b"k", b"v")])
        found = await log.identity()
        await log.close()
        return found

    first = asyncio.run(identity())
    (tmp_path / "identity").unlink()
    assert asyncio.run(identity()) == first
    assert (tmp_path / "identity").read_text() == f"{first}\n"
    (tmp_path / "topics" / ".identity").unlink()
    assert asyncio.run(identity()) == first
    assert (tmp_path / "topics" / ".identity").read_text() == f"{first}\n"


def test_an_identity_that_somebody_wrote_back_counts_before_the_second_copy(tmp_path: Path) -> None:
    async def identity() -> str:
        log = SegmentLog(tmp_path)
        found = await log.identity()
        await log.close()
        return found

    asyncio.run(identity())
    wanted = "01234567-89ab-cdef-0123-456789abcdef"
    (tmp_path / "identity").write_text(f"{wanted}\n")
    assert asyncio.run(identity()) == wanted
    (tmp_path / "identity").unlink()
    assert asyncio.run(identity()) == wanted
