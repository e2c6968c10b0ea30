"""The simulation tells wrong protocols from the right one."""

from __future__ import annotations

import pytest

from tests.sim.fixed import (
    Enumeration,
    every_crash_of_the_long_run,
    every_crash_of_twins,
    every_nap,
    every_nap_and_cut,
    every_second_crash,
)
from tests.sim.mutants import WRONG, fsync_roles, hunt, without_fsync
from tests.sim.storm import Protocol

ROLES = fsync_roles()
SUPERFLUOUS = ("create checkpoint: SyncFolder manifest/readings-#", "put: SyncFolder heads")
"""Its entries are durable without it; a checkpoint that a power cut takes is written again, or done without, and an
older head of a chain is a bound as well."""


RARE: dict[str, Enumeration] = {
    "entry put in place by rename": every_nap,
    "files that partitions share": every_crash_of_twins,
    "built on without settling": every_second_crash,
    "settled before the look": every_nap_and_cut,
}
"""What catches these at once; storms take hundreds of seeds."""


def is_caught(protocol: Protocol) -> bool:
    return hunt(protocol, [RARE[protocol.name]] if protocol.name in RARE else []) is not None


@pytest.mark.parametrize("protocol", WRONG, ids=lambda protocol: protocol.name)
def test_a_wrong_protocol_is_caught(protocol: Protocol) -> None:
    assert is_caught(protocol)


def test_the_fsyncs_of_a_seal_are_these() -> None:
    assert sorted(ROLES) == [
        "create checkpoint: Fsync manifest/readings-#/checkpoint-#.json",
        "create checkpoint: SyncFolder manifest/readings-#",
        "create: Fsync manifest/readings-#/#.json",
        "create: SyncFolder manifest/readings-#",
        "put: Fsync flips/r-#-#-#.jsonl",
        "put: Fsync heads/readings-#.json",
        "put: Fsync merged/m-#-#-#.json",
        "put: Fsync state/readings-#/#-#.bin",
        "put: Fsync windows/r-#-#-#.jsonl",
        "put: SyncFolder flips",
        "put: SyncFolder heads",
        "put: SyncFolder merged",
        "put: SyncFolder state/readings-#",
        "put: SyncFolder windows",
    ]


@pytest.mark.parametrize("role", [role for role in ROLES if role not in SUPERFLUOUS])
def test_no_fsync_can_be_left_out(role: str) -> None:
    assert is_caught(without_fsync(role))


@pytest.mark.parametrize("role", SUPERFLUOUS)
def test_a_checkpoint_or_a_newer_head_may_vanish(role: str) -> None:
    assert hunt(without_fsync(role), [], storms=20) is None


@pytest.mark.soak
def test_a_checkpoint_may_vanish_in_every_crash() -> None:
    assert hunt(without_fsync(SUPERFLUOUS[0]), [every_crash_of_the_long_run], storms=20) is None
