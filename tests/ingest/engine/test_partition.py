from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from ingest.engine import partition as work
from ingest.engine.disk import DiskFiles
from ingest.engine.manifest import decode_entry
from ingest.engine.plan import Op
from ingest.engine.store import FileStore
from ingest.errors import CorruptError, FencedError, StateVersionError
from tests.ingest.engine.counting import SumOperator, batch_of

OPERATOR = SumOperator()


class UnthreadedFiles(DiskFiles):
    """A thousand seals are quicker without a thread for each."""

    async def run(self, plan: Sequence[Op]) -> None:
        self.run_now(plan)


def store_at(path: Path, token: str = "w1") -> FileStore:
    return FileStore(DiskFiles(path), token)


async def recover(store: FileStore, operator: SumOperator = OPERATOR) -> work.Partition:
    return await work.recover(store, operator, "readings", 0, 0)


async def feed_and_seal(store: FileStore, part: work.Partition, numbers: list[int]) -> None:
    part.running.feed(batch_of(numbers, part.position))
    part.position += len(numbers)
    seal = work.prepare(part, OPERATOR)
    note = await work.write_files(store, seal)
    await work.commit(store, part, seal)
    await store.delete((*work.move_on(part, seal), note))
    await work.write_checkpoint(store, part.folder, seal.entry.seq)


def test_a_recovered_partition_goes_on_where_the_last_entry_ends(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = store_at(tmp_path)
        part = await recover(store)
        await feed_and_seal(store, part, [1, 2])
        part.running.feed(batch_of([100], 2))  # never sealed: as if the worker had died here
        again = await recover(store)
        assert (again.begin, again.position, again.dirty) == (2, 2, False)
        await feed_and_seal(store, again, [3])
        lines = sorted(path.read_text() for path in (tmp_path / "lines").iterdir())
        assert lines == ["0 1\n1 3\n", "2 6\n"]
        entry = decode_entry((tmp_path / "manifest/readings-0/000000000001.json").read_bytes(), "e")
        assert (entry.begin, entry.through, entry.totals) == (2, 3, {"lines": 3, "records": 3})

    asyncio.run(scenario())


def test_only_the_last_two_states_are_kept_even_when_they_are_equal(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = store_at(tmp_path)
        part = await recover(store)
        for _ in range(5):
            await feed_and_seal(store, part, [0])
        states = sorted(path.name[:12] for path in (tmp_path / "state/readings-0").iterdir())
        assert states == ["000000000003", "000000000004"]
        assert (await recover(store)).position == 5

    asyncio.run(scenario())


def test_a_worker_that_died_before_deleting_leaves_that_to_the_next(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = store_at(tmp_path)
        part = await recover(store)
        for number in (1, 2, 3):
            part.running.feed(batch_of([number], part.position))
            part.position += 1
            seal = work.prepare(part, OPERATOR)
            await work.write_files(store, seal)
            await work.commit(store, part, seal)
            work.move_on(part, seal)
        assert len(list((tmp_path / "state/readings-0").glob("*.bin"))) == 3
        await recover(store)
        assert len(list((tmp_path / "state/readings-0").iterdir())) == 2

    asyncio.run(scenario())


def test_the_second_to_seal_a_number_is_fenced(tmp_path: Path) -> None:
    async def scenario() -> None:
        first, second = store_at(tmp_path, "w1"), store_at(tmp_path, "w2")
        one, two = await recover(first), await recover(second)
        await feed_and_seal(first, one, [1, 2, 3])
        with pytest.raises(FencedError, match="readings-0: entry 0 exists already"):
            await feed_and_seal(second, two, [1, 2])
        assert (await recover(second)).position == 3

    asyncio.run(scenario())


def test_foreign_chains_are_refused_with_the_way_out(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = store_at(tmp_path)
        await feed_and_seal(store, await recover(store), [1])
        with pytest.raises(StateVersionError, match="code version 1, this is version 2; go on"):
            await recover(store, SumOperator(code=2))
        with pytest.raises(StateVersionError, match="spec plain, this is sum with other; use another output"):
            await recover(store, SumOperator(spec="other"))

    asyncio.run(scenario())


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
@pytest.mark.parametrize("folder", ["state/readings-0", "manifest/readings-0"])
def test_a_damaged_state_or_entry_is_named(tmp_path: Path, damage: str, folder: str) -> None:
    async def scenario() -> None:
        store = store_at(tmp_path)
        await feed_and_seal(store, await recover(store), [1, 2, 3])
        (victim,) = (tmp_path / folder).iterdir()
        data = victim.read_bytes()
        if damage == "remove":
            victim.unlink()
        else:
            victim.write_bytes(bytes([data[0] ^ 1]) + data[1:] if damage == "flip" else data[:-1])
        if damage == "remove" and folder.startswith("manifest"):
            assert (await recover(store)).position == 0  # an entry that is gone never was: the log has it all
            return
        if damage == "truncate" and folder.startswith("manifest"):
            assert (await recover(store)).position == 3  # only the final newline is gone
            victim.write_bytes(data[:-2])
        with pytest.raises(CorruptError, match=victim.name):
            await recover(store)

    asyncio.run(scenario())


def test_a_thousand_entries_are_summed_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = FileStore(UnthreadedFiles(tmp_path), "w1")
        part = await recover(store)
        for number in range(1001):
            await feed_and_seal(store, part, [number])
        names = await store.names("manifest/readings-0")
        assert [name for name in names if name.startswith("checkpoint")] == ["checkpoint-000000000999.json"]

    asyncio.run(scenario())
