"""States in parts: a delta and its base say what a whole state would, and little where little changed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.engine import partition as work
from ingest.engine.copying import copy_chains
from ingest.engine.disk import DiskFiles
from ingest.engine.manifest import FORMAT, FORMAT_BASED, FileRef, decode_entry, sha256_of
from ingest.engine.operator import State
from ingest.engine.states import Base, base_of, decode_parts, encode_parts
from ingest.engine.store import FileStore
from ingest.errors import CorruptError
from tests.ingest.engine.counting import Summing, SumOperator, batch_of

STATES = st.lists(st.sampled_from([b"", b"a", b"b" * 40, b"c" * 100, b"d" * 7, b"\x00" * 60]), min_size=1, max_size=8)


def _file(parts: Sequence[bytes], base: Base | None) -> tuple[bytes, FileRef, bool]:
    pieces, is_delta = encode_parts(parts, base)
    data = b"".join(pieces)
    return data, FileRef("state", sha256_of(data), len(data)), is_delta


@given(STATES, STATES)
def test_any_state_comes_back_in_order(before: list[bytes], after: list[bytes]) -> None:
    whole, ref, _ = _file(before, None)
    assert decode_parts(whole, "whole") == before
    data, _, is_delta = _file(after, base_of(ref, before))
    assert decode_parts(data, "d", *((whole, ref.sha256) if is_delta else ())) == after


def test_a_delta_has_what_changed_alone() -> None:
    parts = [b"%d" % number * 100 for number in range(1000)]
    whole, ref, _ = _file(parts, None)
    parts[17], parts[400] = b"new" * 50, b""
    del parts[900]
    data, _, is_delta = _file([*parts, b"more"], base_of(ref, parts[:0] + decode_parts(whole, "whole")))
    assert is_delta
    assert len(data) < 300
    assert decode_parts(data, "delta", whole, ref.sha256) == [*parts, b"more"]


def test_a_state_of_which_most_changed_is_whole() -> None:
    parts = [b"a" * 100, b"b" * 100, b"c" * 100]
    _, ref, _ = _file(parts, None)
    assert not _file([parts[0], b"x" * 100, b"y" * 100], base_of(ref, parts))[2]


def test_a_state_of_one_part_is_a_file_of_its_bytes() -> None:
    assert _file([b"all"], None)[0] == b"all"
    assert decode_parts(b"all", "state") == [b"all"]
    assert base_of(FileRef("state", "", 3), [b"all"]) is None


def test_a_delta_of_another_base_is_refused() -> None:
    parts = [b"a" * 100, b"b"]
    whole, ref, _ = _file(parts, None)
    data, _, is_delta = _file([b"a" * 100, b"c"], base_of(ref, parts))
    assert is_delta
    with pytest.raises(CorruptError, match=f"is based on {ref.sha256}, its entry says nothing"):
        decode_parts(data, "delta")
    with pytest.raises(CorruptError, match="its entry says 0"):
        decode_parts(data, "delta", whole, "0")
    with pytest.raises(CorruptError, match="not a state"):
        decode_parts(whole[:40], "whole")


# --- in a chain


@dataclass
class Counting(Summing):
    """Remembers each number for good, in a part of its own."""

    known: dict[bytes, int] = field(default_factory=dict)

    def feed(self, batch: object) -> int:
        for value in batch.values:  # type: ignore[attr-defined]
            self.known[value] = self.known.get(value, 0) + 1
        return super().feed(batch)  # type: ignore[arg-type]

    def snapshot(self) -> State:
        return [b"%d" % self.total, *(b"%s %d" % pair + b"." * 100 for pair in self.known.items())]


@dataclass(frozen=True)
class CountOperator(SumOperator):
    def start(self, saved: State | None) -> Counting:
        total, *parts = saved or [b"0"]
        pairs = [part.rstrip(b".").split() for part in parts]
        return Counting(int(total), known={value: int(count) for value, count in pairs})


OPERATOR = CountOperator()


async def _recover(store: FileStore) -> work.Partition:
    return await work.recover(store, OPERATOR, "readings", 0, 0)


async def _seal(store: FileStore, part: work.Partition, numbers: list[int], *, deletes: bool = True) -> None:
    part.running.feed(batch_of(numbers, part.position))
    part.position += len(numbers)
    seal = work.prepare(part, OPERATOR)
    note = await work.write_files(store, seal)
    await work.commit(store, part, seal)
    outdated = work.move_on(part, seal)
    await store.delete((*(outdated if deletes else ()), note))


def _states(folder: Path) -> list[str]:
    return sorted(str(int(path.name[:12])) for path in (folder / "state/readings-0").iterdir())


def test_a_chain_goes_on_from_base_and_delta_and_keeps_both(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = FileStore(DiskFiles(tmp_path), "w")
        part = await _recover(store)
        await _seal(store, part, list(range(20)))
        for number in range(4):
            await _seal(store, part, [number])
        assert _states(tmp_path) == ["0", "3", "4"]
        written = [path.stat().st_size for path in sorted((tmp_path / "state/readings-0").iterdir())]
        assert written[0] > 5 * written[1]
        again = await _recover(store)
        assert again.running.snapshot() == part.running.snapshot()
        await _seal(store, again, [7])  # the base is known to who recovers
        assert (await _recover(store)).running.snapshot() == again.running.snapshot()
        entries = [tmp_path / f"manifest/readings-0/{seq:012d}.json" for seq in (0, 5)]
        first, last = (decode_entry(path.read_bytes(), "e") for path in entries)
        assert (first.format, first.base, last.format, last.base) == (FORMAT, None, FORMAT_BASED, first.state)
        await _seal(store, again, list(range(20)))
        await _seal(store, again, [1])
        assert _states(tmp_path) == ["6", "7"]  # a whole one: nobody needs the base any more

    asyncio.run(scenario())


def test_a_base_that_its_worker_died_before_deleting_goes_at_recovery(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = FileStore(DiskFiles(tmp_path), "w")
        part = await _recover(store)
        for numbers in (list(range(20)), [1], list(range(20))):
            await _seal(store, part, numbers)
        await _seal(store, part, [2], deletes=False)
        assert _states(tmp_path) == ["0", "1", "2", "3"]
        await _recover(store)
        assert _states(tmp_path) == ["2", "3"]

    asyncio.run(scenario())


@pytest.mark.parametrize("which", ["0", "2"])
@pytest.mark.parametrize("gone", [False, True])
def test_a_damaged_base_or_delta_is_named(tmp_path: Path, which: str, gone: bool) -> None:
    async def scenario() -> None:
        store = FileStore(DiskFiles(tmp_path), "w")
        part = await _recover(store)
        for numbers in (list(range(20)), [1], [2]):
            await _seal(store, part, numbers)
        (victim,) = (p for p in (tmp_path / "state/readings-0").iterdir() if int(p.name[:12]) == int(which))
        if gone:
            victim.unlink()
        else:
            victim.write_bytes(victim.read_bytes()[:-1] + b"!")
        with pytest.raises(CorruptError, match=victim.name):
            await _recover(store)

    asyncio.run(scenario())


def test_a_copy_of_a_chain_has_the_base(tmp_path: Path) -> None:
    from ingest.copying import Copier

    async def scenario() -> None:
        store = FileStore(DiskFiles(tmp_path / "a"), "w")
        part = await _recover(store)
        for numbers in (list(range(20)), [1], [2]):
            await _seal(store, part, numbers)
        (tmp_path / "a/genesis.json").write_bytes(b"{}")
        copy_chains(tmp_path / "a", tmp_path / "b", Copier())
        assert _states(tmp_path / "b") == ["0", "1", "2"]
        again = await _recover(FileStore(DiskFiles(tmp_path / "b"), "w"))
        assert again.running.snapshot() == part.running.snapshot()

    asyncio.run(scenario())
