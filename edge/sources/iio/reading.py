"""Raw values of the kernel's elements to values in a channel's unit. Pure.

What an element means its attributes say: `(raw + offset) * scale` is in the unit that the kernel's ABI gives its kind
(Documentation/ABI/testing/sysfs-bus-iio). A mount matrix turns a sensor's axes into its device's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.protocol import Values
from edge.sources.iio.layout import Column
from ingest.measures import factors

Attribute = Callable[[str], str | None]
"""What an attribute says, by its name without `in_`; None where there is none."""
_MILLI: Final = Fraction(1, 1000)
UNITS: Final[Mapping[str, tuple[str, Fraction]]] = {
    "accel": ("m/s2", Fraction(1)),
    "gravity": ("m/s2", Fraction(1)),
    "anglvel": ("rad/s", Fraction(1)),
    "angl": ("rad", Fraction(1)),
    "incli": ("deg", Fraction(1)),
    "magn": ("gauss", Fraction(1)),
    "voltage": ("mV", Fraction(1)),
    "altvoltage": ("mV", Fraction(1)),
    "current": ("mA", Fraction(1)),
    "power": ("mW", Fraction(1)),
    "temp": ("degC", _MILLI),
    "humidityrelative": ("%", _MILLI),
    "pressure": ("kPa", Fraction(1)),
    "illuminance": ("lx", Fraction(1)),
    "distance": ("m", Fraction(1)),
    "resistance": ("ohm", Fraction(1)),
    "energy": ("J", Fraction(1)),
    "velocity": ("m/s", Fraction(1)),
    "electricalconductivity": ("uS/cm", Fraction(10_000)),
    "concentration": ("%", Fraction(1)),
    "ph": ("pH", Fraction(1)),
}
"""By kind: the unit, and how many of it a value of the kernel's is. Of other kinds the kernel names no unit."""
_AXES: Final = "xyz"
_TURNED: Final = re.compile(r"(accel|gravity|anglvel|magn)(\d*)_([xyz])")


class MeaningError(ValueError):
    """What is wanted does not fit what the kernel has. The text says what to do."""


class _Linear(NamedTuple):
    """`raw * factor + shift`."""

    factor: float
    shift: float


@dataclass(frozen=True, slots=True)
class Reading:
    """Channels out of raw columns."""

    columns: tuple[Column, ...]
    """What is read of each scan."""
    weights: NDArray[np.float64]
    """`(channels, columns)`."""
    shifts: NDArray[np.float64]
    """`(channels,)`."""

    def values(self, raw: Values) -> Values:
        """`(scans, channels)` in their units, of `(scans, columns)`; NaN of what is made of a NaN."""
        if not np.isnan(raw).any():
            return raw @ self.weights.T + self.shifts
        parts = np.where(self.weights == 0, 0.0, raw[:, np.newaxis] * self.weights)
        found: Values = parts.sum(axis=2) + self.shifts
        return found


def resolve(wanted: str, known: Collection[str]) -> str:
    """The element that a channel means: of that name, or the only one that ends in `_name`. Raises `MeaningError`."""
    name = Column.of(wanted).element.removeprefix("in_")
    ending = [element for element in known if element.endswith(f"_{name}")]
    if name in known:
        return name
    if len(ending) == 1:
        return ending[0]
    which = " and ".join(sorted(ending)) if ending else ", ".join(sorted(known)) or "none"
    what = f"{wanted} may be {which}" if ending else f"it has no element {wanted}; there are {which}"
    raise MeaningError(f"{what}; say which a channel is with elements = {{ CHANNEL = ELEMENT }}")


