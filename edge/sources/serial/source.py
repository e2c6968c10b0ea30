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

import asyncio
import re
from collections.abc import AsyncIterator, Hashable, Mapping
from pathlib import Path
from typing import ClassVar, Final, Self

from edge.errors import SourceUnavailableError
from edge.protocol import Arrival, Interruption, Key, Settled, SourceConfig
from edge.sources.serial.handover import Handover
from edge.sources.serial.lines import NAMES, NO_LINE, NO_LINE_BYTES, FixedRecords, LineEnds, Lines, RawBytes
from edge.sources.serial.port import Line, check_baud
from edge.sources.serial.reader import PORT_LOST, Reader, State
from ingest.errors import UsageError

RECORD_BYTES_MAX: Final = 4096
JSON_BYTES: Final = 1_000_000
"""A line of JSON may be so long."""

_FRAMING: Final = re.compile("[78][NEO][12]")
_NO_FILE: Final = re.compile(r"[a-z0-9+]+://|COM\d+$", re.IGNORECASE)
"""A port on a network, or of Windows."""


class SerialSource:
    """A serial port as a `Source`; nothing here waits for an acknowledgement."""

    keys: ClassVar[Mapping[str, Key]] = {
        "port": Key(
            "text",
            "The port's device file; a relative path starts from the configuration's folder.",
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
        ),
        "record_bytes": Key(
            "whole number",
            "The length of a record, for a device that ends its records with nothing; a pause between them says where "
            "they begin.",
            "8",
            "none",
            ("record_length", "frame_length", "frame_bytes", "line_bytes", "length"),
        ),
    }

    def __init__(self, line: Line, lines: Lines | None = None, *, may_rest: bool = False) -> None:
        self.line: Final = line
        self._may_rest = may_rest
        self._lines = lines or LineEnds(None, line.baud)
        self._state = State()
        self._handover: Handover | None = None
        self._reader: Reader | None = None

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """What is in `keys`. Raises `UsageError`."""
        baud = config.option("baud", int, 115_200)
        check_baud(baud, config.where, any_rate=config.option("any_baud", bool, False))
        framing = config.option("framing", str, "8N1").upper()
        if _FRAMING.fullmatch(framing) is None:
            raise UsageError(
                f'{config.where}: framing: found "{framing}"; write data bits 7 or 8, parity N, E or O, '
                'and stop bits 1 or 2, as in "8N1"'
            )
        port = config.option("port", str)
        if _NO_FILE.match(port):
            raise UsageError(f'{config.where}: port: "{port}" is no device file; write it as in "/dev/ttyUSB0"')
        line = Line(str(Path(config.base) / port), baud, framing)
        may_rest = config.clock != "arrival" or config.rate is not None
        return cls(line, _lines(config, baud), may_rest=may_rest)

    @property
    def waiting_for(self) -> str:
        """See `edge.protocol.Source`. After `close` it says what it said before."""
        return self._state.waiting_for

    @property
    def trouble(self) -> str:
        """See `edge.protocol.Source`."""
        return "" if self.waiting_for else self._lines.trouble or self._state.shared

    @property
    def missing(self) -> str:
        """See `edge.protocol.Source`: nobody keeps what a port is not read for, and what ends no line says nothing."""
        if self.waiting_for:
            return PORT_LOST
        return NO_LINE if self._lines.is_lost else ""

    @property
    def heard_ns(self) -> int | None:
        """See `edge.protocol.Source`: what was read and is not handed over yet was not heard."""
        return 0 if self._handover is None else self._handover.heard_ns

    async def open(self) -> None:
        """Start reading, and return when the port is open."""
        if self._reader is None:
            self._handover = Handover(asyncio.get_running_loop())
            self._reader = Reader(self.line, self._lines, self._handover, self._state, may_rest=self._may_rest)
            self._reader.start()
        assert self._handover is not None
        await self._handover.opened.wait()

    async def arrivals(self) -> AsyncIterator[Arrival | Interruption]:
        """What arrives, until `close`.

        Raises:
            SourceUnavailableError: nothing reads the port any more.
        """
        await self.open()
        handover = self._handover
        assert handover is not None
        while (item := await handover.get()) is not None:
            yield item
        if self._reader is not None:
            raise SourceUnavailableError(f"{self.line.port}: its reading thread has ended")

    def ack(self, token: Hashable) -> None:
        """Nothing to acknowledge on a serial line."""

    def settled(self) -> Settled:
        """See `edge.protocol.Source`: a port never repeats itself."""
        return Settled()

    def again(self) -> None:
        """See `edge.protocol.Source`: a serial line keeps nothing."""

    async def close(self) -> None:
        """Let go of the port."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await asyncio.to_thread(reader.stop)

    def left(self) -> list[Arrival | Interruption]:
        """See `edge.protocol.Source`: what was read within the last tenth of a second."""
        return [] if self._handover is None else self._handover.left()


def _lines(config: SourceConfig, baud: int) -> Lines:
    """How lines are told apart. Raises `UsageError`."""
    where, end = config.where, config.option("line_end", str, "auto")
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
    longest = JSON_BYTES if config.decoder == "json" else NO_LINE_BYTES
    if end == "auto":
        return LineEnds(None, baud, longest)
    found = NAMES.get(end.lower(), end.encode())
    if len(found) != 1:
        names = ", ".join(("auto", *(name for name in NAMES if name.isalpha()), "none"))
        raise UsageError(
            f'{where}: line_end: found {end!r}, expected one of {names}, or one character, as in "\\u0003"'
        )
    return LineEnds(found, baud, longest)
