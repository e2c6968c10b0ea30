"""Positions made less exact: gone in zones, the middle of a cell, or with noise that has a budget a recording. Pure
but for `load_places`.

**Noise** is the planar Laplace mechanism of geo-indistinguishability (Andrés et al. 2013): a distance from
Gamma(2, 1/ε), in any direction. A recording has `level / within` to spend (no observer can tell two places that are
`within` apart better than by a factor of exp(level)), in equal parts for its windows: each says one place, its own
mean with noise, at all its steps. What is drawn comes from the key and the window's id, so that another export under
the same key says the same, and nothing is averaged away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from curation.exports.content import Ints, Signal
from curation.exports.pseudonyms import Pseudonyms
from ingest.errors import UsageError
from ingest.settings import check_keys, suggest
from ingest.tomlfile import read_toml

METRES_PER_DEGREE: Final = 111_195.0
"""Of latitude, on a sphere of 6,371 km."""
_FAR: Final = 6_371_000.0
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Zone:
    """A circle in which there are no positions."""

    latitude: float
    longitude: float
    radius_m: float


@dataclass(frozen=True, slots=True)
class Places:
    """What is done with two channels, in degrees."""

    latitude: str
    longitude: str
    zones: tuple[Zone, ...] = ()
    cell_m: float | None = None
    level: float | None = None
    within_m: float | None = None

    @property
    def told(self) -> dict[str, Any]:
        """What an export says of it; not where the zones lie."""
        noise = None if self.level is None else {"level": self.level, "within_m": self.within_m, "per": "recording"}
        return {"zones": len(self.zones), "cell_m": self.cell_m, "planar_laplace": noise}

    def changed(self, X: Signal, columns: tuple[int, int], epsilon: Floats, draws: Floats) -> Signal:
        """Windows `(windows, steps, channels)` with their positions changed, in new memory.

        `columns` are where latitude and longitude lie, `epsilon` is each window's budget per metre, and `draws` are
        `(windows, 3)` numbers above 0 and up to 1.
        """
        made = X.copy()
        latitude, longitude = (X[:, :, column].astype(np.float64) for column in columns)
        gone = np.zeros(len(X), bool)
        for zone in self.zones:
            gone |= (_metres(latitude, longitude, zone) <= zone.radius_m).any(axis=1)
        if self.level is not None:
            latitude, longitude = _noised(latitude, longitude, epsilon, draws)
        if self.cell_m is not None:
            latitude, longitude = _celled(latitude, longitude, self.cell_m)
        # A window that touches a zone says no place at all: where it stops would be the zone's edge.
        latitude[gone], longitude[gone] = np.nan, np.nan
        made[:, :, columns[0]], made[:, :, columns[1]] = latitude, longitude
        return made

    def budget(self, windows_of_recording: Ints) -> Floats:
        """ε per metre of each window, by how many its recording has; zeros where there is no noise."""
        if self.level is None or self.within_m is None:
            return np.zeros(len(windows_of_recording))
        return self.level / self.within_m / windows_of_recording


def drawn(pseudonyms: Pseudonyms, windows: Sequence[str]) -> Floats:
    """`(windows, 3)` numbers above 0 and up to 1, from the key and each window's id."""
    data = b"".join(pseudonyms.digest("place", window)[:24] for window in windows)
    return (np.frombuffer(data, ">u8").reshape(-1, 3).astype(np.float64) + 1) / 2.0**64


def _metres(latitude: Floats, longitude: Floats, zone: Zone) -> Floats:
    """On a sphere, as on a plane where it touches: exact enough for a zone; across the date line too."""
    north = (latitude - zone.latitude) * METRES_PER_DEGREE
    turn = (longitude - zone.longitude + 180) % 360 - 180
    found: Floats = np.hypot(north, turn * METRES_PER_DEGREE * np.cos(np.radians(zone.latitude)))
    return found


