"""The source `serial`: bytes from a serial port, by pyserial, in a thread of its own.

The thread (`reader`) reads what has arrived and stamps each read; what came within a tenth of a second is handed to
the event loop as one arrival (`handover`); while `QUEUE_BYTES` wait there it does not read, and the kernel's buffer
is the next one to fill. Where lines come steadily, and not each one's own arrival is its time, it looks at the port a
few dozen times a second only (`pace`). A port that vanishes is opened again, with back-off and for ever; what it
brings then comes after an `Interruption`. Lines are given a line feed each, and what comes before the first one's end
after an opening is left out (`lines`): it may be the rest of a line. What waited in the kernel while the process
stood still is marked so (`stalls`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Final, Self
from urllib.parse import urlsplit

from edge.protocol import Key, SourceConfig
from edge.sources.serial.lines import NAMES, NO_LINE_BYTES, FixedRecords, LineEnds, Lines, RawBytes
from edge.sources.serial.port import Line, check_baud, is_path
from edge.sources.serial.remote import SCHEMES, is_remote
from edge.sources.serial.starting import read_commands, read_steps, send
from edge.sources.serial.threaded import ThreadedSource
from edge.sources.serial.usb import check_usb
from ingest.errors import UsageError

RECORD_BYTES_MAX: Final = 4096
JSON_BYTES: Final = 1_000_000
"""A line of JSON may be so long."""
_LONG_LINES: Final = ("json", "senml")

_FRAMING: Final = re.compile("[78][NEO][12]")
_NO_FILE: Final = re.compile(r"[a-z0-9+]+://|COM\d+$", re.IGNORECASE)
"""A port on a network, or of Windows."""


class SerialSource(ThreadedSource):
    """A serial port as a `Source`."""

    keys: ClassVar[Mapping[str, Key]] = {
        "port": Key(
            "text",
            "The port's device file, a relative path from the configuration's folder on; `usb:VENDOR:PRODUCT:SERIAL`, "
            "whatever file that has; or `socket://host:4001`, a port that a server on the network hands on over TCP, "
            "or `rfc2217://host:4001`, one that it also sets.",
            '"/dev/ttyUSB0"',
            synonyms=("device_file", "path", "tty", "serial_port", "dev", "com_port"),
        ),
        "baud": Key(
            "whole number",
            "Bits a second, as the sensor's manual says.",
            "9600",
            "115200",
            ("baudrate", "baud_rate", "bitrate", "speed", "bps"),
        ),
        "framing": Key(
            "text",
            "Data bits, parity and stop bits: 7 or 8; N(one), E(ven) or O(dd); 1 or 2.",
            '"7E1"',
            "8N1",
            ("parity", "bytesize", "databits", "data_bits", "stopbits", "stop_bits"),
        ),
        "any_baud": Key(
            "true or false",
            "Take a `baud` at which no common device speaks as it is, where the port's driver does.",
            "true",
            "false",
        ),
        "line_end": Key(
            "one of auto, lf, cr, crlf, nul, none, or a character",
            "What ends a line. `auto` finds LF, CR and CR LF by itself; `none` hands the bytes on as they come, to a "
            "decoder that needs no line ends.",
            '"nul"',
            "auto",
            ("eol", "newline", "terminator", "line_ending", "lineend"),
            is_said=True,
        ),
        "first_line": Key(
            "one of skip, keep",
            "What comes first after an opening: the rest of a line that had begun before; or, of a device that says "
            "nothing to a closed port, a whole one.",
            '"keep"',
            "skip",
        ),
        "record_bytes": Key(
            "whole number",
            "The length of a record, for a device that ends its records with nothing; a pause between them says where "
            "they begin.",
            "8",
            "none",
            ("record_length", "frame_length", "frame_bytes", "line_bytes", "length"),
        ),
        "tag": Key(
            "text",
            "Of several streams on one port: what the lines of this one begin with, before one of `, ; : =`, a bar or "
            "a space; it is taken away. Each stream is a table of its own, with the same port.",
            '"$IMU"',
            "none: all lines are this stream's",
            ("prefix", "line_prefix", "begins_with", "id_field"),
            is_said=True,
        ),
        "start": Key(
            "list of texts, or of tables",
            "What is said to the device each time that its port was opened, one after the other; with `expect`, what "
            "it answers before the next one is said, within 2 s.",
            '["MODE 2\\r", { send = "RUN\\r", expect = "OK" }]',
            "nothing",
            ("start_commands", "init", "on_open", "startup", "send"),
            is_said=True,
        ),
        "commands": Key(
            "table of texts",
            "What may be said to the device while it is read, each by its name: through the log, where `[remote]` "
            "allows it (`sensorloom agent command`). Nothing else ever is.",
            '{ zero = "ZERO\\r", fast = "RATE 200\\r" }',
            "nothing",
            ("command", "actions", "control"),
            is_said=True,
        ),
    }

    def __init__(
        self,
        line: Line,
        lines: Lines | None = None,
        *,
        may_rest: bool = False,
        commands: Mapping[str, bytes] = MappingProxyType({}),
    ) -> None:
        super().__init__(line, lines or LineEnds(None, line.baud), may_rest=may_rest)
        self.line: Final = line
        self.commands: Final = commands
        """See `edge.protocol.Commanded`."""

    async def say(self, name: str) -> None:
        """See `edge.protocol.Commanded`."""
        await self.write(partial(send, data=self.commands[name]))

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """What is in `keys`. Raises `UsageError`."""
        return cls.of_all([config])

    @classmethod
    def of_all(cls, configs: Sequence[SourceConfig]) -> Self:
        """One port for these, which say the same of it. Raises `UsageError`."""
        config = next((one for one in configs if one.decoder in _LONG_LINES), configs[0])
        baud = config.option("baud", int, 115_200)
        check_baud(baud, config.where, any_rate=config.option("any_baud", bool, False))
        framing = config.option("framing", str, "8N1").upper()
        if _FRAMING.fullmatch(framing) is None:
            raise UsageError(
                f'{config.where}: framing: found "{framing}"; write data bits 7 or 8, parity N, E or O, '
                'and stop bits 1 or 2, as in "8N1"'
            )
        port = config.option("port", str)
        check_usb(port, config.where)
        if is_remote(port):
            _check_address(port, config.where)
        elif _NO_FILE.match(port):
            raise UsageError(f'{config.where}: port: "{port}" is no device file; write it as in "/dev/ttyUSB0"')
        steps = read_steps(config.options.get("start", []), f"{config.where}: start")
        line = Line(str(Path(config.base) / port) if is_path(port) else port, baud, framing, steps)
        lines = _lines(config, baud)
        # Bytes without line ends do not tell when it is time to look again.
        may_rest = not isinstance(lines, RawBytes) and not any(
            one.clock == "arrival" and one.rate is None for one in configs
        )
        commands = read_commands(config.options.get("commands", {}), f"{config.where}: commands")
        return cls(line, lines, may_rest=may_rest, commands=commands)


def _check_address(port: str, where: str) -> None:
    """Raise `UsageError` for an address without a host or a port's number."""
    try:
        parts = urlsplit(port)
        is_whole = bool(parts.hostname and parts.port and not parts.path.strip("/") and not parts.query)
    except ValueError:
        is_whole = False
    if not is_whole:
        scheme = next(scheme for scheme in SCHEMES if port.lower().startswith(scheme))
        raise UsageError(f'{where}: port: found "{port}", expected an address as in "{scheme}192.168.1.7:4001"')


