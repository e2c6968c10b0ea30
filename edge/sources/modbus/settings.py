"""What a `[[source]]` of type "modbus" says, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias, cast, get_args

from edge.decoders.binary.fields import Field, read_fields
from edge.decoders.framing.shape import Endian
from edge.protocol import Key, SourceConfig
from edge.sources.serial.port import is_path
from edge.sources.serial.usb import check_usb
from ingest.errors import UsageError
from ingest.settings import suggest
from ingest.units import parse_duration

REGISTERS_MAX: Final = 125
"""A request asks for so many at most (Modbus Application Protocol 1.1b3, section 6.3) …"""
BITS_MAX: Final = 2000
"""… or for so many coils or discrete inputs (section 6.1)."""
Table: TypeAlias = Literal["holding", "input", "coil", "discrete"]
BITS: Final = ("coil", "discrete")
"""The tables that hold bits, not registers of 16."""
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
        "one of holding, input, coil, discrete",
        "Which of its tables: holding registers (4xxxx in manuals), input registers (3xxxx), coils (0xxxx) or discrete "
        "inputs (1xxxx).",
        '"input"',
        "holding",
        ("register_type", "function", "registers", "object", "object_type"),
    ),
    "address": Key(
        "whole number",
        "The first register's, coil's or input's address as it is sent, from 0: what a manual calls 40001 or 10001 is "
        "0. From there on the decoder's fields lie: two bytes a register, one a coil or input.",
        "256",
        "0",
        ("register", "start", "start_address", "coil"),
    ),
    "swapped_bytes": Key(
        "true or false",
        "The device sends the two bytes of each register in the wrong order, the less significant one first.",
        "true",
        "false",
        ("byte_order", "byte_swap", "swap_bytes", "byteswap"),
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
    table: Table = "holding"
    address: int = 0
    count: int = 1
    fields: tuple[Field, ...] = ()
    """What lies in them; none where nobody looks."""
    endian: Endian = "big"
    is_swapped: bool = False
    """The device sends each register's bytes in the wrong order."""
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
    if table not in get_args(Table):
        raise UsageError(f'{where}: table: unknown table "{table}"{suggest(table, get_args(Table))}')
    count = _bits(config) if table in BITS else _registers(config)
    address = _number(config, "address", 0, 0, 65_535)
    if address + count > 65_536:
        raise UsageError(f"{where}: address: {count} from {address} on reach beyond 65535")
    return Settings(
        host,
        _number(config, "tcp_port", 502, 1, 65_535),
        str(Path(config.base) / port) if port and is_path(port) else port,
        _number(config, "baud", 19_200, 50, 12_000_000),
        framing,
        _number(config, "unit_id", 1, 0, 255),
        cast(Table, table),
        address,
        count,
        tuple(read_fields(config.option("fields", list), where)[0]),
        cast(Endian, config.options.get("endian", "big")),
        config.option("swapped_bytes", bool, False),
        _duration(config, "poll"),
        _duration(config, "answer_within"),
    )


def _check_decoder(config: SourceConfig, what: str) -> None:
    if config.decoder != "binary" or "frame" in config.options:
        raise UsageError(f'{config.where}: decoder: {what} are read by decoder = "binary", without a frame')


def _bits(config: SourceConfig) -> int:
    """How many coils or inputs hold a record of the decoder's: a byte each."""
    where = config.where
    _check_decoder(config, "coils and inputs")
    fields, size = read_fields(config.option("fields", list), where)
    if "swapped_bytes" in config.options:
        raise UsageError(f"{where}: swapped_bytes: a coil or input is one bit; leave it out")
    if any(field.type != "u8" or field.bits for field in fields):
        raise UsageError(f'{where}: fields: a coil or input is 0 or 1, in a byte of its own: type = "u8", without bits')
    if size > BITS_MAX:
        raise UsageError(f"{where}: fields: {size} coils or inputs are not 1 to {BITS_MAX}")
    return size


def _registers(config: SourceConfig) -> int:
    """How many registers hold a record of the decoder's."""
    where = config.where
    _check_decoder(config, "registers")
    if config.options.get("endian") not in ("little", "big"):
        raise UsageError(
            f'{where}: endian: is missing: "big" where the most significant register of a number comes first, as is '
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
