"""Lines of what `w1_slave` files say of thermometers, one for each channel, between tabs.

A file's text (drivers/w1/slaves/w1_therm.c of the kernel) has the sensor's nine bytes, whether their checksum is right,
and the temperature in thousandths of a degree Celsius:
`72 01 4b 46 7f ff 0e 10 57 : crc=57 YES 72 01 4b 46 7f ff 0e 10 57 t=23125`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from math import isnan, nan
from typing import ClassVar, Final, Self

from edge.decoders.cells import LineDecoder
from edge.decoders.lines import fault
from edge.decoders.numbers import Row
from edge.protocol import Fault, Key, SourceConfig
from ingest.errors import UsageError
from ingest.measures import factors

_SAID: Final = re.compile(rb"((?:[0-9a-f]{2} ){9}): crc=[0-9a-f]{2} (YES|NO)\b.*?(?:\bt=(-?\d{1,7}))?")
_POWER_UP: Final = 85_000
"""What a sensor says that was not asked to measure since its power came (DS18B20 data sheet, table 1)."""
_MEASURED: Final = 0x10
"""Its seventh byte after a measurement of whole degrees; at power-up it is 0x0C."""


class W1Decoder(LineDecoder):
    """Decodes what so many thermometers say; `factor` and `shift` turn degrees Celsius into each channel's unit."""

    keys: ClassVar[Mapping[str, Key]] = {}

    def __init__(self, units: list[tuple[float, float]]) -> None:
        super().__init__()
        self._units = units

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` where a channel's unit is no temperature's."""
        found = []
        for channel, unit in config.channels.items():
            converted = factors("degC", unit)
            if converted is None:
                raise UsageError(f'{config.where}: channels: {channel}: "{unit}" is no temperature; write "degC"')
            found.append(converted)
        return cls(found)

    def read_line(self, line: bytes, text: bytes, offset: int) -> Iterable[Row | Fault]:
        """See `LineDecoder`."""
        cells = line.split(b"\t")
        if len(cells) != len(self._units):
            return (fault("columns", offset, 1, line),)
        values, reasons = [], []
        for cell, (factor, shift) in zip(cells, self._units, strict=True):
            value, reason = temperature(cell)
            values.append(value * factor + shift)
            reasons += [reason] if reason else []
        if all(map(isnan, values)):
            return (fault(reasons[0], offset, 1, line), *(fault(reason, offset, 0, line) for reason in reasons[1:]))
        faults = (fault(reason, offset, 0, line) for reason in reasons)
        return (*faults, (values, None, offset + len(line) + 1))


def temperature(said: bytes) -> tuple[float, str]:
    """Degrees Celsius, or NaN and why it is none."""
    match = _SAID.fullmatch(said.strip())
    if not said.strip():
        return nan, "missing"
    if match is None:
        return nan, "garbage"
    data = bytes.fromhex(match[1].decode())
    if match[2] == b"NO":
        return nan, "checksum"
    if not any(data):  # whose checksum is right: the bus is held low
        return nan, "no_answer"
    if match[3] is None:
        return nan, "garbage"
    milli = int(match[3])
    if milli == _POWER_UP and data[6] != _MEASURED:
        return nan, "power_up"
    return milli / 1000, ""
