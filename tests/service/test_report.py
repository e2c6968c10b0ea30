"""What a run shows while it works: its progress, and what a person should know of."""

from __future__ import annotations

import pytest

from ingest.engine.manifest import FileRef, Manifest
from ingest.engine.telling import Notice
from ingest.log.protocol import Bounds
from service.crew import Ahead, Minute
from service.report import Progressing


def test_progress_counts_each_record_once_even_after_a_fencing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progressing(until_idle=True) as progressing:
        observe = progressing.observe
        observe(Ahead("readings", {0: Bounds(10, 100), 1: Bounds(0, 50)}), "readings")
        observe(Ahead("marks", {0: Bounds(0, 5)}), "marks")
        observe(Notice("recovered", 0, 30), "readings")
        observe(Notice("recovered", 1, 0), "readings")
        observe(Notice("fed", 0, 100), "readings")
        observe(Notice("fenced", -1, 0, "another worker owns the partition"), "readings")
        observe(Notice("recovered", 0, 60), "readings")
        observe(Notice("fed", 0, 100), "readings")
        observe(Notice("fed", 0, 5), "marks")
        assert progressing.done == (95, 145)
    assert "sensorloom: another worker owns the partition" in capsys.readouterr().err


def test_without_an_end_the_total_is_not_known() -> None:
    with Progressing(until_idle=False) as progressing:
        progressing.observe(Ahead("readings", {0: Bounds(0, 7)}), "readings")
        progressing.observe(Notice("recovered", 0, 0), "readings")
        progressing.observe(Notice("fed", 0, 9), "readings")
        assert progressing.done == (9, None)


def test_what_holds_the_work_up_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with Progressing(until_idle=True) as progressing:
        progressing.observe(Notice("waiting", 0, 3, "needs schema 00ff, not in streams yet"), "readings")
    assert capsys.readouterr().err == "sensorloom: needs schema 00ff, not in streams yet\n"


class Service:
    """A service's report off a terminal, a minute each."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0
        self.report = Progressing(until_idle=False, now_s=lambda: self.now_s)
        self.at = 0
        self.observe(Ahead("readings", {0: Bounds(0, 0), 1: Bounds(0, 0)}))
        self.observe(Notice("recovered", 0, 0))

    def observe(self, event: Ahead | Minute | Notice) -> None:
        self.report.observe(event, "readings")

    def read(self, records: int, **counts: int) -> None:
        self.at += records
        self.observe(Notice("fed", 0, self.at))
        self.observe(Notice("sealed", 0, self.at, entry=entry_of(counts)))

    def minute(self, end: int) -> None:
        self.now_s += 60
        self.observe(Minute("readings", {0: Bounds(0, end), 1: Bounds(0, 1000)}))


def entry_of(counts: dict[str, int]) -> Manifest:
    state = FileRef("state", "", 0)
    return Manifest(1, "windows", "readings", 0, 0, 0, 0, state, (), counts, {}, (), 1, "spec", "")


def test_a_service_says_a_line_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    service = Service()
    for _ in range(30):
        service.read(10, windows=4)
    service.minute(310)
    assert capsys.readouterr().err == (
        "2027-01-15T08:01:00Z sensorloom: 300 records, 120 windows; 1 of 2 partitions, 10 records behind\n"
    )
    service.read(10, windows=1, **{"drop.gap": 2, "drop.edge": 1, "late.samples": 7, "samples": 50})
    service.minute(310)
    assert capsys.readouterr().err == (
        "2027-01-15T08:02:00Z sensorloom: 10 records, 1 windows, 3 dropped (edge 1, gap 2), LOST late.samples 7; "
        "1 of 2 partitions, nothing left to read\n"
    )


def test_a_service_with_nothing_to_do_says_so_rarely(capsys: pytest.CaptureFixture[str]) -> None:
    service = Service()
    service.read(5, windows=2)
    for _ in range(21):
        service.minute(5)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("sensorloom: ")[2].partition(";")[0] for line in lines] == [
        "5 records, 2 windows",
        "no records for a minute",
        "no records for 10 minutes",
        "no records for 20 minutes",
    ]
    assert lines[-1].endswith("nothing left to read; 2 windows so far")


def test_what_a_service_is_told_has_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    Service().observe(Notice("lost", 0, 3, "readings-0: the log no longer has offsets 1 to 3"))
    assert capsys.readouterr().err == (
        "2027-01-15T08:00:00Z sensorloom: readings-0: the log no longer has offsets 1 to 3\n"
    )
