"""What is said to a device: when its port was opened, before it is heard, and what it is to answer."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, Protocol

from ingest.errors import UsageError
from ingest.settings import check_keys
from ingest.showing import shown_bytes

ANSWER_S: Final = 2.0
"""So long an answer is waited for."""
SHOWN_BYTES: Final = 60
HEARD_BYTES: Final = 4096
BYTES_MAX: Final = 4096
"""What is said at once has at most."""


class Writable(Protocol):
    """A port that is open: `serial.Serial`, `remote.Controlled`."""

    def fileno(self) -> int:
        """Of what is read."""
        ...

    def write(self, data: bytes, /) -> Any:
        """All of it. Raises `OSError`."""
        ...


class Step(NamedTuple):
    """What is said, and what has to come back before anything else is said; empty: nothing is waited for."""

    send: bytes
    expect: bytes = b""


class UnansweredError(OSError):
    """A device did not answer as it was to; the text says what came."""


def send(port: Writable | socket.socket, data: bytes) -> None:
    """Say it. Raises `OSError`."""
    if isinstance(port, socket.socket):
        port.sendall(data)
    else:
        port.write(data)


def start(port: Writable | socket.socket, steps: Iterable[Step], within_s: float = ANSWER_S) -> None:
    """Say all, each when the one before was answered; what comes behind the last answer is left to read.

    Raises:
        UnansweredError: an answer did not come in time.
        OSError: the port broke.
    """
    for step in steps:
        send(port, step.send)
        if step.expect:
            _await(port.fileno(), step, within_s)


def _await(file: int, step: Step, within_s: float) -> None:
    poll, end_s, heard = select.poll(), time.monotonic() + within_s, b""
    poll.register(file, select.POLLIN)
    while not heard.endswith(step.expect):
        left_s = end_s - time.monotonic()
        data = os.read(file, 1) if left_s > 0 and poll.poll(left_s * 1000) else b""  # not a byte beyond the answer
        if not data:
            said, wanted = shown_bytes(step.send, SHOWN_BYTES), shown_bytes(step.expect, SHOWN_BYTES)
            came = f'"{shown_bytes(heard[-SHOWN_BYTES:], SHOWN_BYTES)}"' if heard else "nothing"
            raise UnansweredError(f'does not answer "{wanted}" to "{said}" within {within_s:g} s; {came} came')
        heard = (heard + data)[-HEARD_BYTES:]


def read_steps(found: object, where: str) -> tuple[Step, ...]:
    """What `start` of a table says. Raises `UsageError`."""
    if not isinstance(found, list):
        raise UsageError(f'{where}: found {found!r}, expected a list of texts, as in ["RUN\\r"]')
    return tuple(_step(item, f"{where}[{number}]") for number, item in enumerate(found))


def _step(item: object, where: str) -> Step:
    if isinstance(item, str):
        return Step(as_bytes(item, where))
    if not isinstance(item, dict) or "send" not in item:
        raise UsageError(f'{where}: found {item!r}, expected a text, or as in {{ send = "RUN\\r", expect = "OK" }}')
    check_keys(item, ("send", "expect"), where)
    expect = as_bytes(item["expect"], f"{where}.expect") if "expect" in item else b""
    return Step(as_bytes(item["send"], f"{where}.send"), expect)


def read_commands(found: object, where: str) -> dict[str, bytes]:
    """What `commands` of a table says, by name. Raises `UsageError`."""
    if not isinstance(found, dict):
        raise UsageError(f'{where}: found {found!r}, expected a table of texts, as in {{ zero = "ZERO\\r" }}')
    return {name: as_bytes(text, f"{where}.{name}") for name, text in found.items()}


def as_bytes(text: object, where: str) -> bytes:
    """A text as it is said: a byte for each character. Raises `UsageError`."""
    if not isinstance(text, str) or not 0 < len(text) <= BYTES_MAX:
        raise UsageError(f"{where}: found {text!r}, expected a text of 1 to {BYTES_MAX} characters")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise UsageError(f"{where}: {text[error.start]!r} is no byte; write one of up to 255, as in \\u00ff") from None
