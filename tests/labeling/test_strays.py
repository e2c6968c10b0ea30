"""Marks that touch nothing are found, with what was probably meant; those that touch something are not."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from labeling.marks import ResolvedMark
from labeling.strays import near_labels, strays

DAY = 86_400 * 10**9
START = 1_767_225_600 * 10**9


def mark(device: str, start: int, end: int, label: str = "run") -> ResolvedMark:
    return ResolvedMark("m", device, start, end, label, "ann", "import", 1.0)


def spans(**devices: list[tuple[int, int]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {
        name.replace("_", "-"): (np.array([a for a, _ in told], np.int64), np.array([b for _, b in told], np.int64))
        for name, told in devices.items()
    }


def test_an_unknown_device_is_told_with_the_one_that_was_meant() -> None:
    (stray,) = strays([mark("Pump-7", START, START + 1)] * 2, spans(pump_7=[(START, START + 10)]))
    assert (stray.device, stray.marks, stray.reason) == ("Pump-7", 2, "device")
    assert stray.text == '"Pump-7": 2 marks, but no windows of such a device; did you mean "pump-7"?'
    (far,) = strays([mark("xyz", START, START + 1)], spans(pump_7=[(START, START + 10)], gone=[]))
    assert far.text == '"xyz": 1 mark, but no windows of such a device'


def test_another_time_is_told_with_what_there_is() -> None:
    marks = [
        mark("p", START - 3653 * DAY, START - 3653 * DAY + 1, "old"),
        mark("p", 1_767_225_610, 1_767_225_610, "tap"),
    ]
    (stray,) = strays([*marks, mark("p", START, START + 5)], spans(p=[(START, START + 10)]))
    assert (stray.marks, stray.reason) == (2, "time")
    assert stray.text == (
        '"p": 2 marks where it has no windows, as old from 2016-01-01T00:00:00Z, '
        "tap at 1970-01-01T00:00:01.767225610Z; "
        "its windows go from 2026-01-01T00:00:00Z to 2026-01-01T00:00:00.000000010Z"
    )


ranges = st.tuples(st.integers(0, 20), st.integers(0, 5)).map(lambda it: (it[0], it[0] + it[1]))


@given(st.lists(ranges.filter(lambda it: it[1] > it[0]), min_size=1, max_size=5), st.lists(ranges, max_size=6))
def test_agrees_with_looking_at_every_instant(windows: list[tuple[int, int]], marked: list[tuple[int, int]]) -> None:
    there = {t for start, end in windows for t in range(start, end)}
    astray = sum(not there & set(range(start, max(end, start + 1))) for start, end in marked)
    found = strays([mark("p", *span) for span in marked], spans(p=windows))
    assert sum(stray.marks for stray in found) == astray


def test_a_new_label_that_is_much_like_a_known_one_is_named() -> None:
    known = ["walking", "run1", "Idle"]
    assert near_labels(["walkin", "run2", "idle", "jump", "walking"], known) == [
        ("idle", "Idle"),
        ("walkin", "walking"),
    ]