def _lines(config: SourceConfig, baud: int) -> Lines:
    """How lines are told apart. Raises `UsageError`."""
    where, end = config.where, config.option("line_end", str, "auto")
    if "frame" in config.options:
        for key in ("line_end", "record_bytes"):
            if config.options.get(key, "none") != "none":
                raise UsageError(
                    f'{where}: {key}: frame = "{config.options["frame"]}" says where frames end; take it out'
                )
        return RawBytes()
    if "record_bytes" in config.options:
        size = config.option("record_bytes", int)
        if not 1 <= size <= RECORD_BYTES_MAX:
            raise UsageError(f"{where}: record_bytes: {size} is not in 1..{RECORD_BYTES_MAX}")
        if "line_end" in config.options:
            raise UsageError(
                f"{where}: record_bytes: records of a fixed length have no line_end; leave one of both out"
            )
        return FixedRecords(size, baud)
    if end == "none":
        return RawBytes()
    first = config.option("first_line", str, "skip")
    if first not in ("skip", "keep"):
        raise UsageError(f'{where}: first_line: found "{first}", expected "skip" or "keep"')
    longest = JSON_BYTES if config.decoder in _LONG_LINES else NO_LINE_BYTES
    if end == "auto":
        return LineEnds(None, baud, longest, keeps_first=first == "keep")
    found = NAMES.get(end.lower(), end.encode())
    if len(found) != 1:
        names = ", ".join(("auto", *(name for name in NAMES if name.isalpha()), "none"))
        raise UsageError(
            f'{where}: line_end: found {end!r}, expected one of {names}, or one character, as in "\\u0003"'
        )
    return LineEnds(found, baud, longest, keeps_first=first == "keep")
