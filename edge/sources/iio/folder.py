"""A device's folder in sysfs: found by name, its attributes read and written."""

from __future__ import annotations

import errno
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.sources.access import way_in

RULES: Final = "install.sh's udev rules to the group sensorloom"
FREQUENCY: Final = "sampling_frequency"
_ON_I2C: Final = re.compile(r"(\d+)-00([0-9a-f]{2})")
"""A part's folder, named by its bus and address."""
_TOLERATED: Final = 0.01
_OF_ALL: Final = ("scale", "offset", "mount_matrix")
"""What all inputs and outputs may share."""


class UnfitError(OSError):
    """A device is not as the configuration says; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Attributes of a device, or of a trigger."""

    path: Path

    @property
    def number(self) -> str:
        """What the kernel calls it in this boot: `iio:device0`."""
        return self.path.name

    def get(self, name: str) -> str | None:
        """What an attribute says; None where there is none. Raises `OSError`."""
        try:
            return (self.path / name).read_bytes().decode(errors="replace").strip("\0 \n")
        except (FileNotFoundError, NotADirectoryError):
            return None

    def input(self, name: str) -> str | None:
        """What one of its inputs' attributes says: `accel_x_scale`, or what all share."""
        found = self.get(f"in_{name}")
        return self.get(name) if found is None and name in _OF_ALL else found

    def set(self, name: str, value: object) -> None:
        """Write an attribute where it says another thing. Raises `OSError`."""
        if self.get(name) == str(value):
            return
        try:
            with (self.path / name).open("w") as file:
                file.write(str(value))
        except PermissionError:
            way = way_in(self.path / name, RULES, folder=self.path)
            raise UnfitError(f"{self.path / name} may not be written by this user; {way}") from None

    def inputs(self, *ends: str) -> list[str]:
        """The elements that have an attribute `in_…` of one of these ends."""
        names = [path.name.removeprefix("in_") for path in self.path.glob("in_*")]
        return [name.removesuffix(end) for name in names for end in ends if name.endswith(end)]

    def place(self) -> str:
        """Of what it is part: `1-0053` on an I2C bus, `spi0.0`."""
        return self.path.resolve().parent.name


def find(chip: str, devices: Path) -> Folder:
    """The device of that label or name. Raises `UnfitError`."""
    folders = [Folder(path) for path in sorted(devices.glob("iio:device*"))]
    name, _, place = chip.partition("@")
    found = [
        folder
        for folder in folders
        if name in (folder.get("label"), folder.get("name"), folder.number)
        and (not place or place in folder.path.resolve().parts)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise UnfitError(f"is more than one: say which of {_named(found)}")
    there = (
        f"no such device; there are {_named(folders)}: say one of these" if folders else "there is no IIO device at all"
    )
    raise UnfitError(f"{there}{', or' if folders else ';'} load its driver: {_load(name, place)}")


def _named(folders: list[Folder]) -> str:
    return ", ".join(f"{folder.get('label') or folder.get('name')}@{folder.place()}" for folder in folders)


def _load(name: str, place: str) -> str:
    """How a driver is loaded for a part, at the place on an I2C bus that it is said to have."""
    at = _ON_I2C.fullmatch(place)
    bus, address = (at[1], f"0x{at[2]}") if at else ("1", "ADDRESS")
    driver = "NAME" if name.startswith("iio:") else shlex.quote(name)
    return (
        f"its dtoverlay in config.txt on a Raspberry Pi, or, on I2C bus {bus}: echo {driver} {address} | sudo tee "
        f"/sys/bus/i2c/devices/i2c-{bus}/new_device"
    )


def set_frequency(wanted_hz: float, folders: list[Folder]) -> None:
    """Set the first sampling frequency that there is. Raises `UnfitError`, `OSError`."""
    for folder in folders:
        names = [FREQUENCY, *(path.name for path in sorted(folder.path.glob(f"in_*{FREQUENCY}")))]
        for name in names:
            if folder.get(name) is None:
                continue
            available = folder.get(f"{name}_available")
            known = f"; it has {available}" if available else ""
            try:
                folder.set(name, f"{wanted_hz:g}")
            except OSError as error:
                if error.errno in (errno.EINVAL, errno.ERANGE, errno.EDOM):
                    raise UnfitError(f"does not take frequency = {wanted_hz:g} Hz{known}") from None
                raise
            found = float((folder.get(name) or "0").split()[0])
            if abs(found - wanted_hz) > _TOLERATED * wanted_hz:
                raise UnfitError(f"takes {found:g} Hz in place of frequency = {wanted_hz:g} Hz{known}")
            return
    raise UnfitError("has no sampling_frequency that could be set; leave frequency out")


def described(error: Exception) -> str:
    """An error in a few words."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error)
