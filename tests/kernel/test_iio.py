"""The agent on a real kernel's IIO devices: an accelerometer with a known waveform, and made-up converters.

What was done to them says tests/kernel/guest_iio.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.kernel import guest_iio as guest
from tests.kernel.marks import DEVICES
from tests.kernel.reading import gaps, samples
from tests.support.logs import read_log

pytestmark = DEVICES
GUEST = "iio"
MOMENT_NS = 1_000_000
"""Between the driver's stamp and either end of the report's write."""
G = 9.80665


@pytest.fixture(scope="module")
def ran(guests: Callable[[str], Path]) -> dict[str, Any]:
    folder = guests(GUEST)
    found: dict[str, Any] = json.loads((folder / "book.json").read_text())
    return found | {"records": read_log(f"segments:{folder / 'log'}")}


def test_every_report_is_a_sample_with_its_values_and_at_its_time(ran: dict[str, Any]) -> None:
    times, values = samples(ran["records"], "acc", 3)
    wanted = np.array([guest.wave(number) for number in range(guest.SAMPLES)]) / 100
    wanted[:, 2] *= G
    np.testing.assert_allclose(values[: guest.SAMPLES], wanted, rtol=1e-5, atol=1e-7)
    before, behind = np.array(ran["book"], dtype=np.int64).T
    at = times[: guest.SAMPLES]
    most, least = int((at - before).min()), int((at - behind).max())  # the recording's axis lies between
    assert least <= most + MOMENT_NS
    assert abs(most - ran["offset_ns"]) < 1_000_000_000
    assert (np.diff(times) > 0).all()


def test_it_was_set_up_as_it_was_told(ran: dict[str, Any]) -> None:
    asked = ran["asked"]
    assert (asked["clock"], asked["length"], float(asked["frequency"])) == ("boottime", str(guest.BUFFER), 100)
    assert ran["code"] == 0


def test_what_a_full_buffer_did_not_keep_is_missing_by_about_so_much(ran: dict[str, Any]) -> None:
    """The reports of a busy machine have no even pace: the times tell a few more or less."""
    _, values = samples(ran["records"], "acc", 3)
    lost = guest.SAMPLES + guest.BURST + guest.LATER - (len(values) - guest.AGAIN)
    told = ran["burst"]["acc"]["lost"]["missed"]
    assert lost >= guest.BURST - guest.BUFFER
    assert abs(told - lost) <= 0.2 * lost
    assert sum(gap.samples for gap in gaps(ran["records"], "acc", "missed")) == told
    kept = [guest.wave(number)[2] / 100 * G for number in range(guest.SAMPLES + guest.BUFFER)]
    np.testing.assert_allclose(values[: len(kept), 2], kept, rtol=1e-5, atol=1e-7)


def test_a_sensor_that_went_and_came_back_is_announced(ran: dict[str, Any]) -> None:
    why = ran["away"]["acc"]["waiting_for"]
    assert "no such device" in why or "is gone" in why
    assert gaps(ran["records"], "acc", "device_lost")
    _, values = samples(ran["records"], "acc", 3)
    wanted = np.array([guest.wave(number)[0] for number in range(guest.AGAIN)]) / 100
    np.testing.assert_allclose(values[-guest.AGAIN :, 0], wanted, rtol=1e-5, atol=1e-7)
    assert not ran["state"]["acc"]["waiting_for"]


def test_a_triggered_converter_gives_scaled_values_at_its_triggers_pace(ran: dict[str, Any]) -> None:
    times, values = samples(ran["records"], "adc", 3)
    wanted = [(7 + 7) * 0.001333 / 1000, -33 * 0.000001344, 344.0]  # of the driver's source: fakedata, and its scales
    np.testing.assert_allclose(values, np.tile(wanted, (len(values), 1)), rtol=1e-5)
    assert np.median(np.diff(times)) == pytest.approx(1e9 / guest.FREQUENCY_HZ, rel=0.01)


def test_single_values_are_asked_for(ran: dict[str, Any]) -> None:
    times, values = samples(ran["records"], "single", 2)
    np.testing.assert_allclose(values, np.tile([(73 + 7) * 0.001333, 34], (len(values), 1)), rtol=1e-5)
    assert np.median(np.diff(times)) >= 150e6  # a busy machine is later


def test_what_is_wrong_is_named_with_what_to_do(ran: dict[str, Any]) -> None:
    told = {name: ran["early"][name]["waiting_for"] for name in ("absent", "busy", "untriggered", "volts")}
    assert told["absent"].startswith("adxl345: no such device; there are ")
    assert told["busy"].startswith("dummy2: another program reads it: python")
    assert told["untriggered"].startswith("dummy1: has no trigger; say trigger = NAME: there are ")
    assert "clock0" in told["untriggered"]
    assert told["volts"].startswith('dummy1: x: the kernel gives accel_x in m/s2, which is no "V"')
    assert not ran["state"]["busy"]["waiting_for"]
