"""Recorded GPS receivers, and the positions that gpsd found in what they said."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.support.data import data_dir

LOGS = sorted((data_dir() / "gpsd_nmea").glob("*.log"))


def read(path: Path) -> bytes:
    data = path.read_bytes()
    return data.replace(b"|", b"") if path.name.startswith("tcp-torture") else data


def positions(path: Path) -> set[tuple[float, float]]:
    """Every position that gpsd gave."""
    found = set()
    for line in path.read_text("latin-1").splitlines():
        if line.startswith('{"class":"TPV"'):
            answer = json.loads(line)
            if "lat" in answer and "lon" in answer:
                found.add((round(answer["lat"], 6), round(answer["lon"], 6)))
    return found


def near(found: Iterable[Iterable[float]]) -> set[tuple[float, float]]:
    return {(round(lat, 6), round(lon, 6)) for lat, lon in found}


def around(found: set[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """The same, rounded otherwise."""
    for lat, lon in found:
        for a in (-1e-6, 0, 1e-6):
            for b in (-1e-6, 0, 1e-6):
                yield round(lat + a, 6), round(lon + b, 6)
