from __future__ import annotations

from edge.agent.clones import CloneWatch
from ingest.records import Birth, Heartbeat

OURS, THEIRS = b"\1" * 16, b"\2" * 16


def test_only_a_heartbeat_of_another_boot_for_our_device_is_a_conflict() -> None:
    clones = CloneWatch(["pump"], OURS)
    assert clones.see(Heartbeat("pump", "me", OURS, 1)) is None
    assert clones.see(Heartbeat("other", "you", THEIRS, 1)) is None
    assert clones.see(Birth("pump", "you", THEIRS, 1, "0")) is None  # may be late: births wait in the spool
    found = clones.see(Heartbeat("pump", "you", THEIRS, 1))
    assert str(found) == (
        'device "pump": another agent publishes for it: "you", boot 020202020202; is its card a copy of this one? '
        'Give each its own "device" in agent.toml'
    )
    assert clones.see(Heartbeat("pump", "you", THEIRS, 2)) is None
    assert clones.conflicts == 1
