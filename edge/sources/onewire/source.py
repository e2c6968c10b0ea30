"""The source `onewire`: thermometers on a 1-Wire bus that the kernel's driver reads, asked for at a steady pace.

Each answer is a message: what the sensors' files say, for the decoder `w1`. A measurement takes up to 0.75 s a sensor,
and the uncertainty of its time says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Self

from edge.protocol import Key, SourceConfig
from edge.sources.sysfs import SysfsSource, poll_ns, texts_by_channel

SYSFS: Final = "/sys/bus/w1/devices"
_NUMBER: Final = re.compile("[0-9a-f]{2}-[0-9a-f]{12}")
_FILE: Final = "w1_slave"
_EXAMPLE: Final = '"28-0316a2799bff"'


class UnfitError(OSError):
    """A bus or sensor is not as the configuration says; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Thermometers:
    """Sensors by their numbers; see `edge.sources.sysfs`."""

    sensors: tuple[str, ...]
    """In the order of the channels."""
    root: Path = Path(SYSFS)

    @property
    def name(self) -> str:
        """What they are called in messages."""
        return ", ".join(self.sensors)

    def find(self) -> Sequence[Path]:
        """Their files, also of those that are not there now. Raises `UnfitError` where none is."""
        found = [self.root / sensor / _FILE for sensor in self.sensors]
        if any(path.exists() for path in found):
            return found
        there = sorted(path.name for path in self.root.glob("*") if _NUMBER.fullmatch(path.name))
        undriven = [sensor for sensor in self.sensors if sensor in there]
        if undriven:
            raise UnfitError(f"{', '.join(undriven)} has no driver; sudo modprobe w1_therm loads it")
        if there:
            raise UnfitError(f"no such sensor; there are {', '.join(there)}: say one of these")
        masters = any(self.root.glob("w1_bus_master*"))
        raise UnfitError(
            "no sensor answers on the bus; see its wiring, and the resistor (4.7 kohm) from data to 3.3 V"
            if masters
            else "there is no 1-Wire bus; sudo dtoverlay w1-gpio makes one of GPIO 4 on a Raspberry Pi, "
            "dtoverlay=w1-gpio in config.txt for good; elsewhere load the bus's driver, as in sudo modprobe ds2490"
        )

    def message(self, texts: Sequence[bytes | None]) -> bytes:
        """See `Files`: a line."""
        return b"\t".join(b" ".join((text or b"").split()) for text in texts) + b"\n"


class OnewireSource(SysfsSource):
    """Polls thermometers."""

    keys: ClassVar[Mapping[str, Key]] = {
        "sensors": Key(
            "table of numbers by channel",
            "Each channel's sensor: the name of its folder in /sys/bus/w1/devices.",
            '{ inlet = "28-0316a2799bff" }',
            synonyms=("ids", "devices", "slaves", "addresses"),
        ),
        "poll": Key("duration", "How often they are asked.", '"30s"', "10s", ("interval", "period", "every")),
        "root": Key("text", "Where the kernel's folders are.", '"/sys/bus/w1/devices"', SYSFS, ("path", "folder")),
    }

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` where a key says what cannot be."""
        sensors = texts_by_channel(config, "sensors", _EXAMPLE)
        root = Path(config.base) / config.option("root", str, SYSFS)
        return cls(Thermometers(tuple(sensors.values()), root), poll_ns(config, "10s"))
