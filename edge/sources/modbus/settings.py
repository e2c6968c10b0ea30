"""What a `[[source]]` of type "modbus" says, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast

from edge.decoders.binary.fields import read_fields
from edge.protocol import Key, SourceConfig
from edge.sources.serial.port import is_path
from edge.sources.serial.usb import check_usb
from ingest.errors import UsageError
from ingest.units import parse_duration

REGISTERS_MAX: Final = 125
"""A request asks for so many at most (Modbus Application Protocol 1.1b3, section 6.3)."""
_FRAMING: Final = re.compile("[78][NEO][12]")

KEYS: Final[Mapping[str, Key]] = {
    "host": Key(
        "text", "The device's, or its gateway's, address: Modbus TCP.", '"192.168.1.40"', "none", ("address_ip", "ip")
    ),
    "tcp_port": Key("whole number", "At which port it listens.", "1502", "502"),
    "port": Key(
        "text",
        "In place of a host: the serial port of an RS-485 adapter, for Modbus RTU.",
        '"/dev/ttyUSB0"',
        "none",
        ("tty", "serial_port"),
    ),
    "baud": Key("whole number", "Bits a second on the serial port.", "9600", "19200", ("baudrate", "baud_rate")),
    "framing": Key(
        "text", "Data bits, parity and stop bits on the serial port.", '"8N1"', "8E1", ("parity", "stopbits")
    ),
    "unit_id": Key(
        "whole number", "The device's number on its bus.", "17", "1", ("unit", "slave", "slave_id", "station")
    ),
    "table": Key(
        "one of holding, input",
        "Which registers: holding registers (4xxxx in manuals), or input registers (3xxxx).",
        '"input"',
        "holding",
        ("register_type", "function", "registers"),
    ),
    "address": Key(
        "whole number",
        "The first register's address as it is sent, from 0: what a manual calls 40001 is 0. From there on the "
        "decoder's fields lie, two bytes a register.",
        "256",
        "0",
        ("register", "start", "start_address"),
    ),
    "poll": Key("duration", "How often it is asked.", '"200ms"', "1s", ("interval", "period", "poll_interval")),
    "answer_within": Key("duration", "How long an answer is waited for.", '"3s"', "1s", ("response_timeout",)),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """A device, and what it is asked for how often."""

    host: str = ""
    tcp_port: int = 502
    port: str = ""
    """A serial port, where there is no host."""
    baud: int = 19_200
    framing: str = "8E1"
    unit_id: int = 1
    table: Literal["holding", "input"] = "holding"
    address: int = 0
    count: int = 1
    endian: Literal["little", "big"] = "big"
    poll_ns: int = 1_000_000_000
    answer_ns: int = 1_000_000_000

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"unit {self.unit_id} at {self.port or f'{self.host}:{self.tcp_port}'}"


def read_settings(config: SourceConfig) -> Settings:
    """Raises `UsageError` where a key says what cannot be."""
    where = config.where
    host, port = config.option("host", str, ""), config.option("port", str, "")
    if bool(host) is bool(port):
        raise UsageError(f'{where}: say host = "…" for Modbus TCP or port = "…" for RTU, one of both')
    check_usb(port, where)
    framing = config.option("framing", str, "8E1").upper()
    if _FRAMING.fullmatch(framing) is None:
        raise UsageError(f'{where}: framing: found "{framing}", expected data bits, parity and stop bits, as in "8E1"')
    table = config.option("table", str, "holding")
    if table not in ("holding", "input"):
        raise UsageError(f'{where}: table: found "{table}", expected "holding" or "input"')
    count, address = _count(config), _number(config, "address", 0, 0, 65_535)
    if address + count > 65_536:
        raise UsageError(f"{where}: address: {count} registers from {address} on reach beyond 65535")
    return Settings(
        host,
        _number(config, "tcp_port", 502, 1, 65_535),
        str(Path(config.base) / port) if port and is_path(port) else port,
        _number(config, "baud", 19_200, 50, 12_000_000),
        framing,
        _number(config, "unit_id", 1, 0, 255),
        cast(Literal["holding", "input"], table),
        address,
        count,
        cast(Literal["little", "big"], config.options["endian"]),
        _duration(config, "poll"),
        _duration(config, "answer_within"),
    )


def _count(config: SourceConfig) -> int:
    """How many registers hold a record of the decoder's."""
    where = config.where
    if config.decoder != "binary" or "frame" in config.options:
        raise UsageError(f'{where}: decoder: registers are read by decoder = "binary", without a frame')
    if config.options.get("endian") not in ("little", "big"):
        raise UsageError(
            f'{where}: endian is missing: "big" where the most significant register of a number comes first, as is '
            'usual, else "little"'
        )
    size = read_fields(config.option("fields", list), where)[1]
    if size % 2 or size > 2 * REGISTERS_MAX:
        raise UsageError(f"{where}: fields: {size} bytes are not 1 to {REGISTERS_MAX} registers of 2 bytes")
    return size // 2


def _number(config: SourceConfig, key: str, default: int, least: int, most: int) -> int:
    value = config.option(key, int, default)
    if not least <= value <= most:
        raise UsageError(f"{config.where}: {key}: {value} is not in {least}..{most}")
    return value


def _duration(config: SourceConfig, key: str) -> int:
    text = config.option(key, str, "1s")
    try:
        found = parse_duration(text)
    except UsageError as error:
        raise UsageError(f"{config.where}: {key}: {error}") from None
    if not 1_000_000 <= found <= 86_400 * 10**9:
        raise UsageError(f'{config.where}: {key}: found "{text}", expected 1ms to 24h')
    return found
