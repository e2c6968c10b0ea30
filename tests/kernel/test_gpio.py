"""The agent on a real kernel's GPIO chip: every edge is a sample, or announced; each has its time.

What was done to the chip says tests/kernel/guest_gpio.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ingest.records import RecordingStart
from tests.kernel import guest_gpio as guest
from tests.kernel.marks import DEVICES
from tests.kernel.reading import gaps, samples
from tests.support.logs import read_log

pytestmark = DEVICES
GUEST = "gpio"
KEPT = 1024
"""So many events the kernel keeps of a request."""
MOMENT_NS = 1_000_000
"""Between a write to a line and the kernel's interrupt."""
AXIS_NS = 1_000_000_000
"""By how much the recording's axis, which is fixed once, may be off in a machine that is often set aside."""


@pytest.fixture(scope="module")
def ran(guests: Callable[[str], Path]) -> dict[str, Any]:
    folder = guests(GUEST)
    found: dict[str, Any] = json.loads((folder / "book.json").read_text())
    records = read_log(f"segments:{folder / 'log'}")
    boots = list(dict.fromkeys(record.boot for record in records if isinstance(record, RecordingStart)))
    lives = [[record for record in records if getattr(record, "boot", None) == boot] for boot in boots]
    return found | {"records": lives[0], "lives_records": lives}


def test_the_agent_came_to_a_good_end(ran: dict[str, Any]) -> None:
    assert ran["code"] == 0


def test_each_booked_edge_is_a_sample_at_its_time(ran: dict[str, Any]) -> None:
    times, values = samples(ran["records"], "switch", dtype="u1")
    assert (np.diff(times) > 0).all()
    behind_removal = 2 + guest.EDGES + KEPT
    booked = [*range(1, 1 + guest.EDGES), *range(behind_removal, behind_removal + guest.EDGES)]
    before, behind, levels = np.array(ran["book"] + ran["later"], dtype=np.int64).T
    found = times[booked]
    assert values[booked, 0].tolist() == levels.tolist()
    most, least = int((found - before).min()), int((found - behind).max())  # the axis lies between
    assert least <= most + MOMENT_NS
    assert abs(most - ran["offset_ns"]) < AXIS_NS


def test_edges_that_the_kernel_did_not_keep_are_a_gap_of_exactly_so_many(ran: dict[str, Any]) -> None:
    _, values = samples(ran["records"], "switch", dtype="u1")
    missed = gaps(ran["records"], "switch", "missed")
    assert sum(gap.samples for gap in missed) == guest.BURST - KEPT
    assert len(values) >= 2 + 2 * guest.EDGES + KEPT  # both openings say how things stand; some came before a kill
    assert ran["state"]["switch"]["lost"]["missed"] == guest.BURST - KEPT


def test_no_edge_is_lost_to_a_stop_that_the_kernel_can_bridge(ran: dict[str, Any]) -> None:
    _, values = samples(ran["records"], "fast")
    assert values[:, 0].tolist() == [1.0] * (guest.BURST // 2)
    assert not gaps(ran["records"], "fast", "missed")


def test_counts_lose_nothing(ran: dict[str, Any]) -> None:
    times, values = samples(ran["records"], "flow", dtype="<i4")
    assert values.sum() == (guest.EDGES + 2 * guest.BURST) // 2
    assert not gaps(ran["records"], "flow", "missed")
    steps = np.diff(times)
    assert np.count_nonzero(steps != 100_000_000) == 1, "one sample each 100 ms, but for the chip's absence"


def test_books_of_edges_close_over_kills_at_random(ran: dict[str, Any]) -> None:
    """Each edge that an agent could hear is a sample, up to where it was killed; the rest lies in what is announced."""
    books = ran["lives"]
    assert len(ran["lives_records"]) == len(books) == guest.KILLS + 1
    lost = 0
    for number, (records, book) in enumerate(zip(ran["lives_records"], books, strict=True)):
        times, values = samples(records, "switch", dtype="u1")
        first = 2 + 2 * guest.EDGES + KEPT if number == 0 else 1  # an opening says how the line stands
        times, values = times[first:], values[first:]
        before, behind, levels = np.array(book["heard"], dtype=np.int64).T
        kept = len(times)
        lost += len(levels) - kept
        assert values[:, 0].tolist() == levels[:kept].tolist(), "no prefix of what was said"
        axis_ns = int((times - before[:kept]).min()) if kept else ran["offset_ns"]
        assert int((times - behind[:kept]).max(initial=axis_ns - MOMENT_NS)) <= axis_ns + MOMENT_NS
        assert sum(gap.samples for gap in gaps(records, "switch", "missed")) == (
            guest.BURST - KEPT if number == 0 else 0
        )
        if number == guest.KILLS:
            assert kept == len(levels)
            break
        after = next(one for one in ran["lives_records"][number + 1] if isinstance(one, RecordingStart))
        assert after.previous_boot == records[0].boot
        unheard_ns = [at + axis_ns for at in [*before[kept:].tolist(), *(said[0] for said in book["unheard"])]]
        died = gaps(records, "switch", "agent_died")  # where another stream reached further, this one's loss begins
        assert all(gap.end_ns == after.previous_reach_ns for gap in died)
        announced_ns = min((gap.start_ns for gap in died), default=after.previous_reach_ns)
        assert announced_ns <= unheard_ns[0] + MOMENT_NS
        assert unheard_ns[-1] <= after.start_ns + AXIS_NS
    assert lost, "no kill hit an edge that was not durable"


def test_a_chip_that_went_and_came_back_is_announced(ran: dict[str, Any]) -> None:
    for stream in ("switch", "flow", "fast"):
        assert gaps(ran["records"], stream, "chip_lost")
        assert "there is no GPIO chip at all" in ran["away"][stream]["waiting_for"]
        assert not ran["state"][stream]["waiting_for"]


def test_what_is_wrong_with_a_line_is_named_with_what_to_do(ran: dict[str, Any]) -> None:
    busy, absent = (ran["early"][name]["waiting_for"] for name in ("busy", "absent"))
    assert busy == f"{ran['chip']}: is in use: line 5 by sysfs; end that program, or choose another line"
    assert absent == f"/dev/{ran['chip']}: has no line 99; its lines are 0 to 7, and gpioinfo says their names"
