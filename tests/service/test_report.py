"""What a run shows while it works: its progress, and what a person should know of."""

from __future__ import annotations

import pytest

from ingest.engine.worker import Notice
from ingest.log.protocol import Bounds
from service.report import Progressing
from service.run import Ahead


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
