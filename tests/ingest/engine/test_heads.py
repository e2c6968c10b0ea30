"""A chain that has lost entries is known by its head; one that a crash left behind its entry goes on."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from ingest.engine import partition as work
from ingest.engine.disk import DiskFiles
from ingest.engine.heads import NOTHING, begin_heads, copy_heads, decode_heads_copy, mark_head, stored_head
from ingest.engine.store import FileStore
from ingest.errors import CorruptError
from tests.ingest.engine.counting import SumOperator, batch_of

OPERATOR = SumOperator()
CHAIN = "manifest/readings-0"


def store_at(path: Path) -> FileStore:
    return FileStore(DiskFiles(path), "w")


async def seal(store: FileStore, entries: int, log_begin: int = 0) -> None:
    part = await work.recover(store, OPERATOR, "readings", 0, log_begin)
    for number in range(entries):
        part.running.feed(batch_of([number], part.position))
        part.position += 1
        one = work.prepare(part, OPERATOR)
        await work.write_files(store, one)
        await work.commit(store, part, one)
        await store.delete(work.move_on(part, one))
        assert part.head is not None
        await mark_head(store, part.folder, part.head)


def sealed(path: Path, entries: int = 3) -> FileStore:
    store = store_at(path)
    asyncio.run(seal(store, entries))
    return store


def recovered(store: FileStore, log_begin: int = 0) -> work.Partition:
    return asyncio.run(work.recover(store, OPERATOR, "readings", 0, log_begin))


def test_a_head_names_the_newest_entry(tmp_path: Path) -> None:
    head = asyncio.run(stored_head(sealed(tmp_path), CHAIN))
    assert (head.seq, head.begin, head.through) == (2, 2, 3)


def test_chains_begin_with_a_head_that_names_none(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    asyncio.run(begin_heads(store, [CHAIN, "manifest/readings-1"]))
    assert asyncio.run(stored_head(store, CHAIN)) == NOTHING
    asyncio.run(seal(store, 1))
    asyncio.run(begin_heads(store, [CHAIN, "manifest/readings-1"]))
    assert asyncio.run(stored_head(store, CHAIN)).seq == 0


def test_a_newest_entry_that_is_gone_is_made_again_while_the_log_has_its_records(tmp_path: Path) -> None:
    store = sealed(tmp_path)
    (tmp_path / CHAIN / "000000000002.json").unlink()
    assert recovered(store, log_begin=2).position == 2
    with pytest.raises(CorruptError, match=r"000000000002\.json: is missing, the chain went on to entry 2"):
        recovered(store, log_begin=3)


def test_an_only_entry_that_is_gone_is_made_again_while_the_log_has_its_records(tmp_path: Path) -> None:
    store = sealed(tmp_path, 1)
    (tmp_path / CHAIN / "000000000000.json").unlink()
    assert recovered(store).position == 0
    with pytest.raises(CorruptError, match="is missing"):
        recovered(store, log_begin=1)


def test_a_chain_whose_entries_are_gone_is_refused_although_its_states_are_gone_too(tmp_path: Path) -> None:
    store = sealed(tmp_path)
    shutil.rmtree(tmp_path / "manifest")
    shutil.rmtree(tmp_path / "state")
    with pytest.raises(CorruptError, match="went on to entry 2"):
        recovered(store)


def test_a_head_that_is_behind_missing_or_damaged_is_written_anew(tmp_path: Path) -> None:
    store = sealed(tmp_path)
    path = tmp_path / "heads/readings-0.json"
    newest = path.read_bytes()
    for damage in (b"", newest[:-20], None):
        path.unlink()
        if damage is not None:
            path.write_bytes(damage)
        recovered(store)
        assert path.read_bytes() == newest


def test_a_copy_of_heads_never_says_less_than_before(tmp_path: Path) -> None:
    store, root = sealed(tmp_path / "op"), store_at(tmp_path)

    def copied() -> dict[str, int]:
        asyncio.run(copy_heads(store, root, "belongs/op.json", [CHAIN, "manifest/readings-1"]))
        heads = decode_heads_copy((tmp_path / "belongs/op.json").read_bytes(), "op.json")
        return {chain: head.through for chain, head in heads.items()}

    assert copied() == {CHAIN: 3, "manifest/readings-1": 0}
    shutil.rmtree(tmp_path / "op")
    asyncio.run(seal(store, 2))  # an older one was brought back
    assert copied()[CHAIN] == 3
    asyncio.run(seal(store, 2))
    assert copied()[CHAIN] == 4
    (tmp_path / "belongs/op.json").write_bytes(b"rot")
    assert copied()[CHAIN] == 4
