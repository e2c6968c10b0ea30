"""The agent on a real kernel's hardware monitors: a chip that goes and comes back, a battery, and its thermal zone.

What was done to them says tests/kernel/guest_hwmon.py.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.kernel import guest_hwmon as guest
from tests.kernel.marks import DEVICES
from tests.kernel.reading import gaps, samples
from tests.support.logs import read_log

pytestmark = DEVICES
GUEST = "hwmon"


@pytest.fixture(scope="module")
def ran(guests: Callable[[str], Path]) -> dict[str, Any]:
    folder = guests(GUEST)
    found: dict[str, Any] = json.loads((folder / "book.json").read_text())
    return found | {"records": read_log(f"segments:{folder / 'log'}")}


def test_a_chips_temperature_is_followed_through_its_removal(ran: dict[str, Any]) -> None:
    times, values = samples(ran["records"], "board")
    assert [value for value, _ in itertools.groupby(values[:, 0])][:2] == [*guest.TEMPERATURES[:2]]
    assert values[-1, 0] == guest.TEMPERATURES[2]
    (gap,) = gaps(ran["records"], "board", "no_answer")[-1:]
    assert not ((times > gap.start_ns) & (times < gap.end_ns)).any()
    assert "board" not in ran["state"]["board"]["waiting_for"]
    assert "lm75.temp1" in ran["away"]["board"]["waiting_for"]
    assert ran["code"] == 0


def test_a_battery_and_its_zone_are_in_the_channels_units(ran: dict[str, Any]) -> None:
    _, values = samples(ran["records"], "battery", 3)
    wanted = [3.0, -0.002, 2.6 + 273.15]  # of the driver's source, test_power.c, in whole thousandths
    np.testing.assert_allclose(values, np.tile(wanted, (len(values), 1)), rtol=1e-6)


def test_two_of_one_name_are_told_apart_by_the_user(ran: dict[str, Any]) -> None:
    told = ran["early"]["twice"]["waiting_for"]
    assert "is more than one: say which of test_battery@" in told
