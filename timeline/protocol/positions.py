"""Positions as they are drawn: a Float32 near its base keeps a metre, one a turn away does not. Pure.

Which streams have a position is said as `static/js/track.js` says it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.archive.reading import Answer
from ingest.archive.tiles import Tiles
from ingest.records import Channel

_UNITS: Final = ("deg", "°", "")
_LAT: Final = re.compile(r"lat(itude)?", re.IGNORECASE)
_LON: Final = re.compile(r"lon|lng|long|longitude", re.IGNORECASE)


class Place(NamedTuple):
    """The channels of a position, in degrees (WGS 84), by number."""

    lat: int
    lon: int


def place_of(channels: Sequence[Channel]) -> Place | None:
    """Where a stream's channels have its position; None: nowhere."""

    def number(name: re.Pattern[str]) -> int | None:
        fits = (at for at, it in enumerate(channels) if name.fullmatch(it.name) and it.unit in _UNITS)
        return next(fits, None)

    lat, lon = number(_LAT), number(_LON)
    return None if lat is None or lon is None else Place(lat, lon)


def placed(values: NDArray[np.float64], channels: Sequence[Channel]) -> NDArray[np.float64]:
    """Samples `(samples, channels)` for the page: a position of exactly 0, 0, which receivers say that have no fix yet,
    is none, and longitudes go on over the date line (180.0001 for -179.9999), less than half a turn from the first."""
    place = place_of(channels)
    if place is None:
        return values
    found = values.copy()
    nowhere = (found[:, place.lat] == 0.0) & (found[:, place.lon] == 0.0)
    found[np.ix_(nowhere, place)] = np.nan
    found[:, place.lon] = _near(found[:, place.lon], _first(found[:, place.lon]))
    return found


def placed_answer(answer: Answer, channels: Sequence[Channel]) -> Answer:
    """An answer of history for the page, its positions as `placed` says. A tile's position is its last one."""
    place = place_of(channels)
    if place is None:
        return answer
    if answer.level is None:
        return answer._replace(values=placed(answer.values, channels))
    lat, lon = (answer.tiles[number] for number in place)
    if np.array_equal(lat.bucket, lon.bucket):
        there = (lat.last != 0.0) | (lon.last != 0.0)
        lat, lon = (type(it)(*(column[there] for column in it)) for it in (lat, lon))
    tiles = list(answer.tiles)
    tiles[place.lat], tiles[place.lon] = _at(lat, lat.last), _at(lon, _near(lon.last, _first(lon.last)))
    return answer._replace(tiles=tuple(tiles))


def _at(tiles: Tiles, last: NDArray[np.float64]) -> Tiles:
    return tiles._replace(low=last, high=last, first=last, last=last)


def _first(values: NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(finite[0]) if len(finite) else 0.0


def _near(degrees: NDArray[np.float64], base: float) -> NDArray[np.float64]:
    """The same angles, less than half a turn from `base`; those that are so already stay as they are, to the bit."""
    turns = np.round((degrees - base) / 360.0)
    return np.where(turns == 0.0, degrees, degrees - 360.0 * turns)
