"""Two sensors that never wait for anybody: numbered lines on a pseudo-terminal, numbered messages to a broker."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from simulators.terminal import Terminal
from tests.integration.site import wait_for
from tests.support.mosquitto import Mosquitto

PRIME: Final = 65_521
TOPIC: Final = "site/pump/messages"


def line_of(number: int) -> bytes:
    """A number and its check: two lines that ran into one another would not have a good one."""
    return b"%d,%d\n" % (number, check_of(number))


def check_of(number: int) -> int:
    return number * 7919 % PRIME


class Line(threading.Thread):
    """A sensor on a serial line: it speaks whether somebody listens or not, and what the line cannot take is lost."""

    def __init__(self, path: Path, lines_per_s: float) -> None:
        super().__init__(name="sensor", daemon=True)
        self.said_ns: Final[list[int]] = []
        """When each line was said, by its number."""
        self.unsaid = 0
        """Lines for which there was no room."""
        self._terminal = Terminal(path)
        self._cable = threading.Lock()
        self._period_s = 1 / lines_per_s
        self._over = threading.Event()

    def run(self) -> None:
        rest, due, begins = b"", time.monotonic(), True
        while not self._over.wait(max(0.0, due - time.monotonic())):
            due += self._period_s / 2
            with self._cable:
                rest = self._offer(rest)
                if begins:
                    rest = self._begin(rest)
            begins = not begins

    def _begin(self, rest: bytes) -> bytes:
        """Half of the next line, if the last one is over; what is to be said of it later."""
        line = line_of(len(self.said_ns))
        self.said_ns.append(time.time_ns())
        half = len(line) // 2
        left = line[:half] if rest else self._offer(line[:half])
        if left == line[:half]:
            self.unsaid += 1
            return rest
        return left + line[half:]

    def _offer(self, data: bytes) -> bytes:
        """What did not fit; a line that has begun is said to its end before the next one begins."""
        try:
            return data[self._terminal.offer(data) :] if data else b""
        except BrokenPipeError:
            return b""

    def unplug(self) -> None:
        with self._cable:
            self._terminal.unplug()

    def plug(self) -> None:
        with self._cable:
            self._terminal.plug()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        self.unplug()

    def end(self) -> None:
        """Say no more."""
        self._over.set()
        self.join()


class Messages(threading.Thread):
    """A sensor that publishes with QoS 1, one burst after the other."""

    def __init__(self, broker: Mosquitto, bursts_per_s: float, burst: int) -> None:
        super().__init__(name="publisher", daemon=True)
        self.published = 0
        """The broker has acknowledged them all, once `quiet` was called."""
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.max_inflight_messages_set(10_000)
        self._client.reconnect_delay_set(1, 1)
        self._client.connect(broker.host, broker.port)
        self._unconfirmed: list[paho.MQTTMessageInfo] = []
        self._period_s, self._burst = 1 / bursts_per_s, burst
        self._speaking = threading.Lock()
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(self._period_s):
            with self._speaking:
                for _ in range(self._burst):
                    self._unconfirmed.append(self._client.publish(TOPIC, line_of(self.published), 1))
                    self.published += 1

    def quiet(self) -> None:
        """Publish nothing more until `speak`; returns when the broker has acknowledged everything."""
        self._speaking.acquire()
        wait_for(lambda: all(info.is_published() for info in self._unconfirmed), "the broker's acknowledgements")
        self._unconfirmed = []

    def speak(self) -> None:
        """Go on, when the broker is there again."""
        wait_for(self._client.is_connected, "the publisher's connection")
        self._speaking.release()

    def __enter__(self) -> Self:
        self._client.loop_start()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._speaking.locked():
            self._speaking.release()
        self.join()
        self._client.disconnect()
        self._client.loop_stop()
