"""Channels of a stream that was described anew: converted, or left out."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.archive.channels import LeftOut, Placed, left_out, placed, values_under
from ingest.records import Channel

WANTED = Channel("t", "degF"), Channel("x", "g", 7.0, 7.0)


@pytest.mark.parametrize(
    ("channel", "number", "raw", "value"),
    [
        (Channel("x", "g", 0.5, 1.0), 1, 4, 3.0),  # what the wanted ones' raw values would be does not matter
        (Channel("x", "m/s²"), 1, 9.80665, 1.0),
        (Channel("t", "degC", 0.1, -10.0), 0, 200, 50.0),
        (Channel("t", "K"), 0, 273.15, 32.0),
    ],
)
def test_a_value_is_put_under_its_name_in_the_wanted_unit(
    channel: Channel, number: int, raw: float, value: float
) -> None:
    found = placed(channel, WANTED)
    assert found is not None
    assert found.number == number
    assert raw * found.scale + found.offset == pytest.approx(value)


def test_a_unit_that_is_the_same_changes_no_bit() -> None:
    assert placed(Channel("x", "{items/tray}", 0.1, 0.3), [Channel("x", "{items/tray}")]) == Placed(0, 0.1, 0.3)


def test_what_fits_nowhere_is_left_out_and_told() -> None:
    own = Channel("x", "V"), Channel("z", "g"), Channel("t", "degF")
    values = values_under(WANTED, own, np.array([[1, 2, 3]], np.int16))
    np.testing.assert_array_equal(values, [[3, np.nan]])
    assert left_out(WANTED, own, 5, 9) == (LeftOut("x", "V", 5, 9), LeftOut("z", "g", 5, 9))


def test_float32_is_scaled_as_float64() -> None:
    raw = np.array([[16_777_217 / 3]], np.float32)
    assert values_under([Channel("x", "g")], [Channel("x", "g", 0.1, 0.7)], raw)[0, 0] == float(raw[0, 0]) * 0.1 + 0.7
