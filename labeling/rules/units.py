"""Units of measure: what `0.35g` and `12km/h` mean, exactly.

A unit is a factor and, for temperatures, a shift to its dimension's base unit, as fractions: 0.35 g in m/s² is one
rounding away from the true value, and a literal in the channel's own unit is the literal itself. A unit that is not in
the table (a channel may have any) is a dimension of its own: it compares with plain numbers and with itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, TypeAlias

Dimensions: TypeAlias = tuple[tuple[str, int], ...]
"""Exponents by base, sorted, none of them 0: acceleration is `(("m", 1), ("s", -2))`."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A value `v` of this unit is `v * scale + shift` of the dimension's base units."""

    name: str
    dimensions: Dimensions
    scale: Fraction = Fraction(1)
    shift: Fraction = Fraction(0)

    def __str__(self) -> str:
        return self.name or "a plain number"


NUMBER: Final = Unit("", ())
"""What a ratio has."""
ANY: Final = Unit("?", (("?", 1),))
"""Of a stream that is not described yet: fits everything, since nothing of it is known."""
_M: Final[Dimensions] = (("m", 1),)
_S: Final[Dimensions] = (("s", 1),)
_PER_S: Final[Dimensions] = (("s", -1),)
_SPEED: Final[Dimensions] = (("m", 1), ("s", -1))
_ACCELERATION: Final[Dimensions] = (("m", 1), ("s", -2))
_RAD: Final[Dimensions] = (("rad", 1),)
_TURN: Final[Dimensions] = (("rad", 1), ("s", -1))
_K: Final[Dimensions] = (("K", 1),)
_PA: Final[Dimensions] = (("Pa", 1),)
_V: Final[Dimensions] = (("V", 1),)
_A: Final[Dimensions] = (("A", 1),)
_G: Final = Fraction("9.80665")
_PI: Final = Fraction("3.141592653589793238462643383279502884")

UNITS: Final[Mapping[str, Unit]] = {
    unit.name: unit
    for unit in (
        Unit("m/s2", _ACCELERATION),
        Unit("g", _ACCELERATION, _G),
        Unit("mg", _ACCELERATION, _G / 1000),
        Unit("K", _K),
        Unit("degC", _K, Fraction(1), Fraction("273.15")),
        Unit("degF", _K, Fraction(5, 9), Fraction("459.67") * Fraction(5, 9)),
        Unit("m/s", _SPEED),
        Unit("km/h", _SPEED, Fraction(1000, 3600)),
        Unit("kn", _SPEED, Fraction(1852, 3600)),
        Unit("rad/s", _TURN),
        Unit("deg/s", _TURN, _PI / 180),
        Unit("rad", _RAD),
        Unit("deg", _RAD, _PI / 180),
        Unit("ns", _S, Fraction(1, 10**9)),
        Unit("us", _S, Fraction(1, 10**6)),
        Unit("ms", _S, Fraction(1, 1000)),
        Unit("s", _S),
        Unit("min", _S, Fraction(60)),
        Unit("h", _S, Fraction(3600)),
        Unit("d", _S, Fraction(86400)),
        Unit("Hz", _PER_S),
        Unit("kHz", _PER_S, Fraction(1000)),
        Unit("mm", _M, Fraction(1, 1000)),
        Unit("m", _M),
        Unit("km", _M, Fraction(1000)),
        Unit("Pa", _PA),
        Unit("hPa", _PA, Fraction(100)),
        Unit("kPa", _PA, Fraction(1000)),
        Unit("bar", _PA, Fraction(10**5)),
        Unit("mV", _V, Fraction(1, 1000)),
        Unit("V", _V),
        Unit("mA", _A, Fraction(1, 1000)),
        Unit("A", _A),
        Unit("%", (), Fraction(1, 100)),
    )
}
_ALIASES: Final[Mapping[str, str]] = {
    "m/s^2": "m/s2",
    "m/s²": "m/s2",
    "°C": "degC",
    "°F": "degF",
    "kph": "km/h",
    "kt": "kn",
    "knot": "kn",
    "knots": "kn",
    "°/s": "deg/s",
    "dps": "deg/s",
    "°": "deg",
    "µs": "us",
    "μs": "us",
}


def literal_unit(name: str) -> Unit | None:
    """The unit of a literal's suffix; None where it is not known."""
    return UNITS.get(_ALIASES.get(name, name))


def literal_names() -> tuple[str, ...]:
    """Every suffix a literal may have, longest first: none hides a longer one."""
    return tuple(sorted((*UNITS, *_ALIASES), key=lambda name: (-len(name), name)))


def channel_unit(name: str) -> Unit:
    """The unit that a stream description names; one that is not in the table is a dimension of its own."""
    if name in ("", "1"):
        return NUMBER
    return literal_unit(name) or Unit(name, ((f'"{name}"', 1),))


def convert(value: Fraction, source: Unit, target: Unit, *, difference: bool = False) -> Fraction:
    """`value` in another unit of the same dimension; a difference is not shifted (10 degC more is 18 degF more)."""
    factor, shift = conversion(source, target, difference=difference)
    return value * factor + shift


def conversion(source: Unit, target: Unit, *, difference: bool = False) -> tuple[Fraction, Fraction]:
    """Factor and shift from one unit to another of the same dimension."""
    factor = source.scale / target.scale
    return factor, Fraction(0) if difference else (source.shift - target.shift) / target.scale


def product(left: Unit, right: Unit, exponent: int) -> Unit:
    """The unit of `left * right ** exponent`, for units without a shift; `exponent` is 1 or -1."""
    if ANY in (left, right):
        return ANY
    powers = dict(left.dimensions)
    for base, power in right.dimensions:
        powers[base] = powers.get(base, 0) + exponent * power
    dimensions = tuple(sorted((base, power) for base, power in powers.items() if power))
    sign = "*" if exponent > 0 else "/"
    name = f"{left.name or '1'}{sign}{right.name}" if right.name else left.name
    return Unit(name, dimensions, left.scale * right.scale**exponent)
