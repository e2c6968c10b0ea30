"""Units, exactly."""

from __future__ import annotations

from fractions import Fraction

import pytest

from ingest.measures import NUMBER, UNITS, channel_unit, convert, literal_names, literal_unit, product


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        ("0.35", "g", "m/s2", "3.4323275"),
        ("80", "degC", "degF", "176"),
        ("-40", "degF", "degC", "-40"),
        ("0", "degC", "K", "273.15"),
        ("12", "km/h", "m/s", "10/3"),
        ("1", "kn", "km/h", "1.852"),
        ("50", "%", "", "0.5"),
        ("2", "min", "ms", "120000"),
    ],
)
def test_conversions_are_exact(value: str, source: str, target: str, expected: str) -> None:
    goal = UNITS.get(target, NUMBER)
    assert convert(Fraction(value), UNITS[source], goal) == Fraction(expected)
    assert convert(Fraction(expected), goal, UNITS[source]) == Fraction(value)


def test_a_difference_is_not_shifted() -> None:
    assert convert(Fraction(10), UNITS["degC"], UNITS["degF"], difference=True) == 18


def test_names() -> None:
    assert literal_unit("°C") is UNITS["degC"]
    assert literal_unit("furlong") is None
    assert channel_unit("m/s^2") is UNITS["m/s2"]
    assert channel_unit("") is channel_unit("1") is NUMBER
    assert channel_unit("l/min") == channel_unit("l/min") != channel_unit("ml/min")
    names = literal_names()
    assert all(not later.startswith(name) for i, name in enumerate(names) for later in names[i + 1 :])


def test_products() -> None:
    g, speed = UNITS["g"], UNITS["m/s"]
    assert product(speed, UNITS["s"], -1).dimensions == g.dimensions
    assert product(g, g, -1).dimensions == ()
    assert product(UNITS["km/h"], UNITS["m/s"], -1).scale == Fraction(1000, 3600)
