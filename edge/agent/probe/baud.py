"""Bytes of a port that was listened to at several rates: at which of them they make sense. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge.agent.probe.scoring import Candidate, Heard, probe
from edge.sources.serial.lines import LineEnds

READABLE: Final = 0.9
"""So much of a text is readable, a torn beginning and a bad byte included."""
ENOUGH_BYTES: Final = 64
"""So many tell whether they are text."""
_TEXT: Final = frozenset(range(32, 127)) | frozenset((9, 10, 13))


@dataclass(frozen=True, slots=True)
class AtBaud:
    """What was read at one rate, as it came."""

    baud: int
    pieces: tuple[Heard, ...]

    @property
    def data(self) -> bytes:
        """All of it."""
        return b"".join(piece.data for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Understood:
    """What a port says, once its rate is found."""

    baud: int
    framing: str
    line_end: str
    candidates: tuple[Candidate, ...]


def readable(data: bytes) -> float:
    """The part of some bytes that is text, 0 to 1: what a line at another rate turns into has every byte."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return sum(byte in _TEXT for byte in data) / len(data)
    return sum(sign.isprintable() or sign in "\t\r\n\0" for sign in text) / len(text) if text else 0.0


def framing_of(data: bytes) -> str:
    """`8N1`, or `7E1` or `7O1` where all bytes have a parity bit of that kind on top of text."""
    parities = {byte.bit_count() % 2 for byte in data}
    if len(parities) == 1 and any(byte > 127 for byte in data) and readable(_stripped(data)) >= READABLE:
        return "7O1" if parities == {1} else "7E1"
    return "8N1"


def understood(heard: Sequence[AtBaud]) -> Understood | None:
    """What speaks there, at the rate at which it makes most sense; None where it does at none."""
    found = [one for one in map(_understood, heard) if one is not None]
    return max(found, key=lambda one: one.candidates[0].score, default=None)  # of equal ones the first that was tried


def _understood(heard: AtBaud) -> Understood | None:
    framing = framing_of(heard.data)
    pieces = heard.pieces
    if framing != "8N1":
        pieces = tuple(Heard(_stripped(piece.data), piece.at_ns) for piece in pieces)
    data = b"".join(piece.data for piece in pieces)
    if readable(data) < READABLE:
        return None
    line_end = "auto" if b"\n" in data or b"\r" in data or data.count(b"\0") < 2 else "nul"
    lines = LineEnds(b"\0" if line_end == "nul" else None, heard.baud)
    candidates = probe([Heard(lines.feed(piece.data, piece.at_ns), piece.at_ns) for piece in pieces])
    return Understood(heard.baud, framing, line_end, tuple(candidates)) if candidates else None


def _stripped(data: bytes) -> bytes:
    """Without the parity bits."""
    return bytes(byte & 127 for byte in data)
