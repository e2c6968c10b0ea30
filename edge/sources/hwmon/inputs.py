"""Inputs of the kernel's hardware monitors and thermal zones, found by name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from edge.sources.sysfs import number, row_of
from ingest.measures import factors

SYSFS: Final = Path("/sys/class")
ZONE: Final = "thermal"
"""What stands for a chip's name where a thermal zone is meant."""
_LOAD: Final = (
    "load its driver: sudo modprobe drivetemp for disks, coretemp or k10temp for processors, a dtoverlay in config.txt "
    "on a Raspberry Pi, or what sudo sensors-detect finds"
)
_MILLI: Final = Fraction(1, 1000)
_MICRO: Final = Fraction(1, 1_000_000)
UNITS: Final[Mapping[str, tuple[str, Fraction]]] = {
    "temp": ("degC", _MILLI),
    "in": ("V", _MILLI),
    "curr": ("A", _MILLI),
    "power": ("W", _MICRO),
    "energy": ("J", _MICRO),
    "humidity": ("%", _MILLI),
    "fan": ("rpm", Fraction(1)),
}
"""By kind: the unit, and how many of it a value of the kernel's is (Documentation/hwmon/sysfs-interface.rst)."""
_VALUE: Final = re.compile(r"([a-z]+)(\d+)_(input|average)")


class UnfitError(OSError):
    """An input is not as the configuration says; the text says what to do."""


class Wanted(NamedTuple):
    """Where a channel's value comes from: `coretemp.Core 0`, `lm75@1-0048.temp1`, `thermal.cpu-thermal`."""

    chip: str
    place: str
    """Part of its path; empty where its name suffices."""
    input: str

    @classmethod
    def of(cls, text: str) -> Wanted:
        """Parts are empty where the text lacks them."""
        if "@" in text:
            whole, _, name = text.rpartition(".")
            chip, _, place = whole.partition("@")
            return cls(chip, place, name)
        chip, _, name = text.partition(".")
        return cls(chip, "", name)


class Input(NamedTuple):
    """An input that there is."""

    chip: str
    names: tuple[str, ...]
    """What it is called: `temp1`, and its label."""
    kind: str
    path: Path

    def is_meant(self, wanted: Wanted) -> bool:
        """Whether a channel's text means this one."""
        is_there = not wanted.place or wanted.place in self.path.resolve().parts
        return self.chip == wanted.chip and wanted.input in self.names and is_there

    def __str__(self) -> str:
        return f"{self.chip}.{self.names[-1]}"


class Inputs:
    """Inputs of monitors; see `edge.sources.sysfs`. `wanted` and `units` are by channel, in their order."""

    def __init__(self, wanted: Mapping[str, str], units: Mapping[str, str], root: Path = SYSFS) -> None:
        self.name: str = ", ".join(wanted.values())
        """What they are called in messages."""
        self._wanted = wanted
        self._units = units
        self._root = root
        self._factors: list[tuple[float, float]] = []

    def find(self) -> Sequence[Path]:
        """Their files. Raises `UnfitError`."""
        there = [*_of_chips(self._root / "hwmon"), *_of_zones(self._root / "thermal")]
        found = {channel: _only(text, there) for channel, text in self._wanted.items()}
        self._factors = [_factors(channel, one, self._units[channel]) for channel, one in found.items()]
        return [one.path for one in found.values()]

    def message(self, texts: Sequence[bytes | None]) -> bytes:
        """See `Files`. Raises `ValueError`."""
        pairs = zip(texts, self._factors, strict=True)
        return row_of(np.array([number(text) * factor + shift for text, (factor, shift) in pairs]))


def _factors(channel: str, one: Input, unit: str) -> tuple[float, float]:
    """From the kernel's values to the channel's. Raises `UnfitError`."""
    name, share = UNITS[one.kind]
    converted = factors(name, unit)
    if converted is None:
        raise UnfitError(f'{channel}: {one} is in {name}, which is no "{unit}"; give the channel the unit {name}')
    return converted[0] * float(share), converted[1]


def _only(text: str, there: Sequence[Input]) -> Input:
    """The input that a text means. Raises `UnfitError`."""
    wanted = Wanted.of(text)
    found = [one for one in there if one.is_meant(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        places = ", ".join(f"{one.chip}@{one.path.parent.resolve().name}.{one.names[0]}" for one in found)
        raise UnfitError(f"{text} is more than one: say which of {places}, or another part of its path")
    own = dict.fromkeys(str(one) for one in there if one.chip == wanted.chip)
    if own:
        raise UnfitError(f"no such input {text}; there are {', '.join(own)}: say one of these")
    known = ", ".join(dict.fromkeys(map(str, there)))
    if known:
        raise UnfitError(f"no such input {text}; there are {known}: say one of these, or {_LOAD}")
    raise UnfitError(f"there is no hardware monitor at all; {_LOAD}")


def _of_chips(folder: Path) -> Iterator[Input]:
    for chip in sorted(folder.glob("hwmon*")):
        name = _text(chip / "name")
        for path in sorted(chip.iterdir()):
            match = _VALUE.fullmatch(path.name)
            if match is None or match[1] not in UNITS:
                continue
            own, label = match[1] + match[2], _text(chip / f"{match[1]}{match[2]}_label")
            if match[3] == "average" and (chip / f"{own}_input").exists():
                continue
            yield Input(name, (own, label) if label else (own,), match[1], path)


def _of_zones(folder: Path) -> Iterator[Input]:
    for zone in sorted(folder.glob("thermal_zone*")):
        yield Input(ZONE, (_text(zone / "type"),), "temp", zone / "temp")


def _text(path: Path) -> str:
    """What a file says; nothing where it cannot be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
