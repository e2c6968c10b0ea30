"""Marks as a table for a terminal of 80 columns."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ingest.units import parse_time
from labeling.listing import WIDTH, lines_of, shortened
from labeling.marks import ResolvedMark


def mark(name: str, start: str, end: str = "", **more: Any) -> ResolvedMark:
    usual = {"device": "pump-7", "label": "run", "author": "anna", "tool": "operator", "confidence": 1.0}
    given: dict[str, Any] = usual | more
    start_ns = parse_time(start)
    return ResolvedMark(id=name, start_ns=start_ns, end_ns=parse_time(end) if end else start_ns, **given)


def test_a_day_is_a_heading_and_a_mark_a_range() -> None:
    marks = [
        mark("ab12ff", "2026-01-06T00:00:00Z", tool="import"),
        mark("ab12c3d4", "2026-01-05T12:04:29Z", "2026-01-05T12:04:31.5Z"),
        mark("ffffffff", "2026-01-05T12:04:29.25Z", "2026-01-06T00:00:00.000001Z", label="", trim=True, reason="belt"),
    ]
    assert list(lines_of(marks, ["ab12c3ee"])) == [
        "  id       device  when                                     label  by",
        "2026-01-05, UTC",
        "  ab12c3d  pump-7  12:04:29.0 to 12:04:31.5                 run    anna",
        "  ffff     pump-7  12:04:29.250 to 2026-01-06 00:00:00.000  trim   anna",
        "           belt",
        "2026-01-06, UTC",
        "  ab12f    pump-7  00:00:00.0                               run    anna (import)",
    ]


def test_who_marked_is_told_as_short_as_can_be() -> None:
    whose = [("anna", "operator"), ("rules.yaml", "rule"), ("anna", "button"), ("", "import")]
    marks = [mark(f"{n}", "2026-01-05T12:04:29Z", author=author, tool=tool) for n, (author, tool) in enumerate(whose)]
    told = [line.partition("  run    ")[2] for line in lines_of(marks, [])][2:]
    assert told == ["anna", "rules.yaml", "anna (button)", "(import)"]


def test_who_accepted_a_mark_is_told() -> None:
    marks = [
        mark("1", "2026-01-05T12:04:29Z", reviewed_by="otto"),
        mark("2", "2026-01-05T12:04:30Z", tool="button", reviewed_by="otto"),
        mark("3", "2026-01-05T12:04:31Z", reviewed_by="anna"),
    ]
    told = [line.partition("  run    ")[2] for line in lines_of(marks, [])][2:]
    assert told == ["anna, accepted by otto", "anna (button), accepted by otto", "anna, accepted"]


def test_nothing_is_listed_as_nothing() -> None:
    assert list(lines_of([], [])) == []


def test_long_words_give_way_and_times_do_not() -> None:
    long = mark(
        "a" * 40, "2026-01-05T12:04:29Z", "2026-01-05T12:04:31Z", author="a" * 90, label="b" * 90, device="d" * 90
    )
    heading, _, row = lines_of([long], [])
    assert "12:04:29.0 to 12:04:31.0" in row
    assert max(len(heading), len(row)) == WIDTH
    assert row.endswith("  aaaaaaa…")
    fits = mark("a" * 40, "2026-01-05T12:04:29Z", author="a" * 30)
    assert list(lines_of([fits], []))[-1].endswith("a" * 30)


@given(st.sets(st.text("ab-", min_size=1, max_size=9)))
def test_a_shortened_id_names_one_mark(ids: set[str]) -> None:
    for name, short in shortened(ids).items():
        assert name.startswith(short)
        named = [other for other in ids if other == short] or [other for other in ids if other.startswith(short)]
        assert named == [name]
