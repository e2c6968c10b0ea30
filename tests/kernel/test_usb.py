"""The agent on a real kernel's USB: a sensor that is unplugged and plugged in again loses no line that it said.

What was done to it says tests/kernel/guest_usb.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kernel import guest_usb as guest
from tests.kernel.marks import DEVICES
from tests.kernel.reading import gaps, samples
from tests.support.logs import read_log

pytestmark = DEVICES
GUEST = "usb"


@pytest.fixture(scope="module")
def ran(guests: Callable[[str], Path]) -> dict[str, Any]:
    folder = guests(GUEST)
    found: dict[str, Any] = json.loads((folder / "book.json").read_text())
    return found | {"records": read_log(f"segments:{folder / 'log'}")}


def test_every_line_is_in_the_log_once_and_in_order(ran: dict[str, Any]) -> None:
    _, values = samples(ran["records"], "all", 2)
    assert values.tolist() == [[plug, line] for plug in range(guest.PLUGS) for line in range(guest.LINES)]
    assert ran["code"] == 0


def test_each_absence_is_announced(ran: dict[str, Any]) -> None:
    times, _ = samples(ran["records"], "all", 2)
    lost = gaps(ran["records"], "all", "port_lost")
    assert len(lost) >= guest.PLUGS - 1
    assert not any(((times > gap.start_ns) & (times < gap.end_ns)).any() for gap in lost)
    assert all(text.startswith(guest.PORT) for text in ran["told"])
    assert "is not plugged in" in ran["told"][0]
