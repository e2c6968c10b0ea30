"""What `sensorloom status` tells of a site, and what it calls trouble."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

import sensorloom
from ingest.log.protocol import READINGS, STATUS, Entry
from ingest.log.segments import SegmentLog
from ingest.log.segments.latest import Latest
from ingest.records import Birth, Chunk, Clock, Death, Gap, Record, RecordingEnd
from ingest.wire import encode
from service.status import HOUR_NS, Bounds, DatasetFigures, S, dataset_trouble, device_status, span
from tests.integration.site import Site

NOW_NS = 1_800_000_000 * S
MINUTE_NS = 60 * S


def chunk(device: str, end_ns: int, source: str = "ntp") -> Chunk:
    """Ten samples, 100 ms apart, of which the last lies at `end_ns`."""
    period = S // 10
    times = (end_ns - 9 * period, period, 1, 0, 0, b"")
    return Chunk(device, "r", "acc", b"b" * 16, 0, b"s" * 16, *times, 10, bytes(20), clock=Clock(source))


def state(record: Record, ago_ns: int, append_ago_ns: int = 0) -> tuple[str, int]:
    """The state and the last time of a device whose last record was appended so long ago."""
    latest = Latest(0, 7, NOW_NS - append_ago_ns, encode(record))
    found = device_status(b"d", latest, "", NOW_NS, Bounds())
    assert found.silent_s == ago_ns / S
    return found.state, found.last_ns


@pytest.mark.parametrize(
    ("ago_ns", "expected"),
    [
        (0, "live"),
        (10 * MINUTE_NS, "live"),
        (10 * MINUTE_NS + 1, "silent"),
        (30 * 24 * HOUR_NS, "silent"),
        (30 * 24 * HOUR_NS + 1, "gone"),
    ],
)
def test_a_device_is_silent_by_when_its_last_record_came(ago_ns: int, expected: str) -> None:
    at_ns = NOW_NS - ago_ns
    assert state(chunk("d", at_ns), ago_ns, ago_ns) == (expected, at_ns)
    assert state(Gap("d", "r", "acc", b"b" * 16, at_ns - 5, at_ns, 3, "torn"), ago_ns, ago_ns) == (expected, at_ns)


def test_a_backlog_that_comes_is_no_silence() -> None:
    assert state(chunk("d", NOW_NS - HOUR_NS), HOUR_NS)[0] == "live"


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("silence", "silent"), ("agent_died", "silent"), ("stopped", "stopped"), ("end_of_file", "ended")],
)
def test_how_a_recording_ended_tells_whether_somebody_waits(reason: str, expected: str) -> None:
    end = RecordingEnd("d", "r", b"b" * 16, NOW_NS - HOUR_NS, reason)
    assert state(end, HOUR_NS + 1)[0] == expected  # whenever that was written
    assert state(chunk("d", NOW_NS - HOUR_NS, "import"), HOUR_NS, HOUR_NS)[0] == "ended"


def test_a_device_whose_last_record_is_gone_or_unreadable_is_known_by_its_append_time() -> None:
    for value in (None, b"no record"):
        found = device_status(b"d", Latest(0, 7, NOW_NS - HOUR_NS, value), "", NOW_NS, Bounds())
        assert (found.state, found.last_ns) == ("silent", NOW_NS - HOUR_NS)


def figures(**more: Any) -> DatasetFigures:
    plain = {"dataset": "ds", "sealed_ns": NOW_NS, "lag_s": 0.0, "behind": 0, "windows_hour": 5}
    return DatasetFigures(**{**plain, "drops_hour": {}, "counts_hour": {}, **more})


def test_what_of_a_dataset_is_trouble() -> None:
    def trouble(**more: Any) -> str:
        return "\n".join(dataset_trouble(figures(**more), Bounds()))

    assert trouble() == ""
    assert trouble(drops_hour={"gap": 3}) == ""
    assert trouble(lag_s=600.0, behind=9) == ""
    assert "9 records wait, for 10 min 1 s; the last seal was at" in trouble(lag_s=601.0, behind=9)
    assert "none was ever sealed" in trouble(lag_s=601.0, behind=9, sealed_ns=None)
    assert "no window in the last hour, 3 dropped: gap 2, edge 1" in trouble(
        windows_hour=0, drops_hour={"edge": 1, "gap": 2}
    )
    assert "1,234 records were lost in the last hour" in trouble(counts_hour={"lost.offsets": 1234})
    assert "ahead of the log's clock" in trouble(counts_hour={"quarantine.samples": 1})


def test_spans_are_said_by_their_two_largest_units() -> None:
    assert [span(s) for s in (0, 59.9, 60, 3_661, 90_000, 864_000)] == [
        "0 s",
        "59 s",
        "1 min",
        "1 h 1 min",
        "1 d 1 h",
        "10 d",
    ]


def status(site: Site, *words: str) -> tuple[int, Any]:
    done = site("status", site.folder, "--json", *words)
    assert done.err == ""
    return done.code, json.loads(done.out)


async def _append(folder: Path, topic: str, records: list[Any]) -> None:
    log = SegmentLog(folder)
    await log.append(topic, [Entry(record.device.encode(), encode(record)) for record in records])
    await log.close()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Imported recordings, windowed."""
    found = Site(tmp_path / "site")
    found.folder.mkdir()
    found.prepare().create_topics().fill()
    assert found.drain().code == 0
    return found


