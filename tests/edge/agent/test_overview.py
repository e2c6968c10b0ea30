from __future__ import annotations

from edge.agent.overview import BadLineView, minute_line, page, start_line, status_line
from tests.edge.agent.views import source_view, view


def test_the_line_says_rate_backlog_and_loss() -> None:
    before, now = view(sources=[source_view(samples=1111)]), view(sources=[source_view(samples=1212)])
    assert status_line(now, before, 1.0, 79) == "1,212 samples, 101/s; spool 3 records; log 40"


def test_the_rate_is_of_the_time_that_passed() -> None:
    before, now = view(sources=[source_view(samples=0)]), view(sources=[source_view(samples=112)])
    assert "112 samples, 100/s;" in status_line(now, before, 1.12, 79)
    assert "0.05/s" in status_line(view(sources=[source_view(samples=1)]), before, 20.0, 79)


def test_what_is_lost_is_seen_at_80_columns_with_its_source_and_reason() -> None:
    before = view(sources=[source_view(samples=123_456_689)])
    losses = {"columns": 1093, "number": 2}
    now = view(
        sources=[source_view(samples=123_456_789, lost=losses), source_view("gps", lost={"checksum": 3})],
        figures={"spool.backlog": 123_456, "published.records": 9_876_543, "lag_s": 75.2, "spool.dropped_samples": 9},
    )
    line = status_line(now, before, 1.0, 79)
    assert line.startswith("123,456,789 samples, 100/s; lost imu 1,093 columns, 2 number, gps 3 checksum; ")
    assert len(line) <= 79
    whole = status_line(now, before, 1.0, 300)
    assert whole.endswith("; 9 dropped by the spool; 75 s behind; spool 123,456 records; log 9,876,543")


def test_a_minutes_line_has_the_rate_of_each_source() -> None:
    before = view(sources=[source_view(samples=0), source_view("gps")])
    now = view(sources=[source_view(samples=6000, lost={"range": 2}), source_view("gps", samples=60)])
    line = minute_line(now, before, 60.0)
    assert line == "6,060 samples (imu 100/s, gps 1/s); lost imu 2 range; spool 3 records; log 40"


def test_the_start_names_what_runs_on_what() -> None:
    found = start_line(view(sources=[source_view(), source_view("gps", type="mqtt", stream="pump/gps")]))
    assert found == (
        "sensorloom 1.0, agent pi: 2 sources: imu (serial, csv, pump/acc), gps (mqtt, csv, pump/gps); "
        "log kafka://h:9092; spool /spool"
    )


def test_records_that_the_log_does_not_take_are_seen() -> None:
    now = view(sources=[], figures={"too_large": 1234})
    assert "    1,234 records were left out for ever, too large for it: raise its max.message.bytes" in page(now)
    assert "1,234 too large for the log" in status_line(now, now, 1.0, 300)


def test_a_page_has_each_source_with_what_is_wrong_and_its_bad_lines() -> None:
    bad = BadLineView("2026-01-01T00:00:00Z", "columns", "1;2")
    source = source_view(samples=7, lost={"columns": 3}, silent_s=0.25, findings=["all wrong"], bad_lines=[bad])
    text = page(view(sources=[source, source_view("gps\x1b[2J", waiting_for="/dev/x: no such port")]))
    assert "imu  serial → csv → pump/acc: 7 samples, heard 0.2 s ago\n    lost: 3 columns\n    all wrong\n" in text
    assert "2026-01-01T00:00:00Z  columns      1;2" in text
    assert "gps\\x1b[2J" in text
    assert "waiting for /dev/x: no such port" in text
    assert "\x1b" not in text
