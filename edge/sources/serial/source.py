"""The source `serial`: bytes from a serial port, by pyserial, in a thread of its own.

The thread reads what has arrived, at most `READ_BYTES` at once, and hands it to the event loop; while `QUEUE_BYTES`
wait there it does not read, and the kernel's buffer is the next one to fill. A port that vanishes is opened again,
with back-off and for ever; what it brings then comes after an `Interruption`. What comes before the first line feed
after an opening is left out: it may be the rest of a line.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import re
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Final, NamedTuple, Self

import serial

from edge.protocol import Arrival, Interruption, Key, SourceConfig
from edge.sources.backoff import Backoff
from edge.sources.clock import now
from ingest.errors import UsageError

READ_BYTES: Final = 65_536
QUEUE_BYTES: Final = 4_000_000
BAUD_MIN, BAUD_MAX = 1200, 4_000_000
FIRST_DELAY_S, MOST_DELAY_S = 0.1, 5.0
PORT_LOST: Final = "port_lost"

_FRAMING: Final = re.compile("[78][NEO][12]")
_DATA_BITS: Final = {"7": serial.SEVENBITS, "8": serial.EIGHTBITS}
_PARITIES: Final = {"N": serial.PARITY_NONE, "E": serial.PARITY_EVEN, "O": serial.PARITY_ODD}
_STOP_BITS: Final = {"1": serial.STOPBITS_ONE, "2": serial.STOPBITS_TWO}


class Line(NamedTuple):
    """How a port is set."""

    port: str
    baud: int = 115_200
    framing: str = "8N1"
    """Data bits, parity, stop bits."""

    def open(self) -> serial.Serial:
        """The port, for this process alone. Raises `OSError` (as `serial.SerialException` is one)."""
        bits, parity, stop = tuple(self.framing)
        return serial.Serial(
            self.port,
            self.baud,
            bytesize=_DATA_BITS[bits],
            parity=_PARITIES[parity],
            stopbits=_STOP_BITS[stop],
            exclusive=True,
        )


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
    }

    def __init__(self, line: Line) -> None:
        self.line: Final = line
        self.waiting_for = f"{line.port}: not open"
        self._queue: _Queue | None = None
        self._reader: _Reader | None = None

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """`port` (a path, relative to the configuration's folder), `baud` (115200) and `framing` ("8N1")."""
        baud = config.option("baud", int, 115_200)
        if not BAUD_MIN <= baud <= BAUD_MAX:
            raise UsageError(f"{config.where}: baud: {baud} is not in {BAUD_MIN}..{BAUD_MAX}")
        framing = config.option("framing", str, "8N1").upper()
        if _FRAMING.fullmatch(framing) is None:
            raise UsageError(
                f'{config.where}: framing: found "{framing}"; write data bits 7 or 8, parity N, E or O, '
                'and stop bits 1 or 2, as in "8N1"'
            )
        return cls(Line(str(Path(config.base) / config.option("port", str)), baud, framing))

    @property
    def heard_ns(self) -> int | None:
        """See `edge.protocol.Source`: nobody keeps what a port is not read for."""
        return None

    async def open(self) -> None:
        """Start reading, and return when the port is open."""
        if self._reader is None:
            self._queue = _Queue(asyncio.get_running_loop())
            self._reader = _Reader(self.line, self._queue, self._say)
            self._reader.start()
        assert self._queue is not None
        await self._queue.opened.wait()

    @property
    def trouble(self) -> str:
        """See `edge.protocol.Source`."""
        return ""

    @property
    def missing(self) -> str:
        """See `edge.protocol.Source`: no line keeps what nobody reads."""
        return PORT_LOST if self.waiting_for else ""

    def _say(self, waiting_for: str) -> None:
        self.waiting_for = waiting_for

    async def arrivals(self) -> AsyncIterator[Arrival | Interruption]:
        """What arrives, until `close`."""
        await self.open()
        queue = self._queue
        while queue is not None:
            item = await queue.get()
            if item is None:
                return
            yield item

    def ack(self, token: Hashable) -> None:
        """Nothing to acknowledge on a serial line."""

    def again(self) -> None:
        """See `edge.protocol.Source`: a serial line keeps nothing."""

    async def close(self) -> None:
        """Let go of the port; what was read and not yet taken is dropped."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.stop()
            await asyncio.to_thread(reader.join)
        if self._queue is not None:
            self._queue.end()
            self._queue = None
        self.waiting_for = f"{self.line.port}: not open"


class _Queue:
    """From the reading thread to the event loop, bounded in bytes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.opened: Final = asyncio.Event()
        self._loop = loop
        self._filled = asyncio.Event()
        self._items: deque[Arrival | Interruption] = deque()
        self._room = threading.Condition()
        self._bytes = 0
        self._ended = False

    def tell_opened(self) -> None:
        """From the thread: the port is there."""
        self._call(self.opened.set)

    def put(self, item: Arrival | Interruption) -> None:
        """From the thread: wait for room, then hand over."""
        with self._room:
            self._room.wait_for(lambda: self._bytes < QUEUE_BYTES or self._ended)
            first = not self._items
            self._items.append(item)
            self._bytes += _size(item)
        if first:
            self._call(self._filled.set)

    def _call(self, action: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed already, so nobody waits
            self._loop.call_soon_threadsafe(action)

    async def get(self) -> Arrival | Interruption | None:
        """On the event loop: the next item; None after `end`."""
        while True:
            with self._room:
                if self._ended:
                    return None
                if self._items:
                    item = self._items.popleft()
                    self._bytes -= _size(item)
                    self._room.notify()
                    return item
                self._filled.clear()
            await self._filled.wait()

    def end(self) -> None:
        """Nobody takes any more, and nobody waits any more."""
        with self._room:
            self._ended = True
            self._room.notify_all()
        self.opened.set()
        self._filled.set()


def _size(item: Arrival | Interruption) -> int:
    return len(item.data) if isinstance(item, Arrival) else 0


class _Reader(threading.Thread):
    """Opens, reads, and opens again."""

    def __init__(self, line: Line, queue: _Queue, say: Callable[[str], None]) -> None:
        super().__init__(name=f"serial {line.port}", daemon=True)
        self._line = line
        self._queue = queue
        self._say = say
        self._stopped = threading.Event()
        self._reading = threading.Lock()
        self._port: serial.Serial | None = None

    def stop(self) -> None:
        """Ask it to end; it does so at once, wherever it waits."""
        self._stopped.set()
        self._queue.end()
        with self._reading:
            if self._port is not None:
                self._port.cancel_read()

    def run(self) -> None:
        """Until `stop`."""
        backoff = Backoff(FIRST_DELAY_S, MOST_DELAY_S)
        again = False
        while not self._stopped.is_set():
            try:
                with self._opened() as port:
                    if again:
                        self._queue.put(Interruption(PORT_LOST, *now()))
                    again = True
                    self._read(port, backoff)
            except OSError as error:
                self._say(f"{self._line.port}: {_reason(error)}")
            self._stopped.wait(backoff.next_s())

    @contextlib.contextmanager
    def _opened(self) -> Iterator[serial.Serial]:
        with self._line.open() as port:
            with self._reading:
                self._port = port
            self._say("")
            self._queue.tell_opened()
            try:
                yield port
            finally:
                with self._reading:  # from here on nobody cancels a read on descriptors that may be others'
                    self._port = None

    def _read(self, port: serial.Serial, backoff: Backoff) -> None:
        whole = False
        while not self._stopped.is_set():
            data = port.read(1)
            if not data:
                continue  # told to stop
            more = min(port.in_waiting, READ_BYTES - 1)
            if more:
                data += port.read(more)
            monotonic_ns, wall_ns = now()
            backoff.reset()
            if not whole:
                _, line_feed, data = data.partition(b"\n")
                whole = bool(line_feed)
            if data:
                self._queue.put(Arrival(data, monotonic_ns, wall_ns))


def _reason(error: OSError) -> str:
    """What people make of an error that pyserial raised."""
    if error.errno == errno.ENOENT:
        return "no such port; is it plugged in?"
    if error.errno == errno.EACCES:
        return "not permitted; join the group that owns it (dialout on Debian)"
    if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK):
        return "another program has it open"
    if error.errno is None:
        return "vanished; waiting for it to come back"
    return error.strerror or str(error)
