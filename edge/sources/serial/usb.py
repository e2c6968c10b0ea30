"""Ports by what is plugged in: `usb:0403:6001:A50285BI`, wherever that is, and whatever number it has then."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from serial.tools.list_ports import comports
from serial.tools.list_ports_common import ListPortInfo

from ingest.errors import UsageError

_NAME: Final = re.compile(r"usb:([0-9a-f]{4}):([0-9a-f]{4})(?::(.+))?", re.IGNORECASE)
EXAMPLE: Final = "usb:0403:6001:A50285BI"


class UnfitError(OSError):
    """Nothing that is plugged in is meant, or more than one thing; the text says what to do."""


def is_usb(port: str) -> bool:
    """Whether a port is named by what is plugged in."""
    return port.lower().startswith("usb:")


def check_usb(port: str, where: str) -> None:
    """Raise `UsageError` for such a name without vendor and product."""
    if is_usb(port) and _NAME.fullmatch(port) is None:
        raise UsageError(
            f'{where}: port: found "{port}", expected vendor, product and serial number, as in "{EXAMPLE}"'
        )


def name_of(info: ListPortInfo) -> str | None:
    """A port's name by what is plugged in; None where that is nothing of USB."""
    if info.vid is None or info.pid is None:
        return None
    return f"usb:{info.vid:04x}:{info.pid:04x}" + (f":{info.serial_number}" if info.serial_number else "")


def device_of(port: str, there: Iterable[ListPortInfo] | None = None) -> str:
    """The device file of such a name, as it is now. Raises `UnfitError`."""
    match = _NAME.fullmatch(port)
    assert match is not None, "check_usb says no"
    vendor, product, number = int(match[1], 16), int(match[2], 16), match[3]
    ports = [info for info in (comports() if there is None else there) if info.vid is not None]
    found = [
        str(info.device)
        for info in ports
        if (info.vid, info.pid) == (vendor, product) and number in (None, info.serial_number)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise UnfitError(
            f"is more than one port: {', '.join(sorted(found))}; add the serial number, or take the name below "
            "/dev/serial/by-id (sensorloom agent ports)"
        )
    names = sorted(filter(None, map(name_of, ports)))
    known = f"there are {', '.join(dict.fromkeys(names))}" if names else "nothing of USB is"
    raise UnfitError(f"is not plugged in; {known}")
