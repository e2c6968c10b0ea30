"""Buttons on a real kernel's GPIO chip make marks, and a lamp says so; how many edges a second go through.

What was done to them says tests/kernel/guest_buttons.py.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingest.records import MarkAdd, MarkRetract
from tests.kernel import guest_buttons as guest
from tests.kernel.marks import DEVICES
from tests.support.logs import read_log

pytestmark = DEVICES
GUEST = "buttons"
MOMENT_NS = 20_000_000
FLASH_NS = 50_000_000
"""The lamp is lit, and dark, for longer than that: who looks as often sees each."""
NEAR_NS = 1_000_000_000
"""By how much the clocks' distance, which is fixed once, may be off in a machine that is often set aside."""


@pytest.fixture(scope="module")
def ran(guests: Callable[[str], Path]) -> dict[str, Any]:
    folder = guests(GUEST)
    found: dict[str, Any] = json.loads((folder / "book.json").read_text())
    return found | {"marks": read_log(f"segments:{folder / 'log'}", "marks")}


def added(ran: dict[str, Any]) -> list[MarkAdd]:
    """In the order of their starts, each once; without those that the machine's own stalls made."""
    found = {mark.id: mark for mark in ran["marks"] if isinstance(mark, MarkAdd)}
    return sorted(found.values(), key=lambda mark: mark.start_ns)[ran["book"]["fallen"] - 1 :]


def is_at(ran: dict[str, Any], t_ns: int, booked: str) -> bool:
    before_ns, behind_ns = ran["book"][booked][:2]
    return bool(before_ns - NEAR_NS <= t_ns - ran["offset_ns"] <= behind_ns + NEAR_NS)


def test_each_press_is_its_mark_and_a_bounce_is_none(ran: dict[str, Any]) -> None:
    assert ran["code"] == 0
    assert 1 <= ran["book"]["fallen"] <= 1 + ran["book"]["bounced"][2]
    assert [(mark.label, mark.author, mark.tool) for mark in added(ran)] == [
        ("fall", "bench/fall", "button"),
        ("walk", "bench/walk", "button"),
        ("run", "bench/begin", "button"),
        ("walk", "bench/walk", "button"),
        ("run", "bench/begin", "button"),
        ("walk", "bench/walk", "button"),
        ("fall", "bench/fall", "button"),
    ]


def test_marks_lie_where_the_kernel_saw_the_edges(ran: dict[str, Any]) -> None:
    fall, walk, run, over, _, _, again = added(ran)
    assert fall.start_ns == fall.end_ns
    pairs = [(fall.start_ns, "bounced"), (walk.start_ns, "held"), (walk.end_ns, "let_go"), (run.start_ns, "begun")]
    pairs += [(run.end_ns, "ended"), (over.start_ns, "held_on"), (over.end_ns, "let_go_later")]
    pairs += [(again.start_ns, "again")]
    for t_ns, booked in pairs:
        assert is_at(ran, t_ns, booked), booked
    held_ns = ran["book"]["let_go"][0] - ran["book"]["held"][1]
    most_ns = ran["book"]["let_go"][1] - ran["book"]["held"][0]
    # The kernel says when a line had been steady for its debounce time, or as soon as it gets to that.
    most_late_ns = MOMENT_NS + max((late_ns for _, late_ns in ran["late"]), default=0)
    assert held_ns - most_late_ns <= walk.end_ns - walk.start_ns <= most_ns + most_late_ns


def test_a_long_press_takes_the_mark_of_its_button_back(ran: dict[str, Any]) -> None:
    (back,) = (mark for mark in ran["marks"] if isinstance(mark, MarkRetract))
    assert (back.id, back.author, back.undo) == (added(ran)[0].id, "bench/fall", True)


def test_what_was_open_goes_on_over_a_kill_and_ends_with_its_chip(ran: dict[str, Any]) -> None:
    _, _, run, over, away, gone, _ = added(ran)
    assert (run.evidence["unwatched"], over.evidence["unwatched"], away.evidence["unwatched"]) == (1, 1, 1)
    assert away.end_ns > gone.end_ns
    assert gone.evidence["end unknown"] == 1
    assert gone.end_ns - ran["offset_ns"] <= ran["book"]["gone"] + NEAR_NS


def test_the_lamp_says_when_a_mark_is_durable_and_that_a_range_is_open(ran: dict[str, Any]) -> None:
    lamp: list[tuple[int, int]] = ran["lamp"]
    flashes = [(begin, end - begin) for (begin, level), (end, _) in itertools.pairwise(lamp) if level]
    before_held = [begin for begin, _ in flashes if begin < ran["book"]["held"][0]]
    unseen = sum(late_ns > FLASH_NS for at_ns, late_ns in ran["late"] if at_ns < ran["book"]["held"][0])
    shown = ran["book"]["fallen"] + 2  # one for each mark, two for the undoing
    assert shown - unseen <= len(before_held) <= shown
    assert ran["book"]["bounced"][0] < before_held[0]
    lit = [span for begin, span in flashes if ran["book"]["held"][0] < begin <= ran["book"]["lit"] + NEAR_NS]
    assert max(lit) >= NEAR_NS // 2
    assert lamp[-1][1] == 0


def test_edges_are_samples_or_announced_however_fast_they_come(
    ran: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        for race in ran["races"]:
            print(
                f"\ngpio: {race['edges'] / race['seconds']:,.0f} edges a second, in a guest without KVM: "
                f"{race['samples']:,.0f} samples, {race['missed']:,.0f} announced as missed",
                end="",
            )
    assert len(ran["races"]) == len(guest.RATES_HZ)
    for race in ran["races"]:
        assert race["samples"] + race["missed"] == guest.EDGES
