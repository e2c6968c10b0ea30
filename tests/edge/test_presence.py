from __future__ import annotations

from edge.presence import Presence
from ingest.records import Birth, Heartbeat

OURS, THEIRS = b"\1" * 16, b"\2" * 16


def test_only_a_heartbeat_of_another_boot_for_our_device_is_a_conflict() -> None:
    presence = Presence(["pump"], OURS)
    assert presence.see(Heartbeat("pump", "me", OURS, 1)) is None
    assert presence.see(Heartbeat("other", "you", THEIRS, 1)) is None
    assert presence.see(Birth("pump", "you", THEIRS, 1, "0")) is None  # may be late: births wait in the spool
    found = presence.see(Heartbeat("pump", "you", THEIRS, 1))
    assert str(found) == (
        'device "pump": another agent publishes for it: "you", boot 020202020202; is its card a copy of this one? '
        'Give each its own "device" in agent.toml'
    )
    assert presence.see(Heartbeat("pump", "you", THEIRS, 2)) is None
    assert presence.conflicts == 1
