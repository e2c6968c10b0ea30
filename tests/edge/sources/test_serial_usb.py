"""Ports by what is plugged in. In tests/kernel one is unplugged and plugged in again."""

from __future__ import annotations

import errno

import pytest
from serial.tools.list_ports_common import ListPortInfo

import edge.sources.serial.listing
import edge.sources.serial.usb
from edge.sources.serial.lines import LineEnds
from edge.sources.serial.listing import described, list_ports
from edge.sources.serial.port import Line, identity, is_path, why_closed
from edge.sources.serial.source import SerialSource
from edge.sources.serial.usb import UnfitError, device_of, is_usb, name_of
from ingest.errors import UsageError
from tests.edge.configs import source_config


def info(device: str, vendor: int | None = 0x0403, product: int = 0x6001, serial: str | None = None) -> ListPortInfo:
    found = ListPortInfo(device)
    found.vid, found.pid, found.serial_number = vendor, product, serial
    return found


TWO = [info("/dev/ttyUSB1", serial="A1"), info("/dev/ttyUSB0", serial="B2"), info("/dev/ttyACM0", 0x2341, 0x43)]
PORTS = [info("/dev/ttyS0", None), *TWO]


def test_a_port_is_found_wherever_it_is() -> None:
    assert device_of("usb:0403:6001:B2", PORTS) == "/dev/ttyUSB0"
    assert device_of("USB:2341:0043", PORTS) == "/dev/ttyACM0"
    assert [name_of(port) for port in PORTS] == [None, "usb:0403:6001:A1", "usb:0403:6001:B2", "usb:2341:0043"]


@pytest.mark.parametrize(
    ("name", "ports", "message"),
    [
        ("usb:0403:6001", PORTS, "is more than one port: /dev/ttyUSB0, /dev/ttyUSB1; add the serial number"),
        ("usb:0403:6001:C3", PORTS, "is not plugged in; there are usb:0403:6001:A1, usb:0403:6001:B2, usb:2341:0043"),
        ("usb:0403:6001:C3", PORTS[:1], "is not plugged in; nothing of USB is"),
    ],
)
def test_what_is_not_there_is_told(name: str, ports: list[ListPortInfo], message: str) -> None:
    with pytest.raises(UnfitError, match=message) as raised:
        device_of(name, ports)
    assert why_closed(Line(name), raised.value) == str(raised.value)


def test_a_name_of_usb_is_no_path() -> None:
    name = "usb:ffff:ffff:none"
    assert is_usb(name)
    assert not is_path(name)
    assert identity(name) == name
    assert Line(name).others(0) == []  # it has gone by now
    assert why_closed(Line(name), OSError(errno.EBUSY, "busy")).startswith("another program has it open")
    assert SerialSource.from_config(source_config(port=name)).line.port == name
    for bad in ("usb:", "usb:403:6001", "usb:0403:6001:", "usb:0403:600g"):
        with pytest.raises(UsageError, match="expected vendor, product and serial number"):
            SerialSource.from_config(source_config(port=bad))


def test_ports_are_listed_with_the_names_that_a_configuration_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = [*PORTS, info("/dev/ttyACM1", 0x2341, 0x43)]
    monkeypatch.setattr(edge.sources.serial.listing, "comports", lambda: ports)
    monkeypatch.setattr(edge.sources.serial.usb, "comports", lambda: ports)
    found = {port.port: port for port in list_ports({"/dev/ttyUSB1": "imu", "usb:0403:6001:Z9": "away"})}
    assert (found["/dev/ttyUSB1"].usb_name, found["/dev/ttyUSB1"].source) == ("usb:0403:6001:A1", "imu")
    assert found["/dev/ttyACM0"].usb_name is None, "two have this name"
    assert (found["usb:0403:6001:Z9"].problem, found["usb:0403:6001:Z9"].source) == ("is not plugged in", "away")
    assert "  plugged in as   usb:0403:6001:B2" in list(described(found.values()))


@pytest.mark.parametrize("end", [None, b"\n"])
def test_the_first_line_is_whole_where_the_device_says_so(end: bytes | None) -> None:
    keeping, skipping = LineEnds(end, 115_200, keeps_first=True), LineEnds(end, 115_200)
    for lines, first in ((keeping, b"1.5\n"), (skipping, b"")):
        for _ in range(2):
            lines.begin()
            assert lines.feed(b"1", 0) + lines.feed(b".5\n2.5\n", 0) + lines.feed(b"3.5\n", 0) == first + b"2.5\n3.5\n"
    keeping.begin(is_opened=False)  # bytes were lost in the middle
    assert keeping.feed(b".5\n2.5\n", 0) == b"2.5\n"


def test_first_line_is_one_of_two() -> None:
    with pytest.raises(UsageError, match='first_line: found "drop", expected "skip" or "keep"'):
        SerialSource.from_config(source_config(port="/dev/ttyUSB0", first_line="drop"))