def _noised(latitude: Floats, longitude: Floats, epsilon: Floats, draws: Floats) -> tuple[Floats, Floats]:
    there = ~np.isnan(latitude) & ~np.isnan(longitude)
    count = np.maximum(there.sum(axis=1), 1)
    middle = [np.where(there, degrees, 0.0).sum(axis=1) / count for degrees in (latitude, longitude)]
    distance = np.minimum(-(np.log(draws[:, 0]) + np.log(draws[:, 1])) / epsilon, np.pi * _FAR)
    bearing = 2 * np.pi * draws[:, 2]
    lat1, lon1, arc = np.radians(middle[0]), np.radians(middle[1]), distance / _FAR
    lat2 = np.arcsin(np.clip(np.sin(lat1) * np.cos(arc) + np.cos(lat1) * np.sin(arc) * np.cos(bearing), -1, 1))
    lon2 = lon1 + np.arctan2(np.sin(bearing) * np.sin(arc) * np.cos(lat1), np.cos(arc) - np.sin(lat1) * np.sin(lat2))
    lon2 = (np.degrees(lon2) + 180) % 360 - 180
    return tuple(np.where(there, degrees[:, None], np.nan) for degrees in (np.degrees(lat2), lon2))  # type: ignore[return-value]


def _celled(latitude: Floats, longitude: Floats, cell_m: float) -> tuple[Floats, Floats]:
    """The middle of the cell: rows of one height, in each of them columns of one width."""
    step = cell_m / METRES_PER_DEGREE
    row = (np.floor(latitude / step) + 0.5) * step
    wide = step / np.maximum(np.cos(np.radians(row)), 0.01)
    return row, (np.floor(longitude / wide) + 0.5) * wide


def load_places(path: str | Path, channels: Sequence[str]) -> Places:
    """What a TOML file says of places, for a dataset of these channels. Raises `UsageError`."""
    table = read_toml(path)
    check_keys(table, ("latitude", "longitude", "zone", "cell", "level", "within"), str(path))
    named = [table.get(key) for key in ("latitude", "longitude")]
    for key, channel in zip(("latitude", "longitude"), named, strict=True):
        if channel not in channels:
            raise UsageError(f"{path}: {key}: found {channel!r}{suggest(str(channel), channels)}")
    zones = table.get("zone", [])
    if not isinstance(zones, list) or not all(isinstance(each, dict) for each in zones):
        raise UsageError(f"{path}: zone: write each zone as a table of its own, [[zone]]")
    cell, within = (None if key not in table else _distance(table[key], f"{path}: {key}") for key in ("cell", "within"))
    level = table.get("level")
    if (level is None) != (within is None) or (level is not None and not _is_number(level, 1e-6, 100)):
        raise UsageError(f'{path}: noise wants both, as in level = 2 and within = "500m"')
    told = tuple(_zone(each, f"{path}: zone[{number}]") for number, each in enumerate(zones))
    found = Places(str(named[0]), str(named[1]), told, cell, level, within)
    if not zones and cell is None and level is None:
        raise UsageError(f"{path}: says nothing of what to do: give [[zone]], cell, or level and within")
    return found


def _zone(table: Mapping[str, Any], where: str) -> Zone:
    check_keys(table, ("latitude", "longitude", "radius"), where)
    for key, most in (("latitude", 90), ("longitude", 180)):
        if not _is_number(table.get(key), -most, most):
            raise UsageError(f"{where}.{key}: found {table.get(key)!r}, expected degrees from -{most} to {most}")
    return Zone(float(table["latitude"]), float(table["longitude"]), _distance(table.get("radius"), f"{where}.radius"))


def _is_number(found: Any, least: float, most: float) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool) and least <= found <= most


def _distance(found: Any, where: str) -> float:
    if isinstance(found, str):
        for ending, factor in (("km", 1000.0), ("m", 1.0)):
            number = found.strip().removesuffix(ending)
            if found.strip().endswith(ending):
                try:
                    metres = float(number) * factor
                except ValueError:
                    break
                if 0 < metres < np.pi * _FAR:
                    return metres
                break
    raise UsageError(f'{where}: found {found!r}, expected a distance above 0, as in "500m" or "1km"')
