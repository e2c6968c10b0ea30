from __future__ import annotations

from pathlib import Path

from edge.agent.startup import begin
from edge.config import load_config
from edge.recording.terms import ClockState
from edge.spool.entries import reading
from edge.spool.spool import Spool
from ingest.records import Gap, Progress, Record, RecordingEnd, RecordingStart
from ingest.wire import decode

BOOT = b"b" * 16
CONFIG = """device = "pump"
log = "segments:log"
[spool]
dir = "spool"
[[source]]
name = "imu"
type = "serial"
port = "tty"
decoder = "csv"
stream = "acc"
channels = { x = "g" }
"""


def test_what_a_slower_stream_lost_with_a_boot_that_died_is_announced_before_its_end(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text(CONFIG)
    config = load_config(tmp_path / "agent.toml")
    spool = Spool(config.spool_dir, config.spool)
    left: list[Record] = [
        RecordingStart("pump", "boot-0", BOOT, 100, "start"),
        Progress("pump", "boot-0", "messages", BOOT, 900),
        Progress("pump", "boot-0", "acc", BOOT, 600),
    ]
    spool.readings.commit([reading("pump", record) for record in left])
    begun = begin(config, b"n" * 16, spool, lambda: ClockState(True, "system"), {}, None)
    spool.close()
    records = [decode(entry.value) for entry in begun.first]
    assert [record for record in records if isinstance(record, Gap | RecordingEnd)] == [
        Gap("pump", "boot-0", "acc", BOOT, 600, 900, -1, "agent_died"),
        RecordingEnd("pump", "boot-0", BOOT, 900, "agent_died"),
    ]


def test_what_a_stream_lost_that_had_not_begun_is_announced_from_the_recordings_begin_on(tmp_path: Path) -> None:
    """The boot died before its first sample was written; what waited at a broker had begun the recording."""
    (tmp_path / "agent.toml").write_text(CONFIG)
    config = load_config(tmp_path / "agent.toml")
    spool = Spool(config.spool_dir, config.spool)
    left: list[Record] = [
        RecordingStart("pump", "boot-0", BOOT, 100, "start"),
        Progress("pump", "boot-0", "messages", BOOT, 900),
    ]
    spool.readings.commit([reading("pump", record) for record in left])
    begun = begin(config, b"n" * 16, spool, lambda: ClockState(True, "system"), {}, None)
    spool.close()
    records = [decode(entry.value) for entry in begun.first]
    assert Gap("pump", "boot-0", "acc", BOOT, 100, 900, -1, "agent_died") in records
