"""An archive read as a log: the same records at the same offsets, from wherever one begins."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

import sensorloom
from ingest.archive.log import ArchiveLog
from ingest.archive.merging import ArchiveMerger
from ingest.archive.operator import ArchiveOperator
from ingest.draining import drain
from ingest.engine.disk import DiskFiles
from ingest.engine.genesis import claim_genesis
from ingest.engine.merging import Merging
from ingest.engine.rhythm import Limits
from ingest.engine.store import FileStore
from ingest.engine.worker import Worker
from ingest.errors import CorruptError, LogConfigError, UsageError
from ingest.log.protocol import DEADLETTER, MARKS, READINGS, STREAMS, Assigned, Bounds, Entry, Log, LogBatch
from ingest.opening import check_begun, is_begun, open_log
from ingest.records import schema_id
from ingest.wire import encode
from tests.ingest.archive.test_operator import ACC, TEMP, acc, temp

Records = list[tuple[int, int, int, bytes, bytes]]
CHUNKS = 60


def entries() -> list[Entry]:
    found = []
    for seq in range(CHUNKS):
        device = "abcdef"[seq % 6]
        chunk = acc(seq, device=device) if seq % 2 else temp(seq, [0, seq], device=device)
        found.append(Entry(device.encode(), encode(chunk)))
    return found


async def archive(log: Log, folder: Path, topic: str, limits: Limits) -> None:
    operator, store = ArchiveOperator(topic), FileStore(DiskFiles(folder / topic), "t")
    await claim_genesis(store, log, operator, topic, "id", root=FileStore(DiskFiles(folder), "t"))
    until = {partition: bound.end for partition, bound in (await log.bounds(topic)).items()}
    merging = Merging(ArchiveMerger(), lambda: 0, every=3, grace_ns=0)
    worker = Worker(log, store, operator, topic=topic, group=topic, instance="w", limits=limits, merging=merging)
    await worker.run(until)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site's folder with a log, and its archive in many seals."""
    root = tmp_path_factory.mktemp("archived")

    async def make() -> None:
        log = open_log(f"segments:{root}/log", partitions=2)
        for topic in (READINGS, STREAMS):
            await log.ensure(topic)
        await log.append(STREAMS, [Entry(schema_id(it), encode(it)) for it in (ACC, TEMP)])
        for number, entry in enumerate(entries()):
            await log.append(READINGS, [entry])
            if number % 10 == 9:
                await archive(log, root / "archive", READINGS, Limits())
        await archive(log, root / "archive", STREAMS, Limits())
        await log.close()

    asyncio.run(make())
    return root


async def read(log: Log, topic: str, ranges: Mapping[int, Bounds]) -> Records:
    found: Records = []
    async for batch in drain(log, topic, ranges):
        columns = zip(batch.offsets, batch.append_ns, batch.keys, batch.values, strict=True)
        found += [(batch.partition, *record) for record in columns]
    return sorted(found)


async def both(folder: Path) -> tuple[Log, Log]:
    return open_log(f"segments:{folder}/log"), open_log(f"archive:{folder}/archive")


def test_all_records_from_any_offset(folder: Path) -> None:
    async def run() -> None:
        log, archived = await both(folder)
        assert await archived.identity() == await log.identity()
        assert await archived.topics() == {READINGS: 2, STREAMS: 2}
        assert await archived.ensure(READINGS) == 2
        for topic in (READINGS, STREAMS):
            bounds = await log.bounds(topic)
            assert await archived.bounds(topic) == {p: Bounds(0, bound.end) for p, bound in bounds.items()}
            assert await archived.since(topic, 1 << 62) == {0: 0, 1: 0}
            assert await read(archived, topic, bounds) == await read(log, topic, bounds)
        bounds = await log.bounds(READINGS)
        for begin in range(0, CHUNKS, 7):
            later = {p: Bounds(min(begin, bound.end), bound.end) for p, bound in bounds.items()}
            assert await read(archived, READINGS, later) == await read(log, READINGS, later)
        assert len(list((folder / "archive/readings/records").iterdir())) > 4, "one file has nothing to seek in"
        await log.close()
        await archived.close()

    asyncio.run(run())


