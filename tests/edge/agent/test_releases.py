"""What became of upgrades, in `status`: once, whatever the file and the disk do."""

from __future__ import annotations

import json
from pathlib import Path

from edge.agent.releases import TOLD, VARIABLE, Line, Releases, changes
from edge.agent.status import Status
from edge.spool.spool import Spool, SpoolLimits
from ingest.records import Change
from ingest.wire import decode
from simulators.doubles.log import FlakyLog


def line(new: str, outcome: str = "taken", reason: str = "") -> str:
    return json.dumps({"old": "1", "new": new, "outcome": outcome, "reason": reason, "time_ns": 5}) + "\n"


def test_each_line_is_told_once_also_over_restarts(tmp_path: Path) -> None:
    file, folder = tmp_path / "releases.jsonl", tmp_path / "spool"
    spool = Spool(folder, SpoolLimits())
    devices = ("pump", "fan")

    def told() -> list[tuple[str, str, str, str]]:
        """By an agent that has just begun."""
        releases = Releases.of({VARIABLE: str(file)}, folder)
        before = spool.urgent.backlog
        Status(devices, "pi", bytes(16), FlakyLog(), releases).tell_changes(spool)
        batch = spool.urgent.read() if spool.urgent.backlog > before else None
        records = [decode(bytes(value)) for value in batch.values] if batch else []
        spool.urgent.acknowledge(batch.next_offset) if batch else None
        return [(c.device, c.new, c.outcome, c.reason) for c in records if isinstance(c, Change)]

    try:
        assert told() == []
        file.write_text(line("2", "rolled_back", "imu: nothing was heard") + line("3")[:9])  # the rest is on its way
        assert told() == [
            ("pump", "2", "rolled_back", "imu: nothing was heard"),
            ("fan", "2", "rolled_back", "imu: nothing was heard"),
        ]
        assert told() == []
        with file.open("a") as more:
            more.write(line("3")[9:] + "torn\n" + line("4"))
        assert [(device, new) for device, new, *_ in told()] == [(d, n) for n in ("3", "4") for d in devices]
        file.write_text(line("9"))  # removed, and installed anew
        assert [new for _, new, *_ in told()] == ["9", "9"]
        (folder / TOLD).write_text("?")
        assert len(told()) == 2
    finally:
        spool.close()


def test_a_reason_has_an_end() -> None:
    (found,) = changes([Line("1", "2", "refused", "x" * 9999, 5)], ["pump"], "pi", bytes(16))
    assert (found.what, found.old, found.new, len(found.reason), found.time_ns) == ("release", "1", "2", 500, 5)


def test_without_the_variable_nothing_is_read(tmp_path: Path) -> None:
    assert Releases.of({}, tmp_path).news() == ([], 0)
    assert Releases.of({VARIABLE: str(tmp_path / "none")}, tmp_path).news() == ([], 0)
