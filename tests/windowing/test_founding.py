"""Of several workers on a new dataset one founds it; what they find again must be the same."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ingest.engine.disk import DiskFiles
from ingest.engine.store import FileStore
from ingest.errors import CorruptError, TruncatedLogError, UsageError
from ingest.log.opening import open_log
from ingest.log.protocol import MARKS, READINGS, Bounds
from ingest.records import MarkEdit
from tests.windowing.sample_dataset import CONFIG
from tests.windowing.test_run import append, mark
from windowing.anchors import AnchorMark
from windowing.config import DatasetConfig
from windowing.founding import Source, claim_config, claim_genesis, read_anchors
from windowing.genesis import NAME
from windowing.operator import WindowOperator


def source(folder: Path, text: str) -> Source:
    (folder / "asked.toml").write_text(text)
    return Source.read(folder / "asked.toml")


def claim(out: Path, asked: Source, token: str = "t") -> None:
    asyncio.run(claim_config(FileStore(DiskFiles(out), token), asked, out))


def test_the_first_configuration_is_kept_byte_for_byte(tmp_path: Path) -> None:
    claim(tmp_path / "d", source(tmp_path, CONFIG + "# why\n"))
    assert (tmp_path / "d" / "dataset.toml").read_text() == CONFIG + "# why\n"
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["dataset.toml"]


def test_labels_are_updated_and_windows_are_not(tmp_path: Path) -> None:
    out = tmp_path / "d"
    claim(out, source(tmp_path, CONFIG))
    claim(out, source(tmp_path, CONFIG.replace("majority", "end")))
    assert DatasetConfig.load(out / "dataset.toml").labels.policy == "end"
    with pytest.raises(UsageError, match="use another --out"):
        claim(out, source(tmp_path, CONFIG.replace("length = 4", "length = 5")))
    assert DatasetConfig.load(out / "dataset.toml").window.length == 4


def test_a_copy_that_is_no_toml_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "d"
    out.mkdir()
    (out / "dataset.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not TOML"):
        claim(out, source(tmp_path, CONFIG))
    assert (out / "dataset.toml").read_bytes() == b"\xff\xfe"


def test_one_genesis_for_all_who_come_at_once(tmp_path: Path) -> None:
    async def run() -> set[str]:
        log = open_log(f"segments:{tmp_path}/log", partitions=2)
        operator = WindowOperator(DatasetConfig.load(tmp_path / "asked.toml").window)
        claims = [
            claim_genesis(FileStore(DiskFiles(tmp_path / "d"), f"t{n}"), log, operator, READINGS, f"id{n}", pin=True)
            for n in range(5)
        ]
        found = await asyncio.gather(*claims)
        await log.close()
        return {genesis.id for genesis in found}

    source(tmp_path, CONFIG)
    assert len(asyncio.run(run())) == 1
    assert [path.name for path in (tmp_path / "d").iterdir()] == [NAME]


def test_a_damaged_genesis_is_named(tmp_path: Path) -> None:
    async def run() -> None:
        log = open_log(f"segments:{tmp_path}/log", partitions=2)
        try:
            operator = WindowOperator(DatasetConfig.load(tmp_path / "asked.toml").window)
            await claim_genesis(FileStore(DiskFiles(tmp_path), "t"), log, operator, READINGS, "id")
        finally:
            await log.close()

    source(tmp_path, CONFIG)
    (tmp_path / NAME).write_bytes(b"{}")
    with pytest.raises(CorruptError, match=NAME):
        asyncio.run(run())


def anchors(log_url: str, pinned: tuple[tuple[int, int, int], ...]) -> tuple[AnchorMark, ...]:
    async def run() -> tuple[AnchorMark, ...]:
        log = open_log(log_url)
        try:
            return await read_anchors(log, pinned)
        finally:
            await log.close()

    return asyncio.run(run())


def test_anchors_are_the_marks_as_they_stood_at_the_pinned_offsets(tmp_path: Path) -> None:
    url = f"segments:{tmp_path}/log"
    first = mark("a", 0, 4, "run")
    edit = MarkEdit("a", first.id, "bob", "operator", end_ns=first.end_ns + 1)
    append(url, MARKS, first, edit, mark("a", 5, 6, "late"))

    async def partition() -> int:
        log = open_log(url)
        try:
            return next(p for p, (_, end) in (await log.bounds(MARKS)).items() if end)
        finally:
            await log.close()

    number = asyncio.run(partition())
    assert anchors(url, ((number, 0, 2),)) == (AnchorMark(first.id, "a", first.start_ns, first.end_ns + 1),)
    assert len(anchors(url, ((number, 0, 3),))) == 2
    assert anchors(url, ((number, 0, 0),)) == ()


def test_anchors_that_the_log_no_longer_has_are_an_error() -> None:
    class Cut:
        async def bounds(self, topic: str) -> dict[int, Bounds]:
            return {0: Bounds(3, 9)}

    with pytest.raises(TruncatedLogError, match="begins at 3, but the windows are anchored at marks from 0 on"):
        asyncio.run(read_anchors(Cut(), ((0, 0, 5),)))  # type: ignore[arg-type]
