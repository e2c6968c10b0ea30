"""The simulation tells wrong protocols from the right one."""

from __future__ import annotations

import pytest

from tests.sim.mutants import WRONG, fsync_roles, hunt, without_fsync
from tests.sim.storm import Protocol

ROLES = fsync_roles()
HARMLESS = {
    # a checkpoint that a power cut takes is written again, or its entries are read one by one
    "create: SyncFolder manifest/readings-#",
}


@pytest.mark.parametrize("protocol", WRONG, ids=lambda protocol: protocol.name)
def test_a_wrong_protocol_is_caught(protocol: Protocol) -> None:
    assert hunt(protocol), f"nothing caught: {protocol.name}"


def test_the_roles_of_the_fsyncs() -> None:
    assert len(ROLES) == 99


@pytest.mark.parametrize("role", ROLES)
def test_no_fsync_can_be_left_out(role: str) -> None:
    assert hunt(without_fsync(role)), f"nothing caught: {role} left out"
