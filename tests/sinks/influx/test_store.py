"""The store of a sink: points go to the database before an entry says so, and old entries go."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ingest.engine.chain import read_head
from ingest.engine.disk import DiskFiles
from ingest.engine.manifest import FileRef, Manifest, chain_folder, encode_document, entry_name
from ingest.engine.store import Exists
from ingest.errors import StoreUnavailableError, UsageError
from sinks.influx.refusals import Refusals
from sinks.influx.store import KEPT, Refused, SinkStore

FOLDER = chain_folder("readings", 0)


def state_of(seq: int) -> str:
    return f"state/readings-0/{seq:012d}-abc.bin"


def entry(seq: int, *files: str) -> bytes:
    state = FileRef(state_of(seq), "", 1)
    points = tuple(FileRef(name, "", 1) for name in files)
    where = ("influx", "readings", 0, seq, seq, seq + 1)
    manifest = Manifest(1, *where, state, points, {}, {}, (), code=1, spec="", previous="")
    return encode_document(manifest)


class Taking:
    """A database that takes points unless it is away."""

    def __init__(self) -> None:
        self.away = False
        self.refusing = Refusals()
        self.taken: list[bytes] = []

    def write(self, data: bytes) -> Refusals:
        if self.away:
            raise StoreUnavailableError("away")
        self.taken.append(data)
        return self.refusing


def store_in(folder: Path, database: Taking, token: str = "t") -> SinkStore:
    return SinkStore(DiskFiles(folder), token, database.write, Refused(folder, lambda text: None))


def test_old_entries_and_states_go_and_are_said_to_exist(tmp_path: Path) -> None:
    async def run() -> None:
        store = store_in(tmp_path, Taking())
        for seq in range(30):
            await store.put([(state_of(seq), [b"s"]), (f"state/readings-0/{seq:012d}-died.bin", [b"s"])])
            await store.create(entry_name(FOLDER, seq), entry(seq))
        assert len(await store.names(FOLDER)) == KEPT
        assert await store.names("state/readings-0") == [
            f"{seq:012d}-{kind}.bin" for seq in (28, 29) for kind in ("abc", "died")
        ]
        head = await read_head(store_in(tmp_path, Taking(), "u"), FOLDER)
        assert head is not None
        assert head.entry.seq == 29

    asyncio.run(run())


def test_a_worker_that_slept_is_fenced_also_where_its_entry_went(tmp_path: Path) -> None:
    async def run() -> None:
        store = store_in(tmp_path, Taking())
        for seq in range(20):
            await store.create(entry_name(FOLDER, seq), entry(seq))
        for seq in (3, 19):
            with pytest.raises(Exists):
                await store_in(tmp_path, Taking(), "u").create(entry_name(FOLDER, seq), entry(seq))

    asyncio.run(run())


def test_points_are_written_once_though_their_seal_is_tried_again(tmp_path: Path) -> None:
    async def run() -> None:
        database = Taking()
        store = store_in(tmp_path, database)
        points = [("points/readings-0-0-a.lp", [b"one"]), ("points/readings-0-0-b.lp", [b"two"])]
        await store.put(points[:1])
        database.away = True
        with pytest.raises(StoreUnavailableError):
            await store.put(points)
        database.away = False
        await store.put(points)
        assert database.taken == [b"one", b"two"]
        assert not (tmp_path / "points").exists()

    asyncio.run(run())


def test_refusals_are_counted_over_all_runs(tmp_path: Path) -> None:
    told: list[str] = []
    database = Taking()
    database.refusing.add("retention", 3, "beyond retention policy")
    for _ in range(2):
        refused = Refused(tmp_path, told.append)
        store = SinkStore(DiskFiles(tmp_path), "t", database.write, refused)
        asyncio.run(store.put([("points/readings-0-0-a.lp", [b"one"])]))
        assert refused.run == {"retention": 3}
    assert refused.counts == {"retention": 6}
    assert told == ["the database refuses points (retention): beyond retention policy"] * 2
    (tmp_path / "refused.json").write_text("rubbish")
    with pytest.raises(UsageError, match="mend or remove it"):
        Refused(tmp_path, told.append)
