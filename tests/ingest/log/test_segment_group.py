"""Membership of `segments`: shares, names, handing over, and polls that are cancelled."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
from pathlib import Path

import pytest

from ingest.errors import LogConfigError, LogUnavailableError
from ingest.files import try_lock
from ingest.log.protocol import Assigned, Entry, LogBatch, Revoked
from ingest.log.segments import SegmentLog
from ingest.log.segments.cursor import Cursor, Place
from ingest.log.segments.group import LOOK_S, range_share
from tests.ingest.log.world import spread


@pytest.mark.parametrize(
    ("partitions", "members", "shares"),
    [
        (4, ["a"], [[0, 1, 2, 3]]),
        (4, ["a", "b"], [[0, 1], [2, 3]]),
        (5, ["a", "b"], [[0, 1, 2], [3, 4]]),
        (7, ["a", "b", "c"], [[0, 1, 2], [3, 4], [5, 6]]),
        (2, ["a", "b", "c"], [[0], [1], []]),
    ],
)
def test_range_share_is_kafkas_range_assignor(partitions: int, members: list[str], shares: list[list[int]]) -> None:
    assert [list(range_share(partitions, members, name)) for name in members] == shares


def test_a_name_may_be_anything_but_lives_once(tmp_path: Path) -> None:
    async def main() -> None:
        log = SegmentLog(tmp_path, partitions=1)
        name = "../pi 4/ü:1"
        member = await log.join("readings", "group/../x", name)
        with pytest.raises(LogConfigError, match="give each worker a name of its own"):
            await SegmentLog(tmp_path).join("readings", "group/../x", name)
        await member.close()
        again = await SegmentLog(tmp_path).join("readings", "group/../x", name)
        assert await again.poll(60.0) == [Assigned((0,))]
        await again.close()
        with pytest.raises(LogConfigError, match="needs a name"):
            await log.join("readings", "group", "")
        await log.close()

    asyncio.run(main())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["groups", "identity", "topics"]


def test_a_partition_is_held_until_its_old_owner_comes_back_after_revoked(tmp_path: Path) -> None:
    async def main() -> None:
        log, other = SegmentLog(tmp_path, partitions=2), SegmentLog(tmp_path)
        one = await log.join("readings", "group", "one")
        assert await one.poll(60.0) == [Assigned((0, 1))]
        two = await other.join("readings", "group", "two")
        assert await two.poll(0.05) == []
        assert await one.poll(60.0) == [Revoked((1,))]
        assert await two.poll(0.3) == [], "one has not come back: it may still be dropping its state"
        assert await one.poll(0.0) == []
        assert await two.poll(60.0) == [Assigned((1,))]
        await log.close()
        await other.close()

    asyncio.run(main())


def test_a_seek_during_a_poll_is_not_overtaken_by_what_was_read_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        log = SegmentLog(tmp_path, partitions=1)
        await log.append("readings", [Entry(b"k", b"%d" % i) for i in range(9)])
        member = await log.join("readings", "group", "one")
        assert await member.poll(60.0) == [Assigned((0,))]
        member.seek(0, 0)
        loop, real = asyncio.get_running_loop(), Cursor.read

        def read(cursor: Cursor, place: Place) -> tuple[LogBatch | None, Place]:
            found = real(cursor, place)
            if place.offset == 0:  # runs before the loop hears of what was read
                loop.call_soon_threadsafe(member.seek, 0, 6)
            return found

        monkeypatch.setattr(Cursor, "read", read)
        [batch] = await member.poll(60.0)
        assert isinstance(batch, LogBatch)
        assert batch.offsets == [6, 7, 8]
        await log.close()

    asyncio.run(main())


def test_a_lock_on_a_file_that_was_deleted_meanwhile_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who clears a dead member away may delete the file between another's open and its lock."""
    path, real = tmp_path / "member", fcntl.flock
    locks = []

    def flock(fd: int, operation: int) -> None:
        locks.append(fd)
        if len(locks) == 1:
            path.unlink()
        real(fd, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    fd = try_lock(path)
    assert fd is not None
    assert (len(locks), os.fstat(fd).st_ino) == (2, path.stat().st_ino)
    assert try_lock(path) is None
    os.close(fd)


def test_cancelled_polls_and_fetches_lose_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        log = SegmentLog(tmp_path, partitions=2)
        await log.append("readings", [Entry(key, b"%d" % i) for i in range(50) for key in spread(2)])
        member = await log.join("readings", "group", "one")
        reader = log.reader("readings", {0: 0, 1: 0})
        seen: dict[str, list[tuple[int, int]]] = {"member": [], "reader": []}
        for steps in range(200):
            for name, call in (("member", member.poll(60.0)), ("reader", reader.fetch(60.0))):
                task: asyncio.Task[list[object]] = asyncio.ensure_future(call)  # type: ignore[arg-type]
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
                try:
                    events = await task
                except asyncio.CancelledError:
                    continue
                for event in events:
                    if isinstance(event, Assigned):
                        for partition in event.partitions:
                            member.seek(partition, 0)
                    else:
                        seen[name] += [(event.partition, o) for o in event.offsets]  # type: ignore[attr-defined]
        deadline = asyncio.get_running_loop().time() + 5
        while any(len(found) < 100 for found in seen.values()) and asyncio.get_running_loop().time() < deadline:
            for event in await member.poll(0.05):
                if isinstance(event, Assigned):
                    for partition in event.partitions:
                        member.seek(partition, 0)
                else:
                    seen["member"] += [(event.partition, o) for o in event.offsets]  # type: ignore[union-attr]
            seen["reader"] += [(b.partition, o) for b in await reader.fetch(0.05) for o in b.offsets]
        everything = [(p, o) for p in range(2) for o in range(50)]
        assert sorted(seen["member"]) == everything
        assert sorted(seen["reader"]) == everything
        await log.close()

    asyncio.run(main())


def test_a_member_whose_file_was_deleted_makes_it_again(tmp_path: Path) -> None:
    async def main() -> None:
        log = SegmentLog(tmp_path, partitions=2)
        member = await log.join("readings", "group", "one")
        assert await member.poll(60.0) == [Assigned((0, 1))]
        shutil.rmtree(tmp_path / "groups")
        await asyncio.sleep(LOOK_S)
        assert await member.poll(0.0) == []
        other = await log.join("readings", "group", "two")
        while not (events := await member.poll(1.0)):
            pass
        assert events == [Revoked((1,))]  # it is seen, and shares
        await other.close()
        await log.close()

    asyncio.run(main())


def test_a_member_notices_that_its_topic_was_deleted(tmp_path: Path) -> None:
    async def main() -> None:
        log = SegmentLog(tmp_path, partitions=1)
        member = await log.join("readings", "group", "one")
        assert await member.poll(60.0) == [Assigned((0,))]
        member.seek(0, 0)
        assert await member.poll(0.0) == []
        reader = log.reader("readings", {0: 0})
        assert await reader.fetch(0.0) == []
        shutil.rmtree(tmp_path / "topics" / "readings")
        with pytest.raises(LogUnavailableError, match="was deleted or replaced"):
            await member.poll(60.0)
        with pytest.raises(LogUnavailableError, match="was deleted or replaced"):
            await reader.fetch(60.0)
        await log.close()

    asyncio.run(main())
