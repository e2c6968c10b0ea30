"""Units of measure: what `0.35g` and `12km/h` mean, exactly.

A unit is a factor and, for temperatures, a shift to its dimension's base unit, as fractions: 0.35 g in m/s² is one
rounding away from the true value, and a literal in the channel's own unit is the literal itself. A unit that is not in
the table (a channel may have any) is a dimension of its own: it compares with plain numbers and with itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final, TypeAlias

from ingest.errors import UsageError
from ingest.settings import meant

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
_M3: Final[Dimensions] = (("m", 3),)
_FLOW: Final[Dimensions] = (("m", 3), ("s", -1))
_W: Final[Dimensions] = (("W", 1),)
_ENERGY: Final[Dimensions] = (("W", 1), ("s", 1))
_CHARGE: Final[Dimensions] = (("A", 1), ("s", 1))
_N: Final[Dimensions] = (("N", 1),)
_T: Final[Dimensions] = (("T", 1),)
_OHM: Final[Dimensions] = (("ohm", 1),)
_DENSITY: Final[Dimensions] = (("kg", 1), ("m", -3))
_PA: Final[Dimensions] = (("Pa", 1),)
_V: Final[Dimensions] = (("V", 1),)
_A: Final[Dimensions] = (("A", 1),)
_OWN: Final = re.compile(r"\{[^\s{}][^{}]*\}")
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
        Unit("kV", _V, Fraction(1000)),
        Unit("uV", _V, Fraction(1, 10**6)),
        Unit("uA", _A, Fraction(1, 10**6)),
        Unit("mAh", _CHARGE, Fraction(36, 10)),
        Unit("Ah", _CHARGE, Fraction(3600)),
        Unit("mW", _W, Fraction(1, 1000)),
        Unit("W", _W),
        Unit("kW", _W, Fraction(1000)),
        Unit("J", _ENERGY),
        Unit("Wh", _ENERGY, Fraction(3600)),
        Unit("kWh", _ENERGY, Fraction(3_600_000)),
        Unit("ohm", _OHM),
        Unit("kohm", _OHM, Fraction(1000)),
        Unit("Mohm", _OHM, Fraction(10**6)),
        Unit("mbar", _PA, Fraction(100)),
        Unit("MPa", _PA, Fraction(10**6)),
        Unit("psi", _PA, Fraction("6894.757293168")),
        Unit("um", _M, Fraction(1, 10**6)),
        Unit("cm", _M, Fraction(1, 100)),
        Unit("ft", _M, Fraction("0.3048")),
        Unit("mph", _SPEED, Fraction("0.44704")),
        Unit("mm/s", _SPEED, Fraction(1, 1000)),
        Unit("rpm", _TURN, _PI / 30),
        Unit("MHz", _PER_S, Fraction(10**6)),
        Unit("L", _M3, Fraction(1, 1000)),
        Unit("mL", _M3, Fraction(1, 10**6)),
        Unit("m3", _M3),
        Unit("L/min", _FLOW, Fraction(1, 60_000)),
        Unit("m3/h", _FLOW, Fraction(1, 3600)),
        Unit("m3/s", _FLOW),
        Unit("kg", (("kg", 1),)),
        Unit("kg/m3", _DENSITY),
        Unit("ug/m3", _DENSITY, Fraction(1, 10**9)),
        Unit("mN", _N, Fraction(1, 1000)),
        Unit("N", _N),
        Unit("kN", _N, Fraction(1000)),
        Unit("Nm", (("N", 1), ("m", 1))),
        Unit("nT", _T, Fraction(1, 10**9)),
        Unit("uT", _T, Fraction(1, 10**6)),
        Unit("mT", _T, Fraction(1, 1000)),
        Unit("T", _T),
        Unit("gauss", _T, Fraction(1, 10**4)),
        Unit("lx", (("lx", 1),)),
        Unit("dB", (("dB", 1),)),
        Unit("pH", (("pH", 1),)),
        Unit("uS/cm", (("m", -1), ("ohm", -1)), Fraction(1, 10**4)),
        Unit("%", (), Fraction(1, 100)),
        Unit("ppm", (), Fraction(1, 10**6)),
        Unit("ppb", (), Fraction(1, 10**9)),
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
    "µT": "uT",
    "μT": "uT",
    "µg/m3": "ug/m3",
    "μg/m3": "ug/m3",
    "µS/cm": "uS/cm",
    "μS/cm": "uS/cm",
    "Ω": "ohm",
    "kΩ": "kohm",
    "%RH": "%",
    "lux": "lx",
}
_WORDS: Final[Mapping[str, str]] = {
    "celsius": "degC",
    "C": "degC",
    "fahrenheit": "degF",
    "kelvin": "K",
    "percent": "%",
    "volt": "V",
    "volts": "V",
    "ampere": "A",
    "amps": "A",
    "watt": "W",
    "degree": "deg",
    "degrees": "deg",
    "meter": "m",
    "m/s/s": "m/s2",
    "m/s**2": "m/s2",
    "ms-2": "m/s2",
    "kmh": "km/h",
    "liter": "L",
    "gs": "g",
    "count": "1",
    "counts": "1",
    "raw": "1",
    "lsb": "1",
    "none": "1",
    "-": "1",
    "": "1",
}
"""What people write for a unit and is none, for suggestions."""


def literal_unit(name: str) -> Unit | None:
    """The unit of a literal's suffix; None where it is not known."""
    return UNITS.get(_ALIASES.get(name, name))


def literal_names() -> tuple[str, ...]:
    """Every suffix a literal may have, longest first: none hides a longer one."""
    return tuple(sorted((*UNITS, *_ALIASES), key=lambda name: (-len(name), name)))


def check_unit(name: str) -> None:
    """Raise `UsageError` for a channel's unit that is not known. One of one's own stands in braces, as UCUM has
    annotations (section 6): `{items/tray}`."""
    if name == "1" or literal_unit(name) is not None or _OWN.fullmatch(name):
        return
    near = meant(name, (*UNITS, "1"), _WORDS)
    raise UsageError(
        f'unknown unit "{name}"; ' + (f'did you mean "{near}"? ' if near else "") + "A plain number has the unit "
        f'"1", one of your own stands in braces, as in "{{{name or "items"}}}"; all: sensorloom agent keys units'
    )


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


@lru_cache(1_024)
def factors(source: str, target: str) -> tuple[float, float] | None:
    """Factor and shift that turn a channel's values into another unit; None where that is of another dimension."""
    one, other = channel_unit(source), channel_unit(target)
    if one.dimensions != other.dimensions:
        return None
    factor, shift = conversion(one, other)
    return float(factor), float(shift)


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
