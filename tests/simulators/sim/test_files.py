"""The disk that forgets."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest

from ingest.engine.plan import Fsync, Link, Rename, SyncFolder, Unlink, Write, create_plan, put_plan
from ingest.errors import StoreFullError
from simulators.sim.faults import Chance, Crash, CrashPoint, Faults, Phase, Process
from simulators.sim.files import SimDisk, SimFiles
from simulators.sim.loop import run


def process(faults: Faults | None = None, **more: Any) -> Process:
    return Process("p", Chance(random.Random(1), faults or Faults()), **more)


def after_cuts(*plan: Any, cuts: int = 300) -> Iterator[SimDisk]:
    """The disk after a plan and a power cut, for many seeds."""
    for seed in range(cuts):
        disk = SimDisk(random.Random(seed))
        run(lambda rng, disk=disk: SimFiles(disk, process()).run(plan), seed=1)  # type: ignore[misc]
        disk.power_cut()
        yield disk


def contents(disk: SimDisk) -> dict[str, bytes]:
    return {name: disk.read(name) for name in disk.visible}


def test_what_is_fsynced_stays() -> None:
    for disk in after_cuts(*put_plan([("d/a", [b"one"]), ("d/b", [b"two"])], "t"), *create_plan("m/0", b"entry", "t")):
        kept = contents(disk)
        assert (kept.pop("d/a"), kept.pop("d/b"), kept.pop("m/0")) == (b"one", b"two", b"entry")
        assert set(kept) <= {"m/0.t.tmp"}, "an unlink need not be durable"


def test_bytes_without_fsync_may_be_anything() -> None:
    fates = {disk.read("d/a") for disk in after_cuts(Write("d/a", (b"abcdef",)), SyncFolder("d"))}
    assert {b"", b"abcdef", b"abc", bytes(6)} <= fates
    assert any(len(fate) == 6 and fate not in (b"abcdef", bytes(6)) and fate[:1] == b"a" for fate in fates)


def test_a_name_without_fsync_of_its_folder_may_vanish() -> None:
    fates = {len(disk.visible) for disk in after_cuts(Write("d/a", (b"x",)), Fsync("d/a"))}
    assert fates == {0, 1}


def test_a_rename_is_old_or_new() -> None:
    old = put_plan([("d/a", [b"old"])], "t")
    new = (Write("d/n", (b"new",)), Fsync("d/n"), SyncFolder("d"), Rename("d/n", "d/a"))
    fates = [contents(disk) for disk in after_cuts(*old, *new)]
    assert {fate["d/a"] for fate in fates} == {b"old", b"new"}
    assert all((fate["d/a"] == b"new") == ("d/n" not in fate) for fate in fates)


def test_changes_of_names_survive_in_any_subset() -> None:
    plan = [Write(f"d/{name}", (b"x",)) for name in "abc"]
    fates = {tuple(disk.names("d")) for disk in after_cuts(*plan)}
    assert {(), ("a", "b", "c"), ("c",), ("a", "c")} <= fates


def test_a_new_file_under_an_old_name_leaves_other_names_alone() -> None:
    disk = SimDisk(random.Random(1))
    disk.write("d/a", b"one")
    disk.link("d/a", "d/b")
    disk.write("d/a", b"two")
    assert contents(disk) == {"d/a": b"two", "d/b": b"one"}


def test_errors_are_those_of_a_file_system() -> None:
    disk = SimDisk(random.Random(1))
    disk.write("d/a", b"one")
    disk.write("d/b", b"two")
    with pytest.raises(FileExistsError):
        disk.link("d/a", "d/b")
    for act in (disk.fsync, disk.read, lambda name: disk.rename(name, "d/x"), lambda name: disk.link(name, "d/x")):
        with pytest.raises(FileNotFoundError):
            act("d/none")
    with pytest.raises(ValueError, match="across folders"):
        disk.rename("d/a", "e/a")
    disk.unlink("d/none")
    assert disk.names("d") == ["a", "b"]
    assert disk.names("none") == []


@pytest.mark.parametrize(
    ("phase", "left"), [(Phase.BEFORE, {b"one"}), (Phase.AFTER, {b"one", b"abcdef"}), (Phase.TORN, None)]
)
def test_a_process_dies_at_its_crash_point_and_stays_dead(phase: Phase, left: set[bytes] | None) -> None:
    async def main(rng: random.Random) -> None:
        disk = SimDisk(rng)
        dying = process(crash_at=CrashPoint(2, phase))
        files = SimFiles(disk, dying)
        await files.run([Write("d/a", (b"one",)), Fsync("d/a")])
        with pytest.raises(Crash):
            await files.run([Write("d/b", (b"abcdef",)), Unlink("d/a"), Link("d/b", "d/c")])
        for act in (files.run([SyncFolder("d")]), files.read("d/a"), files.exists("d/a"), files.names("d")):
            with pytest.raises(Crash):
                await act
        found = set(contents(disk).values())
        if left is None:
            assert {b"abcdef"[:n] for n in range(7)} & found
        else:
            assert found == left
        assert await SimFiles(disk, process()).read("d/a") == b"one"

    run(main, seed=1)


def test_a_power_cut_is_told_to_the_machine() -> None:
    cuts = []

    async def main(rng: random.Random) -> None:
        disk = SimDisk(rng)
        dying = process(crash_at=CrashPoint(0, Phase.AFTER, power=True), cut_power=lambda: cuts.append(1))
        with pytest.raises(Crash):
            await SimFiles(disk, dying).run([Write("d/a", (b"x",))])

    run(main, seed=1)
    assert cuts == [1]


def test_a_full_disk_leaves_a_part_and_has_room_again() -> None:
    async def main(rng: random.Random) -> None:
        disk = SimDisk(rng)
        files = SimFiles(disk, process(Faults(disk_full=1.0)))
        with pytest.raises(StoreFullError):
            await files.run([Write("d/a.tmp", (b"abcdef",)), Rename("d/a.tmp", "d/a")])
        assert not await files.exists("d/a")
        assert b"abcdef".startswith(await files.read("d/a.tmp"))
        await asyncio.sleep(60.0)
        calm = SimFiles(disk, process())
        await calm.run(put_plan([("d/a", [b"abcdef"])], "t"))
        assert await calm.read("d/a") == b"abcdef"

    run(main, seed=1)
