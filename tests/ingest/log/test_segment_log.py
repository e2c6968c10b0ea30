"""What `segments` promises beyond the contract of every log."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from ingest.errors import (
    CorruptError,
    CorruptLogError,
    LogConfigError,
    LogUnavailableError,
    PermanentError,
    StoreFullError,
)
from ingest.log.protocol import Assigned, Bounds, Entry, Position, Revoked
from ingest.log.segments import SegmentLog, catalog, writer
from ingest.log.segments.log import tend
from ingest.opening import open_log
from tests.ingest.log.world import spread

PROJECT = Path(__file__).parents[3]


# --- topics and configuration


def test_opening_a_log_makes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        log = open_log(f"segments:{tmp_path / 'log'}")
        assert log.url == f"segments:{tmp_path / 'log'}"
        assert await log.topics() == {}
        assert await log.committed("readings", "group") == {}
        with pytest.raises(LogConfigError, match="has no topic 'readings'; there are: none yet"):
            await log.bounds("readings")
        with pytest.raises(LogConfigError, match="has no topic"):
            await log.reader("readings", {0: 0}).fetch(0)
        await log.close()

    asyncio.run(main())
    assert list(tmp_path.iterdir()) == []


def test_another_number_of_partitions_is_refused_but_can_be_read(tmp_path: Path) -> None:
    async def main() -> None:
        first = SegmentLog(tmp_path, partitions=3)
        await first.append("readings", [Entry(b"k", b"v")])
        second = SegmentLog(tmp_path, partitions=8)
        with pytest.raises(LogConfigError, match="has 3 partitions, 8 were asked for; leave the number out"):
            await second.ensure("readings")
        with pytest.raises(LogConfigError, match="3 partitions"):
            await second.append("readings", [Entry(b"k", b"v")])
        assert await second.topics() == {"readings": 3}
        assert sum(b.end for b in (await second.bounds("readings")).values()) == 1
        await second.append("marks", [Entry(b"k", b"v")])
        assert await first.topics() == {"marks": 8, "readings": 3}
        for log in (first, second):
            await log.close()

    asyncio.run(main())


@pytest.mark.parametrize("partitions", [0, -1, 5000])
def test_an_impossible_number_of_partitions_is_refused(tmp_path: Path, partitions: int) -> None:
    with pytest.raises(LogConfigError, match="is not in 1..4096"):
        SegmentLog(tmp_path, partitions=partitions)


@pytest.mark.parametrize("name", ["", "../readings", "a/b", ".hidden", "x" * 250, "two words"])
def test_a_topic_name_that_kafka_would_refuse_is_refused(tmp_path: Path, name: str) -> None:
    async def main() -> None:
        log = SegmentLog(tmp_path)
        with pytest.raises(LogConfigError, match="a name is"):
            await log.ensure(name)
        await log.close()

    asyncio.run(main())


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "network_filesystem", lambda path: "nfs4")
    with pytest.raises(LogConfigError, match=r"network file system \(nfs4\).* put it on a local disk, or use kafka://"):
        SegmentLog(tmp_path)


def test_a_damaged_meta_or_identity_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        log = SegmentLog(tmp_path)
        await log.ensure("readings")
        await log.identity()
        (tmp_path / "identity").write_text("nonsense")
        with pytest.raises(CorruptError, match=r"identity: found 'nonsense', expected a UUID"):
            await log.identity()
        (tmp_path / "topics" / "readings" / "meta.json").write_bytes(b'{"format":1,"partitions":"four"}')
        with pytest.raises(CorruptError, match="not a topic's description"):
            await SegmentLog(tmp_path).bounds("readings")
        await log.close()

    asyncio.run(main())


def test_a_disk_that_goes_while_a_topic_is_opened_is_an_unavailable_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        log = SegmentLog(tmp_path)
        await log.ensure("readings")
        await log.close()
        log = SegmentLog(tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(Path, "exists", lambda path: True)
            (tmp_path / "topics").rename(tmp_path / "elsewhere")
            with pytest.raises(LogUnavailableError, match="No such file"):
                await log.append("readings", [Entry(b"k", b"v")])
            (tmp_path / "elsewhere").rename(tmp_path / "topics")
        await log.append("readings", [Entry(b"k", b"v")])
        await log.close()

    asyncio.run(main())


def test_many_who_create_a_topic_at_once_get_one(tmp_path: Path) -> None:
    async def main() -> None:
        logs = [SegmentLog(tmp_path, partitions=2) for _ in range(6)]
        positions = await asyncio.gather(*(log.append("readings", [Entry(b"k", b"v")]) for log in logs))
        assert sorted(p.offset for [p] in positions) == list(range(6))
        assert len({await log.identity() for log in logs}) == 1
        assert sorted(p.name for p in (tmp_path / "topics").iterdir()) == [".identity", "readings"]
        for log in logs:
            await log.close()

    asyncio.run(main())


# --- appending


def test_an_entry_that_no_frame_can_hold_is_refused_and_harms_nobody(tmp_path: Path) -> None:
    async def main() -> None:
        log = SegmentLog(tmp_path, partitions=1)
        with pytest.raises(PermanentError, match="a key of 65536 and a value of 1 bytes"):
            await log.append("readings", [Entry(b"k" * 65_536, b"v")])
        with pytest.raises(PermanentError, match="make smaller chunks"):
            await log.append("readings", [Entry(b"k", bytes(33 << 20))])
        assert await log.append("readings", [Entry(b"k", b"v")]) == [Position(0, 0)]
        await log.close()

    asyncio.run(main())


def test_a_closed_log_takes_nothing_more_but_finished_what_it_had(tmp_path: Path) -> None:
    async def main() -> None:
        log = SegmentLog(tmp_path, partitions=1)
        calls = [asyncio.create_task(log.append("readings", [Entry(b"k", b"%d" % i)])) for i in range(20)]
        await asyncio.sleep(0)
        await log.close()
        assert [p.offset for [p] in await asyncio.gather(*calls)] == list(range(20))
        with pytest.raises(LogUnavailableError, match="was closed"):
            await log.append("readings", [Entry(b"k", b"v")])

    asyncio.run(main())


def test_a_cancelled_append_does_not_hold_up_others(tmp_path: Path) -> None:
    async def main() -> None:
        log = SegmentLog(tmp_path, partitions=1)
        first = asyncio.create_task(log.append("readings", [Entry(b"k", b"first")]))
        await asyncio.sleep(0)
        first.cancel()
        [position] = await log.append("readings", [Entry(b"k", b"second")])
        assert position.offset == 1
        await log.close()

    asyncio.run(main())


def test_with_an_interval_fsyncs_are_shared_and_what_is_not_durable_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs: list[int] = []
    real = os.fdatasync

    def counted(fd: int) -> None:
        syncs.append(fd)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", counted)

    async def main() -> None:
        log = SegmentLog(tmp_path, partitions=1, fsync_interval_s=0.4)
        await log.append("live", [Entry(b"k", b"0")])
        syncs.clear()
        later = [asyncio.create_task(log.append("live", [Entry(b"k", b"%d" % i)])) for i in range(1, 9)]
        eager = log.reader("live", {0: 1}, durable=False)
        found = 0
        while found < 8:
            found += sum(map(len, await eager.fetch(60.0)))
        assert await log.bounds("live") == {0: Bounds(0, 1)}
        assert not any(task.done() for task in later)
        assert await log.reader("live", {0: 1}).fetch(0.0) == []
        assert [p.offset for [p] in await asyncio.gather(*later)] == list(range(1, 9))
        assert len(syncs) == 1
        assert await log.bounds("live") == {0: Bounds(0, 9)}
        await log.close()

    asyncio.run(main())


def test_a_failed_fsync_takes_back_what_nobody_was_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """fsync may drop what it could not write, and succeed when asked again (Rebello et al., USENIX ATC 2020)."""

    async def main() -> None:
        log = SegmentLog(tmp_path, partitions=1)
        await log.append("readings", [Entry(b"k", b"0")])
        with monkeypatch.context() as broken:

            def fail(fd: int) -> None:
                raise OSError(5, "Input/output error")

            broken.setattr(os, "fdatasync", fail)
            with pytest.raises(LogUnavailableError, match="Input/output error"):
                await log.append("readings", [Entry(b"k", b"lost")])
        assert await log.append("readings", [Entry(b"k", b"1")]) == [Position(0, 1)]
        [batch] = await log.reader("readings", {0: 0}, durable=False).fetch(60.0)
        assert batch.values == [b"0", b"1"]
        await log.close()

    asyncio.run(main())


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_written_during_an_fsync_shares_its_fate_or_waits_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    async def main() -> None:
        log = SegmentLog(tmp_path, partitions=1)
        await log.append("readings", [Entry(b"k", b"0")])
        begun, go_on, real, calls = threading.Event(), threading.Event(), os.fdatasync, []

        def slow(fd: int) -> None:
            calls.append(fd)
            if len(calls) == 1:
                begun.set()
                assert go_on.wait(200)
                if fails:
                    raise OSError(5, "Input/output error")
            real(fd)

        monkeypatch.setattr(os, "fdatasync", slow)
        first = asyncio.create_task(log.append("readings", [Entry(b"k", b"1")]))
        await asyncio.to_thread(begun.wait, 20)
        second = asyncio.create_task(log.append("readings", [Entry(b"k", b"2")]))
        partition = log._catalog.find("readings").partitions[0]
        async with asyncio.timeout(200):
            while partition.head().next_offset < 3:  # noqa: ASYNC110 - nobody tells; it is written while the fsync runs
                await asyncio.sleep(0.005)
        assert not first.done()
        assert len(calls) == 1, "and has no fsync of its own meanwhile"
        go_on.set()
        done: list[object] = [*await asyncio.gather(first, second, return_exceptions=True)]
        if fails:
            assert [type(error) for error in done] == [LogUnavailableError] * 2
        else:
            assert done == [[Position(0, 1)], [Position(0, 2)]]
        last = 1 if fails else 3
        assert await log.append("readings", [Entry(b"k", b"3")]) == [Position(0, last)]
        [batch] = await log.reader("readings", {0: 0}).fetch(60.0)
        assert batch.values == ([b"0", b"3"] if fails else [b"0", b"1", b"2", b"3"])
        await log.close()

    asyncio.run(main())


FILL = """
import asyncio, resource, sys
from ingest.errors import StoreFullError
from ingest.log.protocol import Entry
from ingest.log.segments import SegmentLog