def test_a_member_has_all_partitions_and_goes_where_it_is_sent(folder: Path) -> None:
    async def run() -> None:
        _, archived = await both(folder)
        member = await archived.join(READINGS, "g", "me", owner="somebody")
        assert await member.poll(60.0) == [Assigned((0, 1))]
        ends = await archived.bounds(READINGS)
        for partition, (_, end) in ends.items():
            member.seek(partition, end - 2)
        (batches, done) = await member.poll(60.0), await member.poll(0.01)
        assert sorted(batch.partition for batch in batches if isinstance(batch, LogBatch)) == [0, 1]
        assert all(len(batch) == 2 for batch in batches if isinstance(batch, LogBatch))
        assert done == []
        member.seek(0, 0)
        (again,) = await member.poll(60.0)
        assert isinstance(again, LogBatch)
        assert again.offsets[0] == 0
        await member.commit({0: 1})
        assert await archived.committed(READINGS, "g") == {}
        await member.close()

    asyncio.run(run())


def test_nothing_can_be_appended(folder: Path) -> None:
    async def run() -> None:
        _, archived = await both(folder)
        with pytest.raises(LogConfigError, match="an archive is only read"):
            await archived.append(READINGS, entries()[:1])
        with pytest.raises(LogConfigError, match="marks was not archived"):
            await archived.ensure(MARKS)
        assert len(await archived.append(DEADLETTER, entries()[:1])) == 1, "whoever read the log wrote it there"

    asyncio.run(run())


def test_marks_are_those_of_the_log_behind_it(folder: Path, tmp_path: Path) -> None:
    async def run() -> None:
        archived = ArchiveLog(folder / "archive", open_log(f"segments:{folder}/log", partitions=2))
        await archived.check_marks()
        assert await archived.ensure(MARKS) == 2
        mark = Entry(b"a", b"mark")
        await archived.check(MARKS, [mark])
        (position,) = await archived.append(MARKS, [mark])
        assert (await archived.bounds(MARKS))[position.partition].end == position.offset + 1
        reader = archived.reader(MARKS, {position.partition: 0})
        assert [batch.values[-1] for batch in await reader.fetch(60.0)] == [b"mark"]
        await reader.close()
        member = await archived.join(MARKS, "g", "me")
        assert await member.poll(60.0) == [Assigned((0, 1))]
        await archived.close()
        with pytest.raises(UsageError, match="that has other data"):
            await ArchiveLog(folder / "archive", open_log(f"segments:{tmp_path}/other")).check_marks()

    asyncio.run(run())


def test_damage_is_named(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in sorted((folder / "archive").rglob("*")):
        target = copy / path.relative_to(folder / "archive")
        target.mkdir() if path.is_dir() else target.write_bytes(path.read_bytes())

    async def whole() -> Records:
        log = open_log(f"archive:{copy}")
        return await read(log, READINGS, await log.bounds(READINGS))

    assert len(asyncio.run(whole())) == CHUNKS
    for path in [*copy.glob("readings/records/*"), *copy.glob("readings/samples/*/*")]:
        data = path.read_bytes()
        for broken in (data[: len(data) // 2], data[:10] + bytes([data[10] ^ 1]) + data[11:]):
            path.write_bytes(broken)
            with pytest.raises(CorruptError, match=path.name):
                asyncio.run(whole())
        path.unlink()
        with pytest.raises(CorruptError, match=path.name):
            asyncio.run(whole())
        path.write_bytes(data)


def test_whatever_is_removed_is_missed(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each file and folder in turn: `verify` names it, and no reader takes the archive for a shorter one."""
    copy = tmp_path / "copy"
    shutil.copytree(folder / "archive", copy)
    assert sensorloom.main(["archive", "verify", str(copy)]) == 0
    assert "62 records" in capsys.readouterr().out
    ours = [path for path in sorted(copy.rglob("*")) if not {"state", "belongs"} & {path.name, path.parent.name}]
    for path in ours:
        if "state" in path.parts:
            continue
        path.rename(tmp_path / "away")
        assert sensorloom.main(["archive", "verify", str(copy)]) in (1, 2), path
        said = capsys.readouterr()
        assert path.name in said.err, path
        (tmp_path / "away").rename(path)
    assert sensorloom.main(["archive", "verify", str(copy), "--json"]) == 0


def test_a_folder_that_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="archive run"):
        open_log(f"archive:{tmp_path}")
    with pytest.raises(UsageError, match="partitions"):
        open_log(f"archive:{tmp_path}?partitions=3")
    assert not is_begun(f"archive:{tmp_path}/none")
    with pytest.raises(UsageError, match="there is no log"):
        check_begun(f"archive:{tmp_path}/none")
