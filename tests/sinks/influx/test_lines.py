from __future__ import annotations

import math

from sinks.influx.lines import Batches, field_names, head, line, number_fields, text


def test_names_with_the_protocols_own_characters_are_escaped() -> None:
    start = head("my acc,1", {"device": "a b=c,d", "unit": "", "back": "slash\\"})
    assert start == "my\\ acc\\,1,back=slash\\\\ ,device=a\\ b\\=c\\,d"
    assert line(start, [("x", "1.5")], -7) == f"{start} x=1.5 -7"


def test_no_line_is_a_comment_or_two() -> None:
    assert head("#acc", {"device": "a\nb"}) == "\\#acc,device=a\\nb"
    assert text('say "no"\n\\') == '"say \\"no\\"\\\\n\\\\"'


def test_fields_have_names_that_the_database_keeps() -> None:
    assert field_names(["time", "", "x", "x", "a b"]) == ["time_", "channel1", "x", "x:3", "a\\ b"]
    backslashes = ["end\\", "a\\,b", "a\\=b", "a\\ b", "a\\b"]
    assert field_names(backslashes) == ["end_", "a_\\,b", "a_\\=b", "a_\\ b", "a\\b"]


def test_figures_without_a_place_in_the_protocol_are_left_out() -> None:
    figures = {"a": 1.0, "nan": math.nan, "inf": math.inf, "up": 2.0, "": 3.0}
    assert number_fields(figures, ["up"]) == [("a", "1.0"), ("up_", "2.0"), ("_", "3.0")]


def test_drafts_hold_about_as_many_points_as_are_asked_for() -> None:
    batches = Batches("readings", 4)
    for count in (3, 3, 9, 1):
        batches.add([f"m v={number} {number}" for number in range(count)])
    assert batches.bytes == 16 * 8
    drafts = batches.take("0-1")
    assert [draft.rows for draft in drafts] == [6, 4, 4, 2]
    assert all(bytes(draft.parts[0]).count(b"\n") == draft.rows - 1 for draft in drafts)
    assert (batches.bytes, batches.take("0-2")) == (0, [])