def reading(
    wanted: Mapping[str, str],
    units: Mapping[str, str],
    known: Collection[str],
    attribute: Attribute,
    *,
    is_mounted: bool,
    processed: Collection[str] = (),
) -> Reading:
    """How channels (`wanted`: what each is, `units`: its unit) come about; of those `processed` the kernel has applied
    scale and offset. Raises `MeaningError`."""
    terms = list[dict[Column, float]]()
    shifts = list[float]()
    for channel, text in wanted.items():
        name = resolve(text, known)
        column = Column(name, Column.of(text).part)
        own = _in_unit(channel, name, units[channel])
        parts = _mounted(name, known, attribute) if is_mounted else {}
        found, shift = dict[Column, float](), 0.0
        for element, share in (parts or {name: 1.0}).items():
            linear = _Linear(1.0, 0.0) if element in processed else _linear(element, attribute)
            found[Column(element, column.part)] = share * linear.factor * own.factor
            shift += share * linear.shift * own.factor
        terms.append(found)
        shifts.append(shift + own.shift)
    columns = tuple(dict.fromkeys(column for found in terms for column in found))
    weights = np.array([[found.get(column, 0.0) for column in columns] for found in terms])
    return Reading(columns, weights, np.array(shifts))


def kind_of(element: str) -> str:
    """`accel_x` is `accel`, `voltage1-voltage2` is `voltage`."""
    match = re.match("[a-z]+", element)
    return match[0] if match else element


def attributes_of(element: str, what: str) -> list[str]:
    """The names that an element's attribute may have, its own before what it shares."""
    plain = re.sub(r"\d+", "", element)
    names = (element, plain, re.sub("_.*", "", element), re.sub("_.*", "", plain), kind_of(element))
    return [*(f"{name}_{what}" for name in dict.fromkeys(names)), what]


def _in_unit(channel: str, element: str, unit: str) -> _Linear:
    """From the kernel's unit to the channel's. Raises `MeaningError`."""
    found = UNITS.get(kind_of(element))
    if found is None:
        return _Linear(1.0, 0.0)
    name, share = found
    converted = factors(name, unit)
    if converted is None:
        raise MeaningError(
            f'{channel}: the kernel gives {element} in {name}, which is no "{unit}"; give the channel the unit {name}, '
            "or another one of its kind"
        )
    factor, shift = converted
    return _Linear(factor * float(share), shift)


def _linear(element: str, attribute: Attribute) -> _Linear:
    scale = _number(attributes_of(element, "scale"), attribute, 1.0)
    return _Linear(scale, scale * _number(attributes_of(element, "offset"), attribute, 0.0))


def _number(names: Sequence[str], attribute: Attribute, default: float) -> float:
    for name in names:
        text = attribute(name)
        if text is not None:
            try:
                return float(text.split()[0])
            except (ValueError, IndexError):
                raise MeaningError(f'its in_{name} says "{text}", which is no number') from None
    return default


def _mounted(element: str, known: Collection[str], attribute: Attribute) -> dict[str, float]:
    """The elements that a device's axis is made of, and how much of each; none where the sensor lies as its device."""
    match = _TURNED.fullmatch(element)
    if match is None:
        return {}
    texts = [attribute(name) for name in attributes_of(element, "mount_matrix")]
    text = next((text for text in texts if text is not None), None)
    if text is None:
        return {}
    row = mount_matrix(text)[_AXES.index(match[3])]
    found = {f"{match[1]}{match[2]}_{axis}": float(part) for axis, part in zip(_AXES, row, strict=True) if part}
    missing = found.keys() - set(known)
    if missing:
        raise MeaningError(
            f"its mount matrix wants {' and '.join(sorted(missing))}, which it lacks; say mount_matrix = false"
        )
    return found


def mount_matrix(text: str) -> NDArray[np.float64]:
    """`(3, 3)`: rows of a device's axes in a sensor's, of `1, 0, 0; 0, 1, 0; 0, 0, 1`. Raises `MeaningError`."""
    try:
        rows = np.array([[float(part) for part in row.split(",")] for row in text.split(";")])
    except ValueError:
        rows = np.zeros(0)
    if rows.shape != (3, 3) or not np.isfinite(rows).all() or not rows.any(axis=1).all():
        raise MeaningError(f'its mount matrix is "{text}", which is none; say mount_matrix = false')
    return rows
