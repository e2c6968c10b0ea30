"""The serial ports of this machine and of a configuration: what is at each, and whether it can be read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from serial.tools.list_ports import comports
from serial.tools.list_ports_common import ListPortInfo

from edge.sources.serial.port import group_of, identity, who_has, why_refused
from edge.sources.serial.usb import is_usb, name_of

BY_ID: Final = "/dev/serial/by-id"


class Port(NamedTuple):
    """One port, as people and programs are told of it."""

    port: str
    description: str
    by_id: str | None
    """Its name that stays the same wherever it is plugged in."""
    usb: str | None
    """Vendor and product: `0403:6001`."""
    serial: str | None
    """The adapter's serial number."""
    usb_name: str | None
    """By which a configuration may name it: `usb:0403:6001:A50285BI`; None where two ports would have it."""
    group: str | None
    """Who is in it may read the port."""
    readable: bool
    """By this user."""
    problem: str | None
    """Why it cannot be read."""
    open_by: list[str]
    """Other programs that have it open, as far as this user may see."""
    source: str | None
    """The source that reads it."""


def list_ports(sources: Mapping[str, str], by_id: str = BY_ID) -> list[Port]:
    """All ports, in the order of their names; `sources` says by path which source of a configuration reads it."""
    found = {identity(info.device): info for info in comports()}
    links = {identity(str(link)): str(link) for link in _links(by_id)}
    read_by = {identity(path): name for path, name in sources.items()}
    named = {identity(path): path for path in sources}
    paths = named | {key: str(info.device) for key, info in found.items()}
    names = Counter(map(name_of, found.values()))
    listed = [_port(path, found.get(key), links.get(key), read_by.get(key)) for key, path in paths.items()]
    return sorted(port if names[port.usb_name] == 1 else port._replace(usb_name=None) for port in listed)


def _links(folder: str) -> Iterator[Path]:
    try:
        yield from sorted(Path(folder).iterdir())
    except OSError:  # no port is plugged in, or no udev runs
        return


def _port(path: str, info: ListPortInfo | None, link: str | None, source: str | None) -> Port:
    problem = _problem(path)
    usb = None if info is None or info.vid is None else f"{info.vid:04x}:{info.pid or 0:04x}"
    return Port(
        path,
        _description(path, info),
        link,
        usb,
        None if info is None else info.serial_number,
        None if info is None else name_of(info),
        _group(path),
        problem is None,
        problem,
        who_has(path),
        source,
    )


def _description(path: str, info: ListPortInfo | None) -> str:
    if info is not None and info.description and info.description != "n/a":
        return str(info.description)
    return "pseudo-terminal" if os.path.realpath(path).startswith("/dev/pts/") else "serial port"


def _group(path: str) -> str | None:
    try:
        return group_of(path)
    except OSError:
        return None


def _problem(path: str) -> str | None:
    if is_usb(path):  # it would have its file's name, were it there
        return "is not plugged in"
    if not os.path.lexists(path):
        return "no such port; is it plugged in?"
    if not Path(path).exists():
        return "is a link to nothing; is it plugged in?"
    return None if os.access(path, os.R_OK | os.W_OK) else why_refused(path)


def described(ports: Iterable[Port], speaks: Mapping[str, str] = MappingProxyType({})) -> Iterator[str]:
    """Lines for people; `speaks` is what was heard at ports, by their paths."""
    for port in ports:
        yield f"{port.port}  {port.description}"
        rows = (
            ("name that stays", port.by_id),
            ("plugged in as", port.usb_name),
            ("USB", " ".join(filter(None, (port.usb, port.serial and f"serial number {port.serial}")))),
            ("access", f"readable (group {port.group})" if port.readable else port.problem),
            ("open by", ", ".join(port.open_by)),
            ("source", port.source),
            ("speaks", speaks.get(port.port)),
        )
        for name, value in rows:
            if value:
                yield f"  {name:<16}{value}"
