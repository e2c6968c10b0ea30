"""Listening to a serial port that nobody has described: at one rate after the other, until it makes sense."""

from __future__ import annotations

import os
import select
import termios
from collections.abc import Iterable
from typing import Final

from edge.agent.advice import BAUDS
from edge.agent.probe.baud import ENOUGH_BYTES, READABLE, AtBaud, framing_of, readable
from edge.agent.probe.scoring import Heard
from edge.errors import SourceUnavailableError
from edge.sources.clock import now
from edge.sources.serial.port import Line
from ingest.times import NS

LIKELY: Final = (115_200, 9600, *(baud for baud in BAUDS if baud not in (9600, 115_200)), 230_400, 460_800, 921_600)
"""The rates that are tried, the likeliest first."""
BYTES_MOST: Final = 1_000_000
_READ_BYTES: Final = 65_536


def listen(port: str, seconds: float, bauds: Iterable[int] = LIKELY) -> list[AtBaud]:
    """What comes at a port within some seconds, at the first rate at which it is text; where it is text at none, what
    came at each. A rate is given up as soon as enough came to see that it is none.

    Raises:
        SourceUnavailableError: the port cannot be opened, or vanished; why, and what to do.
    """
    heard: list[AtBaud] = []
    for baud in bauds:
        found = _listen_at(Line(port, baud), seconds)
        heard.append(found)
        if not found.data or _is_text(found.data):  # who is silent at one rate is so at all
            break
    return heard


def _is_text(data: bytes) -> bool:
    return readable(data) >= READABLE or framing_of(data) != "8N1"


def _listen_at(line: Line, seconds: float) -> AtBaud:
    pieces: list[Heard] = []
    explain = line.why_closed
    try:
        with line.open() as port:
            explain = line.why_lost
            until_ns, size, poll = now()[0] + int(seconds * NS), 0, select.poll()
            poll.register(port.fileno(), select.POLLIN)
            while (left_ns := until_ns - now()[0]) > 0 and size < BYTES_MOST:
                if not poll.poll(left_ns / 1e6):
                    continue
                data = os.read(port.fileno(), _READ_BYTES)
                if not data:
                    raise OSError("the port says that it can be read, and nothing comes")
                pieces.append(Heard(data, now()[0]))
                size += len(data)
                if size >= ENOUGH_BYTES and not _is_text(b"".join(piece.data for piece in pieces)):
                    break
    except (OSError, ValueError, termios.error) as error:
        raise SourceUnavailableError(f"{line.port}: {explain(error)}") from None
    return AtBaud(line.baud, tuple(pieces))
