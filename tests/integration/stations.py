"""A station whose book is kept: sensors that number what they say, a real agent, a real log."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeAlias

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from ingest.records import Chunk, Record
from simulators.terminal import Terminal
from tests.integration.books import Book, Said, Tolerance, read_book, wrongs
from tests.integration.forks import Forks, Process
from tests.integration.registers import Registers
from tests.integration.sensors import check_of
from tests.integration.site import PROJECT, wait_for
from tests.support.logs import read_log

PATIENCE_S: Final = 60.0
STREAM: Final = "count"
TICK_S: Final = 0.01
SERIAL: Final = """[[source]]
name = "{name}"
type = "serial"
port = "{port}"
device = "{name}"
decoder = "csv"
stream = "count"
channels = {{ number = "1", check = "1" }}
dtype = "int32"
max = {{ number = 9999999, check = 65521 }}
{more}
"""
MQTT: Final = """[[source]]
name = "{name}"
type = "mqtt"
broker = "{broker}"
topic = "{topic}"
device = "{name}"
decoder = "csv"
stream = "count"
channels = {{ number = "1", check = "1" }}
dtype = "int32"
{more}
"""
MODBUS: Final = """[[source]]
name = "{name}"
type = "modbus"
host = "127.0.0.1"
tcp_port = {port}
poll = "{poll}"
device = "{name}"
decoder = "binary"
endian = "big"
fields = [{{ name = "number", type = "i32" }}, {{ name = "check", type = "i32" }}]
stream = "count"
channels = {{ number = "1", check = "1" }}
dtype = "int32"
"""
Sensor: TypeAlias = "Port | Publisher | Registers"
Spoil = Callable[[bytes], bytes]
"""What a bad line makes of what was said."""


def line_of(number: int) -> bytes:
    """Of fixed width: what two torn lines make together is out of range, or has a wrong number of cells."""
    return b"%07d,%05d\n" % (number, check_of(number))


class Port:
    """A sensor on a pseudo-terminal. What there is no room for is lost in whole lines, as a sensor with a buffer of its
    own loses it; `spoil` is a line that changes bytes on their way."""

    def __init__(self, path: Path, rate_hz: float) -> None:
        self.path, self.rate_hz = path, rate_hz
        self.said = Said()
        self.spoil: Spoil | None = None
        self.silent = False
        self.unsaid = 0
        """Lines for which there was no room."""
        self._terminal = Terminal(path)
        self._rest = b""
        self._due_s = 0.0

    def tick(self, now_s: float) -> None:
        """Say what is due by now (`time.time()`)."""
        self._rest = self._offer(self._rest)
        self._due_s = self._due_s or now_s
        while self._due_s <= now_s:
            if not self.silent:
                self._say(int(self._due_s * 1e9))
            self._due_s += 1 / self.rate_hz

    def _say(self, due_ns: int) -> None:
        data = line_of(len(self.said.due_ns))
        self.said.due_ns.append(due_ns)
        self.said.written_ns.append(time.time_ns())
        if self.spoil is not None:
            data = self.spoil(data)
        left = data if self._rest else self._offer(data)
        if left == data:
            self.unsaid += 1
        else:
            self._rest = left or self._rest

    def _offer(self, data: bytes) -> bytes:
        """What did not fit; a line that has begun is said to its end before the next one begins."""
        try:
            return data[self._terminal.offer(data) :] if data else b""
        except BrokenPipeError:
            return b""

    def unplug(self) -> None:
        """The cable is out: what is said is lost."""
        self._terminal.unplug()

    def plug(self) -> None:
        """And in again."""
        self._terminal.plug()


class Publisher:
    """A sensor that publishes with QoS 1 through a session of its own, and keeps what it says while it cannot."""

    def __init__(self, host: str, port: int, topic: str, rate_hz: float, back_s: int = 1) -> None:
        self.topic, self.rate_hz = topic, rate_hz
        self.said = Said()
        self.silent = False
        self._kept: deque[bytes] = deque()
        """Not handed to the client yet: what it is given between a connection and the broker's answer to it goes out
        before what is older."""
        self._given = self._confirmed = 0
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.max_inflight_messages_set(10_000)
        self._client.reconnect_delay_set(back_s, back_s)
        self._client.on_publish = self._on_publish
        self._client.connect(host, port)
        self._client.loop_start()
        self._due_s = 0.0

    def tick(self, now_s: float) -> None:
        """Say what is due by now (`time.time()`)."""
        self._due_s = self._due_s or now_s
        while self._due_s <= now_s:
            if not self.silent:
                number = len(self.said.due_ns)
                self.said.due_ns.append(int(self._due_s * 1e9))
                self.said.written_ns.append(time.time_ns())
                self._kept.append(line_of(number))
            self._due_s += 1 / self.rate_hz
        self._give()

    def _give(self) -> None:
        if self._client.is_connected() and self._confirmed == self._given:
            self._given += len(self._kept)
            while self._kept:
                self._client.publish(self.topic, self._kept.popleft(), 1)

    def confirmed(self) -> bool:
        """Whether the broker has acknowledged all of it; once nothing more is said."""
        self._give()
        return self._confirmed >= len(self.said.due_ns)

    def _on_publish(self, *_: object) -> None:
        self._confirmed += 1

    def close(self) -> None:
        """Let go."""
        self._client.disconnect()
        self._client.loop_stop()


class Feeder(threading.Thread):
    """Lets sensors speak, each when it is due."""

    def __init__(self, sensors: Sequence[Sensor]) -> None:
        super().__init__(name="feeder", daemon=True)
        self.sensors = sensors
        self.lock = threading.Lock()
        """Held while one speaks: who holds it may change their state."""
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(TICK_S):
            with self.lock:
                for sensor in self.sensors:
                    sensor.tick(time.time())

    def end(self) -> None:
        """They say no more."""
        self._over.set()
        if self.is_alive():
            self.join()


class Station:
    """The agent, its sensors by name and its log. A context manager: it begins with everybody speaking."""

    def __init__(
        self,
        folder: Path,
        log: str | None = None,
        *,
        spool: str = 'dir = "spool"\nfsync_interval = "200ms"',
        prefix: Sequence[str] = (),
        forks: Forks | None = None,
    ) -> None:
        self.folder = folder
        self.log = log or f"segments:{folder / 'log'}"
        self.sensors: dict[str, Sensor] = {}
        self.agent: Process | None = None
        self._head = f'device = "station"\nlog = "{self.log}"\n[spool]\n{spool}\n'
        self._sources: list[str] = []
        self._prefix = list(prefix)
        self._forks = forks
        self._feeder: Feeder | None = None

    # --- sensors

    def add_port(self, name: str, rate_hz: float = 100, *, more: str = "") -> Port:
        """A sensor on a port; `more` are lines for its table."""
        port = Port(self.folder / name, rate_hz)
        self._sources.append(SERIAL.format(name=name, port=port.path, more=more))
        self.sensors[name] = port
        return port

    def add_publisher(
        self, name: str, host: str, port: int, rate_hz: float = 20, *, broker: str = "", more: str = "", back_s: int = 1
    ) -> Publisher:
        """A sensor that publishes; the agent knows its broker as `broker`, where that is another address. It looks each
        `back_s` seconds whether a broker that was away is back."""
        found = Publisher(host, port, f"site/{name}", rate_hz, back_s)
        broker = broker or f"mqtt://{host}:{port}"
        self._sources.append(MQTT.format(name=name, broker=broker, topic=found.topic, more=more))
        self.sensors[name] = found
        return found

    def add_registers(self, name: str, poll: str) -> Registers:
        """A device that numbers its answers, asked so often."""
        found = Registers(check_of)
        self._sources.append(MODBUS.format(name=name, port=found.port, poll=poll))
        self.sensors[name] = found
        return found

    def change(self, act: Callable[[], object]) -> None:
        """Do this while no sensor speaks."""
        assert self._feeder is not None
        with self._feeder.lock:
            act()

    def quiet(self) -> None:
        """No sensor says anything more; returns when brokers have acknowledged everything."""
        assert self._feeder is not None
        self._feeder.end()
        for name, sensor in self.sensors.items():
            if isinstance(sensor, Publisher):
                wait_for(sensor.confirmed, f"{name}: the broker's acknowledgements", PATIENCE_S)

    # --- the agent

    @property
    def config(self) -> Path:
        """Its agent.toml, also for commands beside it."""
        return self.folder / "agent.toml"

    def start(self) -> None:
        """Start an agent."""
        words, said = ["agent", "run", "-c", str(self.config)], self.folder / "stderr.txt"
        if self._forks is not None:
            self.agent = self._forks.begin(words, said)
            return
        words = [*self._prefix, sys.executable, "-m", "sensorloom", *words]
        with said.open("ab") as err:
            self.agent = subprocess.Popen(words, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=err)

    def signal(self, number: int) -> None:
        """To the agent."""
        assert self.agent is not None
        self.agent.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and it is gone."""
        assert self.agent is not None
        self.agent.kill()
        self.agent.wait(PATIENCE_S)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.signal(signal.SIGTERM)
        assert self.agent is not None
        return self.agent.wait(PATIENCE_S)

    @property
    def err(self) -> str:
        """What agents said on stderr."""
        return (self.folder / "stderr.txt").read_text(errors="replace")

    def says(self, text: str, patience_s: float = PATIENCE_S) -> None:
        """Wait until an agent has said so."""
        wait_for(lambda: text in self.err, f"{text!r} in:\n{self.err[-2000:]}", patience_s)

    # --- the book

    def records(self) -> list[Record]:
        """What is in the log."""
        return read_log(self.log)

    def in_log(self, name: str) -> int:
        """The newest number of a sensor in the log; -1 where there is none."""
        found = [record for record in self.records() if isinstance(record, Chunk) and record.device == name]
        book = read_book(found, name, STREAM)
        return int(book.numbers.max()) if len(book.numbers) else -1

    def await_more(self, *names: str) -> None:
        """Wait until what sensors say from now on comes into the log; of all, where none is named."""
        marks = {name: len(self.sensors[name].said.due_ns) for name in names or self.sensors}
        for name, mark in marks.items():

            def there(name: str = name, mark: int = mark) -> bool:
                assert self.agent is not None
                assert self.agent.poll() is None, f"the agent ended: {self.err[-2000:]}"
                return self.in_log(name) >= mark

            wait_for(there, f"{name}: number {mark} in the log; {self.err[-2000:]}", PATIENCE_S)

    def books(self) -> dict[str, Book]:
        """By sensor."""
        records = self.records()
        return {name: read_book(records, name, STREAM) for name in self.sensors}

    def check(self, tolerance: Tolerance | None = None) -> dict[str, Book]:
        """Every sensor's book closes; the books."""
        books = self.books()
        found = {
            name: told
            for name, book in books.items()
            if (told := wrongs(book, self.sensors[name].said, check_of, tolerance or Tolerance()))
        }
        assert not found, "\n".join([*(f"{n}: {line}" for n, told in found.items() for line in told), self.err[-1500:]])
        assert "Traceback" not in self.err, self.err
        return books

    def __enter__(self) -> Self:
        self.config.write_text(self._head + "".join(self._sources))
        self.start()
        self._feeder = Feeder(list(self.sensors.values()))
        self._feeder.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._feeder is not None:
            self._feeder.end()
        if self.agent is not None and self.agent.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.signal(signal.SIGCONT)
            self.kill()
        for sensor in self.sensors.values():
            sensor.unplug() if isinstance(sensor, Port) else sensor.close()
