"""Seeded storms over the true engine: not one wrong row."""

from __future__ import annotations

import os

import pytest

from tests.sim.storm import storm
from tests.sim.workloads import ArchiveWork, IdleWork, KeptArchiveWork, MarksWork, RulesWork, WindowsWork, Workload

RUNS = int(os.environ.get("SENSORLOOM_SIM_RUNS", "150"))
SOAK_RUNS = int(os.environ.get("SENSORLOOM_SIM_RUNS", "100000"))
CASE = 250


def blocks(runs: int) -> list[range]:
    return [range(first, min(first + CASE, runs)) for first in range(0, runs, CASE)]


def ride_out(seeds: range) -> None:
    seals = cuts = 0
    for seed in seeds:
        world = storm(seed)  # a failure carries the command that repeats it
        seals += world.seals
        cuts += world.disk.power_cuts
    # each run ends with one power cut; the storms are to bring more, and to leave time for work
    assert seals > len(seeds), f"{seals} seals in {len(seeds)} runs: the storms are too strong to test anything"
    assert cuts > 1.5 * len(seeds), f"{cuts} power cuts in {len(seeds)} runs: the storms are too weak"


@pytest.mark.parametrize("seeds", blocks(RUNS), ids=str)
def test_storms(seeds: range) -> None:
    ride_out(seeds)


@pytest.mark.parametrize("seed", [1_005_394], ids=str)
def test_seeds_that_once_went_wrong(seed: int) -> None:
    """1005394: the log forgot everything before anything was sealed, and a worker waited for an entry for ever."""
    storm(seed)


def test_a_sleeper_behind_a_hole_publishes_nothing() -> None:
    """3326: it made marks of what it read behind a hole that the partition's owner did not have."""
    storm(3326, work=RulesWork)


@pytest.mark.soak
@pytest.mark.parametrize("seeds", blocks(SOAK_RUNS), ids=str)
def test_many_storms(seeds: range) -> None:
    ride_out(range(1_000_000 + seeds.start, 1_000_000 + seeds.stop))


@pytest.mark.soak
@pytest.mark.parametrize("work", [IdleWork, WindowsWork, RulesWork, ArchiveWork, KeptArchiveWork, MarksWork])
def test_many_storms_over_real_work(work: type[Workload]) -> None:
    for seed in range(1_000_000, 1_000_200):
        storm(seed, work=work)


def test_storms_over_partitions_with_equal_output() -> None:
    for seed in range(50):
        storm(seed, work=IdleWork)


@pytest.mark.parametrize("work", [WindowsWork, RulesWork, ArchiveWork])
def test_storms_over_real_work(work: type[Workload]) -> None:
    for seed in range(16):
        storm(seed, work=work)


def test_storms_over_an_archive_that_keeps_what_is_young() -> None:
    gone = []
    for seed in range(14):
        work = storm(seed, work=KeptArchiveWork).work
        assert isinstance(work, KeptArchiveWork)
        gone.append(work.gone)
    assert sum(map(bool, gone)) > 5, "nothing has gone"


def test_storms_over_marks_that_are_corrected() -> None:
    for seed in range(20):
        storm(seed, work=MarksWork)


def test_a_seed_is_a_run() -> None:
    for seed in (1, 7, 33):
        first, again = storm(seed), storm(seed)
        assert first.journal == again.journal
        assert first.journal != storm(seed + 1).journal
