from __future__ import annotations

from typing import Any

from edge.agent.live import SPARKS, LiveLines, sparkline
from edge.agent.overview import SourceView, ValueView
from tests.edge.agent.views import source_view


def said(samples: int, *values: float | None, **more: Any) -> SourceView:
    named = zip(("x", "y", "z"), values, strict=False)
    return source_view(samples=samples, values=[ValueView(name, "g", value) for name, value in named], **more)


def test_a_sparkline_lies_between_the_least_and_the_greatest() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([-1.0, None, 1.0]) == "▁ █"
    assert sparkline([2.0, 2.0]) == "▅▅"
    assert sparkline([None, None]) == "  "
    assert sparkline([]) == ""


def test_a_line_a_stream_with_rates_of_the_last_seconds_and_sparklines() -> None:
    live = LiveLines()
    for second in range(30):
        now = [said(100 * second, second % 2, None), source_view("gps", stream="pump/position")]
        live.look(now, float(second))
    acc, gps = live.lines(now, 200)
    assert acc.startswith("pump/acc          100/s  x = 1 g ▁█▁█▁█▁█▁█▁█▁█▁█  y = missing ")
    assert acc.count("█") + acc.count("▁") == SPARKS
    assert gps == "pump/position       0/s  nothing yet"


def test_what_is_lost_or_wrong_is_seen_and_no_line_is_too_long() -> None:
    live = LiveLines()
    now = [
        said(
            5, 1.0, lost={"columns": 1200}, findings=["none of the last 93 lines gives a sample\x1b"], waiting_for="it"
        )
    ]
    live.look(now, 1.0)
    first, waiting, finding = live.lines(now, 200)
    assert "        -  lost 1,200  x = 1 g ▅" in first
    assert (waiting, finding) == ("  waiting for it", "  none of the last 93 lines gives a sample\\x1b")
    assert [len(line) for line in live.lines(now, 20)] == [20, 16, 20]


def test_a_rate_after_an_agents_new_start_is_not_below_none() -> None:
    live = LiveLines()
    live.look([said(500)], 1.0)
    live.look([said(3)], 2.0)
    assert " 0/s " in live.lines([said(3)], 100)[0]
