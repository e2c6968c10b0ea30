"""The agent on a real kernel's PPS device: what its file says is what RFC 2783's call says; it goes and comes back.

What was done to it says tests/kernel/guest_pps.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.recording.pulses import Pulse, parse_assert
from ingest.records import Chunk
from tests.kernel.marks import DEVICES
from tests.support.logs import read_log

pytestmark = DEVICES
GUEST = "pps"


@pytest.fixture(scope="module")
def ran(guests: Callable[[str], Path]) -> dict[str, Any]:
    folder = guests(GUEST)
    found: dict[str, Any] = json.loads((folder / "book.json").read_text())
    return found | {"records": read_log(f"segments:{folder / 'log'}")}


def test_the_file_says_what_the_call_says(ran: dict[str, Any]) -> None:
    steady = [(file, call) for file, call, again in ran["both"] if file == again]
    assert len(steady) > len(ran["both"]) // 2
    for file, (sequence, time_ns) in steady:
        assert parse_assert(file) == Pulse(time_ns, sequence)


def test_a_timer_that_nobody_set_by_the_sky_corrects_nothing_and_is_told(ran: dict[str, Any]) -> None:
    assert "pps: /dev/pps0" in ran["said"]
    assert (ran["figures"]["pps.locked"], ran["code"]) == (0, 0)
    clocks = {record.clock.source for record in ran["records"] if isinstance(record, Chunk) and record.clock}
    assert clocks == {"system"}


def test_a_device_that_vanishes_is_told_and_comes_back(ran: dict[str, Any]) -> None:
    assert "/dev/pps0: is not there, or says no rising edges; load its driver" in ran["said"]
    assert ran["figures"]["pps.pulses"] >= 6
