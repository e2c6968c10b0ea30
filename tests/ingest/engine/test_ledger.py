"""Ledgers: pages follow one another, whoever writes them at once; whatever is missing or damaged is missed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ingest.engine.disk import DiskFiles
from ingest.engine.ledger import append_page, mend_head, read_ledger
from ingest.engine.store import FileStore
from ingest.errors import CorruptError


def write(root: Path, *texts: str, token: str = "t") -> None:
    async def run() -> None:
        store = FileStore(DiskFiles(root), token)
        for text in texts:
            await append_page(store, root, "notes", {"text": text}, time_ns=7, author="ann")

    asyncio.run(run())


def texts(root: Path) -> list[str]:
    return [page.body["text"] for page in read_ledger(root, "notes")]


def test_pages_come_back_in_order(tmp_path: Path) -> None:
    assert read_ledger(tmp_path, "notes") == []
    write(tmp_path, "a", "b")
    write(tmp_path, "c", token="another")
    assert texts(tmp_path) == ["a", "b", "c"]
    page = read_ledger(tmp_path, "notes")[1]
    assert (page.number, page.time_ns, page.author) == (1, 7, "ann")


def test_two_who_write_at_once_both_have_their_page(tmp_path: Path) -> None:
    async def run() -> None:
        stores = [FileStore(DiskFiles(tmp_path), token) for token in "xyz"]
        await asyncio.gather(
            *(append_page(s, tmp_path, "notes", {"text": str(n)}, time_ns=0, author="") for n, s in enumerate(stores))
        )

    asyncio.run(run())
    assert sorted(texts(tmp_path)) == ["0", "1", "2"]


@pytest.mark.parametrize("name", ["notes/000000.json", "notes/000001.json", "notes/000002.json", "belongs/notes.json"])
def test_whatever_is_missing_or_damaged_is_named(tmp_path: Path, name: str) -> None:
    write(tmp_path, "a", "b", "c")
    path = tmp_path / name
    data = path.read_bytes()
    for damage in (None, b"", data[:-9], data.replace(b'"seq":2', b'"seq":1').replace(b'"text":"', b'"text":"x')):
        path.unlink() if damage is None else path.write_bytes(damage)
        with pytest.raises(CorruptError, match=path.name.replace(".", r"\.")):
            read_ledger(tmp_path, "notes")
        path.write_bytes(data)
    assert texts(tmp_path) == ["a", "b", "c"]


def test_a_crash_before_the_head_is_written_costs_nothing(tmp_path: Path) -> None:
    write(tmp_path, "a")
    head = (tmp_path / "belongs/notes.json").read_bytes()
    write(tmp_path, "b")
    (tmp_path / "belongs/notes.json").write_bytes(head)
    assert texts(tmp_path) == ["a", "b"]
    write(tmp_path, "c")
    (tmp_path / "notes/000002.json").unlink()
    with pytest.raises(CorruptError, match="000002"):
        texts(tmp_path)


def test_a_missing_head_is_mended_for_who_writes_the_newest_page_anew(tmp_path: Path) -> None:
    write(tmp_path, "a", "b")
    (tmp_path / "belongs/notes.json").unlink()
    store = FileStore(DiskFiles(tmp_path), "t")
    assert asyncio.run(mend_head(store, tmp_path, "notes"))
    assert not asyncio.run(mend_head(store, tmp_path, "notes"))
    assert texts(tmp_path) == ["a", "b"]
