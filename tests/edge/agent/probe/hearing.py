"""What a test lets be heard."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from edge.agent.probe.scoring import Heard
from tests.support.pty import SerialPort

PATIENCE_S = 60.0


def lines(said: Iterable[str | bytes], hertz: float = 10.0) -> list[Heard]:
    """Lines that came evenly, each with its line feed."""
    return [Heard(item, at_ns) for item, at_ns in _timed((_bytes(text) + b"\n" for text in said), hertz)]


def messages(said: Iterable[str | bytes], hertz: float = 10.0) -> list[Heard]:
    """Messages that came evenly."""
    return [Heard(item, at_ns) for item, at_ns in _timed(map(_bytes, said), hertz)]


def _timed(items: Iterable[bytes], hertz: float) -> Iterable[tuple[bytes, int]]:
    return ((item, 10**9 + int(number * 1e9 / hertz)) for number, item in enumerate(items))


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


@contextmanager
def again_and_again(say: Callable[[int], None], pause_s: float = 0.01) -> Iterator[None]:
    """While the block runs, `say` is called in another thread, with a number that rises."""
    over = threading.Event()

    def run() -> None:
        number = 0
        while not over.wait(pause_s):
            say(number)
            number += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(PATIENCE_S)


def offer(port: SerialPort, line: bytes) -> None:
    """Say a line, if somebody listens and there is room: a sensor waits for nobody."""
    if port.is_read:
        port.offer(line)
