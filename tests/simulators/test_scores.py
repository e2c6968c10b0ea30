from __future__ import annotations

import pytest

from simulators.scores import Score, Span, is_match, score


def span(start: int, end: int, label: str = "tilt", device: str = "a") -> Span:
    return Span(device, label, start, end)


@pytest.mark.parametrize(
    ("mark", "fits"),
    [
        (span(0, 10), True),
        (span(4, 10), True),
        (span(5, 10), False),  # exactly half: another mark could have the other half
        (span(0, 19), True),
        (span(0, 20), False),
        (span(-4, 8), True),
        (span(20, 30), False),
        (span(0, 10, label="knocking"), False),
        (span(0, 10, device="b"), False),
    ],
)
def test_more_than_half_of_what_either_covers(mark: Span, fits: bool) -> None:
    assert is_match(span(0, 10), mark) is fits


def test_split_events_and_false_alarms_cost_precision_and_missed_ones_recall() -> None:
    events = [span(0, 10), span(20, 30), span(40, 50), span(0, 10, "knocking")]
    marks = [span(0, 9), span(20, 24), span(26, 30), span(60, 70)]
    tilt, knocking, surge = score(["tilt", "knocking", "surge", "tilt"], events, marks)
    assert tilt == Score("tilt", events=3, marks=4, right=1)
    assert (tilt.precision, tilt.recall) == (1 / 4, 1 / 3)
    assert (knocking.precision, knocking.recall) == (None, 0.0)
    assert (surge.precision, surge.recall) == (None, None)