async def main():
    log = SegmentLog(sys.argv[1], partitions=1)
    await log.append("readings", [Entry(b"k", b"before")])
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limit[1]))
    try:
        await log.append("readings", [Entry(b"k", bytes(3000))] * 5)
    except StoreFullError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    print(await log.append("readings", [Entry(b"k", b"after")]))
    await log.close()

asyncio.run(main())
"""


def check_after_full(folder: Path) -> None:
    async def main() -> None:
        log = SegmentLog(folder)
        [batch] = await log.reader("readings", {0: 0}).fetch(60.0)
        assert (batch.values[0], batch.values[-1]) == (b"before", b"after")
        assert (await log.stats("readings"))[0].torn_tails == 0
        await log.close()

    asyncio.run(main())


def test_a_write_that_has_no_room_is_taken_away_whole(tmp_path: Path) -> None:
    """The kernel writes the part that fits, then refuses, as on a full disk."""
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    error, position = done.stdout.splitlines()
    assert "nothing before it is lost: free some space and write again" in error
    assert position == "[Position(partition=0, offset=1)]"
    check_after_full(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root; the test above meets the same refusal without")
def test_a_full_disk_is_told_and_room_mends_it(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount; the test above meets the same refusal without")

    async def fill(log: SegmentLog) -> None:
        for _ in range(100):
            await log.append("readings", [Entry(b"k", os.urandom(50_000))])

    async def main() -> None:
        log = SegmentLog(small / "log", partitions=1, segment_bytes=200_000)
        await log.append("readings", [Entry(b"k", b"before")])
        ballast = small / "ballast"
        ballast.write_bytes(bytes(300_000))
        with pytest.raises(StoreFullError, match="No space left on device"):
            await fill(log)
        with pytest.raises(StoreFullError):
            await log.append("readings", [Entry(b"k", os.urandom(100_000))])
        end = (await log.bounds("readings"))[0].end
        ballast.unlink()
        assert await log.append("readings", [Entry(b"k", b"after")]) == [Position(0, end)]
        await log.close()
        log = SegmentLog(small / "log")
        reader = log.reader("readings", {0: 0})
        values: list[bytes] = []
        while len(values) < end + 1:
            values += [value for batch in await reader.fetch(60.0) for value in batch.values]
        assert (values[0], values[-1]) == (b"before", b"after")
        assert (await log.stats("readings"))[0].torn_tails == 0
        await log.close()

    try:
        asyncio.run(main())
    finally:
        subprocess.run(["umount", "--lazy", small], check=True)


def test_this_process_has_no_file_size_limit_that_would_hide_the_test_above() -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


# --- keeping it small


def test_retention_and_compaction_work_by_themselves_as_segments_roll(tmp_path: Path) -> None:
    async def main() -> None:
        log = SegmentLog(tmp_path, partitions=1, segment_bytes=4_000, retention_bytes=20_000)
        for i in range(200):
            for topic in ("readings", "streams", "marks"):
                await log.append(topic, [Entry(b"key-%d" % (i % 5), b"%d|" % i + bytes(400))])
        [readings] = await log.stats("readings")
        assert 20_000 <= readings.bytes < 28_000
        assert readings.begin > 100
        [streams] = await log.stats("streams")
        assert (streams.begin, streams.end) == (0, 200)
        assert streams.bytes < 20_000
        [marks] = await log.stats("marks")
        assert (marks.begin, marks.end) == (0, 200)
        assert marks.bytes > 80_000, "marks are kept for ever"

        reader = log.reader("streams", {0: 0})
        latest: dict[bytes, bytes] = {}
        place = 0
        while place < 200:
            for batch in await reader.fetch(60.0):
                latest.update(zip(batch.keys, batch.values, strict=True))
                place = batch.next_offset
        assert {key: value.split(b"|")[0] for key, value in latest.items()} == {
            b"key-%d" % (i % 5): b"%d" % i for i in range(195, 200)
        }
        await log.close()

    asyncio.run(main())


def test_dead_letters_are_bounded_by_age_and_size(tmp_path: Path) -> None:
    async def main() -> None:
        log = SegmentLog(tmp_path, partitions=1, retention_ms=-1, retention_bytes=-1)
        await log.append("deadletter", [Entry(b"k", b"v")])
        await log.close()
        with closing(catalog.Catalog(tmp_path, catalog.Keeping())) as found:
            meta = found.find("deadletter").meta
        assert (meta.retention_ms, meta.retention_bytes) == (30 * 86_400_000, 256_000_000)
        assert meta.segment_bytes < 128_000_000

    asyncio.run(main())


def test_age_retention_is_in_the_topics_meta(tmp_path: Path) -> None:
    async def main() -> None:
        log = SegmentLog(tmp_path, partitions=1, retention_ms=0)
        await log.append("readings", [Entry(b"k", b"old")])
        await log.append("live", [Entry(b"k", b"young")])
        with closing(catalog.Catalog(tmp_path, catalog.Keeping())) as found:
            for topic in ("readings", "live"):
                tend(found.find(topic))
        assert await log.bounds("readings") == {0: Bounds(1, 1)}
        assert await log.bounds("live") == {0: Bounds(0, 1)}
        await log.close()

    asyncio.run(main())


def test_retention_looks_at_topics_that_nobody_writes_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "TEND_S", 0.05)

    async def main() -> None:
        log = SegmentLog(tmp_path, partitions=1, retention_bytes=3_000, segment_bytes=1_000)
        for _ in range(10):
            await log.append("idle", [Entry(b"k", bytes(500))])
        await log.close()
        other = SegmentLog(tmp_path, partitions=1)
        meta = tmp_path / "topics" / "idle" / "meta.json"
        meta.write_text(meta.read_text().replace('"retention_bytes":3000', '"retention_bytes":1000'))
        begin = (await other.bounds("idle"))[0].begin
        await other.close()
        third = SegmentLog(tmp_path, partitions=1)
        while len(list((tmp_path / "topics" / "idle" / "0").glob("*.log"))) > 2:
            await third.append("busy", [Entry(b"k", b"v")])
            await asyncio.sleep(0.02)
        assert (await third.bounds("idle"))[0].begin > begin
        await third.close()

    asyncio.run(main())


# --- damage, as readers and members meet it


def damage(folder: Path, topic: str, partition: int) -> None:
    """Spoil the second of several records of 121 bytes."""
    path = folder / "topics" / topic / str(partition) / f"{0:020d}.log"
    data = bytearray(path.read_bytes())
    data[121 + 60] ^= 8
    path.write_bytes(data)


def test_a_damaged_record_stops_its_partition_alone_until_it_is_stepped_over(tmp_path: Path) -> None:
    async def main() -> None:
        log = SegmentLog(tmp_path, partitions=2)
        keys = spread(2)
        await log.append("readings", [Entry(key, bytes(121 - 34 - len(key))) for _ in range(4) for key in keys])
        damage(tmp_path, "readings", 1)

        reader = log.reader("readings", {0: 0, 1: 0})
        batches = await reader.fetch(60.0)
        assert {b.partition: list(b.offsets) for b in batches} == {0: [0, 1, 2, 3], 1: [0]}
        for _ in range(2):
            with pytest.raises(CorruptLogError) as caught:
                await reader.fetch(60.0)
            assert (caught.value.partition, caught.value.offset, caught.value.next_offset) == (1, 1, 2)
        await log.append("readings", [Entry(keys[0], b"more")])
        assert [(b.partition, list(b.offsets)) for b in await reader.fetch(60.0)] == [(0, [4])]

        member = await log.join("readings", "group", "one")
        assert await member.poll(60.0) == [Assigned((0, 1))]
        member.seek(1, 0)
        assert len(await member.poll(60.0)) == 1
        with pytest.raises(CorruptLogError) as caught:
            await member.poll(60.0)
        member.seek(1, caught.value.next_offset)
        [batch] = await member.poll(60.0)
        assert not isinstance(batch, Assigned | Revoked)
        await log.close()

    asyncio.run(main())
