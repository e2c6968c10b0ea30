"""A serial port for tests: a pseudo-terminal that can be unplugged, replugged and fed at a pace."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Iterable

from simulators.terminal import Terminal


class SerialPort(Terminal):
    """`Terminal` with a sensor that speaks at its own pace; `write`, `unplug` and `plug` do what they say."""

    def __enter__(self) -> SerialPort:
        return self

    def write(self, data: bytes, timeout_s: float = 60.0) -> None:
        """As `Terminal.write`, with the patience that a test has."""
        super().write(data, timeout_s)

    def read(self, count: int, timeout_s: float = 60.0) -> bytes:
        """What a program says to the sensor: so many bytes."""
        data, poll = b"", select.poll()
        poll.register(self.fileno(), select.POLLIN)
        while len(data) < count:
            if not any(event & select.POLLIN for _, event in poll.poll(timeout_s * 1000)):
                raise TimeoutError(f"{data!r} and no more")
            data += os.read(self.fileno(), count - len(data))
        return data

    def play(self, pieces: Iterable[bytes], bytes_per_s: float | None = None) -> None:
        """Write pieces one after the other, none earlier than the line's rate allows; wait for the reader."""
        begin, sent = time.monotonic(), 0
        for piece in pieces:
            if bytes_per_s is not None:
                ahead_s = begin + sent / bytes_per_s - time.monotonic()
                if ahead_s > 0:
                    time.sleep(ahead_s)
            self.write(piece)
            sent += len(piece)

    def playing(self, pieces: Iterable[bytes], bytes_per_s: float | None = None) -> threading.Thread:
        """The same in a thread of its own, started; `join` it."""
        thread = threading.Thread(target=self.play, args=(pieces, bytes_per_s), daemon=True)
        thread.start()
        return thread
