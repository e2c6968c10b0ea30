"""Crashes, full disks and sleeps at every step of a small scenario: exhaustive where the storms are random."""

from __future__ import annotations

import pytest

from ingest.engine.plan import Fsync, Link, Rename, SyncFolder, Unlink, Write
from tests.sim.fixed import (
    LONG,
    Case,
    Enumeration,
    crashed_at,
    every_crash_of_the_long_run,
    every_crash_of_twins,
    every_full_disk,
    every_nap,
    every_nap_and_cut,
    every_second_crash,
)


def test_the_long_scenario_has_everything() -> None:
    ops = crashed_at(records=LONG)
    assert {type(op) for op in ops} == {Write, Fsync, Rename, SyncFolder, Link, Unlink}
    assert any("checkpoint" in op.path for op in ops)
    assert any(isinstance(op, Unlink) and op.path.startswith("state/") for op in ops)
    assert any(isinstance(op, Rename) and op.to.startswith("merged/") for op in ops)
    assert any(isinstance(op, Unlink) and op.path.startswith("windows/") for op in ops)


@pytest.mark.parametrize("part", range(2))
def test_a_crash_at_every_operation(part: int) -> None:
    run_all(list(every_crash_of_the_long_run(disk_seeds=1))[part::2], at_least=200)


def test_a_crash_while_two_partitions_seal_equal_files() -> None:
    run_all(list(every_crash_of_twins()), at_least=80)


def test_a_power_cut_at_every_operation_after_a_kill() -> None:
    run_all(list(every_second_crash(disk_seeds=1)), at_least=200)


def test_a_full_disk_at_every_operation() -> None:
    run_all(list(every_full_disk(disk_seeds=1)), at_least=350)


def test_a_sleeping_worker_goes_on_at_every_second_access_of_its_successor() -> None:
    """At those of even or of odd number: the other half of moments of sleep and of waking is in the soak."""
    run_all(list(every_nap())[::2], at_least=300)


def test_a_worker_commits_while_its_successor_recovers() -> None:
    run_all(list(every_nap_and_cut(disk_seeds=1)), at_least=150)


@pytest.mark.soak
@pytest.mark.parametrize(
    "every", [every_crash_of_the_long_run, every_second_crash, every_full_disk, every_nap, every_nap_and_cut]
)
def test_more_of_what_a_disk_may_keep(every: Enumeration) -> None:
    """The same moments, with several fates of what was not fsynced, and every moment of waking."""
    run_all(list(every()), at_least=600)


def run_all(cases: list[Case], at_least: int) -> None:
    assert len(cases) >= at_least, "the scenario has shrunk: it enumerates too little"
    for case in cases:
        case()