def test_a_site_at_rest_is_well(site: Site) -> None:
    code, told = status(site)
    assert (code, told["trouble"]) == (0, [])
    assert [(d["device"], d["state"]) for d in told["devices"]] == [(f"pump-{n}", "ended") for n in range(3)]
    [dataset] = told["datasets"]
    assert (dataset["dataset"], dataset["lag_s"], dataset["behind"]) == ("dataset", 0.0, 0)
    assert dataset["windows_hour"] == len(sensorloom.open(site.out))
    assert time.time_ns() - dataset["sealed_ns"] < HOUR_NS
    assert [disk["days_left"] for disk in told["disks"]] == [None]  # too new for a forecast
    shown = site("status", site.folder)
    assert shown.code == 0
    assert "pump-2" in shown.out
    assert shown.out.rstrip().endswith("all is well")


def test_silent_devices_waiting_records_and_a_clock_ahead_are_trouble(site: Site) -> None:
    now_ns = time.time_ns()
    asyncio.run(_append(site.log_folder, READINGS, [chunk("pump-9", now_ns), chunk("pump-8", now_ns + 2 * HOUR_NS)]))
    asyncio.run(_append(site.log_folder, STATUS, [Birth("pump-9", "a", b"b" * 16, now_ns, "0.1.0")]))
    asyncio.run(_append(site.log_folder, STATUS, [Death("pump-9", "a", b"b" * 16, now_ns, "told to")]))
    code, told = status(site)
    assert code == 1
    assert [line.split(":")[0] for line in told["trouble"]] == ["pump-8"]
    assert told["datasets"][0]["behind"] == 2
    code, told = status(site, "--silent-after", "1ns", "--lag-max", "1ns")
    assert code == 1
    silent = next(line for line in told["trouble"] if line.startswith("pump-9: silent since"))
    assert "its agent: ended 0 s ago: told to" in silent or "its agent: ended" in silent
    assert any("2 records wait" in line for line in told["trouble"])


def test_the_last_hour_is_the_last_hour_only(site: Site) -> None:
    entries = sorted(site.out.glob("windows/*/manifest/*/*.json"))
    hours_ago = time.time() - 2 * 3600
    for path in entries:
        os.utime(path, (hours_ago, hours_ago))
    _, told = status(site)
    assert (told["datasets"][0]["windows_hour"], told["datasets"][0]["counts_hour"]) == (0, {})
    [disk] = told["disks"]
    assert disk["days_left"] > 0
    written = sum(path.stat().st_size for path in site.out.glob("windows/*/[sim]*/*.*"))
    assert 6 * written < disk["bytes_day"] < 20 * written + 12 * 10**5  # two hours of a day, and labels
    code, told = status(site, "--days", "1e9")
    assert code == 1
    assert "its disk is full in" in told["trouble"][-1]


def test_a_restored_log_and_damage_are_trouble_and_hold_nothing_back(site: Site) -> None:
    shutil.rmtree(site.log_folder / "topics" / "readings")
    shutil.copytree(site.log_folder / "topics" / "marks", site.log_folder / "topics" / "readings")
    code, told = status(site)
    assert code == 1
    assert any("has read more than its log holds" in line for line in told["trouble"])
    newest = sorted(site.out.glob("windows/*/manifest/*/*.json"))[-1]
    newest.write_bytes(b"{}")
    code, told = status(site)
    assert (code, len(told["disks"])) == (1, 1)
    assert any(newest.name in line for line in told["trouble"])


def test_who_is_no_site_is_refused(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site("status", tmp_path / "nowhere").refused(2, "there is no such folder")
    site("status", tmp_path).refused(2, "no log of segments, no archive and no dataset")
