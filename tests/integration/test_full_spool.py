"""An agent whose spool's disk is full to its end, and one whose folders are deleted, as processes."""

from __future__ import annotations

import contextlib
import shutil
import signal
from pathlib import Path

from ingest.records import Chunk, RecordingEnd, RecordingStart
from tests.edge.agent.test_troubles import agent, configure, samples
from tests.integration.sensors import Line
from tests.integration.site import SmallDisk, wait_for
from tests.support.logs import read_log


def fill_up(folder: Path) -> Path:
    """Take every byte of a disk, what an agent has set aside on it too."""
    for reserve in folder.rglob("reserve"):
        reserve.unlink()
    filler = folder / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return filler


def test_an_agent_that_is_stopped_on_a_full_disk_says_what_is_lost(tmp_path: Path) -> None:
    log = f"segments:{tmp_path}/log"
    configure(tmp_path, log)
    with SmallDisk(tmp_path / "spool", "size=256k", 40_000) as disk, Line(tmp_path / "port", 100) as line:
        with disk.limit(), agent(tmp_path) as first:
            wait_for(lambda: len(samples(read_log(log))) > 50, "samples in the log")
            filler = fill_up(tmp_path / "spool") if disk.mounted else None
            first.says("No space left" if disk.mounted else "File too large")
            begun = len(line.said_ns)
            wait_for(lambda: len(line.said_ns) > begun + 50, "more lines")
            assert first.ends(signal.SIGTERM) == 1
            assert "samples could not be written and are lost: line " in first.err
        if filler is not None:
            filler.unlink()
        disk.grow()
        with agent(tmp_path) as second:
            before = max(samples(read_log(log)))
            wait_for(lambda: max(samples(read_log(log))) > before, "samples of the second boot")
            assert second.ends(signal.SIGTERM) == 0
    records = list(read_log(log))
    starts = [record for record in records if isinstance(record, RecordingStart)]
    ends = [record for record in records if isinstance(record, RecordingEnd)]
    assert ends[0].reason == "agent_died"
    assert starts[-1].previous_boot == starts[0].boot
    assert starts[-1].previous_reach_ns == ends[0].end_ns
    chunks = [record for record in records if isinstance(record, Chunk)]
    assert all(not starts[-1].previous_reach_ns <= chunk.t0_ns < starts[-1].start_ns for chunk in chunks)


def test_a_log_that_is_deleted_under_an_agent_begins_anew_with_what_was_not_acknowledged(tmp_path: Path) -> None:
    log = f"segments:{tmp_path}/log"
    configure(tmp_path, log)
    with Line(tmp_path / "port", 100), agent(tmp_path) as running:
        wait_for(lambda: len(samples(read_log(log))) > 50, "samples in the log")
        before = max(samples(read_log(log)))
        shutil.rmtree(tmp_path / "log")
        wait_for(lambda: (tmp_path / "log" / "topics" / "readings").exists(), "a new log")
        wait_for(lambda: max(samples(read_log(log)), default=0) > before + 300, "samples in the new log")
        assert running.ends(signal.SIGTERM) == 0
        assert running.err.count("was deleted or replaced") <= 4
    found = sorted(samples(read_log(log)))
    assert found == list(range(found[0], found[-1] + 1)), "nothing is missing once it is there"
    assert found[0] <= before + 150
