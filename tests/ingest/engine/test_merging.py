"""Which files are merged, and that a merging which cannot be is in nobody's way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.engine import partition as work
from ingest.engine.disk import DiskFiles
from ingest.engine.leftovers import sweep
from ingest.engine.manifest import FORMAT, FORMAT_MERGED, FileRef
from ingest.engine.merging import Merging, chosen_of, commit_merged, is_due, let_go, merge, write_merged
from ingest.engine.operator import Draft
from ingest.engine.plan import Op, Rename
from ingest.engine.store import FileStore
from ingest.errors import FencedError, StoreFullError
from tests.ingest.engine.test_partition import feed_and_seal, recover, store_at
from tests.windowing.sample_dataset import at_once

MAX = 1 << 20


class Joined:
    """Files one behind the other."""

    def takes(self, ref: FileRef) -> bool:
        return not ref.name.startswith("large/")

    def alone(self, files: Sequence[FileRef]) -> bool:
        return False

    def joins(self, older: FileRef, size: int) -> bool:
        return older.bytes <= size and older.bytes + size <= MAX

    def merge(self, files: Sequence[tuple[FileRef, bytes]], tag: str) -> Sequence[Draft]:
        return [Draft.of("lines", "l", ".txt", [data for _, data in files], sum(ref.rows for ref, _ in files), tag)]


class Apart(Joined):
    """Large ones stay alone."""

    def alone(self, files: Sequence[FileRef]) -> bool:
        return any(ref.bytes > 6 for ref in files)

    def joins(self, older: FileRef, size: int) -> bool:
        return False


def ref(name: str, size: int) -> FileRef:
    return FileRef(name, name, size, 1)


def test_of_each_folder_new_files_are_chosen_and_no_single_one() -> None:
    new = [ref("b/1", 1), ref("a/1", 1), ref("b/2", 1)]
    assert [each.name for each in chosen_of([], new, Joined())] == ["b/1", "b/2"]
    assert [each.name for each in chosen_of([ref("a/0", 1), ref("b/0", 3)], new, Joined())] == [
        "a/0",
        "a/1",
        "b/1",
        "b/2",
    ]


@given(st.lists(st.integers(1, 5_000), min_size=1, max_size=300))
def test_few_files_are_left_and_no_byte_is_written_often(sizes: list[int]) -> None:
    """As a binary counter: the files halve in size, and a byte is written again once for each doubling."""
    older: list[FileRef] = []
    written = 0
    for number, size in enumerate(sizes):
        new = ref(f"a/{number}", size)
        chosen = chosen_of(older, [new], Joined())
        older = [each for each in (*older, new) if each not in chosen]
        if chosen:
            written += sum(each.bytes for each in chosen)
            older.append(ref(f"a/{number}", sum(each.bytes for each in chosen)))
    total = sum(sizes)
    assert sum(each.bytes for each in older) == total
    assert written <= total * total.bit_length()
    assert len(older) <= 2 * total // MAX + total.bit_length() + 1


def merging_of(bytes_max: int = 64 << 20) -> Merging:
    return Merging(Joined(), lambda: 10**18, every=2, grace_ns=0, bytes_max=bytes_max)


async def merged(store: FileStore, part: work.Partition, merging: Merging) -> None:
    ready = await merge(store, part, merging, at_once)
    note = await write_merged(store, part, ready)
    await store.delete((*await commit_merged(store, part, ready), note))


def lines(folder: Path) -> list[str]:
    return sorted(path.read_text() for path in (folder / "lines").iterdir())


def test_a_worker_goes_on_behind_a_merging_as_if_there_were_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        store, merging = store_at(tmp_path), merging_of()
        part = await recover(store)
        for number in range(3):
            assert is_due(part, merging) is (number == 2)
            await feed_and_seal(store, part, [number])
        before = part.running.snapshot()
        await merged(store, part, merging)
        await let_go(store, part, merging)
        assert lines(tmp_path) == ["0 0\n1 1\n2 3\n"]
        again = await recover(store)
        assert again.head is not None
        assert (again.running.snapshot(), again.begin, again.haunted) == (before, 3, False)
        assert (again.head.entry.format, again.head.entry.totals) == (FORMAT_MERGED, {"lines": 3, "records": 3})
        assert not is_due(again, merging)
        await feed_and_seal(store, again, [5])
        assert again.head.entry.merged == part.head.entry.merged  # type: ignore[union-attr]
        assert lines(tmp_path) == ["0 0\n1 1\n2 3\n", "3 8\n"]

    asyncio.run(scenario())


def test_entries_without_a_merging_keep_the_format_that_older_versions_read(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = store_at(tmp_path)
        part = await recover(store)
        await feed_and_seal(store, part, [1])
        assert part.head is not None
        assert part.head.entry.format == FORMAT
        assert b"merged" not in (tmp_path / "manifest/readings-0/000000000000.json").read_bytes()

    asyncio.run(scenario())


def test_who_has_lost_the_partition_merges_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        store, merging = store_at(tmp_path), merging_of()
        part = await recover(store)
        for number in range(3):
            await feed_and_seal(store, part, [number])
        ready = await merge(store, part, merging, at_once)
        await write_merged(store, part, ready)
        other = await recover(store_at(tmp_path, "w2"))
        assert other.haunted
        await feed_and_seal(store, other, [7])
        with pytest.raises(FencedError):
            await commit_merged(store, part, ready)
        await sweep(store, other.folder, other.next_seq - 1)
        assert lines(tmp_path) == ["0 0\n", "1 1\n", "2 3\n", "3 10\n"]
        assert not list((tmp_path / "merged").iterdir())

    asyncio.run(scenario())


def test_what_was_merged_outlives_the_note_that_announced_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        store, merging = store_at(tmp_path), merging_of()
        part = await recover(store)
        for number in range(2):
            await feed_and_seal(store, part, [number])
        ready = await merge(store, part, merging, at_once)
        await write_merged(store, part, ready)
        await commit_merged(store, part, ready)  # and dies
        again = await recover(store_at(tmp_path, "w2"))
        assert not again.haunted
        await let_go(store, again, merging)
        assert lines(tmp_path) == ["0 0\n1 1\n"]
        assert [f"merged/{path.name}" for path in (tmp_path / "merged").iterdir()] == [ready.drafts[-1].name]

    asyncio.run(scenario())


class FullAtMerging(DiskFiles):
    """Has no room for what says what was merged."""

    async def run(self, plan: Sequence[Op]) -> None:
        if any(isinstance(op, Rename) and op.to.startswith("merged/") for op in plan):
            raise StoreFullError("merged: no space left")
        await super().run(plan)


def test_where_there_is_no_room_what_was_written_goes_with_the_next_seal(tmp_path: Path) -> None:
    async def scenario() -> None:
        store, merging = FileStore(FullAtMerging(tmp_path), "w"), merging_of()
        part = await recover(store)
        for number in range(2):
            await feed_and_seal(store, part, [number])
        ready = await merge(store, part, merging, at_once)
        with pytest.raises(StoreFullError):
            await write_merged(store, part, ready)
        assert len(lines(tmp_path)) == 3
        await feed_and_seal(store, part, [2])
        await sweep(store, part.folder, part.next_seq - 1)
        assert lines(tmp_path) == ["0 0\n", "1 1\n", "2 3\n"]

    asyncio.run(scenario())


def test_no_merging_reaches_across_an_entry_that_stays_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        store, merging = store_at(tmp_path), Merging(Apart(), lambda: 10**18, every=2, grace_ns=0)
        part = await recover(store)
        for numbers in ([1000], [1000], [0], [1], [20_000], [1], [2]):
            part.running.total = 0  # type: ignore[attr-defined]
            await feed_and_seal(store, part, numbers)
        for _ in range(2):
            await merged(store, part, merging)
            await let_go(store, part, merging)
        assert part.merged is not None
        texts = [(tmp_path / ref.name).read_text() for ref in part.merged.files]
        assert texts == ["0 1000\n", "1 1000\n", "2 0\n3 1\n", "4 20000\n", "5 1\n6 2\n"]

    asyncio.run(scenario())


def test_more_than_fits_into_memory_is_merged_in_steps(tmp_path: Path) -> None:
    async def scenario() -> None:
        store, merging = store_at(tmp_path), merging_of(bytes_max=9)
        part = await recover(store)
        for number in range(5):
            await feed_and_seal(store, part, [number])
        await merged(store, part, merging)
        assert part.merged is not None
        assert (part.merged.last, is_due(part, merging)) == (1, True)
        await merged(store, part, merging)
        assert part.merged.last == 3
        await let_go(store, part, merging)
        assert lines(tmp_path) == ["0 0\n1 1\n2 3\n3 6\n", "4 10\n"]

    asyncio.run(scenario())
